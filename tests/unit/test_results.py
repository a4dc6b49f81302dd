"""The table at the end of `make repro`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from tests.records import comparison, drift

from plumbline import cli
from plumbline.artifacts import Comparison, DriftResult, to_json
from plumbline.errors import StorageError
from plumbline.results import metric_rows, summary

FILES: dict[str, Any] = {
    "reports/metrics.json": {
        "train": {},
        "val": {},
        "test": {"accuracy": 0.9737, "roc_auc": 0.99671, "log_loss": 0.07277},
        "test_ci95": {"accuracy": [0.93, 1.0], "roc_auc": [0.9895, 1.0]},
        "baselines": {"majority": {"accuracy": 0.62, "roc_auc": 0.5}, "linear": {"roc_auc": 0.99}},
    },
    Comparison.FILE: to_json(comparison("roc_auc")),
    "reports/validation/result.json": {
        "success": True,
        "evaluated": 75,
        "rows": 569,
        "failed": [],
    },
    "reports/leakage.json": {
        "clean": False,
        "findings": [{"check": "near_duplicates"}, {"check": "near_duplicates"}],
    },
    DriftResult.FILE: to_json(drift({"a": True, "b": False})),
    "reports/parity.json": {
        "rows": 114,
        "max_difference": 1.5e-7,
        "tolerance": 1e-4,
        "passed": True,
        "unit": "probability",
        "batches": {},
    },
    "reports/register.json": {
        "model": "toy",
        "version": "3",
        "run_id": "c0ffee",
        "alias": "challenger",
        "lineage": {},
        "decision": "hold",
        "reasons": ["it is not better than the champion"],
    },
}


@pytest.fixture
def run(tmp_path: Path) -> Path:
    for name, content in FILES.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(json.dumps(content))
    return tmp_path


def test_the_metric_that_counts_comes_first_beside_interval_and_baselines(run: Path) -> None:
    header, rows = metric_rows(run)
    assert header == ["test rows", "deep model", "95% interval", "constant", "linear model"]
    assert rows[0] == ["ROC AUC *", "0.997", "0.990 to 1.000", "0.500", "0.990"]
    assert rows[1] == ["accuracy", "0.974", "0.930 to 1.000", "0.620", "–"]
    assert rows[2] == ["log loss", "0.073", "–", "–", "–"]


def test_all_verdicts_and_where_to_look(run: Path) -> None:
    text = summary(run)
    for words in (
        "75 expectations, none failed",
        "found: near_duplicates\n",
        "1 of 2 columns (a)",
        "1.5 × 10⁻⁷".replace(" ", "\u00a0"),
        "toy version 3",
        "decision    hold\n            it is not better than the champion",
        "reports/index.html",
        "make ui",
    ):
        assert words in text, words


def test_a_missing_report_names_its_stage(run: Path) -> None:
    (run / "reports/drift/result.json").unlink()
    with pytest.raises(StorageError, match=r"drift/result\.json: not there yet: the stage 'drift'"):
        summary(run)


def test_as_a_command_it_ends_with_two_where_nothing_ran(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert cli.main(["show"]) == 2
    assert capsys.readouterr().err.startswith("plumbline: reports/metrics.json")
