"""Images -> one tensor of bytes per column: pixels of a size that follows from training rows.

A missing image is zeros; of an image that is there some value is not zero, so that whoever reads
the tensor can tell.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Self

import numpy as np
import polars as pl

from plumbline.examples import TensorSpec
from plumbline.images import ImageReader, ImageShape, read_images
from plumbline.kinds import ByteArray, IntArray
from plumbline.preprocessing.decoded import DecodedImages
from plumbline.preprocessing.preparer import ApplyToFew, Given, Labels, Tensors
from plumbline.preprocessing.table_reader import check_present

Cell = str | bytes | None
MOST_SAMPLED = 2048  # training images that the size and the statistics come from
BYTES_PER_MB = 2**17  # of `data.max_memory_mb`, kept of a column's training cells
AT_ONCE = 256  # images decoded for the statistics
MOST_SIDE = {0: 64, 5_000: 96, 50_000: 128}  # from so many training images, pixels
MOST_STRETCH = 2.0  # of width to height, either way
STEP = 8  # sides of more than four of them are multiples


class ImageSample:
    """Every k-th image of a column with its row number, k a power of two, so that they are few.

    Which are kept does not depend on how the rows came in batches.
    """

    def __init__(self, most_bytes: int) -> None:
        self.cells: list[tuple[int, str | bytes]] = []
        self.images = 0
        self.missing = 0
        self.constant: str | bytes | None = None  # the only cell so far
        self.varies = False
        self._most_bytes = most_bytes
        self._stride = 1
        self._bytes = 0

    def add(self, cells: Sequence[Cell], rows: IntArray) -> None:
        for row, cell in zip(rows.tolist(), cells, strict=True):
            if cell is None:
                self.missing += 1
                continue
            if not self.varies:
                self.varies = self.constant not in (None, cell)
                self.constant = cell
            if self.images % self._stride == 0:
                self.cells.append((row, cell))
                self._bytes += len(cell)
                self._thin()
            self.images += 1

    def _thin(self) -> None:
        while len(self.cells) > 1 and (
            len(self.cells) > MOST_SAMPLED or self._bytes > self._most_bytes
        ):
            self._stride *= 2
            self.cells = self.cells[::2]
            self._bytes = sum(len(cell) for _, cell in self.cells)


@dataclass(frozen=True, kw_only=True)
class Pixels:
    """How the images of a column become bytes; mean and deviation are per channel, of bytes."""

    shape: ImageShape
    mean: tuple[float, ...]
    deviation: tuple[float, ...]

    def to_json(self) -> dict[str, Any]:
        return {
            "shape": list(self.shape),
            "mean": list(self.mean),
            "deviation": list(self.deviation),
        }

    @classmethod
    def from_json(cls, state: Mapping[str, Any]) -> Self:
        channels, height, width = state["shape"]
        return cls(
            shape=ImageShape(channels=channels, height=height, width=width),
            mean=tuple(state["mean"]),
            deviation=tuple(state["deviation"]),
        )


class ImagePreparer:
    """One tensor `image_0`, `image_1` … per column that has different images.

    Fitted state besides that of a `Preparer`: `pixels_`, by column.
    """

    tensors_: tuple[TensorSpec, ...]
    dropped_: dict[str, str]
    pixels_: dict[str, Pixels]

    def __init__(self, given: Given) -> None:
        self._columns = given.columns
        self._source = PixelSource(ImageReader(given.folder), given.decoded)
        self._most_bytes = given.max_memory_mb * BYTES_PER_MB

    # -- learning

    def begin(self, seed: int) -> None:
        self._samples = {c.name: ImageSample(self._most_bytes) for c in self._columns}

    def reads(self, frame: pl.LazyFrame) -> list[pl.Expr]:
        return _cells(frame, [column.name for column in self._columns])

    def observe(self, batch: pl.DataFrame, rows: IntArray) -> None:
        for name, sample in self._samples.items():
            sample.add(batch[name].to_list(), rows)

    def finish(self, frame: pl.LazyFrame, rows: IntArray | None) -> None:
        self.dropped_, self.pixels_ = {}, {}
        for name, sample in self._samples.items():
            if not sample.images:
                self.dropped_[name] = "no image in the training rows"
            elif not sample.varies and not sample.missing:
                self.dropped_[name] = "one image in all training rows"
            else:
                self.pixels_[name] = fit_pixels(self._source, name, sample)
        del self._samples
        self._compile()

    def _compile(self) -> None:
        """Make what was learned ready to be applied."""
        self._formats = {c.name: c.format for c in self._columns}
        self.tensors_ = tuple(
            _tensor(f"image_{j}", name, pixels)
            for j, (name, pixels) in enumerate(self.pixels_.items())
        )

    # -- applying

    def selects(self, frame: pl.LazyFrame) -> list[pl.Expr]:
        return _cells(frame, list(self.pixels_))

    def apply(self, batch: pl.DataFrame, rows: IntArray, positions: IntArray | None) -> Tensors:
        return self._tensors({name: batch[name].to_list() for name in self.pixels_}, rows)

    @classmethod
    def few_rows(cls, networks: Sequence[Self]) -> ApplyToFew:
        return lambda cells: [own._tensors(cells, None) for own in networks]

    def _tensors(self, cells: Mapping[str, Sequence[Any]], rows: IntArray | None) -> Tensors:
        made: Tensors = {}
        for tensor in self.tensors_:
            name = tensor.sources[0]
            own = cells[name]
            out = np.zeros((len(own), *self.pixels_[name].shape), np.uint8)
            self._source.read(name, own, out, rows)
            made[tensor.name] = out
        return made

    def labels(self) -> Labels:
        return {}

    # -- state

    def to_json(self) -> dict[str, Any]:
        return {
            "columns": [{"name": n, **p.to_json()} for n, p in self.pixels_.items()],
            "dropped": dict(self.dropped_),
        }

    @classmethod
    def from_json(cls, given: Given, state: Mapping[str, Any]) -> Self:
        self = cls(given)
        self.pixels_ = {own["name"]: Pixels.from_json(own) for own in state["columns"]}
        self.dropped_ = dict(state["dropped"])
        self._compile()
        return self


class PixelSource:
    """The pixels of cells: those that were decoded before, or out of the cells themselves.

    Args:
        decoded: of the table whose rows are read; None: every cell is decoded.
    """

    def __init__(self, reader: ImageReader, decoded: DecodedImages | None) -> None:
        self.reader, self._decoded = reader, decoded

    def read(
        self,
        name: str,
        cells: Sequence[Cell],
        out: ByteArray,
        rows: IntArray | None,
        *,
        keep: bool = False,
    ) -> None:
        """Fill `out`, zeros until now; no image that is there is all zeros.

        Args:
            rows: (n,) numbers of the cells' rows; None: they are in no table.
            keep: hold what is decoded for the next who reads these rows.
        """
        if self._decoded is None or rows is None:
            _read(self.reader, name, cells, out, rows)
            return
        left = np.flatnonzero(~self._decoded.take(name, rows, out))
        if not len(left):
            return
        made = np.zeros((len(left), *out.shape[1:]), np.uint8)
        _read(self.reader, name, [cells[i] for i in left.tolist()], made, rows[left])
        out[left] = made
        if keep:
            self._decoded.add(name, rows[left], made)


def fit_pixels(source: PixelSource, name: str, sample: ImageSample) -> Pixels:
    """Shape, mean and deviation of a column's training images."""
    shapes = [source.reader.shape(cell, _place(name, row)) for row, cell in sample.cells]
    shape = common_shape(shapes, sample.images)
    count, total, squares = 0, np.zeros(shape.channels), np.zeros(shape.channels)
    for start in range(0, len(sample.cells), AT_ONCE):
        part = sample.cells[start : start + AT_ONCE]
        out = np.zeros((len(part), *shape), np.uint8)
        rows = np.array([row for row, _ in part])
        source.read(name, [cell for _, cell in part], out, rows, keep=True)
        values = out.astype(np.int64)
        count += len(part) * shape.height * shape.width
        total += values.sum((0, 2, 3))
        squares += (values**2).sum((0, 2, 3))
    mean = total / count
    deviation = np.sqrt(np.maximum(squares / count - mean**2, 1.0))  # of a plain color: 1
    return Pixels(shape=shape, mean=tuple(mean.tolist()), deviation=tuple(deviation.tolist()))


