"""The first section: did the deep model earn its keep, and what did the gates say."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from plumbline.report.about import About
from plumbline.report.blocks import (
    Block,
    Cell,
    Facts,
    Figure,
    Figures,
    Grid,
    Note,
    Part,
    Section,
    State,
    Status,
    figure_cell,
    passed,
)
from plumbline.report.forest import Estimate, forest
from plumbline.report.numbers import number
from plumbline.report.read import Reports, entries, listed, pair, pick, real, whole, words
from plumbline.report.sections.data import leakage_status, validation_status
from plumbline.report.words import (
    baseline_label,
    baseline_phrase,
    greater_is_better,
    metric_difference,
    metric_interval,
    metric_label,
    metric_value,
)

DECISIONS: dict[str, tuple[Status, str]] = {
    "first": (
        Status(state="good", word="first version"),
        "It is the first version under this name, and so the champion.",
    ),
    "promote": (
        Status(state="good", word="promoted"),
        "It is significantly better than the former champion and took its place.",
    ),
    "hold": (
        Status(state="warn", word="held back"),
        "It was not shown to be better than the champion, which stays.",
    ),
    "review": (
        Status(state="info", word="awaits a person"),
        "A person decides in the MLflow UI whether it becomes the champion.",
    ),
}
HEADLINES: dict[State, str] = {
    "good": "The deep model earned its keep.",
    "warn": "The deep model did not earn its keep: a simpler model does as well.",
    "bad": "The deep model did not earn its keep: a simpler model does better.",
    "info": "Whether the deep model earned its keep is not known.",
}
AGAINST = {
    "better": Status(state="good", word="beaten"),
    "within noise": Status(state="warn", word="within noise"),
    "worse": Status(state="bad", word="it is better"),
}


@dataclass(frozen=True, kw_only=True)
class Rival:
    """A baseline: its score, and the paired difference of the deep model to it, if known."""

    key: str
    value: float
    verdict: str = "unknown"
    difference: float | None = None
    low: float | None = None
    high: float | None = None


def verdict(reports: Reports, about: About) -> Section:
    """The judgement, the main metric beside every baseline, the gates."""
    rivals = _rivals(reports, about.metric)
    state = _state(reports)
    read = (
        "A baseline is beaten where the 95 % interval of the difference, both scored on the same "
        "test rows, leaves out zero; otherwise the difference may be chance."
    )
    judgement = Part(
        lead=f"{_score(reports, about)} {_against(rivals)}",
        read=read,
        blocks=[*_figure(reports, about, rivals), *_table(rivals, about.metric)],
        files=["metrics.json", "evaluation/verdict.json"],
    )
    gates = Part(
        title="Gates",
        read="Each gate could have stopped the run, or kept this version from its users.",
        blocks=[Facts(_gates(reports))],
        files=["register.json"],
    )
    return Section(
        id="verdict",
        title=HEADLINES[state],
        short="Verdict",
        status=Status(state=state, word={"good": "yes", "info": "not known"}.get(state, "no")),
        parts=[judgement, gates],
    )


def _rivals(reports: Reports, metric: str) -> list[Rival]:
    """The baselines that have the metric, the best first."""
    judged = reports.json("evaluation/verdict.json")
    found = []
    for key, scores in entries(pick(reports.json("metrics.json"), "baselines")):
        value = real(pick(scores, metric))
        if value is None:
            continue
        entry = pick(judged, "baselines", key)
        low, high = pair(pick(entry, "ci95"))
        found.append(
            Rival(
                key=key,
                value=value,
                verdict=words(pick(entry, "verdict")) or "unknown",
                difference=real(pick(entry, "difference")),
                low=low,
                high=high,
            )
        )
    return sorted(found, key=lambda r: -r.value if greater_is_better(metric) else r.value)


def headline(reports: Reports) -> str:
    """The verdict in a sentence."""
    return HEADLINES[_state(reports)]


def _state(reports: Reports) -> State:
    judged = reports.json("evaluation/verdict.json")
    earned = pick(judged, "earned")
    if earned is True:
        return "good"
    if earned is False:
        against = [pick(entry, "verdict") for _, entry in entries(pick(judged, "baselines"))]
        return "bad" if "worse" in against else "warn"
    return "info"


def _score(reports: Reports, about: About) -> str:
    """The main metric in a sentence."""
    metrics, metric = reports.json("metrics.json"), about.metric
    value = real(pick(metrics, "test", metric))
    if value is None:
        return f"There is no {metric_label(metric)} of test rows."
    rows = whole(pick(reports.json("split/summary.json"), "parts", "test", "rows"))
    where = f"On {number(rows)} test rows" if rows else "On the test rows"
    text = f"{where} its {metric_label(metric)} is {metric_value(metric, value)}"
    low, high = pair(pick(metrics, "test_ci95", metric))
    if low is not None and high is not None:
        text += f" (95 % interval {metric_interval(metric, low, high)})"
    return text + "."


def _against(rivals: Sequence[Rival]) -> str:
    """The baselines in a sentence, by what came out."""
    if not rivals:
        return "No baseline was scored, so there is nothing to hold it against."
    phrases = [
        phrase.format(_all([baseline_phrase(r.key) for r in rivals if r.verdict == kind]))
        for kind, phrase in (
            ("better", "is better than {}"),
            ("within noise", "cannot be told apart from {}"),
            ("worse", "is worse than {}"),
            ("unknown", "could not be compared with {}"),
        )
        if any(r.verdict == kind for r in rivals)
    ]
    return f"It {', and '.join(phrases)}."


def _all(texts: Sequence[str]) -> str:
    *first, last = texts
    return f"{', '.join(first)} and {last}" if first else last


def _figure(reports: Reports, about: About, rivals: Sequence[Rival]) -> list[Block]:
    metrics, metric = reports.json("metrics.json"), about.metric
    value = real(pick(metrics, "test", metric))
    if value is None:
        return []
    low, high = pair(pick(metrics, "test_ci95", metric))
    mine = Estimate(name="deep model", value=value, low=low, high=high, mine=True)
    label = metric_label(metric)
    drawn = forest(
        [mine, *(Estimate(name=baseline_label(r.key), value=r.value) for r in rivals)],
        title=f"{label} on test rows",
        show=lambda v: metric_value(metric, v),
    )
    better = "further right" if greater_is_better(metric) else "further left"
    caption = (
        f"{label[:1].upper() + label[1:]} of the deep model with its 95 % interval (shaded), and "
        f"of each baseline on the same test rows; {better} is better."
    )
    return [Figures([Figure(svg=drawn, caption=caption, wide=True)])]


def _table(rivals: Sequence[Rival], metric: str) -> list[Block]:
    known = [r for r in rivals if r.difference is not None]
    if not known:
        return []
    rows = [
        [
            Cell(text=baseline_label(r.key)),
            Cell(text="", status=AGAINST.get(r.verdict, passed(None))),
            figure_cell(metric_difference(metric, r.difference)),
            figure_cell(metric_interval(metric, r.low, r.high)),
        ]
        for r in known
    ]
    caption = f"{metric_label(metric)} of the deep model, less that of the baseline"
    columns = ["baseline", "verdict", "difference", "95 % interval"]
    return [Grid(caption=caption[:1].upper() + caption[1:], columns=columns, rows=rows)]


def _gates(reports: Reports) -> list[tuple[str, str | Status]]:
    decision = words(pick(reports.json("register.json"), "decision")) or ""
    return [
        ("validation", validation_status(reports)),
        ("leakage", leakage_status(reports)),
        ("ONNX parity", parity_status(reports)),
        ("registry", DECISIONS[decision][0] if decision in DECISIONS else passed(None)),
    ]


def parity_status(reports: Reports) -> Status:
    """Whether ONNX Runtime says what torch says."""
    found = pick(reports.json("parity.json"), "passed")
    return passed(found if isinstance(found, bool) else None)


def registry_notes(reports: Reports) -> list[Block]:
    """What the registry decided and why, for the lineage section."""
    register: Any = reports.json("register.json")
    decision = words(pick(register, "decision")) or ""
    blocks: list[Block] = []
    if decision in DECISIONS:
        blocks.append(Note(*DECISIONS[decision]))
    reasons = [r for r in listed(pick(register, "reasons")) if words(r)]
    if reasons:
        rows = [[Cell(text=r[:400], name=True)] for r in reasons[:20]]
        blocks.append(Grid(caption="Why", columns=["reason"], rows=rows))
    return blocks
