"""How unlike the training rows a row is: out_of_distribution.json of a version.

score = distance / unit + excess. The distance is that of the network's features, its unit the
distance that 99 % of the training rows keep; the excess is the sum over the columns of how far a
cell is outside of what training rows have. A row is flagged where its score is above the threshold.
n rows, D features.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Self

import numpy as np
import polars as pl

from plumbline.errors import DataError
from plumbline.files import read_json, write_json
from plumbline.inference.column_ranges import ColumnRanges
from plumbline.inference.feature_distances import DISTANCES, Distances
from plumbline.kinds import Cells, DoubleArray, FloatArray

FILE = "out_of_distribution.json"
FORMAT = 1
SCORE, FLAG = "out_of_distribution_score", "out_of_distribution"  # columns of predictions


@dataclass(frozen=True, kw_only=True)
class OutOfDistribution:
    """What is known of the training rows. All but the threshold is fitted on them alone.

    Attributes:
        method: a key of `DISTANCES`.
        arrays: what the method needs.
        unit: the distance that counts as 1.
        ranges: of the columns that the model reads.
        share: of the validation rows that the threshold leaves above it, at most.
        threshold: None: there was no validation row.
    """

    method: str
    arrays: Mapping[str, FloatArray]
    unit: float
    ranges: ColumnRanges
    share: float
    threshold: float | None = None

    def distances(self, features: FloatArray) -> DoubleArray:
        """(n, D) features to (n,) distances, in units."""
        return self._distances(features) / self.unit

    @cached_property
    def _distances(self) -> Distances:
        return DISTANCES[self.method](self.arrays)

    def scores(self, distances: DoubleArray, frame: pl.DataFrame) -> DoubleArray:
        """(n,) scores of rows.

        Args:
            distances: (n,), of their features.
            frame: their typed cells.
        """
        if not self.ranges.columns:
            return distances
        scores: DoubleArray = distances + self.ranges.excesses(frame).sum(axis=1)
        return scores

    def scores_of(self, distances: DoubleArray, cells: Cells) -> DoubleArray:
        """As `scores`, of the cells of few rows by column."""
        if not self.ranges.columns:
            return distances
        scores: DoubleArray = distances + self.ranges.excesses_of(cells).sum(axis=1)
        return scores

    def columns(self, scores: DoubleArray) -> dict[str, pl.Series]:
        """Score and flag of each row; the flag is null where there is no threshold."""
        flags = pl.Series([None] * len(scores), dtype=pl.Boolean)
        if self.threshold is not None:
            flags = pl.Series(scores > self.threshold, dtype=pl.Boolean)
        return {SCORE: pl.Series(scores, dtype=pl.Float64), FLAG: flags}

    def to_json(self) -> dict[str, Any]:
        return {
            "format": FORMAT,
            "method": self.method,
            "share": self.share,
            "threshold": self.threshold,
            "unit": self.unit,
            "columns": self.ranges.to_json(),
            "arrays": {name: _packed(array) for name, array in self.arrays.items()},
        }

    def write(self, folder: Path) -> None:
        """Write out_of_distribution.json into a folder."""
        write_json(folder / FILE, self.to_json())

    @classmethod
    def read(cls, folder: Path) -> Self:
        """Read out_of_distribution.json of a folder.

        Raises:
            OSError, ValueError, KeyError, TypeError: it is not there, or is not what `write` wrote.
            DataError: its method or format is not known here.
        """
        state = read_json(folder / FILE)
        if state["format"] != FORMAT or state["method"] not in DISTANCES:
            raise DataError(
                "out-of-distribution scores are made in a way that this version does not know",
                file=FILE,
                wanted=f"format {FORMAT}, method {', '.join(DISTANCES)}",
                got=f"format {state['format']}, method {state['method']}",
                hint="use the version of plumbline that registered the model, or a newer one",
            )
        threshold = state["threshold"]
        return cls(
            method=state["method"],
            arrays={name: _unpacked(array) for name, array in state["arrays"].items()},
            unit=float(state["unit"]),
            ranges=ColumnRanges.from_json(state["columns"]),
            share=float(state["share"]),
            threshold=None if threshold is None else float(threshold),
        )


def _packed(array: FloatArray) -> dict[str, Any]:
    """An array as JSON holds it: little-endian float32, in base64."""
    content = base64.b64encode(np.ascontiguousarray(array, dtype="<f4").tobytes())
    return {"shape": list(array.shape), "float32": content.decode()}


def _unpacked(state: Mapping[str, Any]) -> FloatArray:
    flat = np.frombuffer(base64.b64decode(state["float32"]), dtype="<f4")
    return flat.astype(np.float32).reshape(state["shape"])
