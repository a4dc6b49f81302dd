"""Rows as people give them to scikit-learn: numbers and texts as they are, categories as codes.

Nothing is scaled or imputed here. The baselines read these rows, so that none of them is held
back by what suits a network. n rows, k numbers, c categories, t texts, p pixels of all images.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Self

import numpy as np
import polars as pl

from plumbline.images import ImageReader, ImageShape, read_images
from plumbline.kinds import NUMERIC, ColumnType, DoubleArray, FloatArray, IntArray, ObjectArray
from plumbline.preprocessing.dates import PARTS, date_numbers
from plumbline.preprocessing.summary import clean, has_many_values
from plumbline.tables import Schema, batches, rows_at_once

OTHER, MISSING = 0, 1  # codes: a rare or unseen value, no value; then values by frequency
MOST_VALUES = 1000  # of a category that have a code of their own
MOST_CHARACTERS = 10_000  # of a text
MOST_ROWS = 1_000_000  # fitted on at most, which bounds the time
BYTES_PER_CELL = 64  # of a fit, copies included
BYTES_PER_PIXEL = 8
MOST_SIDE = 28  # pixels of an image
LOOKED_AT = 200  # images that tell the size
AS_NUMBERS = (*NUMERIC, ColumnType.BOOLEAN)


@dataclass(frozen=True, kw_only=True)
class PlainRows:
    """`num` (n, k) float64, NaN where missing; `cat` (n, c) int64: `OTHER`, `MISSING`, or from 2
    on the values, the most frequent first; `text` (n, t) texts as they are, None where missing;
    `pixels` (n, p) float32, 0 to 255, of small copies of the images, NaN where missing;
    `y` (n,) class numbers or values; `weight` (n,)."""

    num: DoubleArray
    cat: IntArray
    text: ObjectArray
    pixels: FloatArray
    y: IntArray | DoubleArray
    weight: FloatArray

    def __len__(self) -> int:
        return len(self.num)

    def take(self, keep: IntArray | slice) -> Self:
        return type(self)(
            num=self.num[keep],
            cat=self.cat[keep],
            text=self.text[keep],
            pixels=self.pixels[keep],
            y=self.y[keep],
            weight=self.weight[keep],
        )


def most_plain_rows(schema: Schema, max_memory_mb: int) -> int:
    """How many rows a baseline is fitted on at most: a million, or fewer (10,000 at least) where
    so many would not fit half of `data.max_memory_mb`."""
    width = sum(len(PARTS) if c.type is ColumnType.DATE else 1 for c in schema.features)
    pixels = 3 * MOST_SIDE**2 * sum(c.type is ColumnType.IMAGE for c in schema.features)
    size = BYTES_PER_CELL * max(width, 1) + BYTES_PER_PIXEL * pixels
    fit = max_memory_mb * 2**19 // size
    return int(np.clip(fit, 10_000, MOST_ROWS))


def join_rows(parts: Sequence[PlainRows]) -> PlainRows:
    """The rows of all parts."""
    return PlainRows(
        **{f.name: np.concatenate([getattr(p, f.name) for p in parts]) for f in fields(PlainRows)}
    )


class PlainReader:
    """Which columns the training rows have something in, and the values of the categories.

    Columns without a value in the training rows are left out, and so are codes and names of which
    no value occurs twice.
    """

    def __init__(
        self,
        schema: Schema,
        training: pl.DataFrame,
        max_memory_mb: int = 2048,
        images: Mapping[str, ImageShape] | None = None,
    ) -> None:
        """
        Args:
            training: the features of the rows that baselines are fitted on, but for images.
            images: the shape to which those of a column are brought (`image_shapes`).
        """
        self._images = dict(images or {})
        self._batch_rows = rows_at_once(len(schema.features), max_memory_mb, len(self._images))
        filled = [
            c
            for c in schema.features
            if c.type is not ColumnType.IMAGE and training[c.name].null_count() < len(training)
        ]
        self._numbers = [
            c.name
            for c in filled
            if c.type in AS_NUMBERS and np.isfinite(_floats(training[c.name])).any()
        ]
        self._dates = [c.name for c in filled if c.type is ColumnType.DATE]
        self._texts = [c.name for c in filled if c.type is ColumnType.TEXT]
        self._values: dict[str, pl.Enum] = {}
        for column in filled:
            if column.type is not ColumnType.CATEGORY:
                continue
            counts = training[column.name].drop_nulls().alias("value").value_counts(name="count")
            rows = int(counts["count"].sum())
            if has_many_values(len(counts), rows):
                counts = counts.filter(pl.col("count") > 1)
            counts = counts.sort("count", "value", descending=[True, False])
            if len(counts):
                kept = counts["value"].head(MOST_VALUES)
                self._values[column.name] = pl.Enum(kept)

    def read(self, frame: pl.DataFrame, y: IntArray | DoubleArray, weight: FloatArray) -> PlainRows:
        """The rows of a frame with their targets and weights, (n,) each."""
        parts = [np.empty((len(frame), 0))]
        parts += [_floats(frame[name])[:, None] for name in self._numbers]
        for name in self._dates:
            moments = frame[name].cast(pl.Datetime("us")).to_physical()
            parts.append(date_numbers(_floats(moments), PARTS))
        num, missing = clean(np.concatenate(parts, axis=1))
        num[missing] = np.nan
        cat = np.empty((len(frame), len(self._values)), dtype=np.int64)
        for j, (name, values) in enumerate(self._values.items()):
            known = frame[name].cast(values, strict=False).to_physical().cast(pl.Int64) + 2
            codes = known.fill_null(OTHER).to_numpy()
            cat[:, j] = np.where(frame[name].is_null().to_numpy(), MISSING, codes)
        text = np.empty((len(frame), len(self._texts)), dtype=np.object_)
        for j, name in enumerate(self._texts):
            text[:, j] = frame[name].str.head(MOST_CHARACTERS).to_list()
        pixels = [np.empty((len(frame), 0), dtype=np.float32)]
        pixels += [_pixels(frame[name], shape) for name, shape in self._images.items()]
        return PlainRows(
            num=num, cat=cat, text=text, pixels=np.concatenate(pixels, axis=1), y=y, weight=weight
        )

    def read_batches(
        self, frame: pl.LazyFrame, y: IntArray | DoubleArray, weight: FloatArray
    ) -> Iterator[PlainRows]:
        """As `read`, in batches of bounded size."""
        start = 0
        for batch in batches(frame, self._batch_rows):
            stop = start + len(batch)
            yield self.read(batch, y[start:stop], weight[start:stop])
            start = stop
        assert start == len(y), f"{start} rows for {len(y)} targets"


def image_shapes(schema: Schema, training: pl.LazyFrame) -> dict[str, ImageShape]:
    """The shape of each column's images, by the first of the training rows: those of the data,
    `MOST_SIDE` pixels at most."""
    reader = ImageReader(None)
    shapes = {}
    for name in (c.name for c in schema.features if c.type is ColumnType.IMAGE):
        some = training.select(pl.col(name).drop_nulls().head(LOOKED_AT)).collect()[name]
        own = [reader.shape(cell, f"column '{name}'") for cell in some.to_list()]
        if own:
            shapes[name] = ImageShape(
                channels=max(shape.channels for shape in own),
                height=min(MOST_SIDE, int(np.median([shape.height for shape in own]))),
                width=min(MOST_SIDE, int(np.median([shape.width for shape in own]))),
            )
    return shapes


def _pixels(contents: pl.Series, shape: ImageShape) -> FloatArray:
    """(n, p)."""
    cells = contents.to_list()
    out = np.zeros((len(cells), *shape), dtype=np.uint8)
    read_images(ImageReader(None), cells, out, lambda i: f"column '{contents.name}'")
    pixels = out.reshape(len(cells), -1).astype(np.float32)
    pixels[[cell is None for cell in cells]] = np.nan
    return pixels


def _floats(values: pl.Series) -> DoubleArray:
    """(n,) float64, NaN where missing."""
    floats: DoubleArray = values.cast(pl.Float64).to_numpy()
    return floats
