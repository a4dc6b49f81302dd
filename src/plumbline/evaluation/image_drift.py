"""Images as numbers that can be compared: their light, color, detail and size.

An image column is compared by what its images look like, not by the images: each is another one.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import polars as pl

from plumbline.images import ImageReader, ImageShape, read_images
from plumbline.kinds import ByteArray, DoubleArray

SIDE = 32  # pixels of the copies that are measured
# numbers of light, color and detail are shares of the range of a byte; doubled sides are as far
# apart anywhere
DESCRIPTORS = ("brightness", "contrast", "saturation", "detail", "width", "height")
MEASURED = pl.Struct(dict.fromkeys(DESCRIPTORS, pl.Float64()))


def measure_images(frame: pl.LazyFrame, names: Sequence[str]) -> pl.LazyFrame:
    """The frame with `MEASURED` in place of the images of columns, each decoded once."""
    return frame.with_columns(
        pl.col(name).map_batches(_measure, return_dtype=MEASURED, is_elementwise=True)
        for name in names
    )


def image_descriptors(name: str) -> dict[str, pl.Expr]:
    """What was measured (`measure_images`) of the images of a column, null where there is none."""
    return {part: pl.col(name).struct.field(part) for part in DESCRIPTORS}


def _measure(contents: pl.Series) -> pl.Series:
    cells: list[bytes | None] = contents.to_list()
    there = [cell for cell in cells if cell is not None]
    reader, where = ImageReader(None), f"column '{contents.name}'"
    pixels: ByteArray = np.zeros((len(there), 3, SIDE, SIDE), dtype=np.uint8)
    read_images(reader, there, pixels, lambda i: where)
    shapes = [reader.shape(cell, where) for cell in there]
    rows = iter(_numbers(pixels, shapes))
    measured = [
        None if cell is None else dict(zip(DESCRIPTORS, next(rows), strict=True)) for cell in cells
    ]
    return pl.Series(contents.name, measured, dtype=MEASURED)


def _numbers(pixels: ByteArray, shapes: list[ImageShape]) -> list[list[float]]:
    """A list of `DESCRIPTORS` per image, of pixels (n, 3, SIDE, SIDE)."""
    values: DoubleArray = pixels.astype(np.float64) / 255
    gray = values.mean(axis=1)  # (n, SIDE, SIDE)
    steps = [np.abs(np.diff(gray, axis=axis)).mean(axis=(1, 2)) for axis in (1, 2)]
    columns = [
        gray.mean(axis=(1, 2)),
        gray.std(axis=(1, 2)),
        np.ptp(values, axis=1).mean(axis=(1, 2)),
        (steps[0] + steps[1]) / 2,
        np.log2([shape.width for shape in shapes]),
        np.log2([shape.height for shape in shapes]),
    ]
    return [list(map(float, row)) for row in zip(*columns, strict=True)]
