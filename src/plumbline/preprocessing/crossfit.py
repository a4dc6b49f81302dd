"""Target means inside the training rows: a row's value never saw the row's own target."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import polars as pl

from plumbline.kinds import DoubleArray, IntArray
from plumbline.preprocessing.columns import CategoryState
from plumbline.preprocessing.encode import CodeSums, add_code_sums, target_means
from plumbline.preprocessing.frames import named
from plumbline.preprocessing.summary import position_hash
from plumbline.preprocessing.table_reader import code_expression, read_targets
from plumbline.tables import Schema, batches


class CrossFit:
    """Sums of the target per category code and fold of the training rows.

    A row's fold comes from the seed and its position among the training rows alone.
    `batch_rows`: so many are read at once.
    """

    def __init__(self, *, folds: int, seed: int, batch_rows: int) -> None:
        self.folds, self.seed, self.batch_rows = folds, seed, batch_rows
        self.sums: dict[int, CodeSums] = {}  # by position of the category column
        self._tables: dict[int, DoubleArray] = {}

    def learn(
        self,
        frame: pl.LazyFrame,
        schema: Schema,
        categories: Mapping[int, CategoryState],
        rows: IntArray | None,
    ) -> None:
        """Add up the target over the training rows, once for every code and fold.

        A classification target counts as one 0/1 column per class but the first.
        """
        classes = len(schema.classes)
        width = max(classes - 1, 1)
        for j, state in categories.items():
            shape = (self.folds, state.codes)
            self.sums[j] = CodeSums(
                count=np.zeros(shape, dtype=np.int64), target=np.zeros((*shape, width))
            )
        codes = [code_expression(state) for state in categories.values()]
        start = 0
        for batch in batches(frame.select(*codes, pl.col(schema.target)), self.batch_rows):
            stop = start + len(batch)
            y = read_targets(batch[schema.target], schema, named(rows, start, len(batch)))
            columns = y[:, None] == np.arange(1, classes) if classes else y[:, None]
            fold = self.fold(start, stop)
            for j, state in categories.items():
                code = batch[state.source].to_numpy()
                add_code_sums(self.sums[j], code, fold, columns.astype(np.float64))
            start = stop

    def fold(self, start: int, stop: int) -> IntArray:
        """Folds of the training rows start .. stop - 1, by position and seed."""
        hashes = position_hash(start, stop, self.seed + 1)
        return (hashes % np.uint64(self.folds)).astype(np.int64)

    def set_out_of_fold(
        self, j: int, smoothing: float, mean: DoubleArray, spread: DoubleArray
    ) -> None:
        sums = self.sums[j]
        count, target = sums.count.sum(axis=0), sums.target.sum(axis=0)
        self._tables[j] = np.stack(
            [
                (target_means(count - sums.count[f], target - sums.target[f], smoothing) - mean)
                / spread
                for f in range(self.folds)
            ]
        )

    def out_of_fold(
        self, fold: IntArray, j: int, code: IntArray, values: DoubleArray
    ) -> DoubleArray:
        """Out-of-fold values where fold >= 0, else the values given (n, w)."""
        if j not in self._tables:
            return values
        return np.where((fold >= 0)[:, None], self._tables[j][fold, code], values)
