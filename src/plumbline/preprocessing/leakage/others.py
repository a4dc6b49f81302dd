"""What the other columns know together: the measure of whether one column knows too much."""

from __future__ import annotations

import numpy as np
import polars as pl

from plumbline.kinds import DoubleArray, IntArray, Task
from plumbline.preprocessing.leakage.codes import Target, as_number, encode

ROUNDS = 60  # boosting rounds; enough to see what is there to be known
THREADED_CELLS = 1_000_000  # fewer are boosted by one thread
RANKS, PER_RANK = 100, 20  # bins of a belief, rows per bin at least


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
    if not x.shape[1]:
        return belief
    for asked in (0, 1):
        taught = half != asked
        if len(np.unique(y[taught])) < 2:
            continue
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
                model = HistGradientBoostingRegressor(**settings).fit(x[taught], y[taught])
                belief[~taught] = model.predict(x[~taught])
            else:
                model = HistGradientBoostingClassifier(**settings).fit(x[taught], y[taught] > 0.5)
                belief[~taught] = model.predict_proba(x[~taught])[:, 1]
    return belief


def others_belief(x: DoubleArray, target: Target, c: int, without: IntArray) -> DoubleArray:
    """What all columns but these believe of class c (or of the rank of a numeric target)."""
    keep = np.setdiff1d(np.arange(x.shape[1]), without)
    numeric = target.task is Task.REGRESSION
    return boosted(x[:, keep], target.onehot[:, c], target.half, numeric=numeric)


def ranked(belief: DoubleArray, half: IntArray) -> IntArray:
    """Codes of a belief by its rank within its half: the two models need not agree on scale."""
    codes = np.zeros(len(belief), dtype=np.int64)
    for one in (0, 1):
        mine = half == one
        rank = pl.Series(belief[mine]).rank("average").to_numpy()
        bins = max(2, min(RANKS, int(mine.sum()) // PER_RANK))
        codes[mine] = np.minimum((rank - 0.5) / max(1, len(rank)) * bins, bins - 1).astype(int)
    return codes
