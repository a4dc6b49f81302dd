"""LIME on columns of the data."""

from __future__ import annotations

import numpy as np
import pytest
from tests.made import inputs_of, spec_of

from plumbline.evaluation.lime_local import LocalModel, explain_row
from plumbline.evaluation.masker import Masker
from plumbline.examples import Inputs
from plumbline.kinds import DoubleArray, Task

# three numbers of two columns, and a category: `day` is two numbers
PLAYERS = Masker.of(
    spec_of(
        task=Task.BINARY,
        num_names=("a", "day.sin", "day.cos"),
        num_sources=("a", "day", "day"),
        cat_names=("c",),
        cardinalities=(3,),
        classes=("no", "yes"),
    )
)
TABLE = np.array([0.0, 4.0, -4.0])
RNG = np.random.default_rng(0)
BACKGROUND = inputs_of(
    num=RNG.normal(size=(80, 3)).astype(np.float32), cat=RNG.integers(0, 3, (80, 1))
)
ROW = inputs_of(num=np.array([[2.0, 1.0, 1.0]], dtype=np.float32), cat=np.array([[1]]))


def predict(inputs: Inputs) -> DoubleArray:
    value = inputs["num"].astype(np.float64) @ [1.0, 1.0, 2.0] + TABLE[inputs["cat"][:, 0]]
    return np.stack([-value, value], axis=1)


def explained(seed: int = 0, output: int = 1, samples: int = 2000) -> LocalModel:
    return explain_row(predict, ROW, BACKGROUND, PLAYERS, output, samples=samples, seed=seed)


def test_weights_are_what_an_additive_model_gives_each_column() -> None:
    answer = explained()
    others, codes = BACKGROUND["num"].astype(np.float64).mean(0), BACKGROUND["cat"][:, 0]
    wanted = [
        2.0 - others[0],
        3.0 - (others[1] + 2 * others[2]),
        # another category than its own: 0 or 2
        4.0 - TABLE[codes[codes != 1]].mean(),
    ]
    np.testing.assert_allclose(answer.weights, wanted, rtol=0.15)
    assert answer.prediction == pytest.approx(9.0)
    assert 0.2 < answer.r2 <= 1


def test_the_output_and_the_seed_decide() -> None:
    np.testing.assert_array_equal(explained(seed=3).weights, explained(seed=3).weights)
    assert not np.array_equal(explained(seed=3).weights, explained(seed=4).weights)
    np.testing.assert_allclose(explained(output=0).weights, -explained(output=1).weights)


def test_a_column_that_is_the_same_everywhere_has_no_weight() -> None:
    same = {**BACKGROUND, "cat": np.ones((80, 1), dtype=np.int64)}
    answer = explain_row(predict, ROW, same, PLAYERS, 1, samples=500, seed=0)
    assert answer.weights[2] == 0
    assert np.abs(answer.weights[:2]).min() > 1
