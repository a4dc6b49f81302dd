"""Parts on probabilities: ROC and precision-recall, calibration, conformal coverage."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import polars as pl

from plumbline.report.about import About
from plumbline.report.blocks import Block, Facts, Figure, Figures, Part, Text
from plumbline.report.numbers import number, percent
from plumbline.report.plots import Look, Series, lines, thin
from plumbline.report.read import Reports, numbers, pick, real, texts, words
from plumbline.report.words import metric_label, metric_value

GROUPS = ("model", "class", "curve", "stage", "part")  # columns that tell several curves apart
CURVES = 5
UNIT = (0.0, 1.0)


def curves(frame: pl.DataFrame, x: str, y: str, *, marks: bool = False) -> list[Series]:
    """The curves of a file: one, or one for each value of a column that tells them apart."""
    xs, ys = numbers(frame, x), numbers(frame, y)
    if not len(xs) or not len(ys):
        return []
    column = next((c for c in GROUPS if c in frame.columns), None)
    groups = np.array(texts(frame, column) if column else [""] * frame.height)
    names = list(dict.fromkeys(groups.tolist()))[:CURVES]
    return [
        Series(
            name=name.replace("_", " ") if column != "class" else name,
            x=thin(xs[groups == name]),
            y=thin(ys[groups == name]),
            cls=f"s{i}",
            marks=marks,
        )
        for i, name in enumerate(names)
        if np.isfinite(ys[groups == name]).any()
    ]


def ranking(reports: Reports, about: About) -> Part:
    """ROC and precision-recall curves."""
    metrics = reports.json("metrics.json")
    figures = []
    for file, x, y, metric, diagonal in (
        ("roc", "false_positive_rate", "true_positive_rate", "roc_auc", True),
        ("pr", "recall", "precision", "average_precision", False),
    ):
        series = curves(reports.frame(f"evaluation/{file}.csv"), x, y)
        if not series:
            continue
        value = metric_value(metric, real(pick(metrics, "test", metric)))
        said = f"{metric_label(metric)} {value} on test rows"
        look = Look(
            title="ROC curve" if diagonal else "Precision-recall curve",
            x=x.replace("_", " "),
            y=y.replace("_", " "),
            text=said,
            x_limits=UNIT,
            y_limits=UNIT,
            diagonal=diagonal,
        )
        caption = f"{look.title}: {said}." + (" The dashed line is chance." if diagonal else "")
        figures.append(Figure(svg=lines(series, look), caption=caption))
    blocks: list[Block] = [Figures(figures)] if figures else []
    if not figures and reports.problem("evaluation/roc.csv") is None:
        blocks.append(Text("This run has no ranking curves."))
    read = (
        "The further a ROC curve bends to the upper left, and a precision-recall curve to the "
        "upper right, the better the classes are told apart at every threshold."
    )
    return Part(title="Ranking", read=read, blocks=blocks)


def calibration(reports: Reports, about: About) -> Part:
    """The reliability diagram, and the temperature that made it."""
    frame = reports.frame("evaluation/calibration.csv")
    series = curves(frame, "predicted", "observed", marks=True)
    blocks: list[Block] = []
    facts = _calibration_facts(reports)
    if facts:
        blocks.append(Facts(facts))
    if series:
        look = Look(
            title="Reliability diagram",
            x="predicted probability",
            y="observed share",
            x_limits=UNIT,
            y_limits=UNIT,
            diagonal=True,
        )
        caption = "Test rows in bins of predicted probability; on the dashed line both agree."
        blocks.append(Figures([Figure(svg=lines(series, look), caption=caption)]))
    elif reports.problem("evaluation/calibration.csv") is None:
        blocks.append(Text("This run has no reliability diagram."))
    read = (
        "Of the rows given a probability of 0.8, eight in ten should be right: points under the "
        "line mean that the model is too sure of itself."
    )
    return Part(title="Calibration", read=read, blocks=blocks)
