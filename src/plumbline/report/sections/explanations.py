"""The section on explanations: SHAP, LIME, and how faithful they are."""

from __future__ import annotations

from typing import Any

import numpy as np

from plumbline.report.about import About
from plumbline.report.blocks import (
    Block,
    Figure,
    Figures,
    Part,
    Section,
    Text,
)
from plumbline.report.clouds import swarm
from plumbline.report.plots import bars
from plumbline.report.read import Reports, entries, numbers, pick, real

TOP = 15


def explanations(reports: Reports, about: About) -> Section:
    """What the predictions rest on."""
    return Section(
        id="explanations",
        title="Explanations",
        parts=[_global(reports), _local(reports), _faithfulness(reports)],
    )


def _importance(content: Any) -> list[tuple[str, float]]:
    source = pick(content, "columns") or pick(content, "importance") or content
    items = [(key, float(v)) for key, value in entries(source) if (v := real(value)) is not None]
    return sorted(items, key=lambda item: -item[1])


def _global(reports: Reports) -> Part:
    items = _importance(reports.json("explain/importance.json"))
    frame = reports.frame("explain/shap.parquet")
    blocks: list[Block] = []
    figures = []
    if items:
        drawn = bars(items[:TOP], title="Mean absolute SHAP value", axis="mean |SHAP value|")
        caption = f"What moves predictions most, {min(TOP, len(items))} of {len(items)} columns."
        figures.append(Figure(svg=drawn, caption=caption))
    rows = [
        (column, values[np.isfinite(values)], None)
        for column, _ in items[:TOP]
        if np.isfinite(values := numbers(frame, column)).any()
    ]
    if rows:
        drawn = swarm(rows, title="SHAP values per row", axis="SHAP value")
        figures.append(Figure(svg=drawn, caption="SHAP values, a dot per explained test row."))
    if figures:
        blocks.append(Figures(figures))
    elif reports.problem("explain/importance.json") is None:
        blocks.append(Text("No column has an importance."))
    read = (
        "A SHAP value is what a column's value added to one prediction, against the average "
        "prediction: right of zero it pushed up, left of zero down."
    )
    files = ["explain/importance.json", "explain/shap.parquet"]
    return Part(title="What moves predictions", read=read, blocks=blocks, files=files)


def _local(reports: Reports) -> Part:
    content = reports.json("explain/lime.json")
    blocks: list[Block] = []
    read = (
        "LIME fits a linear model around one row: a positive weight speaks for the prediction, "
        "a negative one against it."
    )
    return Part(title="Single rows", read=read, blocks=blocks, files=["explain/lime.json"])


def _faithfulness(reports: Reports) -> Part:
    content = reports.json("explain/faithfulness.json")
    blocks: list[Block] = []
    read = (
        "The columns that an explanation ranks first are removed first: a faithful explanation "
        "changes the predictions faster than removing columns by chance."
    )
    files = ["explain/faithfulness.json"]
    return Part(title="Faithfulness", read=read, blocks=blocks, files=files)
