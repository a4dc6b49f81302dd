"""The model card: what a reviewer must know of a version, as Markdown."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from plumbline.markup import markdown, markdown_code


def model_card(
    *,
    name: str,
    target: str,
    contract: Mapping[str, Any],
    metric: str,
    metrics: Mapping[str, Any],
    verdict: str,
    slices: Mapping[str, Any],
    drift: Mapping[str, Any],
    lineage: Mapping[str, str],
) -> str:
    """Purpose, figures beside baselines, weak spots, and what it was made from.

    Args:
        contract: of the export stage.
        metrics, slices, drift: the content of metrics.json, slices.json, drift/result.json.
        verdict: whether the model outperforms the baselines, in words.
    """
    task, classes = contract["task"], contract["classes"]
    what = f"one of {', '.join(map(markdown, classes))}" if classes else "a number"
    parts = [
        f"# {markdown(name)}",
        f"Predicts {markdown_code(target)} ({task}: {what}) from {_inputs(contract)}.",
        "## On test rows",
        _table(metric, metrics),
        markdown(verdict),
        "## Weak spots",
        "\n".join(_weak(slices, drift)),
        "## Made from",
        "\n".join(f"- {key}: {markdown_code(value)}" for key, value in lineage.items()),
        "## To use it",
        "Inputs `num` and `cat` are prepared columns: `extra_files/preprocessor.json` makes them "
        "from rows of data. Output `prediction` is calibrated; `extra_files/decision.json` holds "
        "the threshold.",
    ]
    return "\n\n".join(part for part in parts if part)


def _inputs(contract: Mapping[str, Any]) -> str:
    sources = {
        name: None for part in contract["inputs"].values() for name in part.get("sources", ())
    }
    shown = ", ".join(map(markdown_code, list(sources)[:8]))
    return f"{len(sources)} columns ({shown}{', …' if len(sources) > 8 else ''})"


def _table(metric: str, metrics: Mapping[str, Any]) -> str:
    baselines = metrics["baselines"]
    lines = [["metric", "model", "95 % interval", *baselines], ["---"] * (3 + len(baselines))]
    for name, value in sorted(metrics["test"].items(), key=lambda pair: pair[0] != metric):
        ends = metrics["test_ci95"].get(name)
        interval = f"{ends[0]:.4g} to {ends[1]:.4g}" if ends else ""
        others = [_number(scores.get(name)) for scores in baselines.values()]
        lines.append([f"**{name}**" if name == metric else name, _number(value), interval, *others])
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _weak(slices: Mapping[str, Any], drift: Mapping[str, Any]) -> list[str]:
    lines = [
        f"- significantly worse where {markdown_code(one['column'])} is {markdown(one['value'])} "
        f"({slices['metric']} {_number(one['score'])}, {one['rows']} rows)"
        for one in slices["slices"]
        if one["worse"]
    ]
    if not lines:
        lines = [f"- none of {len(slices['slices'])} slices is significantly worse than the whole"]
    drifted = [name for name, column in drift["columns"].items() if column["drifted"]]
    if drifted:
        lines.append(
            f"- differ between training and test rows: {', '.join(map(markdown, drifted[:8]))}"
        )
    return lines


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.4g}"
