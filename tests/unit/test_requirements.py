"""The lock holds all that is declared, and all that those packages need, in versions that fit."""

from __future__ import annotations

import tomllib
from functools import cache
from importlib.metadata import PackageNotFoundError, requires
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

LOCKED = ("dev", "s3", "postgres")


def locked(file: Path) -> dict[str, str]:
    lines = (line.split("==") for line in file.read_text().splitlines() if "==" in line)
    return {canonicalize_name(name): version for name, version in lines}


def problems(declared: list[str], lock: dict[str, str]) -> set[str]:
    """What the declared packages, and the packages that these need, lack in a lock."""
    result: set[str] = set()
    values: set[tuple[str, str]] = set()
    todo = [(Requirement(text), "") for text in declared]
    while todo:
        wanted, extra = todo.pop()
        if wanted.marker and not wanted.marker.evaluate({"extra": extra}):
            continue
        name = canonicalize_name(wanted.name)
        version = lock.get(name)
        if version is None or not wanted.specifier.contains(version, prereleases=True):
            result.add(f"{wanted} (locked: {version})")
            continue
        new = {(name, deeper) for deeper in ("", *wanted.extras)} - values
        values |= new
        todo.extend((Requirement(text), deeper) for _, deeper in new for text in needs_of(name))
    return result


@cache
def needs_of(name: str) -> tuple[str, ...]:
    try:
        return tuple(requires(name) or ())
    except PackageNotFoundError:  # of the benchmarks, where they were never run
        return ()


def test_the_lock_holds_what_is_declared_and_what_that_needs(root: Path) -> None:
    project = tomllib.loads((root / "pyproject.toml").read_text())["project"]
    declared = project["dependencies"] + [
        text for extra in LOCKED for text in project["optional-dependencies"][extra]
    ]
    lock = locked(root / "requirements.lock")
    assert problems(declared, lock) == set()
    lacking = {name: version for name, version in lock.items() if name != "alembic"}  # of MLflow
    assert any(text.startswith("alembic") for text in problems(declared, lacking))


@pytest.mark.parametrize("extra", ["bench", "stack"])
def test_a_further_lock_adds_only_what_its_extra_needs(root: Path, extra: str) -> None:
    project = tomllib.loads((root / "pyproject.toml").read_text())["project"]
    lock, more = locked(root / "requirements.lock"), locked(root / f"requirements-{extra}.lock")
    assert not set(lock) & set(more)
    assert problems(project["optional-dependencies"][extra], lock | more) == set()