def common_shape(shapes: Sequence[ImageShape], images: int) -> ImageShape:
    """The shape that all images of a column get: their median area and proportions, at most
    `MOST_SIDE` for so many training images; in color where one is."""
    height = np.array([shape.height for shape in shapes], dtype=np.float64)
    width = np.array([shape.width for shape in shapes], dtype=np.float64)
    most = max(side for rows, side in MOST_SIDE.items() if images >= rows)
    stretch = float(np.clip(np.median(width / height), 1 / MOST_STRETCH, MOST_STRETCH))
    side = float(np.median(np.sqrt(height * width)))
    side = min(side, most)
    return ImageShape(
        channels=max(shape.channels for shape in shapes),
        height=_rounded(side / stretch**0.5),
        width=_rounded(side * stretch**0.5),
    )


def _rounded(side: float) -> int:
    return max(round(side), 1) if side <= 4 * STEP else STEP * round(side / STEP)


def _read(
    reader: ImageReader,
    name: str,
    cells: Sequence[Cell],
    out: ByteArray,
    rows: IntArray | None,
) -> None:
    place = partial(_place, name)
    if rows is None:  # a request to a server, say, which is to start nothing
        read_images(reader, cells, out, lambda i: place(None), workers=None)
    else:
        read_images(reader, cells, out, lambda i: place(rows[i]))
    black = ~out.any(axis=(1, 2, 3)) & np.array([cell is not None for cell in cells], dtype=bool)
    out[black] = 1


def _place(name: str, row: int | np.int64 | None) -> str:
    return f"column '{name}'" if row is None else f"column '{name}', row {row}"


def _tensor(tensor: str, column: str, pixels: Pixels) -> TensorSpec:
    channels = pixels.shape.channels
    return TensorSpec(
        name=tensor,
        kind="image",
        dtype="uint8",
        shape=tuple(pixels.shape),
        features=tuple(f"{column}[{k}]" for k in range(channels)),
        sources=(column,) * channels,
        details={"mean": list(pixels.mean), "deviation": list(pixels.deviation)},
    )


def _cells(frame: pl.LazyFrame, names: Sequence[str]) -> list[pl.Expr]:
    """Paths or bytes."""
    check_present(frame.collect_schema(), names)
    return [pl.col(name) for name in names]
