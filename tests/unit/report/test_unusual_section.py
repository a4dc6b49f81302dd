"""The part on unusual rows says what was measured, or why nothing was."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from tests.unit.report.sample import config

from plumbline.report.about import about
from plumbline.report.blocks import Grid, Text
from plumbline.report.read import Reports
from plumbline.report.sections.unusual import unusual

CONTENT: dict[str, Any] = {
    "method": "neighbors",
    "share": 0.01,
    "threshold": 0.98,
    "flagged": {"val": 0.0, "test": 0.044},
    "shuffled_roc_auc": 0.896,
    "rows": [
        {
            "row": 212,
            "score": 5.2,
            "distance": 1.7,
            "column": "area",
            "value": "525.6",
            "excess": 1.3,
            "reason": "above the range",
        },
        {"row": 318, "score": 0.94, "distance": 0.94},
    ],
}


def shown(folder: Path, **changed: Any) -> Any:
    """The blocks of the part, of the content with some values changed."""
    (folder / "evaluation").mkdir(exist_ok=True)
    file = folder / "evaluation" / "out_of_distribution.json"
    file.write_text(json.dumps({**CONTENT, **changed}))
    reports = Reports(folder)
    return unusual(reports, about(config("binary"), reports)).blocks


def test_the_share_that_is_flagged_and_the_cell_that_is_outside(tmp_path: Path) -> None:
    text, table = shown(tmp_path)
    assert isinstance(text, Text) and isinstance(table, Grid)
    for word in ("fifth nearest", "score of 0.98", "4.4% of the test rows", "0.896"):
        assert word in text.text
    first, second = ([cell.text for cell in row] for row in table.rows)
    assert first[0] == "212" and first[3:] == ["area", "525.6", "above the range"]
    assert second[3:5] == ["–", "–"] and second[5] == "features"


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"method": "off", "rows": []}, "evaluate.out_of_distribution.method is off"),
        ({"shuffled_roc_auc": 0.494}, "no better than chance"),
        ({"shuffled_roc_auc": 0.8}, "0.5 is chance"),
        ({"threshold": None}, "no validation row"),
        ({"method": "ranges"}, "nothing but the columns' ranges"),
    ],
)
def test_what_was_not_measured(tmp_path: Path, changed: dict[str, Any], words: str) -> None:
    assert words in shown(tmp_path, **changed)[0].text


def test_an_earlier_run_has_no_such_file(tmp_path: Path) -> None:
    reports = Reports(tmp_path)
    assert unusual(reports, about(config("binary"), reports)).blocks == []
