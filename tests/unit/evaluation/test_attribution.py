"""SHAP values against exact ones, and the properties that make them SHAP values."""

from __future__ import annotations

import numpy as np
import pytest
from tests.made import inputs_of, spec_of

from plumbline.evaluation.attribution import (
    Attribution,
    exact_shapley,
    sampled_shapley,
)
from plumbline.evaluation.explanation_budget import (
    FEWEST,
    FEWEST_ROWS,
    FEWEST_TESTED,
    PAIRS,
    Effort,
    used,
)
from plumbline.evaluation.explanation_budget import plan as plan_effort
from plumbline.evaluation.masker import Masker
from plumbline.examples import Inputs, InputSpec, count_rows, take_inputs
from plumbline.kinds import DoubleArray, IntArray, Task


def spec() -> InputSpec:
    """Six columns of the data: `day` became two numbers, `few` a number and a category."""
    return spec_of(
        task=Task.BINARY,
        num_names=("a", "day.sin", "few", "day.cos", "b", "a=missing"),
        num_sources=("a", "day", "few", "day", "b", "a"),
        cat_names=("few", "c", "idle"),
        cardinalities=(4, 5, 3),
        classes=("no", "yes"),
    )


def inputs(n: int, seed: int) -> Inputs:
    rng = np.random.default_rng(seed)
    return inputs_of(
        num=rng.normal(size=(n, 6)).astype(np.float32),
        cat=np.stack([rng.integers(0, k, n) for k in (4, 5, 3)], axis=1),
    )


TABLE = np.array([0.0, 1.0, -2.0, 0.5, 3.0])


def predict(inputs: Inputs) -> DoubleArray:
    """Interactions of up to four columns; `idle` and `a=missing` do nothing."""
    x, cat = inputs["num"].astype(np.float64), inputs["cat"]
    value = np.tanh(x[:, 0] * x[:, 1] + TABLE[cat[:, 1]] * x[:, 4]) + x[:, 3] * (cat[:, 0] == 1)
    value += 0.5 * x[:, 2] * x[:, 0] * x[:, 4]
    return np.stack([-value, value], axis=1)


def additive(inputs: Inputs) -> DoubleArray:
    value = inputs["num"].astype(np.float64) @ [1.0, 2.0, 3.0, 4.0, 5.0, 6.0]
    value += TABLE[inputs["cat"][:, 1]]
    return np.stack([-value, value], axis=1)


def numbers(*names: str) -> Masker:
    """Players of a number each."""
    return Masker.of(spec_of(task=Task.REGRESSION, num_names=names))


PLAYERS = Masker.of(spec())
ROWS, BACKGROUND = inputs(7, 1), inputs(40, 2)
POSITIVE = np.ones(7, dtype=np.int64)


def sampled(pairs: int = 2, seed: int = 0, of: IntArray = POSITIVE) -> Attribution:
    return sampled_shapley(predict, ROWS, BACKGROUND, PLAYERS, of, pairs=pairs, seed=seed)


def test_players_are_the_columns_of_the_data() -> None:
    assert PLAYERS.names == ("a", "day", "few", "b", "c", "idle")
    assert len(PLAYERS) == 6
    present = np.array([[True, False, False, False, True, False]])
    own = take_inputs(ROWS, slice(1))
    mixed = PLAYERS.mix(present, own, inputs_of(-own["num"], 9 + 0 * own["cat"]))
    sign = np.array([1, -1, -1, -1, -1, 1])
    np.testing.assert_array_equal(mixed["num"], own["num"] * sign)
    assert mixed["cat"].tolist() == [[9, own["cat"][0, 1], 9]]


def test_exact_values_are_those_of_the_definition() -> None:
    """A game of two players by hand: half of what each adds first and last."""
    two = numbers("x", "y")

    def product(inputs: Inputs) -> DoubleArray:
        return inputs["num"].astype(np.float64).prod(axis=1, keepdims=True)

    row = {"num": np.array([[3.0, 5.0]], dtype=np.float32)}
    back = {"num": np.array([[1.0, 2.0]], dtype=np.float32)}
    answer = exact_shapley(product, row, back, two, np.zeros(1, dtype=np.int64))
    # worth: none 2, x 6, y 5, both 15
    np.testing.assert_allclose(answer.values, [[(4 + 10) / 2, (3 + 9) / 2]])
    assert answer.base[0] == 2 and answer.prediction[0] == 15


