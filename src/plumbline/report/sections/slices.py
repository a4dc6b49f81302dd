"""The part on slices: where the model is weak."""

from __future__ import annotations

from typing import Any

from plumbline.report.about import About
from plumbline.report.blocks import Block, Cell, Grid, Part, Text, figure_cell, name
from plumbline.report.numbers import number
from plumbline.report.read import Reports, listed, pair, pick, real, whole, words
from plumbline.report.words import (
    greater_is_better,
    metric_interval,
    metric_label,
    metric_value,
)

SHOWN = 30


def slices(reports: Reports, about: About) -> Part:
    """The main metric per slice, worst first."""
    content = reports.json("evaluation/slices.json")
    metric = words(pick(content, "metric")) or about.metric
    found = [
        (score, one)
        for one in listed(content if isinstance(content, list) else pick(content, "slices"))
        if (score := _score(one, metric)) is not None
    ]
    found.sort(key=lambda item: item[0] if greater_is_better(metric) else -item[0])
    blocks: list[Block] = []
    if found:
        whole_set = real(pick(reports.json("metrics.json"), "test", metric))
        blocks.append(_table(found, metric, whole_set))
    elif reports.problem("evaluation/slices.json") is None:
        blocks.append(Text("No column of few values has slices of enough rows."))
    read = (
        "A slice is all test rows with one value in one column; where its whole interval lies on "
        "the worse side of the score of all rows, the model is weaker there."
    )
    return Part(title="Slices", read=read, blocks=blocks, files=["evaluation/slices.json"])


def _score(one: Any, metric: str) -> float | None:
    return real(pick(one, "score"))


def _table(found: list[tuple[float, Any]], metric: str, whole_set: float | None) -> Grid:
    rows = []
    for score, one in found[:SHOWN]:
        low, high = pair(pick(one, "ci95"))
        rows.append(
            [
                name(str(pick(one, "column"))),
                name(str(pick(one, "value"))),
                figure_cell(number(whole(pick(one, "rows")))),
                figure_cell(metric_value(metric, score), strong=True),
                figure_cell(metric_interval(metric, low, high)),
                Cell(text=_against(low, high, whole_set, greater_is_better(metric))),
            ]
        )
    more = f"All rows: {metric_value(metric, whole_set)}."
    if len(found) > SHOWN:
        more += f" {len(found) - SHOWN:,} better slices in reports/evaluation/slices.json."
    return Grid(
        caption=f"Slices of the test rows by {metric_label(metric)}, worst first",
        columns=["column", "value", "rows", metric_label(metric), "95 % interval", "against all"],
        rows=rows,
        more=more,
    )


def _against(low: float | None, high: float | None, whole_set: float | None, greater: bool) -> str:
    if low is None or high is None or whole_set is None:
        return "–"
    if low <= whole_set <= high:
        return "like all"
    return "worse" if (high < whole_set) == greater else "better"
