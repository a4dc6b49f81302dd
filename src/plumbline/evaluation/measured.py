"""Texts and images as numbers to slice by: length; brightness and size.

Each number has three slices, cut at the thirds of the training rows.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl

from plumbline.evaluation.image_drift import image_descriptors, measure_images
from plumbline.kinds import ColumnType
from plumbline.tables import Schema

MISSING = "(missing)"
THIRDS = (1 / 3, 2 / 3)
Cuts = Mapping[str, Sequence[Sequence[float]]]  # column -> for each of its measures


@dataclass(frozen=True, kw_only=True)
class Measure:
    """A number of a cell. `slices`: what its three slices are called; `ranges`: where they end, by
    the lower and the upper cut."""

    of: Callable[[str], pl.Expr]
    slices: tuple[str, str, str]
    ranges: tuple[str, str, str]


def _pixels(name: str) -> pl.Expr:
    parts = image_descriptors(name)
    return pl.lit(2.0).pow(parts["width"] + parts["height"]).round()


MEASURES: dict[ColumnType, tuple[Measure, ...]] = {
    ColumnType.TEXT: (
        Measure(
            of=lambda name: pl.col(name).str.len_chars().cast(pl.Float64),
            slices=("short", "medium", "long"),
            ranges=(
                "up to {low:,.0f} characters",
                "{next:,.0f} to {high:,.0f} characters",
                "more than {high:,.0f} characters",
            ),
        ),
    ),
    ColumnType.IMAGE: (
        Measure(
            of=lambda name: image_descriptors(name)["brightness"].round(3),
            slices=("dark", "medium", "bright"),
            ranges=(
                "brightness up to {low:.3f}",
                "brightness from {low:.3f} to {high:.3f}",
                "brightness over {high:.3f}",
            ),
        ),
        Measure(
            of=_pixels,
            slices=("small", "medium", "large"),
            ranges=(
                "up to {low:,.0f} pixels",
                "{next:,.0f} to {high:,.0f} pixels",
                "more than {high:,.0f} pixels",
            ),
        ),
    ),
}


def measure_cells(
    frame: pl.LazyFrame, schema: Schema, columns: Sequence[str]
) -> dict[str, list[pl.Series]]:
    """What there is to measure of the texts and images of these columns, by column, for each row;
    null where a cell is missing. Images are decoded batch by batch."""
    kinds = {name: schema.column(name).type for name in columns}
    measured = {name: MEASURES[kind] for name, kind in kinds.items() if kind in MEASURES}
    if not measured:
        return {}
    images = [name for name in measured if kinds[name] is ColumnType.IMAGE]
    wanted = {
        f"{i} {k}": measure.of(name)
        for i, (name, measures) in enumerate(measured.items())
        for k, measure in enumerate(measures)
    }
    made = measure_images(frame, images).select(**wanted).collect(engine="streaming")
    return {
        name: [made[f"{i} {k}"] for k in range(len(measures))]
        for i, (name, measures) in enumerate(measured.items())
    }


def find_cuts(train: Mapping[str, Sequence[pl.Series]]) -> dict[str, list[list[float]]]:
    """What a third and two thirds of the training cells do not exceed, of each measure; one number
    where they are the same, none where no cell is there."""
    return {
        name: [
            sorted({c for share in THIRDS if (c := values.quantile(share, "lower")) is not None})
            for values in series
        ]
        for name, series in train.items()
    }


def label_cells(
    values: Sequence[pl.Series], kind: ColumnType, cuts: Sequence[Sequence[float]]
) -> list[pl.Series]:
    """Each cell's slice, by each measure of its column."""
    return [
        _labels(numbers, measure, own)
        for numbers, measure, own in zip(values, MEASURES[kind], cuts, strict=True)
    ]


def _labels(numbers: pl.Series, measure: Measure, cuts: Sequence[float]) -> pl.Series:
    low, high = (cuts[0], cuts[-1]) if cuts else (0.0, 0.0)
    names = [
        f"{name}: {ends.format(low=low, high=high, next=low + 1)}"
        for name, ends in zip(measure.slices, measure.ranges, strict=True)
    ]
    if len(cuts) < 2:
        del names[1]
    sizes = numbers.fill_null(0).to_numpy()
    labels = np.array(names)[np.searchsorted(np.array(cuts), sizes, side="left")]
    return pl.Series(np.where(numbers.is_null().to_numpy(), MISSING, labels))
