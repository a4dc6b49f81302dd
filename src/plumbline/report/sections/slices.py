"""The part on slices: where the model is weak."""

from __future__ import annotations

from typing import Any

from plumbline.report.about import About
from plumbline.report.blocks import Block, Cell, Grid, Part, Status, Text, figure_cell, name
from plumbline.report.numbers import number, plural
from plumbline.report.read import Reports, listed, pair, pick, real, whole, words
from plumbline.report.words import (
    greater_is_better,
    metric_difference,
    metric_interval,
    metric_label,
    metric_value,
)

SHOWN = 20


def slices(reports: Reports, about: About) -> Part:
    """The main metric per slice, worst first."""
    content = reports.json("evaluation/slices.json")
    metric = words(pick(content, "metric")) or about.metric
    rows = content if isinstance(content, list) else listed(pick(content, "slices"))
    found = [(score, one) for one in rows if (score := real(pick(one, "score"))) is not None]
    found.sort(key=lambda item: item[0] if greater_is_better(metric) else -item[0])
    blocks: list[Block] = []
    if found:
        everything = real(pick(reports.json("metrics.json"), "test", metric))
        blocks.append(_table(found, metric, everything))
    elif reports.problem("evaluation/slices.json") is None:
        blocks.append(Text("No column has slices of enough rows."))
    read = (
        "A slice is all test rows with one value, or in one range, of one column; `weaker` is said "
        "only where that is no chance, over all slices together."
    )
    return Part(title="Slices", read=read, blocks=blocks, files=["evaluation/slices.json"])


def _table(found: list[tuple[float, Any]], metric: str, everything: float | None) -> Grid:
    """The worst slices, and all that are flagged."""
    flagged = [item for item in found if pick(item[1], "worse") is True]
    others = [item for item in found if pick(item[1], "worse") is not True]
    shown = [*flagged[:SHOWN], *others[: max(0, SHOWN - len(flagged))]]
    rows = []
    for score, one in shown:
        low, high = pair(pick(one, "ci95"))
        difference = real(pick(one, "difference"))
        if difference is None and everything is not None:
            difference = score - everything
        worse = Status(state="warn", word="weaker") if pick(one, "worse") is True else None
        rows.append(
            [
                name(str(pick(one, "column"))[:80]),
                name(str(pick(one, "value"))[:80]),
                figure_cell(number(whole(pick(one, "rows")))),
                figure_cell(metric_value(metric, score), strong=True),
                figure_cell(metric_interval(metric, low, high)),
                figure_cell(metric_difference(metric, difference)),
                Cell(text="", status=worse),
            ]
        )
    more = f"All test rows: {metric_value(metric, everything)}."
    if len(found) > len(shown):
        rest = len(found) - len(shown)
        more += f" {plural(rest, 'better slice')} in reports/evaluation/slices.json."
    heading = metric_label(metric)
    return Grid(
        caption=f"Slices of the test rows by {heading}, worst first",
        columns=["column", "value", "rows", heading, "95 % interval", "against all", ""],
        rows=rows,
        more=more,
    )
