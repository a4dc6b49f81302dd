"""Champion against challenger: both scored on the same rows, and a decision with its reasons.

n rows.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Literal

from plumbline.evaluation.intervals import Difference, paired_difference
from plumbline.evaluation.metrics import METRICS
from plumbline.evaluation.metrics.weighted import Targets
from plumbline.evaluation.slice_losses import SliceLoss, compare_slices
from plumbline.evaluation.slices import Slice
from plumbline.kinds import DoubleArray
from plumbline.numbers import number, p_value, percent, plural
from plumbline.words import metric_difference, metric_interval, metric_label, metric_value

RESAMPLES = 2000  # p-values down to 0.001
SLICES_NAMED = 5
Benefit = Literal["size", "latency"]


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
    """One model on the test rows: `prediction` (n, C) calibrated probabilities or (n, 1) values,
    the threshold of its positive class, and by benefit what it costs: bytes, seconds."""

    prediction: DoubleArray
    threshold: float | None = None
    costs: Mapping[Benefit, float] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Rules:
    """What a challenger must show.

    `significance`: of the paired gain, and of a slice's loss. `max_slice_loss`: the share by which
    a slice's loss may rise (`slice_losses`). `by_hand`: a person promotes, whatever comes out.
    `benefit`: what a challenger without a significant gain may offer instead: at least
    `min_benefit` less of it (a share), while its metric is not worse by more than `margin` (in
    the metric's units; for MAE, MSE, RMSE and MAPE a share of the champion's).
    """

    metric: str
    significance: float
    max_slice_loss: float
    by_hand: bool
    benefit: Benefit | None = None
    min_benefit: float = 0.2
    margin: float = 0.01


def accept_first(rules: Rules, *, former: str | None = None) -> GateResult:
    """The decision where there is no champion.

    Args:
        former: the version that was champion and is so no more, where there was one: a model
            that was in use is not replaced by one that nothing was compared with.
    """
    if former is not None:
        reason = f"there is no champion to compare with: version {former} no longer is"
        return GateResult(decision=GateDecision.REVIEW, reasons=(reason, BY_HAND))
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
    """Promote a challenger that is significantly better, or no worse and of benefit otherwise, and
    loses too much on no slice.

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
    convinces = better and gain.p_value < rules.significance
    name, rows = rules.metric, plural(len(y), "test row")
    reasons = [
        f"{metric_label(name)} changes by {metric_difference(name, gain.difference)} "
        f"(95% interval {metric_interval(name, gain.low, gain.high)}, {p_value(gain.p_value)}) "
        f"on {rows}",
        "the gain is significant" if convinces else _not_better(better, rules),
    ]
    if not convinces and rules.benefit is not None:
        convinces, why = _weigh(rules.benefit, gain, y, challenger, champion, rules)
        reasons += why
    compared = compare_slices(
        rules.metric,
        y,
        challenger.prediction,
        champion.prediction,
        [one.rows for one in slices],
        level=rules.significance,
        least=rules.max_slice_loss,
    )
    losses = [(loss, one) for loss, one in zip(compared, slices, strict=False) if loss.worse]
    reasons += _losses(losses, rules)
    if not convinces or losses:
        return GateResult(decision=GateDecision.HOLD, reasons=tuple(reasons))
    reasons.append(
        f"no slice loses significantly, and more than {percent(rules.max_slice_loss, 0)} "
        f"({len(compared):,} compared)"
    )
    if rules.by_hand:
        return GateResult(decision=GateDecision.REVIEW, reasons=(*reasons, BY_HAND))
    return GateResult(decision=GateDecision.PROMOTE, reasons=tuple(reasons))


BY_HAND = "a person decides: `plumbline promote VERSION --reason TEXT`"


def _not_better(better: bool, rules: Rules) -> str:
    if better:
        return f"the gain may be chance: p is not below {rules.significance:g}"
    return "it is not better than the champion"


def _weigh(
    benefit: Benefit,
    gain: Difference,
    y: Targets,
    challenger: Candidate,
    champion: Candidate,
    rules: Rules,
) -> tuple[bool, list[str]]:
    """Whether a challenger saves enough and is not worse by the margin, and that in words.

    Not worse: the whole 95% interval of the paired difference loses less than the margin.
    """
    metric, what = METRICS[rules.metric], BENEFITS[benefit]
    worst = -gain.low if gain.greater_is_better else gain.high
    if metric.relative:
        base = metric.function(y, champion.prediction, champion.threshold)
        worst, margin = worst / base if base > 0 else worst, percent(rules.margin)
    else:
        margin = metric_value(rules.metric, rules.margin)
    equal = worst < rules.margin
    new, old = challenger.costs[benefit], champion.costs[benefit]
    saved = 1 - new / old
    enough = saved >= rules.min_benefit
    amount = f"{percent(abs(saved), 0)} {what.less if saved >= 0 else what.more}"
    shown = f"({what.show(new)} against {what.show(old)})"
    wanted = "" if enough else f"; at least {percent(rules.min_benefit, 0)} {what.less} is wanted"
    loses = f"{metric_label(rules.metric)} loses"
    return equal and enough, [
        f"it is {amount} {shown}{wanted}",
        f"{loses} less than {margin}, by the whole interval"
        if equal
        else f"it is not shown that {loses} less than {margin}",
    ]


@dataclass(frozen=True, kw_only=True)
class BenefitWords:
    """How a cost is written: less and more of it, and an amount."""

    less: str
    more: str
    show: Callable[[float], str]


BENEFITS: dict[Benefit, BenefitWords] = {
    "size": BenefitWords(
        less="smaller", more="larger", show=lambda size: f"{number(size / 1000, 3)} kB"
    ),
    "latency": BenefitWords(
        less="faster", more="slower", show=lambda seconds: f"{number(1000 * seconds, 3)} ms"
    ),
}


def _losses(losses: Sequence[tuple[SliceLoss, Slice]], rules: Rules) -> list[str]:
    """The worst slices that lose more than allowed, the worst first."""
    name = METRICS[rules.metric].row_loss or ""
    return [
        f"{metric_label(name)} rises by {percent(loss.rise, 0)} where {one.column} is {one.value} "
        f"({metric_value(name, loss.reference)} to {metric_value(name, loss.loss)} on "
        f"{plural(len(one.rows), 'row')}, {p_value(loss.p_value)})"
        for loss, one in sorted(losses, key=lambda pair: -pair[0].rise)[:SLICES_NAMED]
    ]
