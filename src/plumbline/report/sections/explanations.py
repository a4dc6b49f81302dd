"""The section on explanations: SHAP, LIME, and how faithful they are."""

from __future__ import annotations

from typing import Any

import numpy as np

from plumbline.report.about import About
from plumbline.report.blocks import (
    Block,
    Cell,
    Facts,
    Figure,
    Figures,
    Grid,
    Part,
    Section,
    Status,
    Text,
    figure_cell,
    name,
)
from plumbline.report.clouds import swarm
from plumbline.report.numbers import NOTHING, fixed, number
from plumbline.report.plots import bars
from plumbline.report.read import Reports, entries, listed, numbers, pick, real, whole, words

TOP = 15  # columns
LOCAL_ROWS, LOCAL_COLUMNS = 6, 7
METHOD_WORDS = {
    "shap": "SHAP",
    "lime": "LIME",
    "integrated_gradients": "integrated gradients",
}
VERDICTS = {
    "faithful": Status(state="good", word="faithful"),
    "no better than a random ranking": Status(state="warn", word="no better than chance"),
    "misleading: worse than a random ranking": Status(state="bad", word="misleading"),
}


def explanations(reports: Reports, about: About) -> Section:
    """What the predictions rest on."""
    return Section(
        id="explanations",
        title="Explanations",
        parts=[_global(reports), _local(reports), _faithfulness(reports)],
    )


def _ranked(content: Any) -> dict[str, float]:
    """Columns and their importance, the largest first."""
    found = {key: float(v) for key, value in entries(content) if (v := real(value)) is not None}
    return dict(sorted(found.items(), key=lambda item: -item[1]))


def _global(reports: Reports) -> Part:
    content = reports.json("explain/importance.json")
    columns = _ranked(pick(content, "columns"))
    top = list(columns.items())[:TOP]
    figures = []
    if top:
        drawn = bars(top, title="Mean absolute SHAP value", axis="mean absolute SHAP value")
        caption = "How far each column moves predictions, either way, on average."
        if len(columns) > len(top):
            caption += f" The first {len(top)} of {len(columns):,} columns."
        figures.append(Figure(svg=drawn, caption=caption))
    frame = reports.frame("explain/shap.parquet")
    clouds = [
        (column, values[np.isfinite(values)])
        for column, _ in top
        if np.isfinite(values := numbers(frame, column)).any()
    ]
    if clouds:
        drawn = swarm(clouds, title="SHAP values, row by row", axis="SHAP value")
        caption = "A dot per explained test row: how far the column moved its prediction."
        figures.append(Figure(svg=drawn, caption=caption))
    blocks: list[Block] = [_explained(content), Figures(figures)] if figures else []
    blocks += _methods(content, columns)
    if not blocks and reports.problem("explain/importance.json") is None:
        blocks.append(Text("No column has an importance."))
    read = (
        "A SHAP value is what a column's value added to one prediction, against the mean of the "
        "background rows: right of zero it pushed up, left of zero down."
    )
    files = ["explain/importance.json", "explain/shap.parquet"]
    return Part(title="What moves predictions", read=read, blocks=blocks, files=files)


def _explained(content: Any) -> Facts:
    exact = pick(content, "exact") is True
    orders = whole(pick(content, "orders"))
    facts: list[tuple[str, str | Status]] = [
        ("explained is", words(pick(content, "of")) or NOTHING),
        ("test rows", number(whole(pick(content, "rows")))),
        ("background rows", number(whole(pick(content, "background")))),
        ("computed", "exactly" if exact else f"from {number(orders)} orders per row"),
    ]
    error = real(pick(content, "std_error"))
    if error:
        facts.append(("standard error of a value", number(error, 2)))
    return Facts(facts)


