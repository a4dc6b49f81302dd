"""The first command of every DVC user in a fresh clone."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
import yaml
from tests.e2e.conftest import clone, run

pytestmark = pytest.mark.e2e


def test_plain_dvc_pull_brings_data_and_results(
    root: Path, tmp_path: Path, committed_lock: str
) -> None:
    """Nothing is there but what is committed; what is stale is left to `dvc repro`."""
    fresh = clone(root, tmp_path / "clone")
    (fresh / "dvc.lock").write_text(committed_lock)
    shutil.rmtree(fresh / "data")
    shutil.rmtree(fresh / ".dvc" / "cache")
    run(fresh, "dvc", "pull")
    assert (fresh / "data").is_dir()
    stages = yaml.safe_load((fresh / "dvc.lock").read_text())["stages"]
    outs = [out["path"] for stage in stages.values() for out in stage["outs"]]
    missing = [path for path in outs if not (fresh / path).exists()]
    assert missing == ["mlflow/registered.json"]  # the store is this machine's own
    assert "reports/index.html" in run(fresh, "plumbline", "show").stdout
    run(fresh, "dvc", "status")
