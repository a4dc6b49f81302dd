"""Predictions as JSON: an object per row."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

PROBABILITY = "p_"


def answer_rows(
    predictions: Sequence[Mapping[str, Any]], classes: Sequence[str]
) -> list[dict[str, Any]]:
    """Rows of a table of predictions; the columns of the classes in one object `probabilities`."""
    of_class = {f"{PROBABILITY}{name}": name for name in classes}
    answers = []
    for row in predictions:
        answer: dict[str, Any] = {}
        probabilities: dict[str, float] = {}
        for name, value in row.items():
            if name in of_class:
                answer.setdefault("probabilities", probabilities)[of_class[name]] = value
            else:
                answer[name] = value
        answers.append(answer)
    return answers
