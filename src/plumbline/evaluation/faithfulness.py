"""Does an explanation name the columns that the prediction rests on? The deletion test.

The columns that an explanation ranks first are replaced by background values first, and the
prediction's distance from where it was is noted after each. If the ranking is right the
prediction moves at once; the area under that curve says how fast. It is held against random
rankings of the same rows and against the ranking reversed (after Samek et al. 2017, "Evaluating
the Visualization of What a Deep Neural Network Has Learned", section III).

n rows, M columns, D draws of background rows, K steps.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.special import stdtrit

from plumbline.evaluation.masker import Masker
from plumbline.evaluation.mixed import predict_mixed
from plumbline.examples import Inputs, count_rows, take_inputs
from plumbline.inference import Predict
from plumbline.kinds import DoubleArray, IntArray

DRAWS = 10  # background rows per row
RANDOM_ORDERS = 5
STEPS = 20  # at most so many points of the curve
LEVEL = 0.95  # of the two-sided t-test of the gain
FEW = 20  # rows: fewer that show nothing do not show that there is nothing


def deletions(features: int, methods: int) -> int:
    """Predictions that the test of several methods takes per row: random orders are asked about
    once."""
    return (RANDOM_ORDERS + 2 * methods) * min(features, STEPS) * DRAWS


@dataclass(frozen=True, kw_only=True)
class Faithfulness:
    """Areas are shares of the greatest distance on the rows' curves: 0 to 1, more is better.

    `gain` is the mean over rows of area minus random area, `std_error` its standard error (None
    for one row), `better` counts the rows where the area is larger than the random one.
    """

    rows: int
    area: float
    random: float
    reversed: float
    gain: float
    std_error: float | None
    better: int

    @property
    def verdict(self) -> str:
        """In plain words, for reports: the fewer rows, the more standard errors it takes."""
        if self.std_error is None:
            return "too few rows to tell"
        margin = float(stdtrit(self.rows - 1, (1 + LEVEL) / 2)) * self.std_error
        if self.gain > margin:
            return "faithful"
        if self.gain < -margin:
            return "misleading: worse than a random ranking"
        return "too few rows to tell" if self.rows < FEW else "no better than a random ranking"

    def to_json(self) -> dict[str, Any]:
        return {
            "rows": self.rows,
            "area": self.area,
            "random": self.random,
            "reversed": self.reversed,
            "gain": self.gain,
            "std_error": self.std_error,
            "rows_better_than_random": self.better,
            "verdict": self.verdict,
        }


def deletion_tests(
    predict: Predict,
    rows: Inputs,
    background: Inputs,
    masker: Masker,
    outputs: IntArray,
    importances: Mapping[str, DoubleArray],
    *,
    seed: int,
) -> dict[str, Faithfulness]:
    """Delete columns in the order of each method's importance.

    Args:
        outputs: (n,) which output of `predict` was explained in each row.
        importances: by method, (n, M), signed or not; the largest in absolute value is deleted
            first.
        seed: each method meets the same background rows and random orders.
    """
    arguments = (predict, rows, background, masker, outputs, importances)
    return {name: summarize(own) for name, own in deletion_areas(*arguments, seed=seed).items()}


def deletion_areas(
    predict: Predict,
    rows: Inputs,
    background: Inputs,
    masker: Masker,
    outputs: IntArray,
    importances: Mapping[str, DoubleArray],
    *,
    seed: int,
) -> dict[str, DoubleArray]:
    """The areas (3, n) of each row, by method: by its importance, reversed, and the mean of random
    orders; the arguments are those of `deletion_tests`."""
    count, rng = len(masker), np.random.default_rng(seed)
    at_random = rng.permuted(
        np.broadcast_to(np.arange(count), (RANDOM_ORDERS, count_rows(rows), count)), axis=-1
    )
    permutations = [at_random]
    for importance in importances.values():
        order = np.argsort(-np.abs(importance), axis=1, kind="stable")
        permutations += [order[None], order[None, :, ::-1]]
    ranks = np.argsort(np.concatenate(permutations), axis=-1)  # (O, n, M)
    repeats = 1 if count_rows(background) == 1 else DRAWS
    draws = rng.integers(0, count_rows(background), (count_rows(rows), repeats))
    own = predict(rows)[np.arange(count_rows(rows)), outputs]
    # what is left of one column out of M, two, … all: at most STEPS points
    kept = np.unique(np.linspace(1, count, min(count, STEPS)).round().astype(int))
    areas = {name: np.empty((3, count_rows(rows))) for name in importances}
    for i in range(count_rows(rows)):
        deleted = ranks[:, i, None] < kept[:, None]  # (O, K, M)
        present = np.repeat(~deleted.reshape(-1, count), repeats, axis=0)
        index = np.tile(draws[i], deleted.shape[0] * deleted.shape[1])
        arguments = (present, take_inputs(rows, slice(i, i + 1)), background, index)
        answer = predict_mixed(predict, masker, *arguments, int(outputs[i]))
        answer = answer.reshape(*deleted.shape[:2], repeats)
        distance = np.abs(answer.mean(-1) - own[i])  # (O, K)
        chance, by_method = distance[:RANDOM_ORDERS], distance[RANDOM_ORDERS:]
        for name, pair in zip(importances, by_method.reshape(-1, 2, len(kept)), strict=True):
            forward, backward, *others = _areas(np.concatenate([pair, chance]))
            areas[name][:, i] = forward, backward, np.mean(others)
    return areas


def summarize(areas: DoubleArray) -> Faithfulness:
    """What the areas (3, n) of `deletion_areas` say over the rows."""
    by_rank, backwards, chance = areas
    gain = by_rank - chance
    error = float(gain.std(ddof=1) / math.sqrt(len(gain))) if len(gain) > 1 else None
    return Faithfulness(
        rows=len(gain),
        area=float(by_rank.mean()),
        random=float(chance.mean()),
        reversed=float(backwards.mean()),
        gain=float(gain.mean()),
        std_error=error,
        better=int((gain > 0).sum()),
    )


def _areas(distance: DoubleArray) -> DoubleArray:
    """Distances (O, K) of one row to areas (O,): the mean, as a share of the largest; 0 where
    nothing that was deleted moved the prediction."""
    largest = distance.max()
    if largest <= 0:
        return np.zeros(len(distance))
    return np.asarray(distance.mean(-1) / largest, dtype=np.float64)
