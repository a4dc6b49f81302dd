"""Predictions as JSON: an object per row."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import polars as pl

PROBABILITY = "p_"


def answer_rows(table: pl.DataFrame, classes: Sequence[str]) -> list[dict[str, Any]]:
    """The columns of a table of predictions; those of the classes in one object
    `probabilities`."""
    of_class = {f"{PROBABILITY}{name}": name for name in classes}
    answers = []
    for row in table.iter_rows(named=True):
        answer: dict[str, Any] = {}
        probabilities: dict[str, float] = {}
        for name, value in row.items():
            if name in of_class:
                answer.setdefault("probabilities", probabilities)[of_class[name]] = value
            else:
                answer[name] = value
        answers.append(answer)
    return answers
