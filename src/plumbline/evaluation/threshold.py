"""From which probability on a row is called positive, chosen on validation rows."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from plumbline.errors import ParameterError
from plumbline.evaluation.metrics import METRICS, predicted_classes
from plumbline.kinds import DoubleArray, IntArray

CANDIDATES = 500  # thresholds tried at most
RULES = ("none", "cost", *(name for name, metric in METRICS.items() if metric.by_label))


def choose_threshold(
    y: IntArray, probabilities: DoubleArray, rule: str, costs: Mapping[str, float]
) -> float | None:
    """The threshold that is best by a metric, or that costs least.

    Args:
        y: (n,) class numbers of rows the model was not fitted on.
        probabilities: (n, 2), calibrated.
        rule: `none`, a metric that depends on the threshold, or `cost`.
        costs: for `cost`: of a false positive `fp` and of a false negative `fn`.

    Returns:
        A value halfway between two probabilities, in (0, 1); of equally good ones the nearest
        to 0.5. None (the more probable class) for rule `none`, and where the rows hold one
        class only or one probability only.

    Raises:
        ParameterError: a rule that knows no threshold, or costs other than fp and fn.
    """
    _check(rule, costs)
    candidates = np.unique(probabilities[:, 1]) if len(y) else np.zeros(0)
    if rule == "none" or len(np.unique(y)) < 2 or len(candidates) < 2:
        return None
    between = (candidates[1:] + candidates[:-1]) / 2
    if len(between) > CANDIDATES:
        # evenly over the values that occur: thresholds lie where rows are
        between = np.unique(np.quantile(between, np.linspace(0, 1, CANDIDATES), method="nearest"))
    gains = np.array([_gain(y, probabilities, float(t), rule, costs) for t in between])
    best = between[gains >= gains.max() - 1e-12]
    return float(best[np.abs(best - 0.5).argmin()])


def _gain(
    y: IntArray, probabilities: DoubleArray, threshold: float, rule: str, costs: Mapping[str, float]
) -> float:
    if rule != "cost":
        return METRICS[rule].function(y, probabilities, threshold)
    return -cost_per_row(y, probabilities, threshold, costs)


def cost_per_row(
    y: IntArray, probabilities: DoubleArray, threshold: float | None, costs: Mapping[str, float]
) -> float:
    """Mean cost of the decisions on rows y (n,), in the units of `costs`."""
    predicted = predicted_classes(probabilities, threshold)
    false_positives = float(((predicted == 1) & (y == 0)).mean())
    false_negatives = float(((predicted == 0) & (y == 1)).mean())
    return costs["fp"] * false_positives + costs["fn"] * false_negatives


def _check(rule: str, costs: Mapping[str, float]) -> None:
    if rule not in RULES:
        raise ParameterError(
            f"'{rule}' does not depend on the threshold",
            file="params.yaml",
            where="evaluate.threshold",
            hint=f"choose one of {', '.join(RULES)}",
        )
    if rule == "cost" and (set(costs) != {"fp", "fn"} or min(costs.values()) < 0):
        raise ParameterError(
            "wrong costs",
            file="params.yaml",
            where="evaluate.costs",
            wanted="{ fp: cost of a false positive, fn: cost of a false negative }, none negative",
            got=dict(costs),
        )
