"""Pixels that were decoded before, so that no image of a table is decoded twice to one size."""

from __future__ import annotations

import numpy as np

from plumbline.examples import Examples, InputSpec
from plumbline.images import ImageShape
from plumbline.kinds import BoolArray, ByteArray, IntArray


class DecodedImages:
    """The pixels of some rows of one table, by column and size.

    Holds references to arrays, in memory or mapped.
    """

    def __init__(self) -> None:
        self._pieces: dict[tuple[str, ImageShape], list[tuple[IntArray, ByteArray]]] = {}

    def add(self, column: str, rows: IntArray, pixels: ByteArray) -> None:
        """Hold the pixels (n, c, h, w) of rows, whose numbers in the table ascend (n,)."""
        assert len(rows) == len(pixels) and (np.diff(rows) > 0).all()
        self._pieces.setdefault((column, _shape(pixels)), []).append((rows, pixels))

    def add_examples(self, examples: Examples, spec: InputSpec) -> None:
        """Hold what the examples have of every image column."""
        for tensor in spec.of_kind("image"):
            self.add(tensor.sources[0], examples.rows, examples.inputs[tensor.name])

    def take(self, column: str, rows: IntArray, out: ByteArray) -> BoolArray:
        """Fill `out` (n, c, h, w) where the pixels of a row in that size are here: (n,) says where.

        Missing images are zeros there, as they are in what was added.
        """
        known = np.zeros(len(rows), dtype=bool)
        for own, pixels in self._pieces.get((column, _shape(out)), ()):
            if not len(own):
                continue
            wanted = np.flatnonzero(~known)
            place = np.minimum(np.searchsorted(own, rows[wanted]), len(own) - 1)
            there = own[place] == rows[wanted]
            out[wanted[there]] = pixels[place[there]]
            known[wanted[there]] = True
            if known.all():
                break
        return known


def _shape(pixels: ByteArray) -> ImageShape:
    _, channels, height, width = pixels.shape
    return ImageShape(channels=channels, height=height, width=width)
