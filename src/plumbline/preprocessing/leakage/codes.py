"""How much of the target one column knows, honestly: learnt on one half, asked on the other.

A column becomes codes (values, or quantile bins of a number; a missing cell has its own), and
everything follows from the table of counts per half, code and class. So a score costs one
pass over the rows, whatever the number of classes.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import polars as pl

from plumbline.kinds import DoubleArray, IntArray, Task
from plumbline.tables import Schema

VALUES = 256  # a number of at most so many values is coded by value
BINS = 128  # else by at most so many quantile bins, and by value where one repeats
PER_BIN = 20  # rows per bin at least
REPEATED = 0.005  # share of rows from which a repeated value of a number has its own code
LARGE = 1e100
MAX_CELLS = 2_000_000  # of the table codes x classes; rarer codes share one beyond it


@dataclass(frozen=True, kw_only=True)
class Target:
    """The target of sampled rows, as what there is to be known about it.

    `onehot` (n, C): per class whether the row is of it; a numeric target has one column,
    its rank scaled to [0, 1]. `value` (n,): the number, or the class number.
    """

    onehot: DoubleArray
    value: DoubleArray
    half: IntArray  # (n,) 0 or 1
    names: tuple[str, ...]
    task: Task

    @classmethod
    def of(cls, frame: pl.DataFrame, schema: Schema, seed: int) -> Target:
        """The target of a frame that has row numbers; halves depend on them and the seed."""
        half = np.random.default_rng([seed, 4]).permutation(len(frame)) % 2
        column = frame[schema.target]
        if schema.task is Task.REGRESSION:
            value = column.cast(pl.Float64).to_numpy()
            rank = column.rank("average").to_numpy() / max(1, len(value))
            return cls(onehot=rank[:, None], value=value, half=half, names=("",), task=schema.task)
        number = column.replace_strict(
            list(schema.classes), list(range(len(schema.classes))), return_dtype=pl.Int64
        ).to_numpy()
        present = np.flatnonzero(np.bincount(number, minlength=len(schema.classes)))
        return cls(
            onehot=(number[:, None] == present).astype(np.float64),
            value=number.astype(np.float64),
            half=half,
            names=tuple(schema.classes[c] for c in present),
            task=schema.task,
        )

    def take(self, keep: IntArray) -> Target:
        return Target(
            onehot=self.onehot[keep],
            value=self.value[keep],
            half=self.half[keep],
            names=self.names,
            task=self.task,
        )


@dataclass(frozen=True, kw_only=True)
class Knowledge:
    """What codes know of each class (C,). Regression has one entry, for the target's rank.

    `score`: area under the ROC curve of the class against the rest, or R². `known`: share of
    the target's entropy (or variance) that is explained on rows not learnt from, ≤ 1.
    """

    score: DoubleArray
    known: DoubleArray


def encode(column: pl.Series, *, bins: int = BINS, values: int = VALUES) -> IntArray:
    """Codes 0 … K-1 of a column, 0 for a missing cell; shape (n,)."""
    if column.dtype == pl.String:
        return column.rank("dense").fill_null(0).cast(pl.Int64).to_numpy()
    number = as_number(column)
    there = np.isfinite(number)
    known = number[there]
    codes = np.zeros(len(number), dtype=np.int64)
    if not len(known):
        return codes
    unique, inverse, count = np.unique(known, return_inverse=True, return_counts=True)
    if len(unique) <= min(values, len(known) // PER_BIN):
        codes[there] = inverse + 1
        return codes
    bins = max(2, min(bins, len(known) // PER_BIN))
    edges = np.unique(np.quantile(known, np.linspace(0, 1, bins + 1)[1:-1]))
    coded = np.searchsorted(edges, known, side="right")
    often = np.flatnonzero(count > max(2, REPEATED * len(known)))
    own = np.full(len(unique), -1)
    own[often] = len(edges) + 1 + np.arange(len(often))
    codes[there] = np.where(own[inverse] >= 0, own[inverse], coded) + 1
    return codes


def as_number(column: pl.Series) -> DoubleArray:
    """A column as numbers, NaN where missing or infinite; dates as microseconds.

    Numbers beyond ±1e100 are cut there, so that sums of squares stay finite.
    """
    if column.dtype.is_temporal():
        column = column.to_physical()
    number = column.cast(pl.Float64).fill_null(float("nan")).to_numpy()
    return np.where(np.isfinite(number), np.clip(number, -LARGE, LARGE), np.nan)


def knowledge(codes: IntArray, target: Target) -> Knowledge:
    """What these codes know of the target, each half asked what the other half taught."""
    classes = target.onehot.shape[1]
    codes = _bounded(codes, classes)
    size = int(codes.max()) + 1
    if target.task is Task.REGRESSION:
        return _explained(codes, size, target)
    cells = codes * 2 + target.half
    rows: DoubleArray = np.bincount(cells, minlength=size * 2).reshape(size, 2).astype(np.float64)
    hits: DoubleArray = np.stack(
        [
            np.bincount(cells, weights=target.onehot[:, c], minlength=size * 2).reshape(size, 2)
            for c in range(classes)
        ]
    )  # (C, K, 2)
    score, known = np.zeros(classes), np.zeros(classes)
    for c in range(classes):
        areas, loss = [], 0.0
        for asked, taught in ((0, 1), (1, 0)):
            prior = hits[c, :, taught].sum() / max(1, rows[:, taught].sum())
            belief = (hits[c, :, taught] + prior) / (rows[:, taught] + 1)
            positive = hits[c, :, asked]
            negative = rows[:, asked] - positive
            areas.append(area(belief, positive, negative))
            belief = np.clip(belief, 1e-6, 1 - 1e-6)
            loss -= float(positive @ np.log(belief) + negative @ np.log1p(-belief))
        base = target.onehot[:, c].mean()
        entropy = -(base * np.log(base) + (1 - base) * np.log1p(-base)) if 0 < base < 1 else 0.0
        score[c] = float(np.mean(areas))
        known[c] = 1 - loss / (entropy * len(codes)) if entropy else 0.0
    return Knowledge(score=score, known=known)


def _bounded(codes: IntArray, classes: int) -> IntArray:
    """Codes seen once share one where the table would be too large."""
    count = np.bincount(codes)
    if len(count) * classes <= MAX_CELLS:
        return codes
    order = np.argsort(-count)[: MAX_CELLS // classes - 1]
    renamed = np.zeros(len(count), dtype=np.int64)
    renamed[order] = 1 + np.arange(len(order))
    return renamed[codes]


def _explained(codes: IntArray, size: int, target: Target) -> Knowledge:
    """R² of the rank by the mean of each code, learnt on the other half."""
    rank = target.onehot[:, 0]
    belief = np.empty(len(rank))
    for asked in (0, 1):
        taught = target.half != asked
        count = np.bincount(codes[taught], minlength=size)
        mean = rank[taught].mean()
        level = (np.bincount(codes[taught], weights=rank[taught], minlength=size) + mean) / (
            count + 1
        )
        belief[~taught] = level[codes[~taught]]
    spread = float(((rank - rank.mean()) ** 2).sum())
    explained = 1 - float(((rank - belief) ** 2).sum()) / spread if spread else 0.0
    return Knowledge(score=np.array([explained]), known=np.array([explained]))


def area(score: DoubleArray, positive: DoubleArray, negative: DoubleArray) -> float:
    """Area under the ROC curve from counts per score; ties count half; 0.5 without both."""
    pairs = float(positive.sum()) * float(negative.sum())
    if not pairs:
        return 0.5
    order = np.argsort(score, kind="stable")
    score, positive, negative = score[order], positive[order], negative[order]
    start = np.flatnonzero(np.diff(score, prepend=-np.inf))
    positive, negative = np.add.reduceat(positive, start), np.add.reduceat(negative, start)
    below = np.cumsum(negative) - negative
    return float((positive * (below + negative / 2)).sum()) / pairs
