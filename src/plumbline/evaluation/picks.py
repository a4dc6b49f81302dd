"""Which rows are explained one by one, and why these.

n rows, C classes.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from plumbline.evaluation.metrics import predicted_classes
from plumbline.evaluation.metrics.weighted import Targets
from plumbline.kinds import DoubleArray, TargetKind, Task

RANDOM = "drawn at random"


def pick_rows(
    y: Targets,
    prediction: DoubleArray,
    task: Task,
    threshold: float | None,
    count: int,
    *,
    of: str = "",
) -> dict[int, str]:
    """Positions of `count` rows at most and the reason for each: those that a reviewer would ask
    about (the worst mistake, the closest decision, the surest hit), then the first ones.

    Args:
        y: (n,) class numbers, or values; the rows in random order.
        prediction: (n, C) calibrated probabilities, or values.
        threshold: of the positive class; None: the more probable class.
        of: which rows these are, where they are not all test rows: a reason is true of them alone.
    """
    picks: dict[int, str] = {}
    for position, reason in PICKS[task.spec.target](y, prediction, threshold, task.spec.column):
        if len(picks) < count:
            picks.setdefault(position, f"{reason} of {of}" if of else reason)
    for position in range(len(prediction)):
        if len(picks) < count:
            picks.setdefault(position, RANDOM)
    return picks


def _classes(
    y: Targets, prediction: DoubleArray, threshold: float | None, column: int | None
) -> Iterator[tuple[int, str]]:
    if len(prediction) == 0:
        return
    predicted = predicted_classes(prediction, threshold)
    probability = prediction[np.arange(len(prediction)), predicted]
    right = predicted == np.asarray(y, dtype=np.int64)
    if not right.all():
        sure = np.where(right, -1.0, probability)
        yield int(sure.argmax()), "the mistake with the highest probability"
    if prediction.shape[1] == 2:
        distance = np.abs(prediction[:, 1] - (0.5 if threshold is None else threshold))
    else:
        two = np.sort(prediction, axis=1)[:, -2:]
        distance = two[:, 1] - two[:, 0]
    yield int(distance.argmin()), "the closest decision between two classes"
    if right.any():
        sure = np.where(right, probability, -1.0)
        yield int(sure.argmax()), "the correct prediction with the highest probability"


def _values(
    y: Targets, prediction: DoubleArray, threshold: float | None, column: int | None
) -> Iterator[tuple[int, str]]:
    if len(prediction) == 0:
        return
    residual = np.asarray(y, dtype=np.float64) - prediction[:, column or 0]
    if (residual < 0).any():
        yield int(residual.argmin()), "the largest overestimate"
    if (residual > 0).any():
        yield int(residual.argmax()), "the largest underestimate"
    yield int(np.abs(residual).argmin()), "the smallest error"


PICKS = {TargetKind.CLASSES: _classes, TargetKind.NUMBERS: _values}
