"""The first section: does the deep model outperform the baselines, what did the gates say."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from plumbline import artifacts
from plumbline.numbers import number, percent
from plumbline.report.about import About
from plumbline.report.blocks import (
    Block,
    Cell,
    Figure,
    Figures,
    Grid,
    Metadata,
    Note,
    Section,
    State,
    Status,
    Subsection,
    Text,
    figure_cell,
    passed,
)
from plumbline.report.forest import Estimate, forest
from plumbline.report.read import Reports, entries, listed, pair, pick, real, whole, words
from plumbline.report.sections.data import leakage_status, validation_status
from plumbline.words import (
    baseline_label,
    baseline_phrase,
    champion_words,
    greater_is_better,
    metric_differences,
    metric_interval,
    metric_label,
    metric_value,
)

DECISIONS: dict[str, tuple[Status, str]] = {
    "first": (
        Status(state="good", word="first version"),
        "It is the first version under this name, so it is the champion.",
    ),
    "promote": (
        Status(state="good", word="promoted"),
        "It is significantly better than the previous champion and replaces it.",
    ),
    "hold": (
        Status(state="warn", word="held back"),
        "It is not significantly better than the champion, which is kept.",
    ),
    "review": (
        Status(state="info", word="awaiting review"),
        "A person decides, by `plumbline promote`, whether it becomes the champion.",
    ),
}
FIRST_BUT_WORSE = (
    Status(state="warn", word="first version, worse than a baseline"),
    "It is the first version under this name, so it is the champion, though a simpler baseline is "
    "significantly better: use that.",
)
BY_HAND = Status(state="good", word="champion by hand")
REPLACED = Status(state="info", word="no longer champion")
HEADLINES: dict[State, str] = {
    "good": "The deep model outperforms every baseline",
    "warn": "The deep model is not significantly better than a simpler baseline",
    "bad": "The deep model is significantly worse than a simpler baseline",
}
DECIDES = {"good": "better", "warn": "within noise", "bad": "worse"}  # verdicts
STATES: dict[State, str] = {"good": "yes", "warn": "no", "bad": "no", "info": "not known"}
AGAINST = {
    "better": Status(state="good", word="deep model better"),
    "within noise": Status(state="warn", word="not significant"),
    "worse": Status(state="bad", word="baseline better"),
}


@dataclass(frozen=True, kw_only=True)
class Baseline:
    """A baseline: its score, and the paired difference of the deep model to it, if known."""

    key: str
    value: float
    verdict: str = "unknown"
    difference: float | None = None
    low: float | None = None
    high: float | None = None
    removed: float | None = None  # share of the baseline's error
    small: bool = False

    @property
    def known(self) -> bool:
        """Whether there is a difference with its interval."""
        return None not in (self.difference, self.low, self.high)

    def texts(self, metric: str) -> list[str]:
        """Difference and both ends of its interval, with as many decimals as these need."""
        return metric_differences(metric, [self.difference, self.low, self.high])


def verdict(reports: Reports, about: About) -> Section:
    """The judgment, the differences of the main metric to every baseline, the gates."""
    baselines = _baselines(reports, about.metric)
    state = _state(reports)
    read = (
        "The deep model and a baseline are scored on the same test rows, resampled (paired "
        "bootstrap): where the 95% interval of the difference excludes zero, the difference is "
        "significant; otherwise it may be chance."
    )
    judgment = Subsection(
        lead=f"{_score(reports, about)} {_against(baselines, about.metric)}",
        read=read,
        blocks=[
            *_few_steps(reports, about.metric, baselines),
            *_figure(about, baselines),
            *_table(baselines, about.metric),
        ],
        files=[artifacts.METRICS, artifacts.COMPARISON],
    )
    gates = Subsection(
        title="Gates",
        read="A gate that fails stops the run or keeps this version from becoming the champion.",
        blocks=[Metadata(_gates(reports))],
        files=[artifacts.REGISTERED],
    )
    return Section(
        id="verdict",
        title=_headline(state, baselines, about.metric),
        short="Verdict",
        status=Status(state=state, word=STATES[state]),
        parts=[judgment, gates],
    )


def headline(reports: Reports, about: About) -> str:
    """The verdict in a sentence, with the size of the difference that decides."""
    return _headline(_state(reports), _baselines(reports, about.metric), about.metric)


def _headline(state: State, baselines: Sequence[Baseline], metric: str) -> str:
    if state == "info":
        return "Whether the deep model outperforms the baselines is not known."
    text = HEADLINES[state]
    # the best of the baselines that decide
    decides = next((b for b in baselines if b.verdict == DECIDES[state] and b.known), None)
    if decides is None:
        return f"{text}."
    label, against = metric_label(metric), baseline_phrase(decides.key)
    size, low, high = decides.texts(metric)
    if state == "warn":
        gain = f"difference in {label} to {against} {size} (95% interval {low} to {high})"
    else:  # how much better or worse, as a size: neither end has the other sign
        relation = "better" if state == "good" else "worse"
        if decides.difference is not None and decides.difference < 0:
            low, high = high, low
        size, low, high = (text.lstrip("+−") for text in (size, low, high))
        gain = f"{size} {label} {relation} than {against} (95% interval {low} to {high})"
        if decides.small:
            gain += f", a {'gain' if state == 'good' else 'loss'} that is small in practice"
    return f"{text}: {gain}."


def _baselines(reports: Reports, metric: str) -> list[Baseline]:
    """The baselines that have the metric, the best first."""
    comparison = reports.json(artifacts.COMPARISON)
    baselines = []
    for key, scores in entries(pick(reports.json(artifacts.METRICS), "baselines")):
        value = real(pick(scores, metric))
        if value is None:
            continue
        entry = pick(comparison, "baselines", key)
        low, high = pair(pick(entry, "ci95"))
        baselines.append(
            Baseline(
                key=key,
                value=value,
                verdict=words(pick(entry, "verdict")) or "unknown",
                difference=real(pick(entry, "difference")),
                low=low,
                high=high,
                removed=real(pick(entry, "error_reduction")),
                small=pick(entry, "small") is True,
            )
        )
    return sorted(baselines, key=lambda b: -b.value if greater_is_better(metric) else b.value)


def _state(reports: Reports) -> State:
    comparison = reports.json(artifacts.COMPARISON)
    outperforms = pick(comparison, "outperforms_baselines")
    if outperforms is True:
        return "good"
    if outperforms is False:
        against = [pick(entry, "verdict") for _, entry in entries(pick(comparison, "baselines"))]
        return "bad" if "worse" in against else "warn"
    return "info"


def _score(reports: Reports, about: About) -> str:
    """The main metric in a sentence."""
    metrics, metric = reports.json(artifacts.METRICS), about.metric
    value = real(pick(metrics, "test", metric))
    if value is None:
        return f"The test rows have no {metric_label(metric)}."
    rows = whole(pick(reports.json(artifacts.SPLIT), "parts", "test", "rows"))
    where = f"On {number(rows)} test rows" if rows else "On the test rows"
    text = f"{where} the deep model's {metric_label(metric)} is {metric_value(metric, value)}"
    low, high = pair(pick(metrics, "test_ci95", metric))
    if low is not None and high is not None:
        text += f" (95% interval {metric_interval(metric, low, high)})"
    return text + "."


def _against(baselines: Sequence[Baseline], metric: str) -> str:
    """The baselines in a sentence, by what was found, and what `small` means where it is said."""
    if not baselines:
        return "No baseline was scored, so there is nothing to compare it with."
    phrases = [
        phrase.format(_all([baseline_phrase(b.key) for b in baselines if b.verdict == kind]))
        for kind, phrase in (
            ("better", "is significantly better than {}"),
            ("within noise", "is not significantly different from {}"),
            ("worse", "is significantly worse than {}"),
            ("unknown", "could not be compared with {}"),
        )
        if any(b.verdict == kind for b in baselines)
    ]
    text = f"It {', and '.join(phrases)}."
    if any(b.small and b.verdict in ("better", "worse") for b in baselines):
        text += f" Small in practice is less than 5% of the baseline's error ({_error(metric)})."
    return text


def _error(metric: str) -> str:
    label = metric_label(metric)
    return f"1 − {label}" if greater_is_better(metric) else f"its {label}"


def _all(texts: Sequence[str]) -> str:
    *first, last = texts
    return f"{', '.join(first)} and {last}" if first else last


def _few_steps(reports: Reports, metric: str, baselines: Sequence[Baseline]) -> list[Block]:
    """Where a baseline is ahead: that the fit was short, if it was, which may be why."""
    few = words(pick(reports.json(artifacts.TRAINING), "verdict", "few_steps"))
    sign = 1 if greater_is_better(metric) else -1
    if not few or not any(b.difference is not None and sign * b.difference < 0 for b in baselines):
        return []
    return [Note(Status(state="warn", word="a short fit"), few)]


def _figure(about: About, baselines: Sequence[Baseline]) -> list[Block]:
    """The paired differences, which decide; scores alone would not show what is significant."""
    metric, label = about.metric, metric_label(about.metric)
    items = []
    for b in baselines:
        size, low, high = b.texts(metric)
        if b.difference is not None and b.low is not None and b.high is not None:
            text = f"{size}  ({low} to {high})"
            name = baseline_label(b.key)
            items.append(Estimate(name=name, value=b.difference, low=b.low, high=b.high, text=text))
    if not items:
        return []
    sides = ("baseline better", "deep model better")
    drawn = forest(
        items,
        title=f"{label} of the deep model minus that of each baseline",
        sides=sides if greater_is_better(metric) else (sides[1], sides[0]),
    )
    caption = (
        f"{label} of the deep model minus that of each baseline on the same test rows, with the "
        "95% interval of the difference, the best baseline on top. An arrow at the edge: the "
        "difference is beyond the axis."
    )
    return [Figures([Figure(svg=drawn, caption=caption, wide=True)])]


def _table(baselines: Sequence[Baseline], metric: str) -> list[Block]:
    """What every baseline scores, and the difference to it."""
    known = [b for b in baselines if b.difference is not None]
    if not known:
        return []
    label = metric_label(metric)
    rows = []
    for b in known:
        size, *ends = b.texts(metric)
        rows.append(
            [
                Cell(text=baseline_label(b.key)),
                Cell(text="", status=AGAINST.get(b.verdict, passed(None))),
                figure_cell(metric_value(metric, b.value)),
                figure_cell(size, strong=True),
                figure_cell(" to ".join(ends)),
                figure_cell(percent(b.removed)),
            ]
        )
    return [
        Grid(
            caption=f"{label} of the deep model minus that of the baseline",
            columns=["baseline", "verdict", label, "difference", "95% interval", "error removed"],
            rows=rows,
            more=f"Error removed: the difference as a share of the baseline's error "
            f"({_error(metric)}); negative where the baseline is better.",
        )
    ]


def _gates(reports: Reports) -> list[tuple[str, str | Status]]:
    return [
        ("validation", validation_status(reports)),
        ("leakage", leakage_status(reports)),
        ("ONNX parity", parity_status(reports)),
        ("registry", _registry_status(reports)),
    ]


def _registry_status(reports: Reports) -> Status:
    moved = _moved(reports)
    if moved is not None:
        return BY_HAND if moved.startswith("since") else REPLACED
    decided = _decided(reports)
    return passed(None) if decided is None else decided[0]


def _decided(reports: Reports) -> tuple[Status, str] | None:
    """What the gate decided, if it has."""
    decision = words(pick(reports.json(artifacts.REGISTERED), "decision")) or ""
    if decision == "first" and _state(reports) == "bad":
        return FIRST_BUT_WORSE
    return DECISIONS.get(decision)


def _moved(reports: Reports) -> str | None:
    """What moved the alias champion to this version or away from it after the gate's decision."""
    register = reports.json(artifacts.REGISTERED)
    history = [
        {key: words(pick(move, key)) for key in ("when", "how", "who", "why", "before", "after")}
        for move in listed(pick(register, "history"))
    ]
    return champion_words(words(pick(register, "version")) or "", history)


def parity_status(reports: Reports) -> Status:
    """Whether ONNX Runtime says what torch says."""
    same = pick(reports.json(artifacts.PARITY), "passed")
    return passed(same if isinstance(same, bool) else None)


def registry_notes(reports: Reports) -> list[Block]:
    """What the registry decided and why, for the lineage section."""
    register: Any = reports.json(artifacts.REGISTERED)
    decided = _decided(reports)
    blocks: list[Block] = [] if decided is None else [Note(*decided)]
    moved = _moved(reports)
    if moved is not None:
        blocks.insert(0, Note(_registry_status(reports), f"Champion {moved[:400]}"))
    reasons = [r[:400] for r in listed(pick(register, "reasons")) if words(r)]
    return [*blocks, *(Text(f"{r[:1].upper()}{r[1:]}.") for r in reasons[:20])]
