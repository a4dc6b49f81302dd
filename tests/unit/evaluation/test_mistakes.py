"""The worst mistakes are those that are farthest from the truth."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from plumbline.evaluation.decision import PartPredictions
from plumbline.evaluation.mistakes import describe_mistake, worst_mistakes
from plumbline.inference.decision import Decision
from plumbline.kinds import Task


def predictions(task: Task, y: Any, prediction: Any, **decision: Any) -> PartPredictions:
    return PartPredictions(
        task=task,
        y=np.array(y),
        rows=np.arange(len(y)) + 10,
        prediction=np.array(prediction, dtype=float),
        decision=Decision(**decision),
    )


def test_of_classes_by_the_probability_of_their_own() -> None:
    made = predictions(
        Task.MULTICLASS,
        [0, 1, 2, 2],
        [[0.4, 0.5, 0.1], [0.1, 0.8, 0.1], [0.9, 0.05, 0.05], [0.6, 0.3, 0.1]],
    )
    positions, count = worst_mistakes(made, 2)
    assert positions.tolist() == [2, 3] and count == 3
    assert describe_mistake(made, 2, ("a", "b", "c")) == {
        "row": 12,
        "actual": "c",
        "predicted": "a",
        "probability": pytest.approx(0.9),
        "probability_of_actual": pytest.approx(0.05),
    }


def test_a_threshold_says_what_is_a_mistake() -> None:
    made = predictions(Task.BINARY, [1, 1, 0], [[0.0, 1.0], [0.7, 0.3], [0.6, 0.4]], threshold=0.2)
    assert worst_mistakes(made, 5)[0].tolist() == [2]
    assert describe_mistake(made, 2, ("no", "yes"))["predicted"] == "yes"


def test_of_values_by_their_distance() -> None:
    made = predictions(Task.REGRESSION, [1.0, 5.0, 3.0], [[2.0], [1.0], [3.0]])
    positions, count = worst_mistakes(made, 9)
    assert positions.tolist() == [1, 0] and count == 2
    assert describe_mistake(made, 1, ()) == {"row": 11, "actual": 5.0, "predicted": 1.0}
    assert worst_mistakes(predictions(Task.REGRESSION, [1.0], [[1.0]]), 3)[1] == 0
