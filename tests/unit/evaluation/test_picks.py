"""The rows that are explained one by one are those that a reviewer would ask about."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from plumbline.evaluation.metrics import predicted_classes
from plumbline.evaluation.picks import RANDOM, pick_rows
from plumbline.kinds import Task

MISTAKE = "the mistake with the highest probability"
CLOSEST = "the closest decision between two classes"
RIGHT = "the correct prediction with the highest probability"


def two(p: list[float]) -> np.ndarray:
    return np.stack([1 - np.array(p), np.array(p)], axis=1)


def test_two_classes() -> None:
    y = np.array([1, 0, 1, 0, 1])
    p = two([0.9, 0.8, 0.99, 0.45, 0.2])
    result = pick_rows(y, p, Task.BINARY, None, 5)
    assert result == {1: MISTAKE, 3: CLOSEST, 2: RIGHT, 0: RANDOM, 4: RANDOM}
    # a confident no is a mistake as well
    assert next(iter(pick_rows(y, two([0.9, 0.8, 0.99, 0.45, 0.05]), Task.BINARY, None, 1))) == 4


def test_a_reason_names_the_rows_that_it_is_true_of() -> None:
    """The worst of a sample is not the worst of all."""
    y, p = np.array([1, 0, 1]), two([0.9, 0.8, 0.99])
    result = pick_rows(y, p, Task.BINARY, None, 3, of="the 3 explained rows")
    assert result[1] == f"{MISTAKE} of the 3 explained rows" and result[0] == RANDOM


def test_the_threshold_decides_what_is_a_mistake_and_what_is_close() -> None:
    y, p = np.array([1, 1, 0]), two([0.9, 0.25, 0.31])
    result = pick_rows(y, p, Task.BINARY, 0.3, 3)
    assert result[1] == MISTAKE and result[2] == CLOSEST and result[0] == RIGHT


def test_more_classes() -> None:
    y = np.array([0, 1, 2])
    p = np.array([[0.6, 0.3, 0.1], [0.1, 0.2, 0.7], [0.3, 0.33, 0.37]])
    assert pick_rows(y, p, Task.MULTICLASS, None, 3) == {1: MISTAKE, 2: CLOSEST, 0: RIGHT}


def test_values() -> None:
    y, p = np.array([10.0, 10.0, 10.0, 10.0]), np.array([[14.0], [9.9], [3.0], [11.0]])
    assert pick_rows(y, p, Task.REGRESSION, None, 4) == {
        0: "the largest overestimate",
        2: "the largest underestimate",
        1: "the smallest error",
        3: RANDOM,
    }


@pytest.mark.parametrize("count", [0, 1, 9])
def test_never_more_than_asked_for_or_there_are(count: int) -> None:
    y = np.array([0, 1])
    assert len(pick_rows(y, two([0.2, 0.7]), Task.BINARY, None, count)) == min(count, 2)
    assert pick_rows(y[:0], two([]), Task.BINARY, None, count) == {}


@settings(deadline=None)
@given(st.lists(st.tuples(st.integers(0, 1), st.floats(0, 1)), min_size=1, max_size=30))
def test_a_reason_is_true_of_its_row(rows: list[tuple[int, float]]) -> None:
    y, p = np.array([r[0] for r in rows]), two([r[1] for r in rows])
    result = {reason: i for i, reason in pick_rows(y, p, Task.BINARY, None, 3).items()}
    wrong = predicted_classes(p) != y
    if MISTAKE in result:
        assert wrong[result[MISTAKE]] and p[result[MISTAKE]].max() == p[wrong].max(axis=1).max()
    assert (MISTAKE in result) == bool(wrong.any())
    if RIGHT in result:
        assert not wrong[result[RIGHT]]
