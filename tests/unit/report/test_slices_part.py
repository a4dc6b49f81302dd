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

from plumbline.evaluation.metrics import METRICS
from plumbline.report.about import about
from plumbline.report.blocks import Grid, Text
from plumbline.report.read import Reports
from plumbline.report.sections.slices import slices

TASK = {"roc_auc": "binary", "rmse": "regression"}
Made = tuple[float, float]  # difference to all rows, half the width of its interval


def shown(folder: Path, made: list[Made], metric: str = "roc_auc", nowhere: int = 0) -> Any:
    """The text above the table, and the table, of these slices; `nowhere` have no score."""
    sign = 1 if METRICS[metric].greater_is_better else -1
    content = [
        {
            "column": "c",
            "value": f"v{i}",
            "rows": 40 + i,
            "score": 0.9 + difference,
            "difference": difference,
            "difference_ci95": [difference - half, difference + half],
            "worse": max(sign * (difference - half), sign * (difference + half)) < 0,
        }
        for i, (difference, half) in enumerate(made)
    ]
    content += [{"column": "c", "value": "one class", "rows": 30, "score": None}] * nowhere
    (folder / "evaluation").mkdir(exist_ok=True)
    (folder / "evaluation" / "slices.json").write_text(
        json.dumps({"metric": metric, "slices": content})
    )
    (folder / "metrics.json").write_text(json.dumps({"test": {metric: 0.9}}))
    reports = Reports(folder)
    part = slices(reports, about(config(TASK.get(metric, "binary")), reports))
    text, table = part.blocks
    return cast(Text, text).text, cast(Grid, table)


def test_more_flagged_than_shown(tmp_path: Path) -> None:
    """21 are flagged and 20 shown: none of them is counted among the better ones."""
    made = [(-0.1 + 0.001 * i, 0.02) for i in range(21)] + [(0.01, 0.02)] * 27
    text, table = shown(tmp_path, made, nowhere=2)
    assert text.startswith(
        "21 of 48 slices have a significantly lower ROC AUC than all test rows together (0.900)."
    )
    assert len(table.rows) == 20 and all(row[-1].status for row in table.rows)
    assert table.more == (
        "20 of 48 slices shown, 20 of the 21 that are flagged; all are in "
        "reports/evaluation/slices.json. In 2 more the metric is undefined."
    )
    assert [row[1].text for row in table.rows] == [f"v{i}" for i in range(20)]


def test_all_shown_says_so(tmp_path: Path) -> None:
    text, table = shown(tmp_path, [(0.01, 0.02), (-0.1, 0.02), (-0.01, 0.02)])
    assert text.startswith("1 of 3 slices has a significantly lower")
    assert [row[1].text for row in table.rows] == ["v1", "v2", "v0"]
    assert table.more == "3 of 3 slices shown, 1 of the 1 that are flagged."
    assert table.rows[0][-1].status is not None and table.rows[0][-1].status.word == "lower"
    assert [c.text for c in table.rows[0][4:6]] == ["−0.100", "−0.120 to −0.080"]


def test_where_less_is_better_worse_is_higher(tmp_path: Path) -> None:
    text, table = shown(tmp_path, [(-3.0, 1.0), (5.0, 1.0)], "rmse")
    assert text.startswith("1 of 2 slices has a significantly higher RMSE")
    assert [row[1].text for row in table.rows] == ["v1", "v0"]
    assert table.rows[0][-1].status is not None and table.rows[0][-1].status.word == "higher"
    assert "grows with the size" in text


def test_a_rank_inside_a_slice_is_not_compared_with_all_rows_without_a_word(
    tmp_path: Path,
) -> None:
    text, _ = shown(tmp_path, [(-0.1, 0.02)])
    assert "Inside a slice ROC AUC compares the slice's rows with each other only" in text


@pytest.mark.parametrize("metric", ["roc_auc", "rmse"])
@settings(max_examples=40, deadline=None)
@given(
    made=st.lists(st.tuples(st.floats(-0.5, 0.5), st.floats(0.001, 0.3)), min_size=1, max_size=60)
)
def test_flagged_ones_come_first_and_each_group_is_worst_first(
    tmp_path_factory: pytest.TempPathFactory, metric: str, made: list[Made]
) -> None:
    text, table = shown(tmp_path_factory.mktemp("slices"), made, metric)
    sign = 1 if metric == "roc_auc" else -1
    by_value = {f"v{i}": one for i, one in enumerate(made)}
    order = [by_value[row[1].text] for row in table.rows]
    flags = [row[-1].status is not None for row in table.rows]
    assert flags == sorted(flags, reverse=True)
    for group in (True, False):
        losses = [sign * d for (d, _), flag in zip(order, flags, strict=True) if flag is group]
        assert losses == sorted(losses)
    count = re.match(r"(None|\d+) of", text)
    assert count is not None
    flagged = 0 if count[1] == "None" else int(count[1])
    assert sum(flags) == min(flagged, 20)
    assert f"{len(table.rows)} of {len(made)} slice" in table.more
