"""What a search found: its trials, the best, the front of score and size, and the selected one."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

Value = float | int | str | bool
Values = dict[str, Value]


@dataclass(frozen=True, kw_only=True)
class TrialRow:
    """One trial: its values, the score of each fold, their mean, how it ended, and what its
    network takes (`parameters`, `multiply_adds`), where that was asked for."""

    number: int
    state: str  # complete, pruned, too_large, refused
    value: float | None
    values: Values
    scores: list[float] = field(default_factory=list)
    size: dict[str, int] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class SearchResult:
    """What a search found.

    Attributes:
        default: the trial of the center of the space, what no search would give; None where it
            has not ended, or was too large to be fitted.
        second: the key of `size` that is to be small as well, if there is one.
        stopped_by: trials, patience or minutes.
    """

    trials: list[TrialRow]
    best: TrialRow
    default: TrialRow | None
    importance: dict[str, float]
    greater_is_better: bool
    second: str | None = None
    stopped_by: str = "trials"

    @property
    def std_error(self) -> float:
        """Of the best mean, over folds."""
        return std_error(self.best.scores)

    @property
    def gain(self) -> tuple[float, float] | None:
        """Mean and standard error of the paired difference of the best trial to the default, over
        folds; None where the default was not scored in the same folds."""
        return None if self.default is None else self._difference(self.default)

    @property
    def selected(self) -> TrialRow:
        """Of the trials that the best does not outperform by more than the standard error of the
        difference the smallest, where size is an objective; of those of one size the default, or
        else the best: the best of many tries is lucky too."""
        able = [self.best]
        if self.second is not None:
            able += [t for t in self.complete if not self._is_outperformed(t)]
        elif self.default is not None and not self._is_outperformed(self.default):
            able.append(self.default)
        smallest = min(self._size(t) for t in able)
        able = [t for t in able if self._size(t) == smallest]
        if self.default is not None and self.default in able:
            return self.default
        return best_of(able, self.greater_is_better)

    def count(self, state: str) -> int:
        """How many trials ended so."""
        return sum(trial.state == state for trial in self.trials)

    @property
    def complete(self) -> list[TrialRow]:
        """Those that have a score."""
        return [t for t in self.trials if t.state == "complete"]

    @property
    def front(self) -> list[TrialRow]:
        """The Pareto front, the smallest first: no other is as good and smaller, or better and as
        small."""
        if self.second is None:
            return []
        front: list[TrialRow] = []
        sign = 1 if self.greater_is_better else -1
        for trial in sorted(
            self.complete, key=lambda t: (self._size(t), -sign * (t.value or 0.0), t.number)
        ):
            if not front or sign * (trial.value or 0.0) > sign * (front[-1].value or 0.0):
                front.append(trial)
        return front

    @property
    def inside_noise(self) -> int:
        """How many other trials lie within one standard error of the best."""
        assert self.best.value is not None
        sign = 1 if self.greater_is_better else -1
        bound = sign * self.best.value - self.std_error
        others = [t for t in self.complete if t.number != self.best.number]
        return sum(1 for t in others if t.value is not None and sign * t.value >= bound)

    def _size(self, trial: TrialRow) -> int:
        return 0 if self.second is None else trial.size[self.second]

    def _difference(self, other: TrialRow) -> tuple[float, float] | None:
        if len(other.scores) != len(self.best.scores) or len(other.scores) < 2:
            return None
        difference = np.subtract(self.best.scores, other.scores)
        return float(difference.mean()), std_error(list(difference))

    def _is_outperformed(self, other: TrialRow) -> bool:
        """Whether the best is better by more than noise; where noise is not known, at all."""
        difference = self._difference(other)
        if difference is None:
            return True
        gain, error = difference
        return (gain if self.greater_is_better else -gain) > error


def best_of(trials: Sequence[TrialRow], greater_is_better: bool) -> TrialRow:
    """The one of the best value; the first of equals."""
    sign = 1 if greater_is_better else -1
    return max(trials, key=lambda t: (sign * (t.value or 0.0), -t.number))


def std_error(scores: list[float]) -> float:
    """Of the mean of fold scores; 0 for a single one."""
    return float(np.std(scores, ddof=1) / math.sqrt(len(scores))) if len(scores) > 1 else 0.0
