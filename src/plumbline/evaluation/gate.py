"""Champion against challenger: both scored on the same rows, and a decision with its reasons.

n rows.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import numpy as np

from plumbline.evaluation.intervals import paired_difference
from plumbline.evaluation.metrics import METRICS
from plumbline.evaluation.metrics.weighted import Targets
from plumbline.evaluation.slices import Slice
from plumbline.kinds import DoubleArray
from plumbline.numbers import number, p_value, plural
from plumbline.words import metric_difference, metric_interval, metric_label

RESAMPLES = 2000  # p-values down to 0.001
SLICES_NAMED = 5


class GateDecision(StrEnum):
    """What becomes of a model version."""

    FIRST = "first"  # becomes champion: there was none
    PROMOTE = "promote"  # becomes champion: better, and nowhere much worse
    HOLD = "hold"  # stays challenger: not shown to be better
    REVIEW = "review"  # stays challenger until a person decides


@dataclass(frozen=True, kw_only=True)
class GateResult:
    """A decision and, in plain words, why."""

    decision: GateDecision
    reasons: tuple[str, ...]

    def to_json(self) -> dict[str, Any]:
        return {"decision": str(self.decision), "reasons": list(self.reasons)}


@dataclass(frozen=True, kw_only=True)
class Candidate:
    """What one model says of the test rows: `prediction` (n, C) calibrated probabilities or
    (n, 1) values, and the threshold of its positive class."""

    prediction: DoubleArray
    threshold: float | None = None


@dataclass(frozen=True, kw_only=True)
class Rules:
    """What is asked of a challenger.

    `significance`: of the paired gain. `max_slice_loss`: in the metric's units; for errors in
    the target's units (MAE, MSE, RMSE, MAPE) as a share of the champion's error. `by_hand`: a
    person promotes, whatever comes out.
    """

    metric: str
    significance: float
    max_slice_loss: float
    by_hand: bool


def accept_first(rules: Rules) -> GateResult:
    """The decision where there is no champion."""
    reason = "there was no champion"
    if rules.by_hand:
        return GateResult(decision=GateDecision.REVIEW, reasons=(reason, BY_HAND))
    return GateResult(decision=GateDecision.FIRST, reasons=(reason,))


def decide_version(
    y: Targets,
    challenger: Candidate,
    champion: Candidate,
    slices: Sequence[Slice],
    rules: Rules,
    seed: int,
) -> GateResult:
    """Promote a challenger that is significantly better and loses too much on no slice.

    The gain is tested by a paired bootstrap over rows (`intervals.paired_difference`).

    Args:
        y: (n,) class numbers or values of the test rows.
        slices: parts of these rows; `Slice.rows` are positions, 0 to n - 1.
    """
    gain = paired_difference(
        rules.metric,
        y,
        challenger.prediction,
        champion.prediction,
        thresholds=(challenger.threshold, champion.threshold),
        resamples=RESAMPLES,
        seed=seed,
    )
    if gain is None:
        what = f"{metric_label(rules.metric)} is not defined on the {plural(len(y), 'test row')}"
        return GateResult(decision=GateDecision.REVIEW, reasons=(what,))
    better = (gain.difference > 0) == gain.greater_is_better and gain.difference != 0
    significant = better and gain.p_value < rules.significance
    name, rows = rules.metric, plural(len(y), "test row")
    reasons = [
        f"{metric_label(name)} changes by {metric_difference(name, gain.difference)} "
        f"(95% interval {metric_interval(name, gain.low, gain.high)}, {p_value(gain.p_value)}) "
        f"on {rows}",
        "the gain is significant" if significant else _not_better(better, rules),
    ]
    losses = _losses(y, challenger, champion, slices, rules)
    reasons += [
        f"loses {number(loss, 3)} where {one.column} is {one.value}" for loss, one in losses
    ]
    if not significant or losses:
        return GateResult(decision=GateDecision.HOLD, reasons=tuple(reasons))
    reasons.append(f"no slice loses more than {rules.max_slice_loss:g} ({len(slices):,} compared)")
    if rules.by_hand:
        return GateResult(decision=GateDecision.REVIEW, reasons=(*reasons, BY_HAND))
    return GateResult(decision=GateDecision.PROMOTE, reasons=tuple(reasons))


BY_HAND = "register.promote is review: a person moves the alias champion in the MLflow UI"


def _not_better(better: bool, rules: Rules) -> str:
    if better:
        return f"the gain may be chance: p is not below {rules.significance:g}"
    return "it is not better than the champion"


def _losses(
    y: Targets,
    challenger: Candidate,
    champion: Candidate,
    slices: Sequence[Slice],
    rules: Rules,
) -> list[tuple[float, Slice]]:
    """The worst slices that lose more than allowed, the worst first."""
    metric = METRICS[rules.metric]
    losses = []
    for one in slices:
        rows = one.rows
        new, old = (
            metric.function(y[rows], model.prediction[rows], model.threshold)
            for model in (challenger, champion)
        )
        loss = old - new if metric.greater_is_better else new - old
        if metric.relative:
            loss = loss / old if old > 0 else math.copysign(math.inf, loss) if loss else 0.0
        # NaN (a slice with one class has no ROC-AUC) is no loss
        if np.isfinite([new, old]).all() and loss > rules.max_slice_loss:
            losses.append((loss, one))
    return sorted(losses, key=lambda pair: -pair[0])[:SLICES_NAMED]
