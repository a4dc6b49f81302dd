"""The section on test rows: metrics, curves, errors, coverage, slices, unusual rows."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from plumbline import artifacts
from plumbline.kinds import Task
from plumbline.numbers import NBSP, plural
from plumbline.report.about import About
from plumbline.report.blocks import Cell, Grid, Section, Status, Subsection, figure_cell
from plumbline.report.read import Reports, entries, listed, pair, pick, real
from plumbline.report.sections.errors import confusion, never_predicted, residuals
from plumbline.report.sections.mistakes import pictured_mistakes
from plumbline.report.sections.probability import calibration, coverage, ranking
from plumbline.report.sections.slices import slices
from plumbline.report.sections.unusual import unusual
from plumbline.words import (
    METRIC_WORDS,
    baseline_label,
    greater_is_better,
    metric_interval,
    metric_label,
    metric_values,
)

PARTS = ("train", "val", "test")
_OF_CLASSES = (ranking, calibration, confusion)
# what a task has of its own between the metrics and the coverage
PAGE_PARTS: dict[Task, tuple[Callable[[Reports, About], Subsection], ...]] = {
    Task.BINARY: _OF_CLASSES,
    Task.MULTICLASS: _OF_CLASSES,
    Task.REGRESSION: (residuals,),
}


def evaluation(reports: Reports, about: About) -> Section:
    """What the model is worth on rows that it never saw."""
    first = [part(reports, about) for part in (_metrics, *PAGE_PARTS[about.task])]
    last = [part(reports, about) for part in (coverage, slices, unusual)]
    parts = [*first, *pictured_mistakes(reports, about), *last]
    return Section(
        id="evaluation", title="Evaluation", status=evaluation_status(reports), parts=parts
    )


def evaluation_status(reports: Reports) -> Status | None:
    """The worst that is to be said: no better than a constant, classes that are never predicted,
    or weak slices."""
    comparison = reports.json(artifacts.COMPARISON)
    if pick(comparison, "metric") is None:
        return None
    if pick(comparison, "baselines", "majority", "verdict") in ("worse", "within noise"):
        return Status(state="bad", word="no better than a constant")
    if missed := never_predicted(reports):
        return Status(
            state="warn", word=f"{plural(len(missed), 'class', 'classes')} never predicted"
        )
    weak = sum(
        pick(one, "worse") is True for one in listed(pick(reports.json(artifacts.SLICES), "slices"))
    )
    if weak:
        return Status(state="warn", word=plural(weak, "weak slice"))
    return Status(state="good", word="no weak slice")


def _metrics(reports: Reports, about: About) -> Subsection:
    metrics = reports.json(artifacts.METRICS)
    baselines = [key for key, _ in entries(pick(metrics, "baselines"))][:6]
    names = _names(metrics, about)
    columns = ["metric", "train", "validation", "test", "95% interval"]
    rows = []
    for name in names:
        low, high = pair(pick(metrics, "test_ci95", name))
        mine = [real(pick(metrics, part, name)) for part in PARTS]
        others = [real(pick(metrics, "baselines", b, name)) for b in baselines]
        texts = metric_values(name, [*mine, *others])
        rows.append(
            [
                Cell(text=_with_direction(name), strong=name == about.metric),
                *(
                    figure_cell(text, strong=part == "test")
                    for part, text in zip(PARTS, texts[: len(PARTS)], strict=True)
                ),
                figure_cell(metric_interval(name, low, high)),
                *(figure_cell(text) for text in texts[len(PARTS) :]),
            ]
        )
    more = "↑ higher is better, ↓ lower is better."
    if "mse" in _known(metrics) and "mse" not in names:
        more += " MSE, the square of RMSE, is in reports/metrics.json."
    table = Grid(
        caption="Scores of the deep model, and of the baselines on the same test rows",
        columns=[*columns, *(baseline_label(b) for b in baselines)],
        rows=rows,
        more=more,
    )
    read = (
        "Only the test column estimates the performance on new rows; a training score far better "
        "than the test score means over-fitting, and differences within the 95% interval may be "
        "chance."
    )
    return Subsection(
        title="Metrics", read=read, blocks=[table] if rows else [], files=[artifacts.METRICS]
    )


def _with_direction(name: str) -> str:
    return f"{metric_label(name)}{NBSP}{'↑' if greater_is_better(name) else '↓'}"


def _names(metrics: Any, about: About) -> list[str]:
    """Metrics that some part has, the main one first, then in the usual order. MSE says no more
    than RMSE, in numbers so long that they push columns out."""
    there = _known(metrics)
    if "rmse" in there and about.metric != "mse":
        there -= {"mse"}
    known = [name for name in METRIC_WORDS if name in there]
    return sorted([*known, *sorted(there - set(known))], key=lambda name: name != about.metric)


def _known(metrics: Any) -> set[str]:
    return {key for part in PARTS for key, _ in entries(pick(metrics, part))}
