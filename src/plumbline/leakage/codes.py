"""How much of the target one column knows, honestly: learned on one half, asked on the other.

A column becomes codes (values, or quantile bins of a number; a missing cell has its own), and
everything follows from the table of counts per half, code and class. So a score costs one
pass over the rows, whatever the number of classes.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import polars as pl

from plumbline.kinds import DoubleArray, IntArray, TargetKind
from plumbline.tables import Schema

VALUES = 256  # a number of at most so many values is coded by value
BINS = 128  # else by at most so many quantile bins, and by value where one repeats
PER_BIN = 10  # rows per bin at least
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
    kind: TargetKind

    @classmethod
    def of(cls, frame: pl.DataFrame, schema: Schema, seed: int) -> Target:
        """The target of a frame that has row numbers; halves depend on them and the seed."""
        half = np.random.default_rng([seed, 4]).permutation(len(frame)) % 2
        return TARGETS[schema.task.spec.target](frame[schema.target], schema, half)

    def take(self, keep: IntArray) -> Target:
        return Target(
            onehot=self.onehot[keep],
            value=self.value[keep],
            half=self.half[keep],
            names=self.names,
            kind=self.kind,
        )


def _numbers(column: pl.Series, schema: Schema, half: IntArray) -> Target:
    value = column.cast(pl.Float64).to_numpy()
    rank = column.rank("average").to_numpy() / max(1, len(value))
    kind = TargetKind.NUMBERS
    return Target(onehot=rank[:, None], value=value, half=half, names=("",), kind=kind)


def _classes(column: pl.Series, schema: Schema, half: IntArray) -> Target:
    number = column.replace_strict(
        list(schema.classes), list(range(len(schema.classes))), return_dtype=pl.Int64
    ).to_numpy()
    present = np.flatnonzero(np.bincount(number, minlength=len(schema.classes)))
    return Target(
        onehot=(number[:, None] == present).astype(np.float64),
        value=number.astype(np.float64),
        half=half,
        names=tuple(schema.classes[c] for c in present),
        kind=TargetKind.CLASSES,
    )


TARGETS = {TargetKind.CLASSES: _classes, TargetKind.NUMBERS: _numbers}


@dataclass(frozen=True, kw_only=True)
class Knowledge:
    """What codes know of each class (C,). A numeric target has one entry, for its rank.

    `score`: area under the ROC curve of the class against the rest, or R². `known`: share of
    the target's entropy (or variance) that is explained on rows not learned from, ≤ 1.
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
    own = np.zeros(len(unique), dtype=np.int64)
    own[often] = 1 + np.arange(len(often))
    key = coded * (len(often) + 1) + own[inverse]  # ascending with the number, or nearly
    codes[there] = np.unique(key, return_inverse=True)[1] + 1
    return codes


def as_number(column: pl.Series) -> DoubleArray:
    """A column as numbers, NaN where missing or infinite; dates as microseconds.

    Numbers beyond ±1e100 are cut there, so that sums of squares stay finite.
    """
    if column.dtype.is_temporal():
        column = column.to_physical()
    number = column.cast(pl.Float64).fill_null(float("nan")).to_numpy()
    return np.where(np.isfinite(number), np.clip(number, -LARGE, LARGE), np.nan)


def knowledge(codes: IntArray, target: Target, *, ordered: bool = False) -> Knowledge:
    """What these codes know of the target, each half asked what the other half taught.

    Codes that are `ordered` (bins of a number) are also asked with neighbors pooled until the
    target only rises, or only falls: few rows per code then say more. The best answer counts.
    """
    classes = target.onehot.shape[1]
    codes = _bounded(codes, classes)
    size = int(codes.max()) + 1
    cells = codes * 2 + target.half
    rows = _table(cells, size, np.ones(len(cells)))
    score, known = np.zeros(classes), np.zeros(classes)
    for c in range(classes):
        hits = _table(cells, size, target.onehot[:, c])
        ways: tuple[int, ...] = (0, 1, -1) if ordered and size > 2 else (0,)
        answers = [_answer(hits, rows, way, cells, target, c) for way in ways]
        score[c], known[c] = max(answers, key=lambda answer: answer[1])
    return Knowledge(score=score, known=known)


