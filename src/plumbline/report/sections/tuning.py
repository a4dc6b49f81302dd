"""The section on the search: its history, what mattered, the best values, the trials."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import polars as pl

from plumbline import artifacts
from plumbline.numbers import NOTHING, aligned, number, plural
from plumbline.report.about import About
from plumbline.report.blocks import (
    Block,
    Cell,
    Figure,
    Figures,
    Grid,
    Metadata,
    Section,
    Status,
    Subsection,
    Text,
    figure_cell,
    name,
)
from plumbline.report.plots import Axes, Series, bars, lines, thin
from plumbline.report.read import Reports, entries, numbers, pick, real, texts, whole, words
from plumbline.report.sections.tuning_front import front_figure
from plumbline.words import (
    greater_is_better,
    metric_label,
    metric_value,
)

TRIALS_SHOWN = 50
IMPORTANT = 12
STOPPED = {
    "minutes": "The search ended when tune.minutes were over: another run may do more trials or "
    "fewer, and select another.",
    "patience": "The search ended when tune.patience trials had brought nothing better.",
}


def tuning(reports: Reports, about: About) -> Section:
    """The search: its history, what mattered, the best values, the trials."""
    summary = reports.json(artifacts.TUNING)
    trials = reports.frame(artifacts.TRIALS)
    blocks: list[Block] = []
    if isinstance(summary, dict):
        blocks.append(_search_metadata(summary, trials, about))
    blocks += [Text(sentence) for sentence in _sentences(summary, about)]
    metric = words(pick(summary, "metric")) or about.metric
    figures = [
        *_history(trials, summary, about),
        *front_figure(trials, summary, metric),
        *_importance(summary),
    ]
    if figures:
        blocks.append(Figures(figures))
    blocks += _values(summary, searched=trials.height > 0)
    if trials.height:
        blocks.append(_trials_table(trials, about))
    read = (
        "Each trial fits the model anew in every fold and is scored on rows that the fold did "
        "not train on; the best mean is selected if it is better than the default point by more "
        "than noise."
    )
    files = [artifacts.TUNING, artifacts.TRIALS]
    return Section(
        id="tuning", title="Tuning", parts=[Subsection(read=read, blocks=blocks, files=files)]
    )


def shown(value: Any) -> str:
    """A parameter's value as the page writes it."""
    as_number = real(value)
    if as_number is not None:
        return number(as_number)
    if value is None:
        return "none"
    return str(value).lower() if isinstance(value, bool) else str(value)[:120]


def _search_metadata(summary: dict[str, Any], trials: pl.DataFrame, about: About) -> Metadata:
    metric = words(summary.get("metric")) or about.metric
    error = real(summary.get("std_error"))
    score = real(summary.get("score"))
    texts_of = [metric_value(metric, score)]
    if error and score is not None:
        texts_of = aligned([score, error], 4)
    states = [state.lower() for state in texts(trials, "state")]
    metadata: list[tuple[str, str | Status]] = []
    if trials.height:
        metadata.append(
            (
                f"{metric_label(metric)} over folds",
                " ± ".join(texts_of),
            )
        )
    metadata += [
        ("trials", f"{len(states):,}"),
        ("complete", f"{states.count('complete'):,}"),
        ("pruned", f"{states.count('pruned'):,}"),
    ]
    not_fitted = {"too_large": "too large to be fitted", "refused": "whose values make no network"}
    for key, label in not_fitted.items():
        if count := whole(pick(summary, key)):
            metadata.append((label, f"{count:,}"))
    optional = ("sampler", "pruner", "folds")
    metadata += [(key, shown(summary[key])) for key in optional if summary.get(key) is not None]
    return Metadata(metadata)


