"""The model card: what a reviewer must know of a version, as Markdown; the verdict comes first."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from plumbline.artifacts import (
    Architecture,
    Comparison,
    DriftResult,
    LeakageResult,
    Metrics,
    SliceScores,
    TrainingSummary,
)
from plumbline.config.evaluation import CardConfig
from plumbline.markup import markdown, markdown_code
from plumbline.numbers import number, percent, plural
from plumbline.store.lineage import HASH, short
from plumbline.words import (
    DECISION_WORDS,
    TASK_WORDS,
    baseline_label,
    baseline_phrase,
    lineage_words,
    metric_interval,
    metric_label,
    metric_value,
    shape_words,
)

GAP = "&ensp;"  # Markdown trims blanks
NAMED = 8  # columns, slices and findings that are listed
CHAMPION = "**Champion"  # begins the line of a run's description that says since when
SENTENCE = re.compile(r"\w[\w ,;:()%+−–='-]*(?:\.[\w ,;:()%+−–='-]*)*")
FITTED = ("user", "fitted_at", "fit_seconds", "device", "processor", "threads", "libraries")
OWNER = {
    "intended_use": "Intended use",
    "out_of_scope": "Out of scope",
    "ethics": "Ethics",
    "contact": "Contact",
}


@dataclass(frozen=True, kw_only=True)
class CardSource:
    """What a card is written from: the stages' files, and what the owner says in `params.yaml`.

    Attributes:
        contract: of the export stage.
        split: `summary.json` of the split stage.
        lineage: what the version was made from, as in its tags.
    """

    name: str
    target: str
    owner: CardConfig
    contract: Mapping[str, Any]
    split: Mapping[str, Any]
    architecture: Architecture
    training: TrainingSummary
    metrics: Metrics
    comparison: Comparison
    slices: SliceScores
    leakage: LeakageResult
    drift: DriftResult
    lineage: Mapping[str, str]


def model_card(source: CardSource) -> str:
    """Verdict, purpose, data, how it was made, figures, limits, how to use and to rebuild it.

    The first line has no marks: MLflow's list of versions shows it as it is.
    """
    name = markdown_code(source.name)
    sections = {
        "What it is for": _purpose(source),
        "Data": _data(source),
        "Figures on test rows": _figures(source.comparison.metric, source.metrics),
        "Slices": _slices(source.slices),
        "Limits": "\n".join(f"- {line}" for line in _limits(source)),
        "How it was made": "\n".join(f"- {line}" for line in _made(source)),
        "Network": _parts(source.architecture),
        "How to load it": _loading(source.name),
        "How to rebuild it": _rebuilding(source),
    }
    parts = [sentence(source.comparison.text), f"# Model card of {name}"]
    for title, text in sections.items():
        parts += [f"## {title}", text]
    return "\n\n".join(part for part in parts if part)


def run_note(
    comparison: Comparison, decision: str, reasons: Sequence[str], moved: str | None = None
) -> str:
    """The description of a run: the verdict, then the decision with its reasons.

    Args:
        moved: `words.champion_words` of its version.
    """
    lines = [sentence(comparison.text), f"**Decision: {decision_words(decision)}**"]
    lines.append("\n".join(f"- {markdown(reason)}" for reason in reasons))
    lines.append("The page with all results is the artifact `reports/index.html`.")
    return with_champion("\n\n".join(line for line in lines if line), moved)


def with_champion(note: str, moved: str | None) -> str:
    """The description of a run with what became of its version after the verdict.

    Args:
        moved: `words.champion_words` of its version.
    """
    lines = [line for line in note.split("\n\n") if not line.startswith(CHAMPION)]
    if moved is not None:
        lines.insert(1, f"{CHAMPION} {markdown(moved)}**")
    return "\n\n".join(lines)


def run_name(version: str, model: str, comparison: Comparison, metrics: Metrics) -> str:
    """`v12 · 0.994 ROC AUC · tabm_mini`: the list of runs cuts names off at the right."""
    metric = comparison.metric
    score = metric_value(metric, metrics.test.get(metric))
    return f"v{version} · {score} {metric_label(metric)} · {model}".replace("\u00a0", " ")


def decision_words(decision: str) -> str:
    """What the gate decided, in words; an unknown decision as it is."""
    return DECISION_WORDS.get(decision, decision)


def sentence(text: str) -> str:
    """Prose of plumbline's own as it is; what Markdown could take for marks is escaped."""
    return text if SENTENCE.fullmatch(text) else markdown(text)


