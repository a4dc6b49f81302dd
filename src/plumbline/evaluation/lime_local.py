"""LIME for single rows, on columns of the data (Ribeiro et al. 2016, "Why Should I Trust You?").

The `lime` library draws the neighbors, weighs them by nearness and fits the sparse linear model.
It is given, per column, not a number but which background row the value is taken from, as a
category; 0 is the explained row's own value, which every column keeps half of the time. So
"present" means "has its own value", a date or a category is drawn whole, and no value occurs that
no row has.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from lime.lime_tabular import LimeTabularExplainer

from plumbline.evaluation.masker import Masker
from plumbline.evaluation.mixed import predict_drawn
from plumbline.examples import Inputs, count_rows
from plumbline.inference import Predict
from plumbline.kinds import DoubleArray


@dataclass(frozen=True, kw_only=True)
class LocalModel:
    """The linear model around one row: `weights` (M,) for each column's own value instead of
    another one, `intercept`, what it says of the row itself (`local`) and what the model says
    (`prediction`), and `r2`, how well it fits the neighbors."""

    weights: DoubleArray
    intercept: float
    local: float
    prediction: float
    r2: float


def explain_row(
    predict: Predict,
    row: Inputs,
    background: Inputs,
    masker: Masker,
    output: int,
    *,
    samples: int,
    seed: int,
) -> LocalModel:
    """Explain one row.

    Args:
        row: the only row.
        output: which output of `predict` is explained.
        samples: neighbors drawn, the row itself among them.
    """
    # 1 + the background row's number, or 0 where its value is the row's own: (B, M)
    numbers = np.arange(1, count_rows(background) + 1)[:, None]
    codes = np.where(masker.differs(row, background), numbers, 0)
    explainer = LimeTabularExplainer(
        np.vstack([np.zeros_like(codes), codes]).astype(float),
        mode="regression",
        feature_names=list(masker.names),
        categorical_features=list(range(len(masker))),
        feature_selection="none",
        discretize_continuous=False,
        random_state=seed,
    )

    def predict_codes(drawn: DoubleArray) -> DoubleArray:
        """Codes (samples, M) to predictions (samples,)."""
        return predict_drawn(predict, masker, row, background, drawn.astype(np.int64), output)

    result = explainer.explain_instance(
        np.zeros(len(masker)), predict_codes, num_features=len(masker), num_samples=samples
    )
    weights = np.zeros(len(masker))
    # in regression mode the library files the model under 1, and its negative under 0
    for player, weight in result.local_exp[1]:
        weights[player] = weight
    return LocalModel(
        weights=weights,
        intercept=float(result.intercept[1]),
        local=float(result.local_pred[0]),
        prediction=float(predict(row)[0, output]),
        r2=float(result.score),
    )
