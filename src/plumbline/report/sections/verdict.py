"""The first section: did the deep model earn its keep, and what did the gates say."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from plumbline.report.about import About
from plumbline.report.blocks import (
    Block,
    Facts,
    Figure,
    Figures,
    Note,
    Part,
    Section,
    State,
    Status,
    Text,
    passed,
)
from plumbline.report.forest import Estimate, forest
from plumbline.report.numbers import number
from plumbline.report.read import Reports, entries, listed, pair, pick, real, whole, words
from plumbline.report.sections.data import leakage_status, validation_status
from plumbline.report.words import (
    baseline_label,
    greater_is_better,
    metric_interval,
    metric_label,
    metric_value,
)

DECISIONS: dict[str, Status] = {
    "first": Status(state="good", word="first version"),
    "promote": Status(state="good", word="promoted"),
    "hold": Status(state="warn", word="held back"),
    "review": Status(state="info", word="awaits a person"),
}
HEADLINES: dict[State, str] = {
    "good": "The deep model earned its keep.",
    "warn": "The deep model is no better than a baseline, as far as these test rows can tell.",
    "bad": "The deep model did not earn its keep.",
    "info": "Whether the deep model earned its keep cannot be told.",
}


@dataclass(frozen=True, kw_only=True)
class Judged:
    """The judgement in words, and the estimates it rests on (the model's first)."""

    state: State
    headline: str
    text: Sequence[str]
    items: Sequence[Estimate]


def verdict(reports: Reports, about: About) -> Section:
    """The judgement, the main metric beside every baseline, the gates."""
    judged = judge(reports, about)
    blocks: list[Block] = []
    if judged.items:
        label = metric_label(about.metric)
        better = "further right" if greater_is_better(about.metric) else "further left"
        drawn = forest(
            judged.items,
            title=f"{label} on test rows",
            show=lambda v: metric_value(about.metric, v),
        )
        caption = (
            f"{label[:1].upper() + label[1:]} of the deep model with its 95 % interval (shaded), "
            f"beside each baseline on the same test rows; {better} is better."
        )
        blocks.append(Figures([Figure(svg=drawn, caption=caption, wide=True)]))
    read = (
        "A deep model earns its keep when simpler models, fitted on the same rows, score outside "
        "its 95 % interval on the worse side; inside it, the difference may be chance."
    )
    gates = Part(
        title="Gates",
        read="Each gate could have stopped the run or kept this version from users.",
        blocks=[Facts(_gates(reports)), *_reasons(reports)],
        files=["register.json"],
    )
    return Section(
        id="verdict",
        title=judged.headline,
        status=Status(state=judged.state, word="verdict"),
        short="Verdict",
        parts=[Part(lead=judged.text, read=read, blocks=blocks, files=["metrics.json"]), gates],
    )


def judge(reports: Reports, about: About) -> Judged:
    """The verdict of the evaluate stage."""
    metrics = reports.json("metrics.json")
    metric = about.metric
    value = real(pick(metrics, "test", metric))
    if value is None:
        text = f"There is no {metric_label(metric)} on test rows in reports/metrics.json."
        return Judged(state="info", headline=HEADLINES["info"], text=[text], items=[])
    low, high = pair(pick(metrics, "test_ci95", metric))
    rivals = _rivals(metrics, metric)
    items = [Estimate(name="deep model", value=value, low=low, high=high, mine=True), *rivals]
    rows = whole(pick(reports.json("split/summary.json"), "parts", "test", "rows"))
    where = f"On {number(rows)} test rows" if rows else "On the test rows"
    first = f"{where} its {metric_label(metric)} is {metric_value(metric, value)}"
    if low is not None and high is not None:
        first += f" (95 % interval {metric_interval(metric, low, high)})"
    if not rivals:
        text = f"{first}. No baseline was fitted, so there is nothing to hold it against."
        return Judged(state="info", headline=HEADLINES["info"], text=[text], items=items)
    state, second = _compare(metric, value, low, high, rivals)
    return Judged(state=state, headline=HEADLINES[state], text=[f"{first}. {second}"], items=items)


def _rivals(metrics: Any, metric: str) -> list[Estimate]:
    """The baselines that have the metric, the best first."""
    found = [
        Estimate(name=baseline_label(key), value=value)
        for key, scores in entries(pick(metrics, "baselines"))
        if (value := real(pick(scores, metric))) is not None
    ]
    return sorted(found, key=lambda e: -e.value if greater_is_better(metric) else e.value)


def _compare(
    metric: str, value: float, low: float | None, high: float | None, rivals: Sequence[Estimate]
) -> tuple[State, str]:
    """The best rival against the interval."""
    best = rivals[0]
    rival = f"The best baseline, {best.name}, reaches {metric_value(metric, best.value)}"
    if low is None or high is None:
        return "info", f"{rival}. Without an interval nothing can be said about the difference."
    if low <= best.value <= high:
        return "warn", (
            f"{rival}, inside that interval: the difference may be chance, and the simpler model "
            "is the safer choice."
        )
    if (value > best.value) == greater_is_better(metric):
        return "good", f"{rival}, outside that interval on the worse side."
    return "bad", f"{rival}, outside that interval on the better side: use it instead."


def _gates(reports: Reports) -> list[tuple[str, str | Status]]:
    decision = words(pick(reports.json("register.json"), "decision"))
    return [
        ("validation", validation_status(reports)),
        ("leakage", leakage_status(reports)),
        ("ONNX parity", parity_status(reports)),
        ("registry", DECISIONS.get(decision or "", passed(None))),
    ]


def parity_status(reports: Reports) -> Status:
    """Whether ONNX Runtime says what torch says."""
    found = pick(reports.json("parity.json"), "passed")
    return passed(found if isinstance(found, bool) else None)


def _reasons(reports: Reports) -> list[Block]:
    """Why the registry decided so."""
    reasons = [r for r in listed(pick(reports.json("register.json"), "reasons")) if words(r)]
    return [Text(f"Registry: {'; '.join(reasons[:12])}")] if reasons else []


def registry_note(reports: Reports) -> Note | None:
    """A sentence on the decision, for the lineage section."""
    decision = words(pick(reports.json("register.json"), "decision"))
    said = {
        "first": "It is the first version under this name and so the champion.",
        "promote": "It is significantly better than the former champion and took its place.",
        "hold": "It is not significantly better than the champion, which stays.",
        "review": "A person decides in the MLflow UI whether it becomes the champion.",
    }
    if decision not in said:
        return None
    return Note(DECISIONS[decision], said[decision])
