"""Sections on the fit: tuning, training."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import polars as pl

from plumbline.kinds import DoubleArray
from plumbline.report.about import About
from plumbline.report.blocks import (
    Block,
    Cell,
    Facts,
    Figure,
    Figures,
    Grid,
    Note,
    Part,
    Section,
    Status,
    Text,
    figure_cell,
    name,
)
from plumbline.report.numbers import NOTHING, number
from plumbline.report.plots import Look, Series, bars, lines, thin
from plumbline.report.read import (
    Reports,
    entries,
    listed,
    numbers,
    pick,
    real,
    texts,
    whole,
    words,
)
from plumbline.report.words import greater_is_better, metric_label, metric_value

TRIALS_SHOWN = 50
IMPORTANT = 12


def tuning(reports: Reports, about: About) -> Section:
    """The search: its history, what mattered, the best values, the trials."""
    summary = reports.json("tuning/summary.json")
    trials = reports.frame("tuning/trials.csv")
    blocks: list[Block] = []
    if isinstance(summary, dict):
        blocks.append(_search_facts(summary, trials, about))
    values = dict(entries(pick(summary, "values")) or ())
    figures = [*_history(trials, summary, about), *_importance(summary)]
    if figures:
        blocks.append(Figures(figures))
    if values:
        blocks.append(
            Grid(
                caption="Best values",
                columns=["parameter", "value"],
                rows=[[name(key), figure_cell(shown(value))] for key, value in values.items()],
            )
        )
    if trials.height:
        blocks.append(_trials_table(trials, about))
    elif isinstance(summary, dict):
        blocks.append(Text("No trial was run: the values are those of params.yaml."))
    read = (
        "Each trial fits the model anew in every fold and is scored on rows that the fold did "
        "not train on; the best mean wins, and what lies within its standard error is no better."
    )
    files = ["tuning/summary.json", "tuning/trials.csv"]
    return Section(id="tuning", title="Tuning", parts=[Part(read=read, blocks=blocks, files=files)])


def shown(value: Any) -> str:
    """A parameter's value as the page writes it."""
    found = real(value)
    if found is not None:
        return number(found)
    if value is None:
        return "none"
    return str(value).lower() if isinstance(value, bool) else str(value)[:120]


def _search_facts(summary: dict[str, Any], trials: pl.DataFrame, about: About) -> Facts:
    metric = words(summary.get("metric")) or about.metric
    error = real(summary.get("std_error"))
    score = metric_value(metric, real(summary.get("score")))
    states = texts(trials, "state")
    done = sum("COMPLETE" in state.upper() for state in states)
    pruned = sum("PRUNED" in state.upper() for state in states)
    facts: list[tuple[str, str | Status]] = [
        (f"best {metric_label(metric)}", score + (f" ± {number(error, 2)}" if error else "")),
        ("trials", f"{len(states):,}"),
        ("complete", f"{done:,}"),
        ("pruned early", f"{pruned:,}"),
    ]
    return Facts([*facts, *_optional(summary, ("sampler", "pruner", "folds"))])


def _optional(summary: dict[str, Any], keys: tuple[str, ...]) -> list[tuple[str, str | Status]]:
    return [(key, shown(summary[key])) for key in keys if summary.get(key) is not None]


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
    drawn = lines(
        [
            Series(name="trial", x=thin(order), y=thin(value), cls="s9", joined=False),
            Series(name="best so far", x=thin(order), y=thin(best), cls="s0"),
        ],
        Look(
            title="History of the search",
            x="trial",
            y=metric_label(metric),
            text=f"best {metric_value(metric, float(best[-1]))}",
        ),
    )
    return [Figure(svg=drawn, caption="Every scored trial, and the best one up to it.")]


def _importance(summary: Any) -> list[Figure]:
    found = pick(summary, "importance")
    items = [(key, float(v)) for key, value in entries(found) if (v := real(value)) is not None]
    items = sorted(items, key=lambda item: -item[1])[:IMPORTANT]
    if not items:
        return []
    drawn = bars(items, title="Importance of the parameters", axis="share of the variation")
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
    )


def _trial_cell(value: str | None) -> Cell:
    if value is None:
        return Cell(text=NOTHING, muted=True)
    try:
        return figure_cell(number(int(value) if value.isdigit() else float(value)))
    except (ValueError, OverflowError):
        return name(value[:80])


