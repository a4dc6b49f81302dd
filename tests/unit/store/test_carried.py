"""The package that a version carries loads alone, and beside plumbline."""

from __future__ import annotations

import ast
import json
import subprocess
import sys
from pathlib import Path

import pytest

from plumbline.store import carried
from plumbline.store.carried import write_package

HEAVY = {
    "scipy",
    "torch",
    "great_expectations",
    "prefect",
    "evidently",
    "sklearn",
    "dvc",
    "plumbline",
}
DISTRIBUTIONS = {"PIL": "pillow", "yaml": "pyyaml"}  # module -> its distribution


def test_it_loads_alone_and_imports_nothing_heavy(tmp_path: Path) -> None:
    package = write_package("plumbline.inference.rows", tmp_path)
    code = (
        f"import json, sys, {package.module}; "
        "print(json.dumps(sorted({name.partition('.')[0] for name in sys.modules})))"
    )
    command = [sys.executable, "-c", code]
    done = subprocess.run(
        command, cwd=tmp_path, env={"PYTHONPATH": ""}, capture_output=True, text=True, check=True
    )
    assert not HEAVY & set(json.loads(done.stdout))


def test_every_import_is_carried_or_required(tmp_path: Path) -> None:
    package = write_package("plumbline.store.loader", tmp_path)
    name, imported = package.folder.name, set()
    assert package.module == f"{name}.store.loader"
    for path in package.folder.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Import):
                imported |= {one.name for one in node.names}
            elif isinstance(node, ast.ImportFrom):
                assert not node.level
                imported.add(str(node.module))
                own = tmp_path.joinpath(*str(node.module).split("."))
                if str(node.module).startswith(name):
                    assert own.is_dir() or own.with_suffix(".py").is_file(), node.module
    others = {one.partition(".")[0] for one in imported} - sys.stdlib_module_names - {name}
    others -= {*carried.FITTING}
    assert not others & HEAVY
    named = {one.partition("==")[0].replace("-", "_") for one in package.requirements}
    assert {DISTRIBUTIONS.get(one, one) for one in others} <= named
    assert all(one.count("==") == 1 for one in package.requirements)
    assert not {*carried.FITTING} & named


def test_another_content_has_another_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = write_package("plumbline.kinds", tmp_path / "a")
    again = write_package("plumbline.kinds", tmp_path / "b")
    assert first.folder.name == again.folder.name
    (tmp_path / "plumbline").mkdir()
    (tmp_path / "plumbline" / "__init__.py").write_text("")
    (tmp_path / "plumbline" / "kinds.py").write_text("X = 1\n")
    monkeypatch.setattr(carried, "SOURCES", tmp_path)
    other = write_package("plumbline.kinds", tmp_path / "c")
    assert other.folder.name != first.folder.name
