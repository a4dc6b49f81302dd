"""What is learned of the training rows in one pass: moments, a sample, category counts.

Everything is added batch by batch, so memory does not grow with the rows. Batches of one
size in one order give the same bytes.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import polars as pl

from plumbline.kinds import BoolArray, DoubleArray, IntArray

# Order statistics are exact while rows x number columns stay below this (ten million values by
# default); beyond, they come from a sample of the rows that depends on the seed and the row's
# position alone.
SAMPLE_VALUES_PER_MB = 5000
FEW_VALUES, MANY_VALUES = 50, 1000  # different values of a category
MANY_SHARE = 0.8  # of the rows, that have a value of their own
FLOAT32_MAX = float(np.finfo(np.float32).max)


@dataclass(frozen=True, kw_only=True)
class NumberSummary:
    """One number column over the training rows; missing and infinite values left out.

    `ordered` (m,) holds the sorted values of the sample, all of them where the rows fit, and
    none where nobody asked for them. The moments are exact always.
    """

    rows: int
    count: int
    mean: float
    std: float
    low: float
    high: float
    ordered: DoubleArray

    def quantile(self, q: DoubleArray | float) -> DoubleArray:
        """Quantiles by linear interpolation, as numpy's default."""
        position = np.asarray(q, dtype=np.float64) * (len(self.ordered) - 1)
        below = np.floor(position).astype(np.int64)
        above = np.minimum(below + 1, len(self.ordered) - 1)
        share = position - below
        return self.ordered[below] * (1 - share) + self.ordered[above] * share

    @property
    def median(self) -> float:
        return float(self.quantile(0.5))

    def value_counts(self) -> tuple[DoubleArray, IntArray]:
        """Different values of the sample, ascending, and how often each occurs."""
        first = np.flatnonzero(np.diff(self.ordered, prepend=np.nan) != 0)
        return self.ordered[first], np.diff(first, append=len(self.ordered))


def clean(x: DoubleArray) -> tuple[DoubleArray, BoolArray]:
    """Numbers cut to the range of float32, and where they are missing (NaN or infinite)."""
    return np.minimum(np.maximum(x, -FLOAT32_MAX), FLOAT32_MAX), ~np.isfinite(x)


def position_hash(start: int, stop: int, seed: int) -> np.ndarray[tuple[int], np.dtype[np.uint64]]:
    """A pseudo-random 64-bit number per row position (splitmix64, Steele et al. 2014)."""
    with np.errstate(over="ignore"):
        z = np.arange(start + 1, stop + 1, dtype=np.uint64) * np.uint64(0x9E3779B97F4A7C15)
        z += np.uint64((seed * 0xD1342543DE82EF95 + 0x2545F4914F6CDD1D) % 2**64)
        z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        return z ^ (z >> np.uint64(31))


