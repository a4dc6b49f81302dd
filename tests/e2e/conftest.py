"""A checkout like a user's: cloned, with the sample data, and the graph run once."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from filelock import FileLock
from tests.e2e.browser import NAMES, Browser

Run = Callable[..., subprocess.CompletedProcess[str]]
BIN = Path(sys.executable).parent


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


def clone(root: Path, folder: Path) -> Path:
    """The working tree as it would be committed, as a repository of its own, data pulled."""
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
    """A checkout in which `dvc repro` has run once; tests only read it."""
    folder = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        folder = folder.parent  # one for all workers
    with FileLock(folder / "checkout.lock"):
        done = folder / "checkout.done"
        if not done.exists():
            shutil.rmtree(folder / "checkout", ignore_errors=True)
            run(clone(root, folder / "checkout"), "dvc", "repro")
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
