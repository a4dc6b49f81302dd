"""Fitting and measuring the out-of-distribution score.

n rows, D features, R directions. Everything but the threshold is fitted on training rows alone.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray
from sklearn.metrics import roc_auc_score

from plumbline.examples import Inputs, InputSpec
from plumbline.inference.column_ranges import (
    MOST_VALUES,
    RANGED,
    ColumnRange,
    ColumnRanges,
    as_numbers,
    numbers_of,
    surprise,
)
from plumbline.inference.feature_distances import DISTANCES, Arrays, bounded, whitening
from plumbline.kinds import ColumnType, DoubleArray, FloatArray, IntArray
from plumbline.tables import Column

MOST_ROWS = 5000  # training rows whose features are fitted on
MOST_DIRECTIONS = 64
MOST_CLASSES = 100  # of more, the mean of all rows is taken
MOST_REFERENCES = 500  # rows that the nearest are taken of
LEAST_VARIANCE = 1e-4  # of a direction, as a share of the largest
ROUNDING = 1e-4  # of a feature, in units of their size; float32 has 1e-7
LEAST_UNIT = 1e-3  # standard deviations
UNIT_SHARE = 0.99  # of training rows keep a distance of 1
MARGIN = 1e-5  # of a threshold, relative: above what rounding makes of a score
AUTO = "neighbors"
MOST_CHARACTERS = 80  # of a cell that is shown


def sample_rows(rows: int, seed: int) -> IntArray:
    """Positions, ascending, of the training rows whose features are fitted on."""
    if rows <= MOST_ROWS:
        return np.arange(rows)
    return np.sort(np.random.default_rng(seed).choice(rows, MOST_ROWS, replace=False))


def fit_distance(
    method: str, features: FloatArray, classes: IntArray | None, seed: int
) -> tuple[Arrays, float]:
    """The arrays of a method of `DISTANCES`, and the unit of its distances.

    Args:
        features: (n, D) of training rows, n > 0.
        classes: (n,) class numbers; None for values.
    """
    arrays = FITS[method](features, classes, seed)
    distances = DISTANCES[method](arrays)(features)
    return arrays, max(float(np.quantile(distances, UNIT_SHARE)), LEAST_UNIT)


def _directions(values: DoubleArray, within: DoubleArray) -> dict[str, FloatArray]:
    """The mean of values (n, D), and the main directions and deviations of what is within."""
    _, singular, right = np.linalg.svd(within, full_matrices=False)
    variance = np.square(singular) / len(within)
    # less than that is rounding, or varies too little to be known
    least = max(
        LEAST_VARIANCE * float(variance.max(initial=0.0)),
        ROUNDING**2 * float(np.square(values).sum(axis=1).mean()),
        float(np.finfo(np.float32).tiny),
    )
    kept = min(MOST_DIRECTIONS, int((variance > least).sum()))
    rest = max(float(variance[kept:].sum()), least)
    return {
        "mean": values.mean(axis=0).astype(np.float32),
        "basis": right[:kept].T.astype(np.float32),
        "spread": np.sqrt(variance[:kept]).astype(np.float32),
        "rest": np.array([np.sqrt(rest)], dtype=np.float32),
    }


def _mahalanobis(features: FloatArray, classes: IntArray | None, seed: int) -> Arrays:
    values = bounded(features)
    place, counts = np.zeros(len(values), dtype=np.int64), np.array([len(values)])
    if classes is not None:
        _, numbers, of_class = np.unique(classes, return_inverse=True, return_counts=True)
        if len(of_class) <= MOST_CLASSES:
            place, counts = numbers, of_class
    means = np.zeros((len(counts), values.shape[1]))
    np.add.at(means, place, values)
    means /= counts[:, None]
    arrays = _directions(values, values - means[place])
    return {**arrays, "centers": (means - arrays["mean"]).astype(np.float32)}


def _neighbors(features: FloatArray, classes: IntArray | None, seed: int) -> Arrays:
    values = bounded(features)
    arrays = _directions(values, values - values.mean(axis=0))
    rows = np.column_stack(whitening(arrays)(features))
    some = np.random.default_rng(seed).permutation(len(rows))[:MOST_REFERENCES]
    return {**arrays, "reference": rows[np.sort(some)].astype(np.float32)}


def _nothing(features: FloatArray, classes: IntArray | None, seed: int) -> Arrays:
    return {}


# the arrays of each method of `DISTANCES`
FITS: dict[str, Callable[[FloatArray, IntArray | None, int], Arrays]] = {
    "mahalanobis": _mahalanobis,
    "neighbors": _neighbors,
    "ranges": _nothing,
}


def fit_ranges(train: pl.LazyFrame, columns: Sequence[Column]) -> ColumnRanges:
    """What training rows have in each of some columns; images are left out.

    Args:
        train: the typed rows, which stream; at least one.
    """
    kinds = {c.name: c.type for c in columns if c.type is not ColumnType.IMAGE}
    wanted = [pl.len().alias("rows")]
    for place, (name, kind) in enumerate(kinds.items()):
        cells = as_numbers(name, kind)
        wanted.append(cells.null_count().alias(f"missing {place}"))
        if kind in RANGED:
            wanted += [cells.min().alias(f"low {place}"), cells.max().alias(f"high {place}")]
        elif kind is ColumnType.CATEGORY:
            wanted.append(cells.n_unique().alias(f"values {place}"))
    counted = train.select(wanted).collect(engine="streaming").row(0, named=True)
    rows = counted["rows"]
    fitted = []
    for place, (name, kind) in enumerate(kinds.items()):
        values, rare = None, 0
        if kind is ColumnType.CATEGORY and counted[f"values {place}"] <= MOST_VALUES:
            values, rare = _values(train, name)
        own = ColumnRange(
            name=name,
            low=counted.get(f"low {place}"),
            high=counted.get(f"high {place}"),
            values=values,
            new=surprise((rare + 1) / (rows + 1)),
            missing=0.0 if counted[f"missing {place}"] else surprise(1 / (rows + 1)),
        )
        fitted.append(own)
    return ColumnRanges(columns=tuple(fitted), types=kinds)


def _values(train: pl.LazyFrame, name: str) -> tuple[tuple[str, ...], int]:
    """The values of a category, and how many of them one row alone has: as often is a value new
    (Good 1953, "The population frequencies of species")."""
    counts = train.group_by(pl.col(name).alias("value")).agg(pl.len().alias("count"))
    known = counts.filter(pl.col("value").is_not_null()).collect(engine="streaming").sort("value")
    return tuple(known["value"]), int((known["count"] == 1).sum())


def find_threshold(scores: DoubleArray, share: float) -> float | None:
    """The score that at most `share` of validation rows (n,) are above; None without rows.

    It is half-way to the next larger score, and no row's own: a row that is scored again by
    another runtime, whose rounding differs, keeps its flag.
    """
    if len(scores) == 0:
        return None
    ordered = np.sort(scores)[len(scores) - 1 - int(share * len(scores)) :]
    margin = MARGIN * max(abs(float(ordered[0])), LEAST_UNIT)
    gaps = np.flatnonzero(np.diff(ordered) > 2 * margin)  # nearer ones are the same, rounded
    if not len(gaps):
        return float(ordered[-1]) + margin
    return float(ordered[gaps[0] : gaps[0] + 2].mean())


def separation(scores: DoubleArray, others: DoubleArray) -> float | None:
    """ROC-AUC of scores of rows that belong (n,) against those of rows that do not (m,)."""
    if len(scores) == 0 or len(others) == 0:
        return None
    labels = np.repeat([0, 1], [len(scores), len(others)])
    return float(roc_auc_score(labels, np.concatenate([scores, others])))


def shuffle_columns(names: Sequence[str], rows: int, seed: int) -> dict[str, IntArray]:
    """An order of the rows (n,) for each column: permuted so, cells are real and rows are not."""
    rng = np.random.default_rng(seed)
    return {name: rng.permutation(rows) for name in names}


def shuffle_inputs(
    spec: InputSpec, inputs: Inputs, permutations: Mapping[str, IntArray]
) -> dict[str, NDArray[Any]]:
    """Prepared rows whose columns of the data are each in an order of their own."""
    shuffled = {}
    for tensor in spec:
        array = np.array(inputs[tensor.name])
        for place, source in enumerate(tensor.sources):
            array[:, place] = array[permutations[source], place]
        shuffled[tensor.name] = array
    return shuffled


def most_unusual(
    ranges: ColumnRanges,
    frame: pl.DataFrame,
    rows: IntArray,
    scores: DoubleArray,
    distances: DoubleArray,
) -> list[dict[str, Any]]:
    """The rows of a frame with what is unusual of each: the column that is furthest outside of the
    training range, if one is.

    Args:
        frame: (n, ·) typed cells; rows: (n,) their numbers; scores, distances: (n,).
    """
    excesses = ranges.excesses(frame) if ranges.columns else np.zeros((len(rows), 1))
    listed = []
    for place, row in enumerate(rows):
        worst = int(np.argmax(excesses[place]))
        entry: dict[str, Any] = {
            "row": int(row),
            "score": float(scores[place]),
            "distance": float(distances[place]),
        }
        if excesses[place, worst] > 0:
            own = ranges.columns[worst]
            shown = frame[own.name][place]
            cell = shown
            if ranges.types[own.name] in RANGED:
                (number,) = numbers_of(frame[own.name][place : place + 1])
                cell = None if np.isnan(number) else float(number)
            entry |= {
                "column": own.name,
                "value": None if shown is None else str(shown)[:MOST_CHARACTERS],
                "excess": float(excesses[place, worst]),
                "reason": own.reason(cell),
            }
        listed.append(entry)
    return listed
