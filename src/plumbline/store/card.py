"""The model card: what a reviewer must know of a version, as Markdown."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from plumbline.artifacts import Architecture, DriftResult, Metrics, SliceScores
from plumbline.markup import markdown, markdown_code
from plumbline.numbers import percent, plural
from plumbline.words import (
    TASK_WORDS,
    baseline_label,
    lineage_words,
    metric_interval,
    metric_label,
    metric_value,
    shape_words,
)


def model_card(
    *,
    name: str,
    target: str,
    contract: Mapping[str, Any],
    architecture: Architecture,
    metric: str,
    metrics: Metrics,
    verdict: str,
    slices: SliceScores,
    drift: DriftResult,
    lineage: Mapping[str, str],
) -> str:
    """Purpose, figures beside baselines, weak spots, and what it was made from.

    Args:
        contract: of the export stage.
        verdict: whether the model outperforms the baselines, in words.
    """
    task, classes = TASK_WORDS[contract["task"]].label, contract["classes"]
    what = f"one of {', '.join(map(markdown, classes))}" if classes else "a number"
    parts = [
        f"# {markdown(name)}",
        f"Predicts {markdown_code(target)} ({task}: {what}) from {_inputs(contract)}.",
        "## On test rows",
        _table(metric, metrics),
        markdown(verdict),
        "## Weak spots",
        "\n".join(_weak(slices, drift)),
        "## Architecture",
        _parts(architecture),
        "## Made from",
        "\n".join(f"- {label}: {markdown_code(v)}" for label, v in lineage_words(lineage)),
        "## To use it",
        "`mlflow.pyfunc.load_model(…).predict(frame)` takes rows with the columns of the data, and "
        "needs what `requirements.txt` of the version names.",
    ]
    return "\n\n".join(part for part in parts if part)


def _inputs(contract: Mapping[str, Any]) -> str:
    sources = {
        name: None for part in contract["inputs"].values() for name in part.get("sources", ())
    }
    shown = ", ".join(map(markdown_code, list(sources)[:8]))
    return f"{len(sources)} columns ({shown}{', …' if len(sources) > 8 else ''})"


def _table(metric: str, metrics: Metrics) -> str:
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
    return _markdown_table(lines)


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
    return f"{_markdown_table(lines)}\n\n{total:,} parameters{frozen}; N is the number of rows."


def _markdown_table(lines: Sequence[Sequence[str]]) -> str:
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _weak(slices: SliceScores, drift: DriftResult) -> list[str]:
    lines = [
        f"- significantly worse where {markdown_code(one['column'])} is {markdown(one['value'])} "
        f"({metric_label(slices.metric)} {metric_value(slices.metric, one['score'])}, "
        f"{plural(one['rows'], 'row')})"
        for one in slices.slices
        if one["worse"]
    ]
    if not lines:
        count = plural(len(slices.slices), "slice")
        lines = [f"- no slice is significantly worse than all test rows ({count} compared)"]
    drifted = [name for name, column in drift.columns.items() if column["drifted"]]
    if drifted:
        rest = f" and {len(drifted) - 8:,} more" if len(drifted) > 8 else ""
        shown = ", ".join(map(markdown_code, drifted[:8]))
        lines.append(f"- distributed differently in test and training rows: {shown}{rest}")
    return lines
