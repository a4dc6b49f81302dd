"""A small checkout to run commands in."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def pristine(root: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the parameters and the graph under DVC, and no data."""
    folder = tmp_path_factory.mktemp("pristine")
    for name in ("params.yaml", "expectations.yaml", "dvc.yaml"):
        shutil.copyfile(root / name, folder / name)
    done = subprocess.run(
        [sys.executable, "-m", "dvc", "init", "--no-scm", "--quiet"], cwd=folder, check=False
    )
    assert done.returncode == 0
    return folder


@pytest.fixture
def checkout(pristine: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of the pristine folder; the current folder."""
    folder = tmp_path / "checkout"
    shutil.copytree(pristine, folder)
    monkeypatch.chdir(folder)
    return folder
