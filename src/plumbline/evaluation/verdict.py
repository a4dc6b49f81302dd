"""Whether the deep model outperforms the baselines, and by how much."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from plumbline.evaluation.decision import PartPredictions
from plumbline.evaluation.intervals import Difference, paired_difference
from plumbline.evaluation.metrics import METRICS, score
from plumbline.numbers import number
from plumbline.words import baseline_phrase, metric_differences, metric_label

SMALL = 0.05  # a difference of less than this share of the baseline's error is small in practice


def compare(
    model: PartPredictions,
    baselines: Mapping[str, PartPredictions],
    metric: str,
    *,
    resamples: int,
    seed: int,
) -> dict[str, Any]:
    """The model against each baseline on the same rows, by a paired bootstrap of the metric.

    Returns:
        `outperforms_baselines`: True if the model is better than every baseline, outside the
        noise; False if it is not better than one of them; None if there is nothing to compare.
        `text`: that in a sentence. `best_baseline`: the name of the one that scores best.
        `baselines`: per name `verdict` (better, within noise, worse, unknown), `score`,
        `difference` (model minus baseline), `ci95`, `p_value`, `error_reduction` (the share of
        the baseline's error that the model removes), `small` (whether that is little), `text`.
    """
    compared = {
        name: _entry(name, model, other, metric, resamples, seed)
        for name, other in baselines.items()
    }
    verdicts = {name: str(entry["verdict"]) for name, entry in compared.items()}
    outperforms = None
    if verdicts and "unknown" not in verdicts.values():
        outperforms = all(verdict == "better" for verdict in verdicts.values())
    best = _best(compared, METRICS[metric].greater_is_better)
    return {
        "outperforms_baselines": outperforms,
        "text": _overall(compared, best, metric, outperforms),
        "best_baseline": best,
        "baselines": compared,
    }


def _entry(
    name: str,
    model: PartPredictions,
    other: PartPredictions,
    metric: str,
    resamples: int,
    seed: int,
) -> dict[str, Any]:
    words = baseline_phrase(name)
    gap = paired_difference(
        metric,
        model.y,
        model.prediction,
        other.prediction,
        thresholds=(model.decision.threshold, other.decision.threshold),
        resamples=resamples,
        seed=seed,
    )
    if gap is None:
        why = f"{metric_label(metric)} is undefined on these rows"
        text = f"The deep model cannot be compared with {words}: {why}."
        return {"verdict": "unknown", "text": text}
    theirs = score(metric, other.y, other.prediction, other.task, other.decision.threshold)
    removed = error_reduction(theirs, gap)
    relation = {
        "better": f"better than {words}",
        "within noise": f"not significantly different from {words}",
        "worse": f"worse than {words}",
    }[gap.verdict]
    return {
        "verdict": gap.verdict,
        "score": theirs,
        "difference": gap.difference,
        "ci95": [gap.low, gap.high],
        "p_value": gap.p_value,
        "error_reduction": removed,
        "small": removed is not None and abs(removed) < SMALL,
        "text": f"The deep model is {relation}: "
        f"{_size(metric, [gap.difference, gap.low, gap.high])}, p = {number(gap.p_value, 2)}.",
    }


def error_reduction(baseline: float, gap: Difference) -> float | None:
    """The share of a baseline's error that the model removes; negative where it adds some.

    The error is what is missing to 1 where more is better, the metric itself where less is. None
    for a baseline without error.
    """
    error = 1 - baseline if gap.greater_is_better else baseline
    gain = gap.difference if gap.greater_is_better else -gap.difference
    return gain / error if error > 0 else None


def _size(metric: str, values: Sequence[float]) -> str:
    """A difference with both ends of its interval."""
    difference, low, high = metric_differences(metric, values)
    label = metric_label(metric)
    return f"difference in {label} {difference} (95% interval {low} to {high})"


def _best(baselines: Mapping[str, Mapping[str, Any]], greater_is_better: bool) -> str | None:
    """The baseline that scores best; the first of equals."""
    scores = {name: entry["score"] for name, entry in baselines.items() if "score" in entry}
    if not scores:
        return None
    return (max if greater_is_better else min)(scores, key=lambda name: scores[name])


def _overall(
    scored: Mapping[str, Mapping[str, Any]],
    best: str | None,
    metric: str,
    outperforms: bool | None,
) -> str:
    unknown = "Whether the deep model outperforms the baselines is unknown: "
    if not scored:
        return f"{unknown}no baseline was fitted."
    if outperforms is None or best is None:
        return f"{unknown}{metric_label(metric)} is undefined on these rows."
    if outperforms:
        text = (
            f"The deep model is better than {_all(scored)}. {_against(best, scored[best], metric)}"
        )
        return f"{text} {SMALL_GAIN}" if scored[best]["small"] else text
    worse = [name for name, entry in scored.items() if entry["verdict"] == "worse"]
    if worse:
        named = best if best in worse else worse[0]
        that = "that" if len(worse) == 1 else f"one of them, {baseline_phrase(named)} say,"
        return (
            f"The deep model is significantly worse than {_simpler(worse)}: use "
            f"{that} instead. {_against(named, scored[named], metric)}"
        )
    level = [name for name, entry in scored.items() if entry["verdict"] == "within noise"]
    named = best if best in level else level[0]
    which = "the simpler one" if len(level) == 1 else "one of them"
    return (
        f"The deep model is not significantly better than {_simpler(level)}: "
        f"prefer {which}. {_against(named, scored[named], metric)}"
    )


def _simpler(names: list[str]) -> str:
    return f"{'a simpler baseline' if len(names) == 1 else 'simpler baselines'} ({_all(names)})"


SMALL_GAIN = f"That is small in practice: less than {SMALL:.0%} of that baseline's error."


def _against(name: str, entry: Mapping[str, Any], metric: str) -> str:
    values = [entry["difference"], *entry["ci95"]]
    return f"Against {baseline_phrase(name)}: {_size(metric, values)}."


def _all(names: Iterable[str]) -> str:
    *first, last = [baseline_phrase(name) for name in names]
    return f"{', '.join(first)} and {last}" if first else last
