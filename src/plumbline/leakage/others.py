"""What the other columns know together: the measure of whether one column knows too much."""

from __future__ import annotations

import numpy as np
import polars as pl

from plumbline.kinds import BoolArray, DoubleArray, IntArray
from plumbline.leakage.codes import as_number, encode

ROUNDS = 60  # boosting rounds; enough to see what is there to be known
THREADED_CELLS = 1_000_000  # fewer are boosted by one thread
RANKS, PER_RANK = 400, 5  # bins of a belief, rows per bin at least


def matrix(frame: pl.DataFrame, names: tuple[str, ...]) -> DoubleArray:
    """Columns as numbers for trees: numbers as they are, others by code; (n, d), NaN missing."""
    columns = []
    for name in names:
        column = frame[name]
        if column.dtype == pl.String:
            code = encode(column).astype(np.float64)
            columns.append(np.where(code == 0, np.nan, np.minimum(code, 10_000)))
        else:
            columns.append(as_number(column))
    return np.column_stack(columns) if columns else np.zeros((len(frame), 0))


def boosted(x: DoubleArray, y: DoubleArray, half: IntArray, *, numeric: bool) -> DoubleArray:
    """Beliefs of gradient-boosted trees in y, each half by trees fitted on the other; (n,).

    `y`: 0 or 1, or a number. Without columns the belief is the mean.
    """
    from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor
    from threadpoolctl import threadpool_limits

    belief = np.full(len(y), y.mean())
    for query in (0, 1):
        taught = half != query
        varies = _varies(x[taught])  # a column of one value stops scikit-learn's binning
        if len(np.unique(y[taught])) < 2 or not varies.any():
            continue
        known, query_rows = x[np.ix_(taught, varies)], x[np.ix_(~taught, varies)]
        settings = {
            "max_iter": ROUNDS,
            "learning_rate": 0.1,
            "early_stopping": False,
            "random_state": 0,
            "min_samples_leaf": 5,
        }
        # threads that wait for each other cost more than small trees
        with threadpool_limits(1 if x.size < THREADED_CELLS else None):
            if numeric:
                model = HistGradientBoostingRegressor(**settings).fit(known, y[taught])
                belief[~taught] = model.predict(query_rows)
            else:
                model = HistGradientBoostingClassifier(**settings).fit(known, y[taught] > 0.5)
                belief[~taught] = model.predict_proba(query_rows)[:, 1]
    return belief


def _varies(x: DoubleArray) -> BoolArray:
    """Columns with two different numbers; (d,)."""
    there = np.isfinite(x)
    low = np.where(there, x, np.inf).min(axis=0, initial=np.inf)
    high = np.where(there, x, -np.inf).max(axis=0, initial=-np.inf)
    varies: BoolArray = low < high
    return varies


def linear(x: DoubleArray, y: DoubleArray, half: IntArray) -> DoubleArray:
    """Beliefs of ridge regression in y, each half by the line fitted on the other; (n,)."""
    belief = np.full(len(y), y.mean())
    for query in (0, 1):
        taught = half != query
        there = np.isfinite(x)
        many = np.maximum(there[taught].sum(axis=0), 1)
        mean = np.where(there, x, 0)[taught].sum(axis=0) / many
        centered = np.where(there, x - mean, 0)
        spread = np.sqrt((centered[taught] ** 2).mean(axis=0))
        z = np.clip(centered / np.where(spread > 0, spread, 1), -10, 10)
        a, level = z[taught], y[taught].mean() if taught.any() else 0.0
        weights = np.linalg.solve(a.T @ a + np.eye(x.shape[1]), a.T @ (y[taught] - level))
        belief[~taught] = level + z[~taught] @ weights
    return belief


def ranked(belief: DoubleArray, half: IntArray) -> IntArray:
    """Codes from 1 on of a belief by its rank within its half: the two models need not agree."""
    codes = np.zeros(len(belief), dtype=np.int64)
    for one in (0, 1):
        mine = half == one
        rank = pl.Series(belief[mine]).rank("average").to_numpy()
        bins = max(2, min(RANKS, int(mine.sum()) // PER_RANK))
        codes[mine] = np.minimum((rank - 0.5) / max(1, len(rank)) * bins, bins - 1).astype(int) + 1
    return codes


def outright(belief: DoubleArray, y: DoubleArray, *, numeric: bool) -> float:
    """Share of the entropy of a class, or of the variance of a number, that a belief explains.

    Taken at its word, a belief is not limited by the number of ranks it is cut into.
    """
    if numeric:
        return 1 - float(((y - belief) ** 2).sum() / max(1e-300, ((y - y.mean()) ** 2).sum()))
    sure, base = np.clip(belief, 1e-3, 1 - 1e-3), float(np.clip(y.mean(), 1e-6, 1 - 1e-6))
    left = float(-(y * np.log(sure) + (1 - y) * np.log1p(-sure)).mean())
    entropy = float(-(base * np.log(base) + (1 - base) * np.log1p(-base)))
    return 1 - left / entropy
