"""Encoders: a category's code -> an embedded code, or a row of a table of numbers.

A vocabulary gives the values kept codes 1 .. K, most frequent first; 0 is every other value
and the missing one. An encoder that makes numbers is a table (K + 1, w) indexed by code.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import polars as pl

from plumbline.kinds import BoolArray, DoubleArray, IntArray
from plumbline.preprocessing.summary import NumberSummary

ROUNDING = 4 * np.finfo(np.float64).eps  # of a few additions, relative
ROWS_PER_VALUE = 10  # a number of few values repeats each at least so often on average


def vocabulary(counts: pl.DataFrame, *, most: int, min_count: int) -> pl.DataFrame:
    """The rows of `value`, `count` that get a code of their own (code = position + 1)."""
    return counts.filter(pl.col("count") >= min_count).head(most)


def number_vocabulary(
    summary: NumberSummary, *, few: int, mode_share: float, most: int, min_count: int
) -> DoubleArray | None:
    """Values of a number column that are embedded as a category too, or None.

    A column qualifies with at least three values in the training rows, of which there are
    few (at most `few`, and each repeated ten times on average), or one makes up more than
    `mode_share` of the rows. Values seen once share code 0: they say nothing on their own.
    """
    values, counts = summary.value_counts()
    if len(values) < 3:
        return None
    is_few = len(values) <= few and len(summary.ordered) >= ROWS_PER_VALUE * len(values)
    if not (is_few or counts.max() > mode_share * len(summary.ordered)):
        return None
    keep = counts >= max(min_count, 2)
    order = np.lexsort((values[keep], -counts[keep]))[:most]
    selected: DoubleArray = values[keep][order]
    return selected


@dataclass(frozen=True, kw_only=True)
class CodeSums:
    """Per code, over training rows: how many, and the sum of the target.

    Shapes, with F folds, K + 1 codes and T target columns: `count` (F, K + 1), `target`
    (F, K + 1, T).
    """

    count: IntArray
    target: DoubleArray


def add_code_sums(sums: CodeSums, code: IntArray, fold: IntArray, target: DoubleArray) -> None:
    """Add rows (n,), (n,), (n, T) to the sums in place."""
    folds, codes = sums.count.shape
    flat = fold * codes + code
    sums.count[...] += np.bincount(flat, minlength=folds * codes).reshape(folds, codes)
    for t in range(target.shape[1]):
        added = np.bincount(flat, weights=target[:, t], minlength=folds * codes)
        sums.target[..., t] += added.reshape(folds, codes)


def target_means(count: IntArray, target: DoubleArray, smoothing: float) -> DoubleArray:
    """(K + 1,), (K + 1, T) sums -> (K + 1, T) means, drawn to the overall mean.

    Micci-Barreca 2001: `smoothing` rows of the overall mean are added to every code.
    """
    prior = target.sum(axis=0) / max(int(count.sum()), 1)
    means: DoubleArray = (target + smoothing * prior) / (count[:, None] + smoothing)
    return means


def onehot_table(codes: int) -> DoubleArray:
    """(K + 1, K): code k is 1 in column k - 1; code 0 is 0 everywhere."""
    return np.eye(codes, codes - 1, -1)


def frequency_table(count: IntArray) -> DoubleArray:
    """(K + 1, 1): share of the training rows; 0 for the unknown."""
    share = count / max(int(count.sum()), 1)
    share[0] = 0.0
    return share[:, None]


def standardize(table: DoubleArray, count: IntArray) -> tuple[DoubleArray, DoubleArray]:
    """Mean and deviation (w,) of a table's columns over the training rows."""
    weight = count / max(int(count.sum()), 1)
    mean = weight @ table
    spread = np.sqrt(weight @ np.square(table - mean))
    return mean, np.where(spread > 1e-12, spread, 1.0)


@dataclass(frozen=True, kw_only=True)
class EncoderInput:
    """What an encoder may learn from. `sums` has the whole of the training rows, F = 1."""

    count: IntArray  # (K + 1,)
    sums: CodeSums | None
    smoothing: float


def _ordinal(given: EncoderInput) -> None:
    return None


def _onehot(given: EncoderInput) -> DoubleArray:
    return onehot_table(len(given.count))


def _target_mean(given: EncoderInput) -> DoubleArray:
    assert given.sums is not None
    sums = given.sums
    return target_means(sums.count.sum(axis=0), sums.target.sum(axis=0), given.smoothing)


def _frequency(given: EncoderInput) -> DoubleArray:
    return frequency_table(given.count)


# None: the code itself is embedded; else a table of numbers by code
ENCODERS: dict[str, Callable[[EncoderInput], DoubleArray | None]] = {
    "ordinal": _ordinal,
    "onehot": _onehot,
    "target_mean": _target_mean,
    "frequency": _frequency,
}


def lookup(x: DoubleArray, ordered: DoubleArray, codes: IntArray) -> IntArray:
    """Codes of numbers (n,): `codes[i]` where x is `ordered[i]`, else 0."""
    place = find_numbers(x, ordered)
    return np.where(place >= 0, codes[place], 0)


def find_numbers(x: DoubleArray, ordered: DoubleArray) -> IntArray:
    """Places of numbers (n,) among ascending ones (k,); -1 where they are none of them.

    0.1 + 0.2 is 0.3, and so is 0.3 of float32: a number that is not among them is the nearest one,
    where they differ by arithmetic or by the width of their type alone. Two whole numbers are the
    same only where they are equal.
    """
    place = np.minimum(np.searchsorted(ordered, x), len(ordered) - 1)
    others = np.flatnonzero(ordered[place] != x)
    if len(others):
        right, number = place[others], x[others]
        left = np.maximum(right - 1, 0)
        nearer = np.abs(number - ordered[left]) < np.abs(ordered[right] - number)
        nearest = np.where(nearer, left, right)
        place[others] = np.where(_is_same(number, ordered[nearest]), nearest, -1)
    return place


def _is_same(x: DoubleArray, known: DoubleArray) -> BoolArray:
    """Whether numbers (n,), of which none are equal, differ in their last digits alone."""
    whole, whole_known = x == np.rint(x), known == np.rint(known)
    close = np.abs(x - known) <= ROUNDING * np.abs(known)
    with np.errstate(over="ignore", invalid="ignore"):
        narrow, narrow_known = x.astype(np.float32), known.astype(np.float32)
    widened = (narrow == narrow_known) & ((narrow == x) | (narrow_known == known))
    same: BoolArray = (close & ~(whole & whole_known)) | (widened & ~(whole | whole_known))
    return same
