"""What the learning curves say, in words: under-fitting, over-fitting, would more rows help.

All numbers are losses, measured without dropout, as a share of what a constant prediction
loses on the validation rows: 0 is perfect, 1 has learned nothing.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from plumbline.kinds import DoubleArray

Fit = Literal["nothing learned", "under-fitting", "over-fitting", "balanced"]
More = Literal["would help", "would not help", "unknown"]

LEARNED = 0.02  # less than this share of the constant's loss removed: nothing learned
GAP = 0.10  # validation loss above training loss by more than this share: over-fitting
FALLING = 0.005  # the last fifth of the epochs still removes this share: under-fitting
MUCH = 0.5  # a training loss above this share leaves open whether the model is too small
GAIN = 0.01  # a gain from more rows below this share is not worth collecting them
FEW_STEPS = 1000  # optimizer steps, below which patience may have ended a fit too soon
RISEN = 0.10  # the last fifth of the epochs gave back more than this share of what was gained
NOISES = 5.0  # by more than so many standard deviations of its noise: the monitor has risen
SIGMAS = 2.0  # standard errors that a difference needs to count


@dataclass(frozen=True, kw_only=True)
class Point:
    """One point of the learning curve over rows: `losses` (m,) of the validation rows after
    fitting on `rows` training rows."""

    rows: int
    losses: DoubleArray


@dataclass(frozen=True, kw_only=True)
class Diagnosis:
    """The judgement, the sentences that explain it, and the numbers behind them. `few_steps`: that
    patience ended the fit after few steps though more could help, and what to set; None else."""

    fit: Fit
    more_rows: More
    text: list[str]
    numbers: dict[str, float]
    few_steps: str | None = None

    def to_json(self) -> dict[str, Any]:
        return {
            "fit": self.fit,
            "more_rows": self.more_rows,
            "text": self.text,
            "numbers": self.numbers,
            "few_steps": self.few_steps,
        }


def diagnose(
    *,
    history: Sequence[dict[str, float]],
    monitored: Sequence[float],
    best_epoch: int,
    stopped_early: bool,
    steps: int,
    train_loss: float,
    constant_loss: float,
    train_constant_loss: float,
    curve: Sequence[Point],
) -> Diagnosis:
    """The verdict on a fit.

    Args:
        history: rows with `val_loss`, an epoch each; its unit may be another one, as a fit on
            resampled rows is validated on rows as they are.
        monitored: what patience watched, an epoch each; smaller is better.
        best_epoch: the epoch whose weights were kept, from 1.
        stopped_early: whether patience ended the fit before its last epoch.
        steps: of an epoch.
        train_loss: of the kept weights on the training rows.
        constant_loss: of the best constant prediction on the validation rows.
        train_constant_loss: of the same on the training rows: of a target with outliers another.
        curve: points by rising rows; the last is the fit on all rows.
    """
    unit = max(constant_loss, 1e-12)
    val_loss = float(curve[-1].losses.mean())
    numbers = {
        "train_loss": train_loss,
        "val_loss": val_loss,
        "constant_loss": constant_loss,
        "train_constant_loss": train_constant_loss,
        "gap": val_loss / unit - train_loss / max(train_constant_loss, 1e-12),
        "still_falling": _falling([row["val_loss"] for row in history], best_epoch)
        * (val_loss / max(history[best_epoch - 1]["val_loss"], 1e-12) / unit),
    }
    more, gain, sentence = _more_rows(curve, unit)
    # kept is not yet best: train.keep may be last
    last_is_best = (
        not stopped_early and best_epoch == len(history) and monitored[-1] == min(monitored)
    )
    fit, text = _fit(numbers, last_is_best, more, unit)
    few = None
    if stopped_early and fit != "balanced" and not _risen(monitored):
        few = _few_steps(len(history), steps)
    if few is not None:  # other advice is for fits that were long enough
        text = f"{text.partition('. ')[0].replace(': ', ' so far: ', 1)}. {few}"
    return Diagnosis(
        fit=fit,
        more_rows=more,
        text=[text, sentence],
        numbers=numbers | gain,
        few_steps=few,
    )


def _few_steps(epochs: int, steps: int) -> str | None:
    """That a fit which patience ended was short, and what makes it longer."""
    if epochs * steps >= FEW_STEPS:
        return None
    enough = math.ceil(FEW_STEPS / steps)
    return (
        f"The fit was short: train.patience, which counts epochs, ended it after "
        f"{epochs * steps:,} steps of the optimizer ({epochs} epochs of {steps}), when what it "
        f"watches was not clearly worse than at its best. Before anything else set "
        f"train.epochs: {enough} and train.patience: 0, and run `dvc repro`."
    )


def _risen(monitored: Sequence[float]) -> bool:
    """Whether it ended clearly above its best, where more steps only lead further away: by the
    median of the last fifth of the epochs, as a single one, like the best, may be low by chance.

    Its noise is told from its course by second differences, in which what is straight cancels.
    """
    values = np.asarray(monitored, dtype=np.float64)
    best = int(values.argmin())
    late = values[max(best, len(values) - max(1, len(values) // 5)) :]
    rise = float(np.median(late)) - values[best]
    bends = np.abs(np.diff(values, 2))
    noise = float(np.median(bends)) / (0.6745 * math.sqrt(6)) if len(bends) else 0.0
    return bool(rise > max(NOISES * noise, RISEN * (values[0] - values[best])))


def _fit(numbers: dict[str, float], last_is_best: bool, more: More, unit: float) -> tuple[Fit, str]:
    train = numbers["train_loss"] / max(numbers["train_constant_loss"], 1e-12)
    val = numbers["val_loss"] / unit
    measured = f"training loss {train:.0%}, validation loss {val:.0%} of a constant prediction's"
    if train > 1 - LEARNED:
        why = (
            "The last of train.epochs was the best: raise train.epochs or train.learning_rate."
            if last_is_best
            else "The features may say nothing about the target, or the learning rate or the "
            "model does not suit them."
        )
        return "nothing learned", f"Nothing learned: {measured}. {why}"
    if numbers["gap"] > GAP:
        rows = "" if more == "would not help" else ", or more rows"
        smaller = ", a smaller model" if rows else " or a smaller model"
        return "over-fitting", (
            f"Over-fitting: {measured}. Try more dropout or weight decay{smaller}{rows}."
        )
    if last_is_best and numbers["still_falling"] > FALLING:
        return "under-fitting", (
            f"Under-fitting: {measured}, and it was still falling in the last epochs. "
            "Raise train.epochs or train.learning_rate."
        )
    if val > 1 - LEARNED:
        return "over-fitting", (
            f"Over-fitting: {measured}. What was learned does not hold on other rows."
        )
    if train > MUCH:
        return "balanced", (
            f"Balanced: {measured}; the gap is small, and most of the constant's loss is left. "
            "Either the rest is noise, or the model is too small for it or lacks a feature: "
            "compare a larger one, and the baselines in the report."
        )
    return "balanced", (
        f"Balanced: {measured}; the gap is small. A larger model is worth a try only if "
        "the training loss is higher than the task needs."
    )


def _falling(losses: Sequence[float], best_epoch: int) -> float:
    """How much the loss fell over the last fifth of the epochs up to the best."""
    before = max(0, best_epoch - 1 - max(1, best_epoch // 5))
    return losses[before] - losses[best_epoch - 1]


def curve_json(curve: Sequence[Point]) -> list[dict[str, float]]:
    """The learning curve as it is reported: per point `rows`, `val_loss`, and the interval that
    the verdict goes by: `low` to `high` are the loss of the fit on all rows plus the difference
    to it, two standard errors to either side. Validation rows are paired, so what makes all fits
    lose more or less alike is not in it; the last point is compared with itself."""
    last = curve[-1]
    points = []
    for point in curve:
        gain, error = _paired(point, last)
        middle = float(last.losses.mean()) + gain
        points.append(
            {
                "rows": point.rows,
                "val_loss": float(point.losses.mean()),
                "low": middle - SIGMAS * error,
                "high": middle + SIGMAS * error,
            }
        )
    return points


def _paired(fewer: Point, more: Point) -> tuple[float, float]:
    """How much less the fit on more rows loses, and the standard error of that."""
    difference = fewer.losses - more.losses
    count = len(difference)
    error = float(difference.std(ddof=1)) / math.sqrt(count) if count > 1 else 0.0
    return float(difference.mean()), error


def _more_rows(curve: Sequence[Point], unit: float) -> tuple[More, dict[str, float], str]:
    """Whether the step from the last but one point to the last gained anything, by the paired
    differences of the validation rows' losses."""
    if len(curve) < 2:
        return (
            "unknown",
            {},
            "No learning curve over rows: train.learning_curve is empty, or the training rows are "
            "too few for it.",
        )
    fewer, all_rows = curve[-2], curve[-1]
    gain, error = _paired(fewer, all_rows)
    numbers = {"gain_from_rows": gain / unit, "gain_std_error": error / unit}
    measured = (
        f"from {fewer.rows:,} to {all_rows.rows:,} training rows the validation loss "
        f"{'rose' if gain < 0 else 'fell'} by {abs(gain) / unit:.1%} ± "
        f"{SIGMAS * error / unit:.1%} of a constant prediction's"
    )
    if gain > SIGMAS * error and gain / unit > GAIN:
        return "would help", numbers, f"More rows would help: {measured}."
    if gain + SIGMAS * error < GAIN * unit:
        return "would not help", numbers, f"More rows would not help: {measured}."
    return "unknown", numbers, f"Whether more rows would help is within noise: {measured}."
