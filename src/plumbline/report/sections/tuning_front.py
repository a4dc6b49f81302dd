"""The Pareto front of a search with two objectives: how good, and how large."""

from __future__ import annotations

from typing import Any

import numpy as np
import polars as pl

from plumbline.report.blocks import Figure
from plumbline.report.plots import Axes, Series, lines, thin
from plumbline.report.read import listed, numbers, pick, real, whole, words
from plumbline.words import metric_label

SIZES = {"parameters": "parameters", "multiply_adds": "multiply-adds per row"}


def front_figure(trials: pl.DataFrame, summary: Any, metric: str) -> list[Figure]:
    """Every scored trial by size and score, the front, and the selected one."""
    second = words(pick(summary, "second_objective"))
    if second not in SIZES:
        return []
    size, value = numbers(trials, second), numbers(trials, "value")
    points = [(real(pick(p, second)), real(pick(p, "value"))) for p in listed(summary["front"])]
    front = np.array([(x, y) for x, y in points if x is not None and y is not None], dtype=float)
    keep = np.isfinite(size) & np.isfinite(value) if len(size) == len(value) else np.zeros(0, bool)
    if not keep.any() or not len(front):
        return []
    series = [
        Series(name="trial", x=thin(size[keep]), y=thin(value[keep]), cls="s9", joined=False),
        Series(name="front", x=front[:, 0], y=front[:, 1], cls="s0", marks=True),
    ]
    selected = keep & (numbers(trials, "number") == whole(pick(summary, "selected")))
    if selected.any():
        mine = Series(name="selected", x=size[selected], y=value[selected], cls="s1", joined=False)
        series.append(mine)
    drawn = lines(
        series,
        Axes(
            title="Pareto front",
            x=SIZES[second],
            y=metric_label(metric),
            text=f"{len(front)} of {int(keep.sum())} trials on the front",
        ),
    )
    caption = (
        "On the front no other trial is as good and smaller, or better and as small. Selected is "
        "the smallest that the best does not outperform by more than the standard error of the "
        "difference. A bag takes its number of networks times as much."
    )
    return [Figure(svg=drawn, caption=caption)]