def test_sampled_values_come_near_the_exact_ones() -> None:
    exact = exact_shapley(predict, ROWS, BACKGROUND, PLAYERS, POSITIVE)
    few, many = sampled(pairs=1), sampled(pairs=64)
    scale = np.abs(exact.values).mean()
    error = [np.sqrt(np.square(s.values - exact.values).mean()) for s in (few, many)]
    assert error[1] < 0.04 * scale
    # by 1 / sqrt(64) or so
    assert error[1] < error[0] / 3
    assert many.std_error is not None
    assert 0.3 < error[1] / np.sqrt(np.square(many.std_error).mean()) < 3


@pytest.mark.parametrize("how", ["sampled", "exact"])
def test_values_and_base_add_up_to_the_prediction(how: str) -> None:
    outputs = np.array([0, 1, 0, 1, 1, 0, 0])
    answer = (
        sampled(pairs=1, of=outputs)
        if how == "sampled"
        else exact_shapley(predict, ROWS, BACKGROUND, PLAYERS, outputs)
    )
    wanted = predict(ROWS)[np.arange(count_rows(ROWS)), outputs]
    np.testing.assert_allclose(answer.values.sum(1) + answer.base, wanted, atol=1e-12)
    np.testing.assert_allclose(answer.prediction, wanted)
    at_base = predict(BACKGROUND).mean(0)
    np.testing.assert_allclose(answer.base, at_base[outputs])


def test_a_column_that_does_nothing_has_no_value() -> None:
    np.testing.assert_allclose(sampled().values[:, PLAYERS.names.index("idle")], 0, atol=1e-12)


def test_an_additive_model_is_explained_exactly_by_one_pair() -> None:
    answer = sampled_shapley(additive, ROWS, BACKGROUND, PLAYERS, POSITIVE, pairs=1, seed=3)
    exact = exact_shapley(additive, ROWS, BACKGROUND, PLAYERS, POSITIVE)
    np.testing.assert_allclose(answer.values, exact.values, atol=1e-9)
    # the parts of one column are added up
    own, back = (inputs["num"][:, [1, 3]] @ [2, 4] for inputs in (ROWS, BACKGROUND))
    np.testing.assert_allclose(answer.values[:, 1], own - back.mean(), rtol=1e-4, atol=1e-5)


def test_the_seed_decides() -> None:
    np.testing.assert_array_equal(sampled(seed=5).values, sampled(seed=5).values)
    assert not np.array_equal(sampled(seed=5).values, sampled(seed=6).values)


def test_one_column_and_one_background_row() -> None:
    row, back = ({"num": np.array([[v]], dtype=np.float32)} for v in (3.0, 1.0))
    answer = sampled_shapley(
        lambda inputs: inputs["num"].astype(np.float64),
        row,
        back,
        numbers("x"),
        np.zeros(1, dtype=np.int64),
        pairs=1,
        seed=0,
    )
    assert answer.values.tolist() == [[2.0]]


def plan(cost: float, background: int = 100, tested: int = 100) -> Effort:
    rest = {"features": 30, "background": background, "tested": tested, "deletions": 1400}
    return plan_effort(cost, gradients=cost, rows=200, **rest)


def test_effort_falls_with_the_cost_of_the_model() -> None:
    cheap = plan(1e3)
    assert cheap == Effort(rows=200, background=100, pairs=PAIRS, tested=100)
    dear = plan(1e6)
    assert dear.pairs == 1 and FEWEST <= dear.background < 100
    assert FEWEST_TESTED <= dear.tested < 100
    dearest = plan(1e12)
    fewest = Effort(rows=FEWEST_ROWS, background=FEWEST, pairs=1, tested=FEWEST_TESTED)
    assert dearest == fewest
    few = plan(1e12, background=4, tested=3)
    assert (few.background, few.tested) == (4, 3)


def test_what_kept_it_from_more_is_said() -> None:
    assert used(100, 400, 100, "training rows")["limited_by"] is None
    assert used(100, 400, 12, "training rows")["limited_by"] == "computing budget"
    assert used(100, 40, 40, "training rows")["limited_by"] == "only 40 training rows"
    assert used(100, 40, 12, "training rows")["limited_by"] == "computing budget"