def _table(cells: IntArray, size: int, weight: DoubleArray) -> DoubleArray:
    """Sums of the weights per code and half; (K, 2)."""
    sums: DoubleArray = np.bincount(cells, weights=weight, minlength=size * 2).astype(np.float64)
    return sums.reshape(size, 2)


def _answer(
    hits: DoubleArray, rows: DoubleArray, way: int, cells: IntArray, target: Target, c: int
) -> tuple[float, float]:
    """Score and share known of class c, codes as they are (0) or rising (1) or falling (-1)."""
    belief = np.empty_like(rows)  # (K, 2): of the rows of a half, from the other half
    for query, taught in ((0, 1), (1, 0)):
        prior = hits[:, taught].sum() / max(1, rows[:, taught].sum())
        block = _pooled(hits[:, taught], rows[:, taught], way) if way else np.arange(len(rows))
        inside = np.bincount(block, weights=hits[:, taught])
        count = np.bincount(block, weights=rows[:, taught])
        belief[:, query] = ((inside + prior) / (count + 1))[block]
    return KNOWN[target.kind](belief, hits, rows, cells, target)


def _known_of_rank(
    belief: DoubleArray, hits: DoubleArray, rows: DoubleArray, cells: IntArray, target: Target
) -> tuple[float, float]:
    rank = target.onehot[:, 0]
    spread = float(((rank - rank.mean()) ** 2).sum())
    left = float(((rank - belief.ravel()[cells]) ** 2).sum())
    known = 1 - left / spread if spread else 0.0
    return known, known


def _known_of_class(
    belief: DoubleArray, hits: DoubleArray, rows: DoubleArray, cells: IntArray, target: Target
) -> tuple[float, float]:
    negative = rows - hits
    score = [area(belief[:, h], hits[:, h], negative[:, h]) for h in (0, 1)]
    sure = np.clip(belief, 1e-6, 1 - 1e-6)
    loss = -float((hits * np.log(sure) + negative * np.log1p(-sure)).sum())
    base = float(hits.sum() / rows.sum())
    entropy = -(base * np.log(base) + (1 - base) * np.log1p(-base)) if 0 < base < 1 else 0.0
    known = 1 - loss / (entropy * float(rows.sum())) if entropy else 0.0
    return float(np.mean(score)), known


KNOWN = {TargetKind.CLASSES: _known_of_class, TargetKind.NUMBERS: _known_of_rank}


def _pooled(hits: DoubleArray, rows: DoubleArray, way: int) -> IntArray:
    """Blocks of neighboring codes between which the share of hits only rises (or falls); (K,).

    Code 0, the missing cells, is a block of its own. Codes without rows join the one before.
    """
    from scipy.optimize import isotonic_regression

    ends = 1 + np.flatnonzero(rows[1:] > 0)
    block = np.zeros(len(rows), dtype=np.int64)
    if not len(ends):
        return block
    fitted = isotonic_regression(hits[ends] / rows[ends], weights=rows[ends], increasing=way > 0)
    starts = ends[fitted.blocks[:-1]]
    starts[0] = 1
    block[starts] = 1
    return np.cumsum(block)


def _bounded(codes: IntArray, classes: int) -> IntArray:
    """Codes seen once share one where the table would be too large."""
    count = np.bincount(codes)
    if len(count) * classes <= MAX_CELLS:
        return codes
    order = np.argsort(-count)[: MAX_CELLS // classes - 1]
    renamed = np.zeros(len(count), dtype=np.int64)
    renamed[order] = 1 + np.arange(len(order))
    return renamed[codes]


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
