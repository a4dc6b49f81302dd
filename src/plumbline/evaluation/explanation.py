"""All explanations of one model, side by side, and what each is worth.

n rows, M columns of the data.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl
from torch import nn

from plumbline.evaluation.attribution import (
    ENUMERATED,
    Attribution,
    exact_shapley,
    sampled_shapley,
)
from plumbline.evaluation.faithfulness import Faithfulness, deletion_tests
from plumbline.evaluation.gradients import attention, integrated_gradients, saliency
from plumbline.evaluation.lime_local import LocalModel, explain_row
from plumbline.evaluation.masker import Masker
from plumbline.examples import Inputs, count_rows, take_inputs
from plumbline.inference import Predict
from plumbline.kinds import DoubleArray, IntArray

MOST_TEXT = 1000  # characters of a cell that are kept


@dataclass(frozen=True, kw_only=True)
class Pick:
    """A row that is explained on its own: its place among the rows, why it was picked, what is
    true and what is predicted (a class or a value), and its values as the data has them."""

    position: int
    reason: str
    actual: str | float
    predicted: str | float
    values: Mapping[str, Any]


@dataclass(frozen=True, kw_only=True)
class Case:
    """What is explained: `rows`, whose row numbers are `numbers` (n,), against `background`.

    `picks` are those that are explained by LIME as well.

    `predict` and `deployed` are the same function, of arrays and as a torch module; `outputs`
    (n,) says which of its outputs is explained in each row, `of` says so in words.
    """

    predict: Predict
    deployed: nn.Module
    architecture: nn.Module
    masker: Masker
    rows: Inputs
    numbers: IntArray
    background: Inputs
    outputs: IntArray
    of: str
    classes: tuple[str, ...]
    picks: tuple[Pick, ...]
    seed: int


@dataclass(frozen=True, kw_only=True)
class Explanation:
    """Values (n, M) by method, `shap` first; those of LIME are of the picked rows only."""

    case: Case
    shap: Attribution
    permutations: int | None  # of the players, per row; None: all coalitions were asked about
    lime: list[LocalModel]
    methods: dict[str, DoubleArray]
    faithfulness: dict[str, Faithfulness]

    def ranking(self, method: str) -> dict[str, float]:
        """Mean absolute value per column, the largest first."""
        mean = np.abs(self.methods[method]).mean(0)
        names = self.case.masker.names
        return {names[j]: float(mean[j]) for j in np.argsort(-mean, kind="stable")}

    def importance(self) -> dict[str, Any]:
        """importance.json; `std_error` is the sampling error of one SHAP value."""
        error = self.shap.std_error
        return {
            "of": self.case.of,
            "rows": count_rows(self.case.rows),
            "background": count_rows(self.case.background),
            "exact": self.permutations is None,
            "permutations": self.permutations,
            "std_error": None if error is None else float(np.sqrt(np.square(error).mean())),
            "columns": self.ranking("shap"),
            "methods": {name: self.ranking(name) for name in self.methods if name != "shap"},
        }

    def shap_frame(self) -> pl.DataFrame:
        """shap.parquet: row, base, prediction, and a column per column of the data, in the order
        of row numbers. A column of the data may bear one of our names, so ours give way."""
        names = self.case.masker.names
        own = {}
        for name, values in (
            ("row", self.case.numbers),
            ("base", self.shap.base),
            ("prediction", self.shap.prediction),
        ):
            while name in names:
                name = f"_{name}"
            own[name] = values
        columns = {name: self.shap.values[:, j] for j, name in enumerate(names)}
        return pl.DataFrame({**own, **columns}).sort(next(iter(own)))

    def lime_json(self) -> dict[str, Any]:
        """lime.json: the linear model around each row, the heaviest column first."""
        return {"of": self.case.of, "rows": [self._local(i) for i in range(len(self.lime))]}

    def _local(self, i: int) -> dict[str, Any]:
        local, case, pick = self.lime[i], self.case, self.case.picks[i]
        at = pick.position
        weights = zip(case.masker.names, local.weights.tolist(), strict=True)
        return {
            "row": int(case.numbers[at]),
            "reason": pick.reason,
            "actual": pick.actual,
            "predicted": pick.predicted,
            "class": case.classes[case.outputs[at]] if case.classes else None,
            "prediction": local.prediction,
            "local_prediction": local.local,
            "intercept": local.intercept,
            "r2": local.r2,
            "agreement_with_shap": correlation(local.weights, self.shap.values[at]),
            "weights": dict(sorted(weights, key=lambda item: -abs(item[1]))),
            "values": {name: _bounded(value) for name, value in pick.values.items()},
        }


def explain(case: Case, *, pairs: int, lime_samples: int, faithfulness_rows: int) -> Explanation:
    """Explain by every method that the model allows, and put each to the deletion test.

    Args:
        pairs: of orders per background row, for SHAP.
        faithfulness_rows: at most so many of the rows.
    """
    arguments = (case.predict, case.rows, case.background, case.masker, case.outputs)
    exact = len(case.masker) <= ENUMERATED
    shap = (
        exact_shapley(*arguments)
        if exact
        else sampled_shapley(*arguments, pairs=pairs, seed=case.seed)
    )
    inside = (case.deployed, *arguments[1:])
    methods = {
        "shap": shap.values,
        "integrated_gradients": integrated_gradients(*inside),
        "saliency": saliency(*inside),
    }
    looked = attention(case.architecture, case.rows, case.masker)
    if looked is not None:
        methods["attention"] = looked
    first = np.arange(min(faithfulness_rows, count_rows(case.rows)))
    picked = np.array([pick.position for pick in case.picks], dtype=np.int64)
    lime = [_lime(case, i, lime_samples) for i in picked.tolist()]
    faithfulness: dict[str, Faithfulness] = {}
    if len(case.masker) > 1:  # a single column has no ranking that could be tested
        faithfulness = _test(case, first, {name: own[first] for name, own in methods.items()})
    if lime:
        methods["lime"] = np.stack([local.weights for local in lime])
    if lime and faithfulness:
        few = slice(faithfulness_rows)
        faithfulness |= _test(case, picked[few], {"lime": methods["lime"][few]})
    return Explanation(
        case=case,
        shap=shap,
        permutations=None if exact else 2 * pairs * count_rows(case.background),
        lime=lime,
        methods=methods,
        faithfulness=faithfulness,
    )


def _lime(case: Case, i: int, samples: int) -> LocalModel:
    return explain_row(
        case.predict,
        take_inputs(case.rows, slice(i, i + 1)),
        case.background,
        case.masker,
        int(case.outputs[i]),
        samples=samples,
        seed=case.seed,
    )


def _test(
    case: Case, positions: IntArray, importances: Mapping[str, DoubleArray]
) -> dict[str, Faithfulness]:
    """Of the rows at these positions, which the values are of."""
    return deletion_tests(
        case.predict,
        take_inputs(case.rows, positions),
        case.background,
        case.masker,
        case.outputs[positions],
        importances,
        seed=case.seed,
    )


def _bounded(value: Any) -> Any:
    """A cell of the data; of a long text its beginning."""
    if isinstance(value, str) and len(value) > MOST_TEXT:
        return value[:MOST_TEXT] + "…"
    return value


def correlation(a: DoubleArray, b: DoubleArray) -> float | None:
    """Pearson's, of two vectors; None where one of them is constant."""
    if np.ptp(a) == 0 or np.ptp(b) == 0:
        return None
    return float(np.corrcoef(a, b)[0, 1])
