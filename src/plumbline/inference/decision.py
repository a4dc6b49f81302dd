"""decision.json: how a model's raw prediction is read, fitted on validation rows.

n rows, C classes.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np

from plumbline.files import read_json, write_json
from plumbline.kinds import DoubleArray

FILE = "decision.json"


def apply_temperature(probabilities: DoubleArray, temperature: float) -> DoubleArray:
    """p ** (1/T), normalized; (n, C) to (n, C). T > 1 flattens, T < 1 sharpens, 1 changes
    nothing. The most probable class stays the same."""
    if temperature == 1.0:
        return probabilities
    # the largest becomes 1, so that no power underflows in every class
    scaled = probabilities / probabilities.max(axis=1, keepdims=True)
    powered = scaled ** (1.0 / temperature)
    return np.asarray(powered / powered.sum(axis=1, keepdims=True), dtype=np.float64)


@dataclass(frozen=True, kw_only=True)
class Decision:
    """How a prediction is read. T = 1 and threshold None: as it is.

    Attributes:
        temperature: of the calibration; 1 for values.
        threshold: a binary row of at least so much is positive; None: the more probable class.
        metric: that the threshold and the verdict are about.
        conformal: state of the prediction sets or intervals.
    """

    temperature: float = 1.0
    threshold: float | None = None
    metric: str | None = None
    conformal: Mapping[str, Any] | None = None

    def apply(self, prediction: DoubleArray) -> DoubleArray:
        """Raw (n, C) probabilities to calibrated ones; (n, 1) values as they are."""
        return apply_temperature(prediction, self.temperature)

    def write(self, folder: Path) -> None:
        """Write decision.json into a folder."""
        state = {
            "temperature": self.temperature,
            "threshold": self.threshold,
            "metric": self.metric,
            "conformal": None if self.conformal is None else dict(self.conformal),
        }
        write_json(folder / FILE, state)

    @classmethod
    def read(cls, folder: Path) -> Self:
        """Read decision.json of a folder.

        Raises:
            OSError, ValueError, KeyError: it is not there, or is not what `write` wrote.
        """
        state = read_json(folder / FILE)
        threshold = state["threshold"]
        return cls(
            temperature=float(state["temperature"]),
            threshold=None if threshold is None else float(threshold),
            metric=state.get("metric"),
            conformal=state.get("conformal"),
        )
