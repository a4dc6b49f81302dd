"""The part on slices: where the model scores worse."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from typing import Any

from plumbline import artifacts
from plumbline.numbers import NBSP, NOTHING, number, plural
from plumbline.report.about import About
from plumbline.report.blocks import Block, Cell, Grid, Status, Subsection, Text, figure_cell, name
from plumbline.report.read import Reports, listed, pair, pick, real, whole, words
from plumbline.words import (
    greater_is_better,
    metric_differences,
    metric_label,
    metric_value,
)

SHOWN = 20
RANGE = re.compile(r"[<>≤≥] \S+|[−\-\d]\S* – \S+")
FILE = f"reports/{artifacts.SLICES}"
RANKING = (
    "compares the slice's rows with each other only: where they are alike it is lower even if the "
    "model is as good there."
)
POSITIVES = "depends on the share of positives as well as on the model."
SIZE = "grows with the size and the spread of the target, whatever the model."
SHARES = "depends on the class shares as well as on the model."
# why a metric inside a slice is not simply comparable with that of all rows
DEPENDS = {
    "roc_auc": RANKING,
    "average_precision": POSITIVES,
    "precision": POSITIVES,
    "f1": POSITIVES,
    "r2": "depends on how much the target varies there.",
    "mae": SIZE,
    "mse": SIZE,
    "rmse": SIZE,
    "mape": "is large where the target is near zero, whatever the model.",
    "accuracy": SHARES,
    "log_loss": SHARES,
    "brier": SHARES,
    "ece": "is larger where rows are few, whatever the model.",
}


@dataclass(frozen=True, kw_only=True)
class SliceRow:
    """A slice: its score, the difference to all rows with its interval, and whether it is worse
    beyond chance."""

    column: str
    value: str
    rows: int | None
    score: float
    difference: float | None
    low: float | None
    high: float | None
    worse: bool

    def rank(self, metric: str) -> tuple[bool, float]:
        """Sorts what is flagged first, and each group worst first by the difference."""
        sign = 1.0 if greater_is_better(metric) else -1.0
        return (not self.worse, math.inf if self.difference is None else sign * self.difference)


def slices(reports: Reports, about: About) -> Subsection:
    """The main metric per slice, what is flagged first."""
    content = reports.json(artifacts.SLICES)
    metric = words(pick(content, "metric")) or about.metric
    rows = content if isinstance(content, list) else listed(pick(content, "slices"))
    scored = sorted(
        (made for one in rows if (made := _slice(one)) is not None),
        key=lambda s: s.rank(metric),
    )
    everything = real(pick(reports.json(artifacts.METRICS), "test", metric))
    blocks: list[Block] = []
    if scored:
        blocks += [Text(_summary(scored, metric, everything)), _table(scored, metric, len(rows))]
    elif reports.problem(artifacts.SLICES) is None:
        blocks.append(Text("No column has slices of enough rows."))
    read = (
        "A slice is all test rows with one value, or in one range, of one column. Intervals of "
        "the difference to all test rows are widened until all of them hold together in 95% of "
        "runs (Bonferroni); a slice is flagged where its interval excludes zero on the worse side."
    )
    return Subsection(title="Slices", read=read, blocks=blocks, files=[artifacts.SLICES])


def _slice(one: Any) -> SliceRow | None:
    score = real(pick(one, "score"))
    if score is None:
        return None
    low, high = pair(pick(one, "difference_ci95"))
    return SliceRow(
        column=str(pick(one, "column"))[:80],
        value=_range(str(pick(one, "value"))[:80]),
        rows=whole(pick(one, "rows")),
        score=score,
        difference=real(pick(one, "difference")),
        low=low,
        high=high,
        worse=pick(one, "worse") is True,
    )


def _range(value: str) -> str:
    """A range of numbers is not broken between its ends; other values stay as they are."""
    return value.replace(" ", NBSP) if RANGE.fullmatch(value) else value


def _summary(scored: list[SliceRow], metric: str, everything: float | None) -> str:
    """How many are flagged, of how many, and what the metric means inside a slice."""
    flagged, label = sum(s.worse for s in scored), metric_label(metric)
    text = (
        f"{flagged or 'None'} of {plural(len(scored), 'slice')} "
        f"{'has' if flagged == 1 else 'have'} a significantly {_direction(metric)} {label} than "
        "all test rows together"
    )
    text += "." if everything is None else f" ({metric_value(metric, everything)})."
    return f"{text} Inside a slice {label} {DEPENDS[metric]}" if metric in DEPENDS else text


def _direction(metric: str) -> str:
    return "lower" if greater_is_better(metric) else "higher"


def _table(scored: list[SliceRow], metric: str, total: int) -> Grid:
    """What is flagged, worst first, then the others, worst first."""
    shown, label = scored[:SHOWN], metric_label(metric)
    worse = Status(state="warn", word=_direction(metric))
    flag = any(one.worse for one in shown)
    rows = []
    for one in shown:
        difference, low, high = metric_differences(metric, [one.difference, one.low, one.high])
        rows.append(
            [
                name(one.column),
                name(one.value),
                figure_cell(number(one.rows)),
                figure_cell(metric_value(metric, one.score)),
                figure_cell(difference, strong=True),
                figure_cell(NOTHING if one.low is None else f"{low} to {high}"),
                *([Cell(text="", status=worse if one.worse else None)] if flag else []),
            ]
        )
    columns = ["column", "value", "rows", label, "against all", "95% interval, adjusted"]
    return Grid(
        caption=f"Slices of the test rows by {label}: flagged, then others, each worst first",
        columns=[*columns, "flag"] if flag else columns,
        rows=rows,
        more=_cut(scored, shown, total),
    )


def _cut(scored: list[SliceRow], shown: list[SliceRow], total: int) -> str:
    """What the table leaves out."""
    flagged, listed = sum(s.worse for s in scored), sum(s.worse for s in shown)
    text = f"{len(shown)} of {plural(len(scored), 'slice')} shown"
    if flagged:
        text += f", {listed} of the {flagged:,} that are flagged"
    text += f"; all are in {FILE}." if len(scored) > len(shown) else "."
    if total > len(scored):
        text += f" In {total - len(scored):,} more the metric is undefined."
    return text
