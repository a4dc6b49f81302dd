"""The metric that a fit is stopped or compared by, given by whoever asks for the fit."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from plumbline.kinds import DoubleArray, Task

Targets = Any  # (n,) class numbers or values


@dataclass(frozen=True, kw_only=True)
class Criterion:
    """A metric's name, how it is computed from targets (n,) and predictions (n, C), and which
    way is better."""

    name: str
    of: Callable[[Targets, DoubleArray, Task], float]
    greater_is_better: bool

    def stopping(self, task: Task) -> dict[str, Any]:
        """Arguments of a fit: the epoch of the best score is the one that is kept."""
        return {
            "score": lambda y, prediction: self.of(y, prediction, task),
            "greater_is_better": self.greater_is_better,
        }
