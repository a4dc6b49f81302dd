"""The deletion test tells a true explanation from a shuffled, a reversed and an empty one."""

from __future__ import annotations

import numpy as np
import pytest
from tests.made import spec_of

from plumbline.evaluation.faithfulness import Faithfulness, deletion_tests, deletions
from plumbline.evaluation.masker import Masker
from plumbline.examples import Inputs, count_rows, take_inputs
from plumbline.kinds import DoubleArray, Task

WEIGHTS = np.array([5.0, -4.0, 2.0, 1.0, 0.5, -0.2, 0.1, 0.0, 0.0, 0.0])
COUNT = len(WEIGHTS)
PLAYERS = Masker.of(spec_of(task=Task.REGRESSION, num_names=tuple("abcdefghij")))
RNG = np.random.default_rng(0)
ROWS = {"num": RNG.normal(size=(60, COUNT)).astype(np.float32)}
BACKGROUND = {"num": RNG.normal(size=(200, COUNT)).astype(np.float32)}
OUTPUTS = np.zeros(60, dtype=np.int64)
TRUE = ROWS["num"].astype(np.float64) * WEIGHTS  # what each column adds in a linear model


def predict(inputs: Inputs) -> DoubleArray:
    return (inputs["num"].astype(np.float64) @ WEIGHTS)[:, None]


def measure(importance: DoubleArray, rows: int = 60) -> Faithfulness:
    some = take_inputs(ROWS, slice(rows))
    given = {"own": importance[:rows]}
    return deletion_tests(predict, some, BACKGROUND, PLAYERS, OUTPUTS[:rows], given, seed=1)["own"]


def test_methods_are_tested_together_as_each_alone() -> None:
    """With fewer predictions: the random orders are asked about once."""
    asked: list[int] = []

    def counted(inputs: Inputs) -> DoubleArray:
        asked.append(count_rows(inputs))
        return predict(inputs)

    methods = {"true": TRUE, "wrong": 1 / (np.abs(TRUE) + 1e-3)}
    both = deletion_tests(counted, ROWS, BACKGROUND, PLAYERS, OUTPUTS, methods, seed=1)
    assert both == {name: measure(own) for name, own in methods.items()}
    assert sum(asked) == 60 * (deletions(COUNT, 2) + 1) < 60 * 2 * deletions(COUNT, 1)


def test_a_true_explanation_is_faithful() -> None:
    answer = measure(TRUE)
    assert answer.verdict == "faithful"
    assert answer.area > answer.random > answer.reversed
    assert answer.better > 40 and answer.rows == 60
    assert answer.gain == pytest.approx(answer.area - answer.random)


def test_a_shuffled_one_is_no_better_than_random() -> None:
    verdicts, gains = [], []
    for seed in range(10):
        shuffled = np.random.default_rng(seed).permuted(TRUE, axis=1)
        answer = measure(shuffled)
        verdicts.append(answer.verdict)
        gains.append(answer.gain)
    assert "faithful" not in verdicts[:1] and verdicts.count("faithful") <= 1
    assert abs(np.mean(gains)) < 0.1 * measure(TRUE).gain


def test_a_reversed_one_is_misleading() -> None:
    answer = measure(1 / (np.abs(TRUE) + 1e-3))
    assert answer.verdict.startswith("misleading")
    assert answer.reversed > answer.random > answer.area


def test_the_sign_does_not_matter_and_the_seed_decides() -> None:
    assert measure(TRUE) == measure(-TRUE) == measure(np.abs(TRUE))


def test_a_model_that_says_always_the_same_leaves_nothing_to_tell() -> None:
    answer = deletion_tests(
        lambda inputs: np.full((count_rows(inputs), 1), 0.5),
        ROWS,
        BACKGROUND,
        PLAYERS,
        OUTPUTS,
        {"own": TRUE},
        seed=0,
    )["own"]
    assert (answer.area, answer.random, answer.gain) == (0.0, 0.0, 0.0)
    assert answer.verdict == "no better than a random ranking"


def test_few_rows_must_differ_more() -> None:
    def verdict(gain: float, rows: int) -> str:
        areas = {"area": 0.5, "random": 0.5, "reversed": 0.5, "better": 0}
        return Faithfulness(rows=rows, gain=gain, std_error=0.1, **areas).verdict

    assert verdict(-0.25, 60).startswith("misleading") and verdict(0.25, 60) == "faithful"
    assert verdict(-0.25, 5) == verdict(0.25, 5) == "too few rows to tell"
    assert verdict(-0.30, 5).startswith("misleading")  # 2.8 standard errors, of 4 degrees
    assert verdict(0.1, 60).startswith("no better") and verdict(0.1, 5).startswith("too few")


def test_one_row_is_too_few() -> None:
    answer = measure(TRUE, rows=1)
    assert answer.verdict == "too few rows to tell" and answer.to_json()["std_error"] is None