def _methods(content: Any, columns: dict[str, float]) -> list[Block]:
    """The other methods' ranks of the columns that SHAP ranks first."""
    others = {key: list(_ranked(value)) for key, value in entries(pick(content, "methods"))}
    others = {key: ranking for key, ranking in others.items() if ranking}
    if not others or not columns:
        return []
    rows = [
        [
            name(column),
            figure_cell(f"{rank}", strong=True),
            *(figure_cell(_rank(column, ranking)) for ranking in others.values()),
        ]
        for rank, column in enumerate(list(columns)[:TOP], start=1)
    ]
    headings = ["column", METHOD_WORDS["shap"], *(_method(key) for key in others)]
    caption = "Ranks of the columns, by method"
    return [Grid(caption=caption, columns=headings, rows=rows, folded=True)]


def _method(key: str) -> str:
    return METHOD_WORDS.get(key, key.replace("_", " "))


def _rank(column: str, ranking: list[str]) -> str:
    return f"{ranking.index(column) + 1}" if column in ranking else NOTHING


def _local(reports: Reports) -> Part:
    content = reports.json("explain/lime.json")
    figures = [
        figure for row in listed(pick(content, "rows"))[:LOCAL_ROWS] for figure in _one_row(row)
    ]
    blocks: list[Block] = [Figures(figures)] if figures else []
    if not figures and reports.problem("explain/lime.json") is None:
        blocks.append(Text("No single row was explained (explain.lime_rows is 0)."))
    read = (
        "LIME fits a linear model around one row: a bar to the right speaks for the explained "
        "output, to the left against it; with an R² near zero the line does not fit, so trust "
        "none of it."
    )
    return Part(title="Single rows, by LIME", read=read, blocks=blocks, files=["explain/lime.json"])


def _one_row(row: Any) -> list[Figure]:
    weights = [
        (key, float(v))
        for key, value in entries(pick(row, "weights"))
        if (v := real(value)) is not None
    ]
    if not weights:
        return []
    number_of = number(whole(pick(row, "row")))
    drawn = bars(weights[:LOCAL_COLUMNS], title=f"LIME weights of row {number_of}", axis="weight")
    about_class = words(pick(row, "class"))
    said = f"Row {number_of}: prediction {number(real(pick(row, 'prediction')))}"
    if about_class:
        said += f" for {about_class}"
    said += f", R² of the line {fixed(real(pick(row, 'r2')), 2)}"
    agreement = real(pick(row, "agreement_with_shap"))
    if agreement is not None:
        said += f", correlation with SHAP {fixed(agreement, 2)}"
    return [Figure(svg=drawn, caption=f"{said}.")]


def _faithfulness(reports: Reports) -> Part:
    tests = [
        (key, v) for key, v in entries(reports.json("explain/faithfulness.json")) if pick(v, "rows")
    ]
    blocks: list[Block] = []
    if tests:
        rows = [
            [
                Cell(text=_method(key)),
                figure_cell(fixed(real(pick(v, "area")), 3), strong=True),
                figure_cell(fixed(real(pick(v, "random")), 3)),
                figure_cell(fixed(real(pick(v, "reversed")), 3)),
                figure_cell(_better(v)),
                Cell(text="", status=_verdict(pick(v, "verdict"))),
            ]
            for key, v in tests[:10]
        ]
        blocks.append(
            Grid(
                caption="The deletion test: area under the change of the prediction",
                columns=["method", "area", "random", "reversed", "rows better", "verdict"],
                rows=rows,
            )
        )
    elif reports.problem("explain/faithfulness.json") is None:
        blocks.append(Text("No explanation was put to the test."))
    read = (
        "The columns an explanation ranks first are taken away first: if it is faithful, the "
        "prediction changes sooner (a larger area) than when columns go in a random order."
    )
    files = ["explain/faithfulness.json"]
    return Part(title="Faithfulness", read=read, blocks=blocks, files=files)


def _better(test: Any) -> str:
    rows, better = whole(pick(test, "rows")), whole(pick(test, "rows_better_than_random"))
    return NOTHING if better is None else f"{number(better)} of {number(rows)}"


def _verdict(value: Any) -> Status:
    text = words(value) or "unknown"
    return VERDICTS.get(text, Status(state="info", word=text[:60]))
