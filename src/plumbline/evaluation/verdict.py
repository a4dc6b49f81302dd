"""Whether the deep model earned its keep: a plain sentence about each baseline."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from plumbline.evaluation.decision import Judged
from plumbline.evaluation.intervals import Difference, paired_difference


def compare(
    model: Judged,
    baselines: Mapping[str, Judged],
    metric: str,
    *,
    resamples: int,
    seed: int,
) -> dict[str, Any]:
    """The model against each baseline on the same rows, by a paired bootstrap of the metric.

    Returns:
        `earned`: True if the model is better than every baseline, outside the noise; False if
        it is not better than one of them; None if there is nothing to compare. `text`: that in
        a sentence. `baselines`: per name `verdict` (better, within noise, worse, unknown),
        `difference` (model minus baseline), `ci95`, `p_value`, `text`.
    """
    found = {
        name: paired_difference(
            metric,
            model.y,
            model.prediction,
            other.prediction,
            thresholds=(model.decision.threshold, other.decision.threshold),
            resamples=resamples,
            seed=seed,
        )
        for name, other in baselines.items()
    }
    verdicts = {name: gap.verdict if gap else "unknown" for name, gap in found.items()}
    earned = None
    if verdicts and "unknown" not in verdicts.values():
        earned = all(verdict == "better" for verdict in verdicts.values())
    return {
        "earned": earned,
        "text": _overall(verdicts, metric, earned),
        "baselines": {name: _entry(name, gap, metric) for name, gap in found.items()},
    }


def _entry(name: str, gap: Difference | None, metric: str) -> dict[str, Any]:
    words = name.replace("_", " ")
    if gap is None:
        text = f"Against {words} nothing can be said: {metric} is undefined on these rows."
        return {"verdict": "unknown", "text": text}
    relation = {
        "better": f"better than {words}",
        "within noise": f"within noise of {words}",
        "worse": f"worse than {words}",
    }[gap.verdict]
    return {
        "verdict": gap.verdict,
        "difference": gap.difference,
        "ci95": [gap.low, gap.high],
        "p_value": gap.p_value,
        "text": (
            f"The deep model is {relation}: {metric} {gap.difference:+.4g} "
            f"(95 % interval {gap.low:+.4g} to {gap.high:+.4g}, p = {gap.p_value:.2g})."
        ),
    }


def _overall(verdicts: Mapping[str, str], metric: str, earned: bool | None) -> str:
    if not verdicts:
        return "Whether the deep model earned its keep is not known: no baseline was fitted."
    if earned is None:
        return (
            f"Whether the deep model earned its keep is not known: {metric} is undefined on "
            "these rows."
        )
    if earned:
        return f"The deep model earned its keep: by {metric} it is better than {_all(verdicts)}."
    worse = [name for name, verdict in verdicts.items() if verdict == "worse"]
    if worse:
        return (
            f"The deep model did not earn its keep: by {metric} it is worse than "
            f"{_all(worse)}. Use that instead."
        )
    level = [name for name, verdict in verdicts.items() if verdict == "within noise"]
    return (
        f"The deep model did not earn its keep: by {metric} it is within noise of "
        f"{_all(level)}. The simpler model is the safer choice."
    )


def _all(names: Any) -> str:
    *first, last = [name.replace("_", " ") for name in names]
    return f"{', '.join(first)} and {last}" if first else last
