"""`plumbline init` on real files, then the whole graph."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from tests.e2e.conftest import clone, run

pytestmark = pytest.mark.e2e


def on(root: Path, folder: Path, *options: str) -> dict[str, Any]:
    """init and repro in a fresh clone; returns the metrics."""
    checkout = clone(root, folder)
    run(checkout, "plumbline", "init", *options)
    run(checkout, "dvc", "repro")
    assert "up to date" in run(checkout, "dvc", "status").stdout
    found: dict[str, Any] = json.loads((checkout / "reports" / "metrics.json").read_text())
    return found


def test_house_prices(root: Path, real_data: Path, tmp_path: Path) -> None:
    file = real_data / "ames_housing" / "AmesHousing.txt"
    found = on(root, tmp_path, "--data", str(file), "--target", "SalePrice")
    assert found["test"]["rmse"] < found["baselines"]["linear"]["rmse"]
    assert found["test"]["r2"] > 0.85


@pytest.mark.soak
def test_income_with_its_official_test_file(root: Path, real_data: Path, tmp_path: Path) -> None:
    folder = real_data / "adult"
    options = ["--data", str(folder / "train.csv"), "--test", str(folder / "test.csv")]
    found = on(root, tmp_path, *options, "--target", "income")
    assert found["test"]["accuracy"] > 0.85
    split = json.loads((tmp_path / "artifacts" / "split" / "summary.json").read_text())
    assert "16281" in json.dumps(split)


@pytest.mark.soak
def test_forest_cover_in_seven_classes(root: Path, real_data: Path, tmp_path: Path) -> None:
    file = real_data / "covtype_20k" / "covtype.csv"
    found = on(root, tmp_path, "--data", str(file), "--target", "cover_type")
    assert found["test"]["accuracy"] > found["baselines"]["linear"]["accuracy"]