def training(reports: Reports, about: About) -> Section:
    """The final fit: its curves, and the verdict on bias and variance."""
    summary = reports.json("training/summary.json")
    curves = reports.frame("training/curves.csv")
    judged = pick(summary, "verdict")
    blocks: list[Block] = []
    if isinstance(summary, dict):
        blocks.append(_fit_facts(summary, about))
    status = _fit_status(words(pick(judged, "fit")))
    blocks += [Text(sentence) for t in listed(pick(judged, "text")) if (sentence := words(t))]
    figures = [*_losses(curves, summary), *_score(curves, summary), *_more_rows(summary)]
    if figures:
        blocks.append(Figures(figures[:4]))
    elif reports.problem("training/curves.csv") is None:
        blocks.append(Note(Status(state="warn", word="empty"), "The history holds no epoch."))
    blocks += _overruled(reports, summary)
    read = (
        "Where both losses stay high the model is too weak (bias); where the validation loss "
        "turns up while the training loss falls it learns its rows by heart (variance)."
    )
    files = ["training/summary.json", "training/curves.csv"]
    part = Part(read=read, blocks=blocks, files=files)
    return Section(id="training", title="Training", status=status, parts=[part])


def _overruled(reports: Reports, summary: Any) -> list[Block]:
    """Values of params.yaml that won over what the search found."""
    best = dict(entries(pick(reports.json("tuning/summary.json"), "values")))
    rows = [
        [name(key), figure_cell(shown(value)), figure_cell(shown(best[key]))]
        for key, value in entries(pick(summary, "values"))
        if key in best and best[key] != value
    ]
    if not rows:
        return []
    columns = ["parameter", "as trained", "best of the search"]
    return [Grid(caption="params.yaml overrules the search", columns=columns, rows=rows)]


def _fit_status(fit: str | None) -> Status | None:
    if fit is None:
        return None
    return Status(state="good" if fit == "balanced" else "warn", word=fit)


def _fit_facts(summary: dict[str, Any], about: About) -> Facts:
    monitor = words(summary.get("monitor")) or "loss"
    best = f"{number(whole(summary.get('best_epoch')))} of {number(whole(summary.get('epochs')))}"
    facts: list[tuple[str, str | Status]] = [
        ("architecture", shown(summary.get("model"))),
        ("weights", number(whole(summary.get("parameters")))),
        ("best epoch", best),
        ("stopped early", "yes" if summary.get("stopped_early") is True else "no"),
        (
            f"validation {metric_label(monitor)}",
            metric_value(monitor, real(summary.get("best_score")))
            if monitor != "loss"
            else number(real(summary.get("best_score"))),
        ),
    ]
    proposed = real(summary.get("proposed_learning_rate"))
    if proposed is not None:
        facts.append(("proposed learning rate", number(proposed, 3)))
    return Facts(facts)


def _epochs(curves: pl.DataFrame) -> DoubleArray:
    epochs = numbers(curves, "epoch")
    return epochs if len(epochs) else np.arange(1.0, curves.height + 1)


def _losses(curves: pl.DataFrame, summary: Any) -> list[Figure]:
    epochs = _epochs(curves)
    series = [
        Series(name=words_of, x=thin(epochs), y=thin(values), cls=cls, marks=len(epochs) <= 12)
        for column, words_of, cls in (
            ("train_loss", "training", "s0"),
            ("val_loss", "validation", "s1"),
        )
        if np.isfinite(values := numbers(curves, column)).any()
    ]
    if not series:
        return []
    look = Look(title="Loss per epoch", x="epoch", y="loss", rule=_best(summary))
    return [Figure(svg=lines(series, look), caption="Loss on training and validation rows.")]


def _best(summary: Any) -> tuple[float, str] | None:
    epoch = real(pick(summary, "best_epoch"))
    return None if epoch is None else (float(epoch), f"best: {number(epoch)}")


def _score(curves: pl.DataFrame, summary: Any) -> list[Figure]:
    """The first score beside the loss, over the epochs."""
    epochs = _epochs(curves)
    for column in curves.columns:
        metric = column.removeprefix("val_")
        values = numbers(curves, column)
        if column == metric or metric == "loss" or not np.isfinite(values).any():
            continue
        label = metric_label(metric)
        one = Series(name=label, x=thin(epochs), y=thin(values), cls="s1", marks=len(epochs) <= 12)
        look = Look(title=f"Validation {label} per epoch", x="epoch", y=label, rule=_best(summary))
        return [Figure(svg=lines([one], look), caption=f"{_upper(label)} on validation rows.")]
    return []


def _more_rows(summary: Any) -> list[Figure]:
    """The learning curve over rows, where one was asked for."""
    points = [
        (float(rows), float(loss))
        for point in listed(pick(summary, "learning_curve"))
        if (rows := real(pick(point, "rows"))) is not None
        and (loss := real(pick(point, "val_loss"))) is not None
    ]
    if len(points) < 2:
        return []
    x, y = (np.array(side) for side in zip(*sorted(points), strict=True))
    one = Series(name="validation", x=x, y=y, cls="s1", marks=True)
    look = Look(title="Loss over training rows", x="training rows", y="validation loss")
    caption = "Validation loss of models fitted on fewer rows: still falling means more would help."
    return [Figure(svg=lines([one], look), caption=caption)]


def _upper(text: str) -> str:
    return text[:1].upper() + text[1:]
