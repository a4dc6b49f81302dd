"""The part on slices: where the model is weaker than a baseline on the same rows."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from typing import Any

from plumbline import artifacts
from plumbline.numbers import NBSP, NOTHING, number, p_value, percent, plural
from plumbline.report.about import About
from plumbline.report.blocks import Block, Cell, Grid, Status, Subsection, Text, figure_cell, name
from plumbline.report.read import Reports, listed, pick, real, whole, words
from plumbline.words import (
    baseline_label,
    baseline_phrase,
    metric_label,
    metric_value,
    metric_values,
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
    """A slice: its score, its loss against the baseline's on the same rows, and whether the model
    is weak there: the loss is higher beyond chance."""

    column: str
    value: str
    rows: int | None
    score: float | None
    loss: float | None
    reference: float | None
    rise: float | None
    p_value: float | None
    worse: bool

    @property
    def rank(self) -> tuple[bool, float]:
        """Sorts what is flagged first, and each group worst first by the rise of the loss."""
        return (not self.worse, math.inf if self.rise is None else -self.rise)


@dataclass(frozen=True, kw_only=True)
class LossWords:
    """By which loss, and against which baseline, slices are judged; both in words."""

    loss: str
    baseline: str
    title: str


def slices(reports: Reports, about: About) -> Subsection:
    """The main metric per slice, what is flagged first."""
    content = reports.json(artifacts.SLICES)
    metric = words(pick(content, "metric")) or about.metric
    rows = listed(pick(content, "slices"))
    scored = sorted(map(_slice, rows), key=lambda s: s.rank)
    everything = real(pick(reports.json(artifacts.METRICS), "test", metric))
    loss = next((name for one in rows if (name := words(pick(one, "loss", "name")))), None)
    baseline = words(pick(content, "reference"))
    compared = None
    if loss and baseline:
        title = baseline_label(baseline)
        compared = LossWords(loss=loss, baseline=baseline_phrase(baseline), title=title)
    blocks: list[Block] = []
    if scored:
        blocks += [
            Text(_summary(scored, metric, everything, compared)),
            _table(scored, metric, compared),
        ]
    elif reports.problem(artifacts.SLICES) is None:
        blocks.append(Text("No column has slices of enough rows."))
    read = (
        "A slice is all test rows with one value, or in one range, of one column. It is flagged "
        "where the model loses more than the best baseline does on the same rows, by more than 5% "
        "and beyond chance (paired t-test; p-values corrected for the number of slices, Holm)."
    )
    return Subsection(title="Slices", read=read, blocks=blocks, files=[artifacts.SLICES])


def _slice(one: Any) -> SliceRow:
    loss = pick(one, "loss")
    return SliceRow(
        column=str(pick(one, "column"))[:80],
        value=_range(str(pick(one, "value"))[:80]),
        rows=whole(pick(one, "rows")),
        score=real(pick(one, "score")),
        loss=real(pick(loss, "model")),
        reference=real(pick(loss, "reference")),
        rise=real(pick(loss, "rise")),
        p_value=real(pick(loss, "p_value")),
        worse=pick(one, "worse") is True,
    )


def _range(value: str) -> str:
    """A range of numbers is not broken between its ends; other values stay as they are."""
    return value.replace(" ", NBSP) if RANGE.fullmatch(value) else value


def _summary(
    scored: list[SliceRow], metric: str, everything: float | None, compared: LossWords | None
) -> str:
    """How many are flagged, of how many, and what the metric means inside a slice."""
    flagged, label = sum(s.worse for s in scored), metric_label(metric)
    if compared is None:
        text = "No slice is judged: there is no baseline to compare with."
    else:
        text = (
            f"In {flagged or 'none'} of {plural(len(scored), 'slice')} the model has a "
            f"significantly higher {metric_label(compared.loss)} than {compared.baseline}."
        )
    if everything is not None:
        text += f" {_capital(label)} on all test rows is {metric_value(metric, everything)}."
    return f"{text} Inside a slice {label} {DEPENDS[metric]}" if metric in DEPENDS else text


def _capital(text: str) -> str:
    return text[0].upper() + text[1:]


def _table(scored: list[SliceRow], metric: str, compared: LossWords | None) -> Grid:
    """What is flagged, then the others, each by the rise of the loss."""
    shown, label = scored[:SHOWN], metric_label(metric)
    worse = Status(state="warn", word="weak")
    flag = any(one.worse for one in shown)
    rows = []
    for one in shown:
        cells = [
            name(one.column),
            name(one.value),
            figure_cell(number(one.rows)),
            figure_cell(metric_value(metric, one.score)),
        ]
        if compared:
            pair = metric_values(compared.loss, [one.loss, one.reference])
            rise = NOTHING if one.rise is None else percent(one.rise, 0)
            cells += [
                *map(figure_cell, pair),
                figure_cell(f"+{rise}" if (one.rise or 0) > 0 else rise, strong=True),
                figure_cell(NOTHING if one.p_value is None else _p(one.p_value)),
            ]
        rows.append([*cells, *([Cell(text="", status=worse if one.worse else None)] * flag)])
    columns = ["column", "value", "rows", label]
    order, more = "", _cut(scored, shown)
    if compared:
        loss = metric_label(compared.loss)
        order = f": flagged, then others, each by the change in {loss}"
        more += (
            f" The change is a share of the {loss} of {compared.baseline}, there or on all test "
            "rows, whichever is larger."
        )
        columns += [f"{loss} (model)", f"{loss} ({compared.title})", "change", "p, adjusted"]
    return Grid(
        caption=f"Slices of the test rows{order}",
        columns=[*columns, "flag"] if flag else columns,
        rows=rows,
        more=more,
    )


def _p(value: float) -> str:
    return p_value(value).removeprefix("p ").removeprefix("= ")


def _cut(scored: list[SliceRow], shown: list[SliceRow]) -> str:
    """What the table leaves out."""
    flagged, listed = sum(s.worse for s in scored), sum(s.worse for s in shown)
    text = f"{len(shown)} of {plural(len(scored), 'slice')} shown"
    if flagged:
        text += f", {listed} of the {flagged:,} that are flagged"
    return text + (f"; all are in {FILE}." if len(scored) > len(shown) else ".")
