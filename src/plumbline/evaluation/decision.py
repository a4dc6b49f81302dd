"""What is decided on validation rows: the temperature, and from where on a row is positive.

n rows, C classes.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from plumbline.config.evaluation import EvaluateConfig
from plumbline.errors import ParameterError
from plumbline.evaluation.calibration import fit_temperature
from plumbline.evaluation.intervals import intervals
from plumbline.evaluation.metrics import all_scores
from plumbline.evaluation.metrics.weighted import Targets
from plumbline.evaluation.threshold import choose_threshold
from plumbline.inference.decided import DECIDE
from plumbline.inference.decision import Decision, apply_temperature
from plumbline.kinds import DoubleArray, Task


def decide(y: Targets, prediction: DoubleArray, task: Task, config: EvaluateConfig) -> Decision:
    """Temperature first, then the threshold of the calibrated probabilities.

    Args:
        y: (n,) of validation rows; prediction: (n, C), raw.

    Raises:
        ParameterError: a threshold rule that does not fit the task.
    """
    if config.threshold != "none" and not task.spec.has_positive:
        raise ParameterError(
            f"a {task} task has no threshold",
            file="params.yaml",
            where="evaluate.threshold",
            wanted="none",
            got=config.threshold,
        )
    if not task.has_classes:
        return Decision()
    classes = np.asarray(y, dtype=np.int64)
    temperature = fit_temperature(classes, prediction) if config.calibrate else 1.0
    calibrated = apply_temperature(prediction, temperature)
    return Decision(
        temperature=temperature,
        threshold=choose_threshold(classes, calibrated, config.threshold, config.costs),
    )


@dataclass(frozen=True, kw_only=True)
class PartPredictions:
    """A model's predictions of a part's rows, decisions applied.

    Shapes: `y` (n,), `prediction` (n, C), `rows` (n,) row numbers.
    """

    task: Task
    y: Targets
    rows: NDArray[np.integer]
    prediction: DoubleArray
    decision: Decision

    @property
    def predicted(self) -> NDArray[np.generic]:
        """(n,) class numbers, or values."""
        return DECIDE[self.task.spec.target](
            self.prediction, self.decision.threshold, self.task.spec.column
        )

    def scores(self) -> dict[str, float]:
        """Every metric that is defined."""
        return all_scores(self.y, self.prediction, self.task, self.decision.threshold)

    def ci95(self, *, resamples: int, seed: int) -> dict[str, tuple[float, float]]:
        """95% bootstrap interval (low, high) of every metric that has one."""
        return intervals(
            self.y,
            self.prediction,
            self.task,
            threshold=self.decision.threshold,
            resamples=resamples,
            seed=seed,
        )