def _sentences(summary: Any, about: About) -> list[str]:
    """What the search was worth."""
    if real(pick(summary, "trials")) == 0:
        return [
            "No trial was run: parameters that are 'tuned' in params.yaml have their default, the "
            "center of their range; the training section names those that it sets otherwise."
        ]
    metric = words(pick(summary, "metric")) or about.metric
    sentences = []
    if whole(pick(summary, "best")) == 0:
        sentences.append(
            "The best trial is the default point (the center of the search space): nothing was "
            "gained."
        )
    gain = real(pick(summary, "gain_over_default", "mean"))
    error = real(pick(summary, "gain_over_default", "std_error"))
    if gain and error is not None:
        change, deviation = aligned([gain, error], 2)
        plus = "+" if gain > 0 else ""
        sentences.append(
            f"Against the default point (the center of the search space) the "
            f"{metric_label(metric)} changed by {plus}{change} ± {deviation} over the same folds."
        )
    stopped_by = words(pick(summary, "stopped_by"))
    if stopped_by in STOPPED:
        sentences.append(STOPPED[stopped_by])
    second = words(pick(summary, "second_objective"))
    selected = whole(pick(summary, "selected"))
    if second and selected != whole(pick(summary, "best")):
        sentences.append(
            f"Trial {selected} is selected: the smallest that the best trial does not outperform "
            "by more than noise."
        )
    elif selected == 0 and whole(pick(summary, "best")) != 0:
        sentences.append("The default point is kept: the gain of the best trial is within noise.")
    inside = whole(pick(summary, "inside_noise"))
    if inside is not None:
        others = plural(inside, "other trial is", "other trials are")
        sentences.append(
            f"{others if inside else 'No other trial is'} within one standard error of the best "
            "trial."
        )
    return sentences


def _values(summary: Any, *, searched: bool) -> list[Block]:
    rows = [[name(key), figure_cell(shown(v))] for key, v in entries(pick(summary, "values"))]
    caption = "Selected values" if searched else "Default values"
    return [Grid(caption=caption, columns=["parameter", "value"], rows=rows)] if rows else []


def _history(trials: pl.DataFrame, summary: Any, about: About) -> list[Figure]:
    value, order = numbers(trials, "value"), numbers(trials, "number")
    keep = np.isfinite(value)
    if not keep.any():
        return []
    metric = words(pick(summary, "metric")) or about.metric
    order = order if len(order) else np.arange(float(len(value)))
    value, order = value[keep], order[keep]
    ranked = np.argsort(order, kind="stable")
    order, value = order[ranked], value[ranked]
    sign = 1 if greater_is_better(metric) else -1
    best = sign * np.maximum.accumulate(sign * value)
    steps, kept = np.repeat(order, 2)[1:], np.repeat(best, 2)[:-1]  # it changes at a trial
    drawn = lines(
        [
            Series(name="trial", x=thin(order), y=thin(value), cls="s9", joined=False),
            Series(name="best so far", x=thin(steps), y=thin(kept), cls="s0"),
        ],
        Axes(
            title="History of the search",
            x="trial",
            x_whole=True,
            y=metric_label(metric),
            text=f"best {metric_value(metric, float(best[-1]))}",
        ),
    )
    return [Figure(svg=drawn, caption="Every scored trial, and the best one up to it.")]


def _importance(summary: Any) -> list[Figure]:
    importance = pick(summary, "importance")
    items = [
        (key, float(v)) for key, value in entries(importance) if (v := real(value)) is not None
    ]
    items = sorted(items, key=lambda item: -item[1])[:IMPORTANT]
    if not items:
        return []
    items = [(key, 100 * share) for key, share in items]
    drawn = bars(items, title="Importance of the parameters", axis="% of the variation")
    caption = "How much of the variation between trials each parameter explains."
    return [Figure(svg=drawn, caption=caption)]


def _trials_table(trials: pl.DataFrame, about: About) -> Grid:
    """The best trials first; parameters only, folds are in the file."""
    value = numbers(trials, "value")
    if len(value):
        worst_last = np.where(np.isfinite(value), -value, np.inf)
        if not greater_is_better(about.metric):
            worst_last = np.where(np.isfinite(value), value, np.inf)
        trials = trials[np.argsort(worst_last, kind="stable").astype(np.uint32)]
    columns = [c for c in trials.columns if not re.match(r"(fold|split)[_ ]?\d", c)][:10]
    top = trials.head(TRIALS_SHOWN).select(columns)
    rest = trials.height - top.height
    return Grid(
        caption="Trials, best first",
        columns=columns,
        rows=[[_trial_cell(value) for value in row] for row in top.iter_rows()],
        more=f"{rest:,} more in reports/tuning/trials.csv." if rest else "",
        folded=True,
        total=trials.height,
    )


def _trial_cell(value: str | None) -> Cell:
    if value is None:
        return figure_cell(NOTHING)
    try:
        return figure_cell(number(int(value) if value.isdigit() else float(value)))
    except (ValueError, OverflowError):
        return name(value[:80])
