"""What metrics and baselines are called: on the page, in the model card, in the terminal."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from plumbline.kinds import Task
from plumbline.numbers import NOTHING, aligned, fixed, interval, number


@dataclass(frozen=True, kw_only=True)
class MetricWord:
    """A metric's label; whether more is better; whether its values lie in [0, 1]."""

    label: str
    greater_is_better: bool
    unit: bool = True


METRIC_WORDS: dict[str, MetricWord] = {
    "roc_auc": MetricWord(label="ROC AUC", greater_is_better=True),
    "average_precision": MetricWord(label="average precision", greater_is_better=True),
    "accuracy": MetricWord(label="accuracy", greater_is_better=True),
    "balanced_accuracy": MetricWord(label="balanced accuracy", greater_is_better=True),
    "precision": MetricWord(label="precision", greater_is_better=True),
    "recall": MetricWord(label="recall", greater_is_better=True),
    "f1": MetricWord(label="F1", greater_is_better=True),
    "log_loss": MetricWord(label="log loss", greater_is_better=False),
    "brier": MetricWord(label="Brier score", greater_is_better=False),
    "ece": MetricWord(label="calibration error (ECE)", greater_is_better=False),
    "mae": MetricWord(label="MAE", greater_is_better=False, unit=False),
    "mse": MetricWord(label="MSE", greater_is_better=False, unit=False),
    "rmse": MetricWord(label="RMSE", greater_is_better=False, unit=False),
    "r2": MetricWord(label="R²", greater_is_better=True),
    "mape": MetricWord(label="MAPE", greater_is_better=False),
}
BASELINE_WORDS = {
    "majority": "constant",
    "linear": "linear model",
    "gradient_boosting": "gradient boosting",
}


@dataclass(frozen=True, kw_only=True)
class TaskWords:
    """A task in words; `{target}` stands for the target's name, `{positive}` for its class.

    Attributes:
        label: what the task is called.
        prediction: what the columns of a prediction are.
        output: the one that is explained; `in_a_sentence`: the same there.
        unit: of that output.
        size: what the size of a conformal set or interval is.
    """

    label: str
    prediction: str
    output: str
    in_a_sentence: str
    unit: str
    size: str


TASK_WORDS: dict[Task, TaskWords] = {
    Task.BINARY: TaskWords(
        label="binary classification",
        prediction="calibrated probability of each class, in the order of `classes`",
        output="probability of '{positive}'",
        in_a_sentence="the probability of {positive}",
        unit="probability",
        size="classes per set",
    ),
    Task.MULTICLASS: TaskWords(
        label="multiclass classification",
        prediction="calibrated probability of each class, in the order of `classes`",
        output="probability of the predicted class",
        in_a_sentence="the probability of the class predicted for the row",
        unit="probability",
        size="classes per set",
    ),
    Task.REGRESSION: TaskWords(
        label="regression",
        prediction="value in the target's units",
        output="value in the target's units",
        in_a_sentence="the predicted {target}",
        unit="{target}",
        size="mean width",
    ),
}
LINEAGE_WORDS = {
    "git_commit": "git commit",
    "data": "data hash (DVC)",
    "params": "params.yaml hash",
    "dvc_lock": "dvc.lock hash",
    "model": "model hash",
    "start": "started from",
    "weights": "weights hash",
    "metrics": "metrics hash",
    "rebuildable": "can be rebuilt",
    "user": "fitted by",
    "fitted_at": "fitted at",
    "fit_seconds": "seconds of fitting",
}
DECISION_WORDS = {
    "first": "champion, as the first version",
    "promote": "promoted by the gate",
    "hold": "held back by the gate",
    "review": "a person decides",
}
UNCOMMITTED = {"false": "none", "true": "yes: the commit alone does not rebuild it"}
LARGEST = 7  # powers of ten that a difference is written out below
FINEST = 6  # decimals of a difference, at most
IN_A_SENTENCE = {
    "majority": "a constant prediction",
    "linear": "the linear model",
}


UNKNOWN = "unknown"  # who moved the alias champion, by hand
# how the alias champion was moved
MOVE_WORDS = {
    "gate": "the gate",
    "promote": "plumbline promote",
    "rollback": "plumbline rollback",
    "by hand": "by hand in MLflow",
}


