"""A checkout like a user's: cloned, with the sample data, and the graph run once."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from filelock import FileLock
from tests.e2e.browser import NAMES, Browser

Run = Callable[..., subprocess.CompletedProcess[str]]
BIN = Path(sys.executable).parent
# enough for a good model; the settings that ship are for `make soak`
QUICK: dict[str, dict[str, Any]] = {
    "tune": {"trials": 2, "epochs": 5},
    "train": {"epochs": 30, "bag": 2},
    "evaluate": {"bootstrap": 200},
    "explain": {"rows": 20, "background": 40, "lime_rows": 2, "faithfulness_rows": 10},
}


def environment(folder: Path) -> dict[str, str]:
    """The variables of a shell in which the environment is active and `folder` is the code."""
    return {
        **{k: v for k, v in os.environ.items() if not k.startswith(("MLFLOW_", "PREFECT_"))},
        "PATH": f"{BIN}{os.pathsep}{os.environ['PATH']}",
        "PYTHONPATH": str(folder / "src"),
        "PYTHONDONTWRITEBYTECODE": "",  # users write bytecode into src
    }


def run(
    folder: Path, *command: str, code: int = 0, source: Path | None = None
) -> subprocess.CompletedProcess[str]:
    """Run a command in a checkout and hold its exit code against what was expected.

    Args:
        source: where the code lies; None: in the checkout.
    """
    done = subprocess.run(
        command,
        cwd=folder,
        env=environment(source or folder),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == code, f"{command}\n{done.stdout[-3000:]}\n{done.stderr[-3000:]}"
    return done


def set_params(folder: Path, sections: dict[str, dict[str, Any]]) -> None:
    """Other values in the params.yaml of a checkout."""
    file = folder / "params.yaml"
    params = yaml.safe_load(file.read_text())
    for section, values in sections.items():
        params[section] |= values
    file.write_text(yaml.safe_dump(params, sort_keys=False))


def clone(root: Path, folder: Path, sections: dict[str, dict[str, Any]] | None = None) -> Path:
    """The working tree as it would be committed, as a repository of its own, data pulled.

    Args:
        sections: parameters that are committed with other values.
    """
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=root,
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    for name in filter(None, listed.split("\0")):
        if (root / name).exists():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(root / name, folder / name)
    if sections:
        set_params(folder, sections)
    for command in (
        ["git", "init", "-q", "-b", "main"],
        ["git", "add", "-A", "-f"],
        ["git", "-c", "user.name=t", "-c", "user.email=t@localhost", "commit", "-q", "-m", "all"],
    ):
        subprocess.run(command, cwd=folder, check=True)
    run(folder, "dvc", "pull", "-q", "data.dvc")
    return folder


@pytest.fixture(scope="session")
def checkout(root: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkout in which `dvc repro` has run once, in little time; tests only read it."""
    folder = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        folder = folder.parent  # one for all workers
    with FileLock(folder / "checkout.lock"):
        done = folder / "checkout.done"
        if not done.exists():
            shutil.rmtree(folder / "checkout", ignore_errors=True)
            run(clone(root, folder / "checkout", QUICK), "dvc", "repro")
            done.touch()
    return folder / "checkout"


@pytest.fixture
def copy(checkout: Path, tmp_path: Path) -> Path:
    """The run checkout, to change."""
    return Path(shutil.copytree(checkout, tmp_path / "copy", symlinks=True))


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    binary = next(filter(None, map(shutil.which, NAMES)), None)
    if binary is None:
        pytest.skip(f"no browser: none of {', '.join(NAMES)} is on PATH")
    started = Browser(binary, tmp_path_factory.mktemp("profile"))
    yield started
    started.close()
