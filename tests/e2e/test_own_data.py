"""`plumbline init` on real files, then the whole graph."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from tests.e2e.conftest import QUICK, clone, run, set_params

pytestmark = pytest.mark.e2e


def on(root: Path, folder: Path, *options: str, **params: dict[str, Any]) -> dict[str, Any]:
    """init and repro in a fresh clone, some parameters set; returns the metrics."""
    checkout = clone(root, folder)
    run(checkout, "plumbline", "init", *options)
    set_params(checkout, params)
    run(checkout, "dvc", "repro")
    assert "up to date" in run(checkout, "dvc", "status").stdout
    result: dict[str, Any] = json.loads((checkout / "reports" / "metrics.json").read_text())
    return result


HOUSES = ("ames_housing/AmesHousing.txt", "SalePrice")


def test_house_prices_untuned(root: Path, real_data: Path, tmp_path: Path) -> None:
    file, target = HOUSES
    options = ("--data", str(real_data / file), "--target", target)
    train = {"epochs": 15, "learning_curve": []}
    params = {**QUICK, "tune": {"trials": 0}, "train": train}
    result = on(root, tmp_path, *options, **params)
    assert result["test"]["rmse"] < result["baselines"]["linear"]["rmse"]
    assert result["test"]["r2"] > 0.85


@pytest.mark.soak
def test_house_prices(root: Path, real_data: Path, tmp_path: Path) -> None:
    file, target = HOUSES
    result = on(root, tmp_path, "--data", str(real_data / file), "--target", target)
    assert result["test"]["rmse"] < result["baselines"]["linear"]["rmse"]
    assert result["test"]["r2"] > 0.85


@pytest.mark.soak
def test_income_with_its_official_test_file(root: Path, real_data: Path, tmp_path: Path) -> None:
    folder = real_data / "adult"
    options = ["--data", str(folder / "train.csv"), "--test", str(folder / "test.csv")]
    result = on(root, tmp_path, *options, "--target", "income")
    assert result["test"]["accuracy"] > 0.85
    split = json.loads((tmp_path / "artifacts" / "split" / "summary.json").read_text())
    assert "16281" in json.dumps(split)


@pytest.mark.soak
def test_forest_cover_in_seven_classes(root: Path, real_data: Path, tmp_path: Path) -> None:
    file = real_data / "covtype_20k" / "covtype.csv"
    result = on(root, tmp_path, "--data", str(file), "--target", "cover_type")
    assert result["test"]["accuracy"] > result["baselines"]["linear"]["accuracy"]
