"""The population stability index: how far one sample's distribution is from another's.

psi = Σ (a - b) · ln(a / b) over bins, with a and b the shares of the two samples in each bin; below
0.1 little, above 0.25 much has moved (Siddiqi, Credit Risk Scorecards, 2006). Bins are deciles of
the first sample, or the most frequent values; the others are one bin together. Of a thousand
postal codes each sample has others, and each would count as one that came or went.
"""

from __future__ import annotations

import numpy as np
import polars as pl

from plumbline.kinds import DoubleArray, IntArray

BINS = 10
FLOOR = 1e-4  # share of an empty bin
VALUES = 20  # bins of a column of values
RARE, FEW = 0.01, 5  # share in either sample, rows of both, below which a value has no bin
MUCH, LITTLE = 0.25, 0.1


def psi(before: pl.Series, after: pl.Series) -> float:
    """The index between two columns of one type; a missing cell is a bin of its own.

    Shapes: (n,), (m,). 0 where one of them is empty.
    """
    if len(before) == 0 or len(after) == 0:
        return 0.0
    if before.dtype.is_temporal():
        before, after = before.to_physical(), after.to_physical()
    if before.dtype.is_numeric():
        known = before.drop_nulls().cast(pl.Float64).to_numpy()
        if not len(known):
            return 0.0 if after.is_null().all() else 1.0
        edges = np.unique(np.quantile(known, np.linspace(0, 1, BINS + 1)[1:-1]))
        a, b = (_binned(column, edges) for column in (before, after))
    else:
        values = pl.concat([before, after]).cast(pl.String).fill_null("\0").rank("dense")
        codes = values.cast(pl.Int64).to_numpy() - 1
        size = int(codes.max()) + 1
        a = np.bincount(codes[: len(before)], minlength=size)
        b = np.bincount(codes[len(before) :], minlength=size)
        share = np.maximum(a / a.sum(), b / b.sum())
        rare = (share < RARE) | (a + b < FEW)
        rare[np.argsort(-share, kind="stable")[VALUES:]] = True
        a, b = (np.append(counts[~rare], counts[rare].sum()) for counts in (a, b))
    p = np.maximum(a / a.sum(), FLOOR)
    q = np.maximum(b / b.sum(), FLOOR)
    return float(((p - q) * np.log(p / q)).sum())


def _binned(column: pl.Series, edges: DoubleArray) -> IntArray:
    known = column.drop_nulls().cast(pl.Float64).to_numpy()
    counts = np.bincount(np.searchsorted(edges, known, side="right"), minlength=len(edges) + 1)
    return np.append(counts, column.null_count())
