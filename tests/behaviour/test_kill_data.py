"""A data stage that is killed leaves what was there whole, and the next run ends right."""

from __future__ import annotations

import hashlib
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from tests.made import plumbline_here

STAGES = ("validate", "split", "normalize")
OUTPUTS = {
    "validate": "reports/validation",
    "split": "artifacts/split",
    "normalize": "artifacts/prepared",
}


def hashes(folder: Path) -> dict[str, str]:
    return {
        str(p.relative_to(folder)): hashlib.sha256(p.read_bytes()).hexdigest()
        for p in sorted(folder.rglob("*"))
        if p.is_file()
    }


@pytest.fixture(scope="module")
def finished(root: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The sample's data stages, run to the end."""
    assert (root / "data" / "breast_cancer.csv").exists(), "dvc pull data.dvc"
    folder = tmp_path_factory.mktemp("kill")
    for name in ("params.yaml", "expectations.yaml", "dvc.yaml"):
        shutil.copyfile(root / name, folder / name)
    shutil.copytree(root / "data", folder / "data")
    for stage in STAGES:
        assert plumbline_here(folder, stage) == 0
    return folder


def kill_and_repeat(finished: Path, folder: Path, stage: str, seconds: float) -> None:
    shutil.copytree(finished, folder)
    place = folder / OUTPUTS[stage]
    before = hashes(place)
    process = subprocess.Popen(
        [sys.executable, "-m", "plumbline", stage],
        cwd=folder,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env=os.environ,
    )
    time.sleep(seconds)
    process.send_signal(signal.SIGKILL)
    process.wait()
    # between the two renames of a folder its old content has another name
    old = place.parent / f".{place.name}.old"
    assert hashes(place if place.exists() else old) == before
    assert plumbline_here(folder, stage) == 0
    assert hashes(place) == before
    left = [p for p in place.parent.iterdir() if p.name.endswith(".old")]
    assert left == []


@pytest.mark.parametrize("stage", STAGES)
def test_killed_once(finished: Path, tmp_path: Path, stage: str) -> None:
    kill_and_repeat(finished, tmp_path / "copy", stage, 1.5)


@pytest.mark.soak
@pytest.mark.parametrize("moment", range(20))
@pytest.mark.parametrize("stage", STAGES)
def test_killed_at_twenty_moments(finished: Path, tmp_path: Path, stage: str, moment: int) -> None:
    seconds = random.Random(f"{stage} {moment}").uniform(0.1, 6.0)
    kill_and_repeat(finished, tmp_path / "copy", stage, seconds)
