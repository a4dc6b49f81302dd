"""Parts on probabilities: ROC and precision-recall, calibration, conformal coverage."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import polars as pl

from plumbline import artifacts
from plumbline.numbers import number, percent
from plumbline.report.about import About
from plumbline.report.blocks import Block, Figure, Figures, Metadata, Subsection, Text
from plumbline.report.plots import Axes, Series, lines, thin
from plumbline.report.read import Reports, entries, numbers, pick, real, texts
from plumbline.words import TASK_WORDS, baseline_label, metric_label, metric_value

UNIT = (0.0, 1.0)


def curve(frame: pl.DataFrame, x: str, y: str, *, marks: bool = False) -> list[Series]:
    """The curve of a file, with its band of `low` and `high` if it has one; none if empty."""
    along, value = numbers(frame, x), numbers(frame, y)
    if not np.isfinite(value).any() or not len(along):
        return []
    low, high = numbers(frame, "low"), numbers(frame, "high")
    band = (thin(low), thin(high)) if len(low) and len(high) else None
    return [Series(name=y, x=thin(along), y=thin(value), marks=marks, band=band)]


def ranking(reports: Reports, about: About) -> Subsection:
    """ROC and precision-recall curves."""
    metrics = reports.json(artifacts.METRICS)
    figures = []
    for file, x, y, metric, diagonal in (
        ("roc", "false_positive_rate", "true_positive_rate", "roc_auc", True),
        ("pr", "recall", "precision", "average_precision", False),
    ):
        series = curve(reports.frame(f"evaluation/{file}.csv"), x, y)
        frame = reports.frame(f"evaluation/baseline_{file}.csv")
        if not series:
            continue
        series = [replace(series[0], name="deep model"), *_of_baselines(frame, x, y)]
        value = real(pick(metrics, "test", metric))
        caption_area = "test rows" if value is None else _areas(reports, metric, value)
        axes = Axes(
            title="ROC curve" if diagonal else "Precision-recall curve",
            x=x.replace("_", " "),
            y=y.replace("_", " "),
            text=caption_area,
            x_limits=UNIT,
            y_limits=UNIT,
            diagonal=diagonal,
        )
        caption = f"{axes.title}. {caption_area[:1].upper()}{caption_area[1:]}." + (
            " The dotted line is chance." if diagonal else ""
        )
        if not about.task.spec.has_positive:
            caption += " The mean over classes, each against the rest."
        figures.append(Figure(svg=lines(series, axes), caption=caption))
    blocks: list[Block] = [Figures(figures)] if figures else []
    if not figures and reports.problem("evaluation/roc.csv") is None:
        blocks.append(Text("This run has no ranking curves."))
    read = (
        "The further a ROC curve bends to the upper left, and a precision-recall curve to the "
        "upper right, the better the classes are separated at every threshold."
    )
    files = [f"evaluation/{name}.csv" for name in ("roc", "pr", "baseline_roc", "baseline_pr")]
    return Subsection(title="Ranking", read=read, blocks=blocks, files=files)


def _of_baselines(frame: pl.DataFrame, x: str, y: str) -> list[Series]:
    """A curve per baseline; a constant prediction is chance itself and has none."""
    curves = []
    names = [n for n in dict.fromkeys(texts(frame, "model")) if n != "majority"]
    for name, cls in zip(names, ("s1", "s2", "s3"), strict=False):
        one = curve(frame.filter(pl.col("model") == name), x, y)
        curves += [replace(series, name=baseline_label(name), cls=cls) for series in one]
    return curves


def _areas(reports: Reports, metric: str, value: float) -> str:
    """The areas of the model and of the baselines beside it."""
    baselines = entries(pick(reports.json(artifacts.METRICS), "baselines"))
    areas = [
        f"{baseline_label(key)} {metric_value(metric, area)}"
        for key, scores in baselines
        if key != "majority" and (area := real(pick(scores, metric))) is not None
    ]
    mine = f"deep model {metric_value(metric, value)}"
    return f"{metric_label(metric)} on test rows: {', '.join([mine, *areas[:3]])}"


def calibration(reports: Reports, about: About) -> Subsection:
    """The reliability diagram, and the temperature behind it."""
    frame = reports.frame(artifacts.CALIBRATION)
    series = curve(frame, "predicted", "observed", marks=True)
    blocks: list[Block] = []
    metadata = _calibration_metadata(reports)
    if metadata:
        blocks.append(Metadata(metadata))
    if series:
        axes = Axes(
            title="Reliability diagram",
            x="predicted probability",
            y="observed share",
            x_limits=UNIT,
            y_limits=UNIT,
            diagonal=True,
        )
        caption = f"{_bins(about)} Band: 95% intervals. On the dotted line both agree."
        blocks.append(Figures([Figure(svg=lines(series, axes), caption=caption)]))
    elif reports.problem(artifacts.CALIBRATION) is None:
        blocks.append(Text("This run has no reliability diagram."))
    read = _reading(about)
    return Subsection(title="Calibration", read=read, blocks=blocks, files=[artifacts.CALIBRATION])


def _bins(about: About) -> str:
    """What the axes of the reliability diagram are."""
    if about.task.spec.has_positive:
        return (
            f"Test rows in bins of the predicted probability of {about.positive}, against the "
            f"share that is {about.positive}."
        )
    return (
        "Test rows in bins of the probability of the predicted class, against the share that is "
        "predicted correctly."
    )


def _reading(about: About) -> str:
    """What a point off the line means. Of two classes the diagram is about the positive one, so
    that below one half the sure side is the other; of more it is about the predicted class."""
    if about.task.spec.has_positive:
        positive = about.positive
        return (
            f"Of the rows given a probability of 0.8 for {positive}, eight in ten should be "
            f"{positive}: below the line that probability is too high, above it too low. "
            "Overconfident is below the line right of 0.5 and above it left of 0.5; a temperature "
            "above 1 corrects for that."
        )
    return (
        "Of the rows whose predicted class has a probability of 0.8, eight in ten should be "
        "correct: below the line the model is overconfident, above it underconfident; a "
        "temperature above 1 corrects for overconfidence."
    )


def _calibration_metadata(reports: Reports) -> list[tuple[str, str]]:
    """The temperature and what the calibration error is with it."""
    comparison = reports.json(artifacts.COMPARISON)
    temperature = real(pick(comparison, "temperature"))
    metadata = []
    if temperature is not None:
        metadata.append(("temperature", number(temperature, 3)))
    threshold = real(pick(comparison, "threshold"))
    if threshold is not None:
        metadata.append(("threshold", number(threshold, 3)))
    error = real(pick(reports.json(artifacts.METRICS), "test", "ece"))
    if error is not None:
        metadata.append((f"{metric_label('ece')}, test", metric_value("ece", error)))
    return metadata


def coverage(reports: Reports, about: About) -> Subsection:
    """How often the conformal sets or intervals contain the actual value."""
    conformal = pick(reports.json(artifacts.COMPARISON), "conformal")
    blocks: list[Block] = []
    promised, measured = real(pick(conformal, "promised")), real(pick(conformal, "coverage"))
    if promised is not None or measured is not None:
        size = TASK_WORDS[about.task].size
        blocks.append(
            Metadata(
                [
                    ("target coverage", percent(promised)),
                    ("coverage of test rows", percent(measured)),
                    (size, number(real(pick(conformal, "mean_size")))),
                ]
            )
        )
    else:
        blocks.append(Text("The evaluation has no coverage."))
    read = (
        "Each prediction has a conformal set or interval, which contains the actual value with the "
        "target probability; the smaller it is, the more informative."
    )
    return Subsection(title="Coverage", read=read, blocks=blocks)
