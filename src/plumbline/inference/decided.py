"""What a decision makes of a prediction: label or value, probabilities, interval or set.

n rows, C classes.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from plumbline.errors import DataError
from plumbline.examples import TargetSpec
from plumbline.inference.decision import Decision
from plumbline.kinds import BoolArray, DoubleArray, IntArray, TargetKind

State = Mapping[str, float | None]
PREDICTED = "predicted"  # name of the column
SET = "prediction_set"
FEW_ROWS = 32


def predicted_classes(prediction: DoubleArray, threshold: float | None = None) -> IntArray:
    """(n, C) probabilities to (n,) class numbers; `threshold` is for two classes only."""
    if threshold is not None and prediction.shape[1] == 2:
        return np.asarray(prediction[:, 1] >= threshold, dtype=np.int64)
    return np.asarray(prediction.argmax(axis=1), dtype=np.int64)


def _classes(p: DoubleArray, threshold: float | None, column: int | None) -> NDArray[np.generic]:
    return predicted_classes(p, threshold)


def _values(p: DoubleArray, threshold: float | None, column: int | None) -> NDArray[np.generic]:
    return p[:, column or 0]


DECIDE = {TargetKind.CLASSES: _classes, TargetKind.NUMBERS: _values}


def _numbers(values: NDArray[Any]) -> pl.Series:
    return pl.Series(np.ascontiguousarray(values, dtype=np.float64), nan_to_null=True)


def as_labels(values: NDArray[Any], classes: Sequence[str]) -> pl.Series:
    """Class numbers (n,) as labels."""
    return pl.Series(list(classes), dtype=pl.String).gather(values.astype(np.int64))


def as_numbers(values: NDArray[Any], classes: Sequence[str]) -> pl.Series:
    """Values (n,) as they are; null where they are none."""
    return _numbers(values)


SHOWN = {TargetKind.CLASSES: as_labels, TargetKind.NUMBERS: as_numbers}


def prediction_sets(state: State, prediction: DoubleArray) -> BoolArray:
    """(n, C) probabilities to (n, C): which classes each row's set holds, every one of at least
    `minimum_probability` and the most probable one; never none."""
    least = state["minimum_probability"]
    assert least is not None
    inside: BoolArray = prediction >= least
    inside[np.arange(len(prediction)), prediction.argmax(axis=1)] = True
    return inside


def prediction_intervals(state: State, prediction: DoubleArray) -> dict[str, DoubleArray]:
    """(n, 1) values to `low` and `high`, each (n,), the value ± `half_width`; NaN where there are
    too few rows to promise anything."""
    half = math.nan if state["half_width"] is None else state["half_width"]
    return {"low": prediction[:, 0] - half, "high": prediction[:, 0] + half}


Columns = dict[str, pl.Series]
Rows = list[dict[str, Any]]


def _set_columns(state: State, prediction: DoubleArray, classes: Sequence[str]) -> Columns:
    inside = prediction_sets(state, prediction)
    if len(inside) <= FEW_ROWS:  # an expression costs more than its work
        sets = [[name for name, held in zip(classes, row, strict=True) if held] for row in inside]
        return {SET: pl.Series(sets, dtype=pl.List(pl.String))}
    held = pl.DataFrame(dict(zip(map(str, range(len(classes))), inside.T, strict=True)))
    labels = [
        pl.when(pl.col(str(i))).then(pl.lit(name, pl.String)) for i, name in enumerate(classes)
    ]
    return {SET: held.select(pl.concat_list(labels).list.drop_nulls()).to_series()}


def _interval_columns(state: State, prediction: DoubleArray, classes: Sequence[str]) -> Columns:
    return {name: _numbers(v) for name, v in prediction_intervals(state, prediction).items()}


# by the name of the method in decision.json
CONFORMAL_COLUMNS: dict[str, Callable[[State, DoubleArray, Sequence[str]], Columns]] = {
    "lac": _set_columns,
    "absolute": _interval_columns,
}


def _set_rows(state: State, prediction: DoubleArray, classes: Sequence[str]) -> Rows:
    inside = prediction_sets(state, prediction).tolist()
    sets = [[name for name, held in zip(classes, row, strict=True) if held] for row in inside]
    return [{SET: one} for one in sets]


def _interval_rows(state: State, prediction: DoubleArray, classes: Sequence[str]) -> Rows:
    ends = prediction_intervals(state, prediction)
    both = zip(ends["low"].tolist(), ends["high"].tolist(), strict=True)
    return [{"low": _known(low), "high": _known(high)} for low, high in both]


def _known(number: float) -> float | None:
    return None if math.isnan(number) else number


CONFORMAL_ROWS: dict[str, Callable[[State, DoubleArray, Sequence[str]], Rows]] = {
    "lac": _set_rows,
    "absolute": _interval_rows,
}


def prediction_columns(prediction: DoubleArray, target: TargetSpec, decision: Decision) -> Columns:
    """`predicted`, then `p_<class>`, then `prediction_set` (labels), or `low` and `high` (null
    where no interval can be promised), as the table of predictions has them.

    Args:
        prediction: (n, C), decisions not applied but for the calibration.

    Raises:
        DataError: the sets were made by a method that is not known here.
    """
    spec = target.task.spec
    decided = DECIDE[spec.target](prediction, decision.threshold, spec.column)
    columns = {PREDICTED: SHOWN[spec.target](decided, target.classes)}
    for number, name in enumerate(target.classes):
        columns[f"p_{name}"] = _numbers(prediction[:, number])
    if decision.conformal is not None:
        made = CONFORMAL_COLUMNS[_method(decision.conformal)]
        columns |= made(decision.conformal, prediction, target.classes)
    return columns


def prediction_rows(prediction: DoubleArray, target: TargetSpec, decision: Decision) -> Rows:
    """As `prediction_columns`, a dict per row: of few rows, and finite predictions."""
    spec, classes = target.task.spec, target.classes
    decided = DECIDE[spec.target](prediction, decision.threshold, spec.column).tolist()
    names = [f"p_{name}" for name in classes]
    rows = [
        {PREDICTED: classes[one] if classes else one, **dict(zip(names, own, strict=False))}
        for one, own in zip(decided, prediction.tolist(), strict=True)
    ]
    if decision.conformal is not None:
        made = CONFORMAL_ROWS[_method(decision.conformal)]
        for row, more in zip(rows, made(decision.conformal, prediction, classes), strict=True):
            row.update(more)
    return rows


def _method(conformal: Mapping[str, Any]) -> str:
    method = str(conformal["method"])
    if method not in CONFORMAL_COLUMNS:
        raise DataError(
            "prediction sets are made by a method that this version does not know",
            file="decision.json",
            wanted=", ".join(CONFORMAL_COLUMNS),
            got=method,
            hint="use the version of plumbline that registered the model, or a newer one",
        )
    return method