def _purpose(source: CardSource) -> str:
    task, classes = TASK_WORDS[source.contract["task"]].label, source.contract["classes"]
    what = f"one of {', '.join(map(markdown, classes))}" if classes else "a number"
    columns = list(
        {n: None for part in source.contract["inputs"].values() for n in part.get("sources", ())}
    )
    named = ", ".join(map(markdown_code, columns[:NAMED]))
    lines = [
        f"Predicts {markdown_code(source.target)} ({task}: {what}) from "
        f"{plural(len(columns), 'column')} ({named}{', …' if len(columns) > NAMED else ''})."
    ]
    for key, label in OWNER.items():
        text = getattr(source.owner, key)
        lines.append(f"**{label}:** {markdown(text) if text else 'not stated'}")
    if not any(getattr(source.owner, key) for key in OWNER):
        lines.append("The owner states these in `params.yaml`, section `register.card`.")
    return "\n\n".join(lines)


def _data(source: CardSource) -> str:
    words = {"train": "training", "val": "validation", "test": "test"}
    parts = source.split.get("parts", {})
    rows = [[words[n], f"{parts[n]['rows']:,}", _classes(parts[n])] for n in words if n in parts]
    table = _table([["part", "rows", "target"], ["---", "---:", "---"], *rows])
    method = str(source.split.get("method", "unknown")).replace("_", " ")
    version = short(source.lineage.get("data", "unknown"))
    return (
        f"Data set {markdown_code(source.name)}, version {markdown_code(version)}, "
        f"split by the method {markdown_code(method)}.\n\n{table}"
    )


def _classes(part: Mapping[str, Any]) -> str:
    """Rows per class, where the target has a few."""
    target = part.get("target")
    if not isinstance(target, Mapping) or not all(isinstance(v, int) for v in target.values()):
        return ""
    shown = [f"{markdown(str(k))} {v:,}" for k, v in list(target.items())[:NAMED]]
    return ", ".join([*shown, "…"] if len(target) > NAMED else shown)


def _figures(metric: str, metrics: Metrics) -> str:
    baselines = metrics.baselines
    heads = ["metric", "deep model", "95% interval", *(baseline_label(name) for name in baselines)]
    lines = [heads, ["---", *["---:"] * (len(heads) - 1)]]
    for name, value in sorted(metrics.test.items(), key=lambda pair: pair[0] != metric):
        label = metric_label(name)
        ends = metrics.test_ci95.get(name)
        interval = metric_interval(name, *ends) if ends else ""
        others = [metric_value(name, scores.get(name)) for scores in baselines.values()]
        mine = metric_value(name, value)
        lines.append([f"**{label}**" if name == metric else label, mine, interval, *others])
    return _table(lines)


def _slices(slices: SliceScores) -> str:
    """The slices that matter most, those that are worse marked."""
    count = plural(len(slices.slices), "slice")
    worse = sum(bool(one["worse"]) for one in slices.slices)
    if not slices.slices:
        return "No column gives slices with enough test rows."
    label = metric_label(slices.metric)
    lines = [["slice", "rows", label, "95% interval", ""], ["---", "---:", "---:", "---:", "---"]]
    ordered = sorted(slices.slices, key=lambda one: not one["worse"])
    lines += [_slice(slices.metric, one) for one in ordered[:NAMED]]
    if slices.reference is None:
        text = "No slice was compared with a baseline."
    else:
        against = baseline_phrase(slices.reference)
        text = f"In {worse or 'none'} of {count} the model loses significantly more than {against}."
    if len(ordered) > NAMED:
        weak = f", {min(worse, NAMED)} of the {worse} that are weak" if worse else ""
        text += f" The table has {NAMED} of {count}{weak}; all are in `{SliceScores.FILE}`."
    return f"{text}\n\n{_table(lines)}"


def _slice(metric: str, one: Mapping[str, Any]) -> list[str]:
    low, high = one.get("ci95") or (None, None)
    return [
        f"{markdown_code(one['column'])} is {markdown(str(one['value']))}",
        f"{one['rows']:,}",
        metric_value(metric, one["score"]),
        metric_interval(metric, low, high),
        _weakness(one["loss"]) if one["worse"] else "",
    ]


def _weakness(loss: Mapping[str, Any]) -> str:
    """The model's loss against the baseline's on the same rows."""
    name = loss["name"]
    own, other = (metric_value(name, loss[whose]) for whose in ("model", "reference"))
    return f"weak: {metric_label(name)} {own} against {other}"


