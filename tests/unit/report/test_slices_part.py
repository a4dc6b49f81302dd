"""The table of slices: flagged ones, then the others, each worst first; count and list agree; what
is cut is said."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any, cast

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.unit.report.sample import config

from plumbline.report.about import about
from plumbline.report.blocks import Grid, Text
from plumbline.report.read import Reports
from plumbline.report.sections.slices import slices

TASK = {"roc_auc": "binary", "rmse": "regression"}
Made = tuple[float, bool]  # the rise of the loss, as a share, and whether it is flagged


def shown(folder: Path, made: list[Made], metric: str = "roc_auc", judged: bool = True) -> Any:
    """The text above the table, and the table, of these slices."""
    name = "log_loss" if metric == "roc_auc" else "mse"
    content = [
        {
            "column": "c",
            "value": f"v{i}",
            "rows": 40 + i,
            "score": 0.9 if i else None,
            "difference": 0.0,
            "worse": flagged,
            "loss": {
                "name": name,
                "model": 0.2 * (1 + rise),
                "reference": 0.2,
                "rise": rise,
                "p_value": 0.003 if flagged else 1.0,
            }
            if judged
            else None,
        }
        for i, (rise, flagged) in enumerate(made)
    ]
    baseline = "linear" if judged else None
    (folder / "evaluation").mkdir(exist_ok=True)
    (folder / "evaluation" / "slices.json").write_text(
        json.dumps({"metric": metric, "reference": baseline, "slices": content})
    )
    (folder / "metrics.json").write_text(json.dumps({"test": {metric: 0.9}}))
    reports = Reports(folder)
    part = slices(reports, about(config(TASK.get(metric, "binary")), reports))
    text, table = part.blocks
    return cast(Text, text).text, cast(Grid, table)


def test_more_flagged_than_shown(tmp_path: Path) -> None:
    made = [(0.5 - 0.01 * i, True) for i in range(21)] + [(-0.01, False)] * 27
    text, table = shown(tmp_path, made)
    assert text.startswith(
        "In 21 of 48 slices the model has a significantly higher log loss than the linear model. "
        "ROC AUC on all test rows is 0.900."
    )
    assert len(table.rows) == 20 and all(row[-1].status for row in table.rows)
    assert table.more.startswith(
        "20 of 48 slices shown, 20 of the 21 that are flagged; all are in "
        "reports/evaluation/slices.json."
    )
    assert [row[1].text for row in table.rows] == [f"v{i}" for i in range(20)]


def test_both_losses_are_shown_with_the_change(tmp_path: Path) -> None:
    text, table = shown(tmp_path, [(-0.1, False), (0.25, True), (0.01, False)])
    assert text.startswith("In 1 of 3 slices the model has a significantly higher log loss")
    assert [row[1].text for row in table.rows] == ["v1", "v2", "v0"]
    assert table.caption.endswith("flagged, then others, each by the change in log loss")
    assert table.more == (
        "3 of 3 slices shown, 1 of the 1 that are flagged. The change is a share of the log loss "
        "of the linear model, there or on all test rows, whichever is larger."
    )
    assert table.rows[0][-1].status is not None and table.rows[0][-1].status.word == "weak"
    assert [c.text for c in table.rows[0][3:8]] == ["0.900", "0.250", "0.200", "+25%", "0.003"]
    assert table.rows[2][3].text == "–"  # undefined there, judged all the same


def test_a_rank_inside_a_slice_is_not_compared_with_all_rows_without_a_word(
    tmp_path: Path,
) -> None:
    text, _ = shown(tmp_path, [(0.1, True)])
    assert "Inside a slice ROC AUC compares the slice's rows with each other only" in text
    text, _ = shown(tmp_path, [(0.1, True)], "rmse")
    assert "significantly higher MSE" in text and "grows with the size" in text


def test_without_a_baseline_it_says_that_none_is_judged(tmp_path: Path) -> None:
    text, table = shown(tmp_path, [(0.0, False)] * 3, judged=False)
    assert text.startswith("No slice is judged: there is no baseline to compare with.")
    assert len(table.columns) == 4 and table.caption == "Slices of the test rows"


@settings(max_examples=40, deadline=None)
@given(made=st.lists(st.tuples(st.floats(-0.5, 2.0), st.booleans()), min_size=1, max_size=60))
def test_flagged_ones_come_first_and_each_group_is_worst_first(
    tmp_path_factory: pytest.TempPathFactory, made: list[Made]
) -> None:
    text, table = shown(tmp_path_factory.mktemp("slices"), made)
    order = [made[int(row[1].text[1:])] for row in table.rows]
    flags = [flagged for _, flagged in order]
    assert flags == sorted(flags, reverse=True)
    for group in (True, False):
        rises = [-rise for rise, flagged in order if flagged is group]
        assert rises == sorted(rises)
    count = re.match(r"In (none|\d+) of", text)
    assert count is not None
    flagged = 0 if count[1] == "none" else int(count[1])
    assert sum(flags) == min(flagged, 20)
    assert f"{len(table.rows)} of {len(made)} slice" in table.more
