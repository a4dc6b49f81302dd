"""The section on the final fit: its curves, and the verdict on bias and variance."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import polars as pl

from plumbline import artifacts
from plumbline.kinds import DoubleArray
from plumbline.numbers import number
from plumbline.report.about import About
from plumbline.report.blocks import (
    Block,
    Cell,
    Figure,
    Figures,
    Grid,
    Metadata,
    Note,
    Section,
    Status,
    Subsection,
    Text,
    figure_cell,
    name,
)
from plumbline.report.plots import Axes, Series, lines, thin
from plumbline.report.read import Reports, entries, listed, numbers, pick, real, whole, words
from plumbline.report.sections.tuning import shown
from plumbline.words import metric_label, metric_value

ROWS = 300  # of a table on the page
# What the figures show, by what the verdict says: a caption of its own could contradict it.
LOSS_CAPTIONS = {
    "nothing learned": "The loss stays near that of a constant prediction.",
    "under-fitting": "The validation loss was still falling in the last epochs.",
    "over-fitting": (
        "Measured without dropout, the validation loss is well above the training loss."
    ),
    "balanced": "Measured without dropout, the gap at the kept epoch is small.",
}
ROWS_CAPTIONS = {
    "would help": "It stays above the line: more rows would help.",
    "would not help": (
        "It stays below a gain of 1% of a constant prediction's loss: more rows would not help."
    ),
    "unknown": (
        "It holds gains of less and of more than 1% of a constant prediction's loss: whether "
        "more rows would help is within noise."
    ),
}


def training(reports: Reports, about: About) -> Section:
    """The final fit: its curves, and the verdict on bias and variance."""
    summary = reports.json(artifacts.TRAINING)
    curves = reports.frame(artifacts.CURVES)
    diagnosis = pick(summary, "verdict")
    blocks: list[Block] = []
    if isinstance(summary, dict):
        blocks.append(_fit_metadata(summary))
    blocks += _bag(reports, summary)
    status = _fit_status(words(pick(diagnosis, "fit")))
    blocks += [Text(sentence) for t in listed(pick(diagnosis, "text")) if (sentence := words(t))]
    figures = [
        *_losses(curves, summary),
        *_score(curves, summary),
        *_more_rows(summary),
        *_sweep(reports, summary),
    ]
    if figures:
        blocks.append(Figures(figures))
    elif reports.problem(artifacts.CURVES) is None:
        blocks.append(Note(Status(state="warn", word="empty"), "The history holds no epoch."))
    blocks += _overruled(reports, summary)
    blocks += _start(summary)
    read = (
        "Where both losses stay high the model is too weak (bias); where the validation loss "
        "rises while the training loss falls it memorizes the training rows (variance). The "
        "verdict compares both after the fit, without dropout."
    )
    files = [artifacts.TRAINING, artifacts.CURVES]
    files += [file for file in (artifacts.RATE_SWEEP, artifacts.BAG) if reports.exists(file)]
    part = Subsection(read=read, blocks=blocks, files=files)
    return Section(id="training", title="Training", status=status, parts=[part])


def _bag(reports: Reports, summary: Any) -> list[Block]:
    """The networks of a bag, or why there is none though params.yaml asks for it."""
    wanted = pick(reports.json(artifacts.SPLIT), "bag")
    if single := words(pick(wanted, "single")):
        note = f"The model is a single network: {single}."
        if pick(wanted, "auto"):
            return [Text(note)]
        return [Note(Status(state="warn", word="no bag"), note)]
    if not reports.exists(artifacts.BAG):
        return []
    monitor = words(pick(summary, "monitor")) or "loss"
    rows = []
    for count, network in enumerate(listed(pick(reports.json(artifacts.BAG), "networks")), start=1):
        score = real(pick(network, "best_score"))
        best, epochs = whole(pick(network, "best_epoch")), whole(pick(network, "epochs"))
        rows.append(
            [
                figure_cell(number(count)),
                figure_cell(number(whole(pick(network, "rows")))),
                figure_cell(number(whole(pick(network, "held_out")))),
                figure_cell(f"{number(best)} of {number(epochs)}"),
                figure_cell(number(score) if monitor == "loss" else metric_value(monitor, score)),
            ]
        )
    label = monitor if monitor == "loss" else metric_label(monitor)
    columns = ["network", "rows fitted on", "rows held out", "kept epoch", f"{label} on them"]
    text = (
        f"The model is a bag of {number(len(rows))} networks: a prediction is their mean, and "
        f"takes {number(len(rows))} times as long as one network's. Each was fitted without one "
        "fold of the training and validation rows. The threshold, the calibration and the "
        "prediction sets come from what each network predicts of the fold that it was held out "
        "from. All else in this section is about the first network."
    )
    return [Text(text), Grid(caption="The networks of the bag", columns=columns, rows=rows)]


def _overruled(reports: Reports, summary: Any) -> list[Block]:
    """Values of params.yaml that won over what the search found."""
    best = dict(entries(pick(reports.json(artifacts.TUNING), "values")))
    rows = [
        [name(key), figure_cell(shown(value)), figure_cell(shown(best[key]))]
        for key, value in entries(pick(summary, "values"))
        if key in best and best[key] != value
    ]
    if not rows:
        return []
    columns = ["parameter", "as trained", "best of the search"]
    return [Grid(caption="params.yaml overrules the search", columns=columns, rows=rows)]


def _start(summary: Any) -> list[Block]:
    """The network that the fit started from: what was taken of it, and what was not and why."""
    start = pick(summary, "start")
    if not isinstance(start, dict):
        return []
    taken, left = list(entries(start.get("taken"))), list(entries(start.get("left")))
    rows = [
        *([name(key), Cell(text="taken"), name(words(how) or "")] for key, how in taken),
        *([name(key), Cell(text="not taken"), name(words(why) or "")] for key, why in left),
    ]
    frozen = [f"{part}: {_epochs_frozen(until)}" for part, until in entries(start.get("freeze"))]
    rates = [f"{part}: {number(real(f), 3)}" for part, f in entries(start.get("rates"))]
    fitted = [text for one in listed(start.get("fitted")) if (text := words(one))]
    metadata: list[tuple[str, str | Status]] = [
        ("started from", shown(start.get("source"))),
        ("SHA-256 of its weights", (words(start.get("sha256")) or "")[:12]),
        ("tensors taken", f"{number(len(taken))} of {number(len(taken) + len(left))}"),
        ("frozen", ", ".join(frozen) or "nothing"),
        ("factors on the learning rate", ", ".join(rates) or "none"),
        ("preprocessing taken from it", ", ".join(fitted) or "none"),
    ]
    blocks: list[Block] = [Metadata(metadata)]
    if leak := words(start.get("leak")):
        blocks.append(Note(Status(state="warn", word="leak"), f"{leak[:1].upper()}{leak[1:]}."))
    columns = ["tensor", "", "how, or why not"]
    caption = "Tensors of the network that the fit started from"
    return [*blocks, Grid(caption=caption, columns=columns, rows=rows[:ROWS], folded=True)]


def _epochs_frozen(until: Any) -> str:
    return "all epochs" if until == "all" else f"the first {number(whole(until))} epochs"


def _fit_status(fit: str | None) -> Status | None:
    if fit is None:
        return None
    return Status(state="good" if fit == "balanced" else "warn", word=fit)


def _fit_metadata(summary: dict[str, Any]) -> Metadata:
    monitor = words(summary.get("monitor")) or "loss"
    best = f"{number(whole(summary.get('best_epoch')))} of {number(whole(summary.get('epochs')))}"
    metadata: list[tuple[str, str | Status]] = [
        ("architecture", shown(summary.get("model"))),
        ("weights", number(whole(summary.get("parameters")))),
        ("kept epoch", best),
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
        metadata.append(("proposed learning rate", number(proposed, 3)))
    return Metadata(metadata)


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
    axes = Axes(title="Loss per epoch", x="epoch", x_whole=True, y="loss", rule=_best(summary))
    caption = (
        "Loss per epoch; that of the training rows is a mean over the epoch, dropout and "
        "augmentation included, so it may lie above the other."
    )
    verdict = LOSS_CAPTIONS.get(words(pick(summary, "verdict", "fit")) or "")
    caption = f"{caption} {verdict}" if verdict else caption
    return [Figure(svg=lines(series, axes), caption=caption)]


def _best(summary: Any) -> tuple[float, str] | None:
    epoch = real(pick(summary, "best_epoch"))
    return None if epoch is None else (float(epoch), f"kept: {number(epoch)}")


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
        axes = Axes(
            title=f"Validation {label} per epoch",
            x="epoch",
            x_whole=True,
            y=label,
            rule=_best(summary),
        )
        return [Figure(svg=lines([one], axes), caption=f"{_upper(label)} on validation rows.")]
    return []


def _more_rows(summary: Any) -> list[Figure]:
    """The learning curve over rows, where one was asked for, with the intervals that the verdict
    goes by."""
    points = [
        (float(rows), float(loss), real(pick(point, "low")), real(pick(point, "high")))
        for point in listed(pick(summary, "learning_curve"))
        if (rows := real(pick(point, "rows"))) is not None
        and (loss := real(pick(point, "val_loss"))) is not None
    ]
    if len(points) < 2:
        return []
    x, y, low, high = (
        np.array(side, dtype=np.float64)
        for side in zip(*sorted(points, key=lambda p: p[0]), strict=True)
    )
    curve = Series(name="validation loss", x=x, y=y, cls="s1", marks=True, band=(low, high))
    level = Series(name="fit on all rows", x=x[[0, -1]], y=y[[-1, -1]], cls="s9")
    axes = Axes(title="Loss over training rows", x="training rows", y="validation loss")
    caption = (
        "Validation loss of fits on fewer rows; the band is the difference to the fit on all "
        "rows, two standard errors to either side (over validation rows, for one seed)."
    )
    verdict = ROWS_CAPTIONS.get(words(pick(summary, "verdict", "more_rows")) or "")
    caption = f"{caption} {verdict}" if verdict else caption
    return [Figure(svg=lines([curve, level], axes), caption=caption)]


def _sweep(reports: Reports, summary: Any) -> list[Figure]:
    """The loss over the rates that the learning-rate finder tried, where it was asked for."""
    if not reports.exists(artifacts.RATE_SWEEP):
        return []
    sweep = reports.frame(artifacts.RATE_SWEEP)
    rates, losses = numbers(sweep, "learning_rate"), numbers(sweep, "loss")
    if len(rates) != len(losses) or not len(rates):
        return []
    powers = np.log10(np.where(rates > 0, rates, np.nan))
    rate = real(pick(summary, "proposed_learning_rate")) or 0.0
    rule = (math.log10(rate), f"proposed: {number(rate, 3)}") if rate > 0 else None
    axes = Axes(
        title="Loss over learning rates",
        x="learning rate, as a power of ten",
        x_whole=True,
        y="smoothed training loss",
        rule=rule,
    )
    series = Series(name="training loss", x=thin(powers), y=thin(losses))
    caption = (
        "The learning-rate finder: one short fit whose rate rises at each step, up to where the "
        "loss explodes."
    )
    return [Figure(svg=lines([series], axes), caption=caption)]


def _upper(text: str) -> str:
    return text[:1].upper() + text[1:]