class NumberSummaries:
    """Accumulates the summaries of k number columns.

    Args:
        ordered: (k,) the columns whose sorted values are wanted; None: all.
        most_values: so many are kept of these columns together, at most.
    """

    def __init__(
        self,
        k: int,
        seed: int,
        *,
        ordered: BoolArray | None = None,
        most_values: int = 2048 * SAMPLE_VALUES_PER_MB,
    ) -> None:
        self._k, self._seed = k, seed
        self._ordered = np.flatnonzero(np.ones(k, dtype=bool) if ordered is None else ordered)
        self._rows = 0
        self._count = np.zeros(k, dtype=np.int64)
        self._mean = np.zeros(k)
        self._squares = np.zeros(k)
        self._low = np.full(k, np.inf)
        self._high = np.full(k, -np.inf)
        self._sample: list[DoubleArray] = []
        self._hashes: list[np.ndarray[tuple[int], np.dtype[np.uint64]]] = []
        self._kept = 0
        self._most = max(most_values // max(len(self._ordered), 1), 1000)
        self._threshold = 2**64  # rows are kept whose hash is below

    def add(self, x: DoubleArray) -> None:
        """Add rows (n, k), NaN where missing."""
        for j in range(self._k):  # a column of a batch fits the processor's cache
            self._add_moments(j, x[:, j])
        if len(self._ordered):
            self._add_sample(x if len(self._ordered) == self._k else x[:, self._ordered])
        self._rows += len(x)

    def _add_moments(self, j: int, x: DoubleArray) -> None:
        low, high = x.min(initial=np.inf), x.max(initial=-np.inf)  # NaN if there is one
        if not (low >= -FLOAT32_MAX and high <= FLOAT32_MAX):
            x, missing = clean(x)
            x = x[~missing]
            low, high = x.min(initial=np.inf), x.max(initial=-np.inf)
        if not len(x):
            return
        mean = x.mean()
        off = x - mean
        off *= off
        # Chan, Golub and LeVeque 1979: moments of two sets joined
        before, total = self._count[j], self._count[j] + len(x)
        delta = mean - self._mean[j]
        self._mean[j] += delta * (len(x) / total)
        self._squares[j] += off.sum() + delta**2 * (before * len(x) / total)
        self._count[j] = total
        self._low[j] = min(self._low[j], low)
        self._high[j] = max(self._high[j], high)

    def _add_sample(self, x: DoubleArray) -> None:
        hashes = position_hash(self._rows, self._rows + len(x), self._seed)
        x = np.ascontiguousarray(x)  # whole rows are picked from here on
        if self._threshold < 2**64:
            keep = hashes < np.uint64(self._threshold)
            x, hashes = x[keep], hashes[keep]
        self._sample.append(x)
        self._hashes.append(hashes)
        self._kept += len(x)
        while self._kept > self._most:
            self._threshold //= 2
            keeps = [h < np.uint64(self._threshold) for h in self._hashes]
            self._sample = [s[k] for s, k in zip(self._sample, keeps, strict=True)]
            self._hashes = [h[k] for h, k in zip(self._hashes, keeps, strict=True)]
            self._kept = sum(len(s) for s in self._sample)

    def finish(self) -> list[NumberSummary]:
        """A summary per column."""
        sample = np.concatenate([np.empty((0, len(self._ordered))), *self._sample])
        values = [np.empty(0)] * self._k
        for position, j in enumerate(self._ordered):
            values[j] = sample[:, position]
        return [self._one(j, values[j]) for j in range(self._k)]

    def _one(self, j: int, values: DoubleArray) -> NumberSummary:
        count = int(self._count[j])
        return NumberSummary(
            rows=self._rows,
            count=count,
            mean=float(self._mean[j]),
            std=float(np.sqrt(self._squares[j] / max(count, 1))),
            low=float(self._low[j]),
            high=float(self._high[j]),
            ordered=pl.Series(_usable(values)).sort().to_numpy(),
        )


def _usable(values: DoubleArray) -> DoubleArray:
    cut, missing = clean(values)
    return cut[~missing]


def has_many_values(values: int, rows: int) -> bool:
    """Whether a column of so many different values in so many rows is one of codes or names."""
    return values > min(MANY_VALUES, max(FEW_VALUES, MANY_SHARE * rows))


@dataclass
class CategoryCounts:
    """Counts the values of one category column; memory grows with the different values."""

    _parts: list[pl.DataFrame] = field(default_factory=list)

    def add(self, values: pl.Series) -> None:
        """Add rows of text, null where missing."""
        self._parts.append(values.alias("value").value_counts(name="count"))
        if len(self._parts) > 1 and sum(map(len, self._parts[1:])) > 4 * len(self._parts[0]) + 1000:
            self._parts = [self._merged()]

    def _merged(self) -> pl.DataFrame:
        return pl.concat(self._parts).group_by("value").agg(pl.col("count").sum())

    def finish(self) -> tuple[pl.DataFrame, int]:
        """Columns `value`, `count`, most frequent first, then by name; and how many are missing."""
        if not self._parts:
            return pl.DataFrame(schema={"value": pl.String, "count": pl.UInt32}), 0
        merged = self._merged().sort("count", "value", descending=[True, False])
        missing = merged.filter(pl.col("value").is_null())["count"].sum()
        return merged.filter(pl.col("value").is_not_null()), int(missing)
