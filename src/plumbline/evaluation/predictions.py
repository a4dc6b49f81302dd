"""The table of predictions: a row per validation and test row."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import polars as pl
from polars import selectors as cs

from plumbline.evaluation.conformal import Conformal
from plumbline.evaluation.decision import PartPredictions
from plumbline.evaluation.reference import BY_ONE
from plumbline.examples import InputSpec
from plumbline.inference.decided import SHOWN
from plumbline.kinds import Part

ModelPredictions = Mapping[Part, PartPredictions]


def predictions(
    spec: InputSpec,
    model: ModelPredictions,
    baselines: Mapping[str, ModelPredictions],
    conformal: Conformal,
    beside: Mapping[Part, Mapping[str, pl.Series]],
) -> pl.DataFrame:
    """Row number, part, truth and prediction of every validation and test row, and what else
    there is: probabilities or interval, and what each baseline predicts.

    Columns: `row` u32, `part` (val, test), `actual`, `predicted`, then `p_<class>`, or `low` and
    `high` (null where no interval can be promised), then one per baseline, then those `beside`.
    Classes are labels.

    Args:
        beside: further columns of each part.
    """
    frames = []
    for part in (Part.VAL, Part.TEST):
        own = model[part]
        columns: dict[str, Any] = {
            "row": pl.Series(own.rows, dtype=pl.UInt32),
            "part": pl.repeat(part.name.lower(), len(own.rows), eager=True),
            "actual": _shown(own.y, spec),
            "predicted": _shown(own.predicted, spec),
        }
        for number, name in enumerate(spec.classes):
            columns[f"p_{name}"] = pl.Series(own.prediction[:, number])
        shown = conformal.method.columns(conformal.state, own.prediction)
        columns |= {name: pl.Series(values) for name, values in shown.items()}
        columns |= {name: _shown(b[part].predicted, spec) for name, b in baselines.items()}
        columns |= beside.get(part, {})
        frames.append(pl.DataFrame(columns).with_columns(cs.float().fill_nan(None)))
    return pl.concat(frames)


def by_one_network(spec: InputSpec, own: PartPredictions) -> dict[str, pl.Series]:
    """The column by which the predictions of rows are compared with others (drift), where a single
    network of a bag makes each: the mean of all, which answers, is spread less."""
    column = spec.task.spec.column
    if column is None:
        return {BY_ONE: _shown(own.predicted, spec)}
    return {BY_ONE: pl.Series(own.prediction[:, column])}


def _shown(values: Any, spec: InputSpec) -> pl.Series:
    """Class numbers as labels, values as they are."""
    return SHOWN[spec.task.spec.target](np.asarray(values), spec.classes)