def move_words(move: Mapping[str, Any]) -> str:
    """When, how, by whom and why the alias champion moved."""
    when = f"{str(move.get('when'))[:16].replace('T', ' ')} UTC"
    how = MOVE_WORDS.get(str(move.get("how")), str(move.get("how")))
    who = "" if move.get("who") in (None, UNKNOWN) else f" ({move['who']})"
    return f"{when}, {how}{who}: {move.get('why')}"


def champion_words(version: str, history: Sequence[Mapping[str, Any]]) -> str | None:
    """Since when a version is champion, or until when it was; None where the gate's decision on it
    says as much.

    Args:
        history: moves of the alias champion, the oldest first.
    """
    own = [move for move in history if version in (move.get("before"), move.get("after"))]
    if not own or (own[-1].get("how") == "gate" and own[-1].get("after") == version):
        return None
    return f"{'since' if own[-1].get('after') == version else 'until'} {move_words(own[-1])}"


def shape_words(sizes: Sequence[int | None], *, rows: bool = True) -> str:
    """`(N, 8, 192)`: a shape without its rows, with N for them; a free length is `?`."""
    return f"({', '.join(['N'] * rows + [str(size or '?') for size in sizes])})"


def metric_label(name: str) -> str:
    """A metric's name in words; an unknown one as it is."""
    return METRIC_WORDS[name].label if name in METRIC_WORDS else name


def greater_is_better(name: str) -> bool:
    """The direction of a metric; unknown ones count as scores."""
    return METRIC_WORDS[name].greater_is_better if name in METRIC_WORDS else True


def metric_values(name: str, values: Sequence[float | None]) -> list[str]:
    """Values of a metric that are compared, with as many decimals each."""
    unit = name not in METRIC_WORDS or METRIC_WORDS[name].unit
    return [fixed(value, 3) for value in values] if unit else aligned(values, 4)


def metric_value(name: str, value: float | None) -> str:
    """A metric's value: three decimals where it lies in [0, 1], else four digits."""
    unit = name not in METRIC_WORDS or METRIC_WORDS[name].unit
    return fixed(value, 3) if unit else number(value)


def metric_differences(name: str, values: Sequence[float | None]) -> list[str]:
    """Differences of a metric's values with their signs, all with as many decimals as it takes to
    tell each from zero: +0.0021, +0.0004, +0.0038."""
    sizes = [abs(v) for v in values if v]
    powers = [math.floor(math.log10(s)) for s in sizes] or [0]
    unit = name not in METRIC_WORDS or METRIC_WORDS[name].unit
    decimals = max(3 if unit else 2 - max(powers), -min(powers), 0)
    large = max(powers) >= LARGEST
    texts = [number(v, 3) if large else fixed(v, min(decimals, FINEST)) for v in values]
    return [f"+{t}" if v and v > 0 else t for t, v in zip(texts, values, strict=True)]


def metric_difference(name: str, value: float | None) -> str:
    """A single difference, written as `metric_differences` does."""
    return metric_differences(name, [value])[0]


def metric_interval(name: str, low: float | None, high: float | None) -> str:
    """An interval of a metric, or a dash."""
    if low is None or high is None:
        return NOTHING
    unit = name not in METRIC_WORDS or METRIC_WORDS[name].unit
    return f"{fixed(low, 3)} to {fixed(high, 3)}" if unit else interval(low, high)


def baseline_phrase(name: str) -> str:
    """A baseline inside a sentence."""
    return IN_A_SENTENCE.get(name, baseline_label(name))


def baseline_label(name: str) -> str:
    """A baseline's name in words; an unknown one as it is."""
    return BASELINE_WORDS.get(name, name.replace("_", " "))


def lineage_words(lineage: Mapping[str, str]) -> list[tuple[str, str]]:
    """What a version was made from: (label, value) in words."""
    parts = []
    for key, value in lineage.items():
        if key == "git_dirty":
            parts.append(("uncommitted changes", UNCOMMITTED.get(value, value)))
        else:
            parts.append((LINEAGE_WORDS.get(key, key.replace("_", " ")), value))
    return parts