def _limits(source: CardSource) -> Iterator[str]:
    """What the results do not hold for."""
    findings = source.leakage.findings
    if source.leakage.clean and not findings:
        yield "no target leakage was detected"
    for one in findings[:NAMED]:
        columns = ", ".join(map(markdown_code, one.get("columns") or ()))
        title = markdown(str(one.get("title", one.get("check", ""))))
        yield f"leakage: {title}{f' ({columns})' if columns else ''}"
    drifted = [name for name, column in source.drift.columns.items() if column["drifted"]]
    if drifted:
        rest = f" and {len(drifted) - NAMED:,} more" if len(drifted) > NAMED else ""
        named = ", ".join(map(markdown_code, drifted[:NAMED]))
        yield f"distributed differently in test and training rows: {named}{rest}"
    conformal = source.comparison.conformal
    if "promised" in conformal and "coverage" in conformal:
        kind = "sets" if source.contract["classes"] else "intervals"
        yield (
            f"prediction {kind} promise {percent(conformal['promised'], 0)} coverage and reach "
            f"{percent(conformal['coverage'])} on test rows"
        )
    yield "the figures hold for rows like those of this data set; other sources were not tested"


def _made(source: CardSource) -> Iterator[str]:
    training, lineage = source.training, source.lineage
    networks = source.split.get("bag", {}).get("networks", 1)
    bag = f"a bag of {networks} networks, each fitted without one fold; of the first: "
    yield (bag if networks > 1 else "") + (
        f"model {markdown_code(training.model)}, {training.parameters:,} parameters, epoch "
        f"{training.best_epoch} of {training.epochs}"
    )
    if training.values:
        pairs = (f"{markdown_code(k)} {_value(v)}" for k, v in training.values.items())
        yield f"values of the search space: {', '.join(pairs)}"
    if lineage.get("fit_seconds"):
        by = f" by {markdown_code(lineage['user'])}" if lineage.get("user") else ""
        when = f", {markdown(lineage['fitted_at'])}" if lineage.get("fitted_at") else ""
        yield f"fitted in {markdown(lineage['fit_seconds'])} s{by}{when}"
        where = [lineage.get(name, "") for name in ("device", "processor")]
        yield f"on {markdown(', '.join(filter(None, where)))}"
    if lineage.get("libraries"):
        yield f"with {markdown_code(lineage['libraries'])}"
    for label, value in lineage_words({k: v for k, v in lineage.items() if k not in FITTED}):
        yield f"{label}: {markdown_code(short(value))}"


def _value(value: Any) -> str:
    return number(value) if isinstance(value, int | float) else markdown_code(str(value))


def _loading(name: str) -> str:
    return (
        "```python\nimport mlflow\n\n"
        f'model = mlflow.pyfunc.load_model("models:/{name}@champion")  # or /VERSION\n'
        "model.predict(frame)\n```\n\n"
        "`frame` has rows with the columns of the data. It needs what `requirements.txt` of the "
        "version names."
    )


def _rebuilding(source: CardSource) -> str:
    lineage = source.lineage
    commit = lineage.get("git_commit", "")
    commit = commit if HASH.fullmatch(commit) else "COMMIT"
    commands = f"git checkout {commit}\ndvc pull data.dvc\ndvc repro"
    text = (
        f"```console\n{commands}\n```\n\n"
        f"`plumbline reproduce {source.name}/VERSION` does that elsewhere and compares the result."
    )
    state = lineage.get("rebuildable", "yes")
    if state != "yes":
        return f"⚠️ **Can be rebuilt: {markdown(state)}.**\n\n{text}"
    if lineage.get("git_dirty") == "true":
        return f"Its commit alone does not rebuild it: files were not committed.\n\n{text}"
    return text


def _parts(architecture: Architecture) -> str:
    """The parts of the network, with the shapes of what they give and their parameters."""
    total = architecture.parameters
    lines = [
        ["part", "modules", "output", "parameters", "share"],
        ["---", "---", "---", "---:", "---:"],
    ]
    for part in architecture.parts:
        count, times = part["parameters"] * part["repeats"], part["repeats"]
        shape = part["shape"]
        lines.append(
            [
                markdown_code(part["path"]) + (f" × {times}" if times > 1 else ""),
                ", ".join(map(markdown_code, part["steps"])),
                "" if shape is None else shape_words(shape, rows=part["role"] != "weight"),
                f"{count:,}",
                percent(count / max(1, total)),
            ]
        )
    trainable = architecture.trainable
    frozen = "" if trainable == total else f" ({trainable:,} trainable)"
    return f"{_table(lines)}\n\n{total:,} parameters{frozen}; N is the number of rows."


def _table(lines: Sequence[Sequence[str]]) -> str:
    """A Markdown table: heads, alignments, rows. MLflow sets no space between cells, so each but
    the first of a row begins with one."""
    heads, alignments, *rows = lines
    spaced = [[first, *(f"{GAP}{cell}" for cell in rest)] for first, *rest in (heads, *rows)]
    lines = [spaced[0], alignments, *spaced[1:]]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)
