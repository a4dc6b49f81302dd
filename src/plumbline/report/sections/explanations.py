"""The section on explanations: SHAP, LIME, and how faithful they are."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from plumbline import artifacts
from plumbline.numbers import NOTHING, aligned, fixed, number
from plumbline.report.about import About
from plumbline.report.blocks import (
    Block,
    Figure,
    Figures,
    Grid,
    Metadata,
    Section,
    Status,
    Subsection,
    Text,
    figure_cell,
    name,
)
from plumbline.report.clouds import swarm
from plumbline.report.plots import WIDTH, bars
from plumbline.report.read import Reports, entries, listed, numbers, pick, real, whole, words
from plumbline.report.sections.colored import PATCHES, WORDS, cell_tests
from plumbline.report.sections.methods import (
    deletion_grid,
    explained_output,
    explained_unit,
    limits,
    method_name,
    outcome,
    shown,
    used_of,
    verdict_of,
)
from plumbline.report.sections.patches import patches_part
from plumbline.report.sections.words import words_part
from plumbline.report.typeface import shorten, text_width

TOP = 15  # columns
ONE_COLUMN = "There is one column: no ranking of columns that could be tested."
LOCAL_ROWS, LOCAL_COLUMNS = 6, 7
TESTED = "faithfulness_rows"
BUDGETS = {
    "rows": "test rows",
    "background": "background rows",
    TESTED: "rows of the deletion test",
}
LIME_BUDGETS = {"lime_rows": "rows", "lime_samples": "samples per row"}
LABEL_ROOM = WIDTH * 0.45 - 4  # of `column = value` beside a bar


def explanations(reports: Reports, about: About) -> Section:
    """What the predictions rest on. Of a single text or image column its words or patches are all
    that there is to tell."""
    parts = [*words_part(reports, about), *patches_part(reports, about)]
    if not (parts and len(_columns(reports)) == 1):
        parts = [_global(reports, about), _local(reports, about), _faithfulness(reports), *parts]
    return Section(
        id="explanations",
        title="Explanations",
        status=explanations_status(reports),
        parts=parts,
    )


def explanations_status(reports: Reports) -> Status | None:
    """By the deletion tests, if any was run: how many of them a method did not pass, and in which
    way. Red where SHAP is misleading, on which most of the section rests."""
    tests = [(k, v) for k, v in entries(reports.json(artifacts.FAITHFULNESS)) if pick(v, "rows")]
    cells = [*cell_tests(reports, WORDS), *cell_tests(reports, PATCHES)]
    tests += [test for _, own in cells for test in own]
    verdicts = [(method, verdict_of(test)) for method, test in tests]
    telling = [(method, verdict) for method, verdict in verdicts if verdict.state != "info"]
    failed = [(method, verdict) for method, verdict in telling if verdict.state != "good"]
    if not failed:
        return next((verdict for _, verdict in telling or verdicts), None)
    ways = {verdict.word for _, verdict in failed}
    word = ways.pop() if len(ways) == 1 else "not faithful"
    misled = any(method == "shap" and verdict.state == "bad" for method, verdict in failed)
    return Status(
        state="bad" if misled else "warn",
        word=f"{word} in {len(failed)} of {len(telling)} tests" if len(telling) > 1 else word,
    )


def _ranked(content: Any) -> dict[str, float]:
    """Columns and their importance, the largest first."""
    values = {key: float(v) for key, value in entries(content) if (v := real(value)) is not None}
    return dict(sorted(values.items(), key=lambda item: -item[1]))


def _columns(reports: Reports) -> dict[str, float]:
    return _ranked(pick(reports.json(artifacts.IMPORTANCE), "columns"))


def _global(reports: Reports, about: About) -> Subsection:
    content = reports.json(artifacts.IMPORTANCE)
    columns = _columns(reports)
    top = list(columns.items())[:TOP]
    output, unit = explained_output(about), explained_unit(about)
    figures = []
    if top:
        axis = f"mean absolute SHAP value ({unit})"
        drawn = bars(top, title="Mean absolute SHAP value", axis=axis)
        caption = f"How far each column moves {output}, up or down, on average over the rows."
        if len(columns) > len(top):
            caption += f" The first {len(top)} of {len(columns):,} columns."
        figures.append(Figure(svg=drawn, caption=caption))
    frame = reports.frame(artifacts.SHAP_VALUES)
    clouds = [
        (column, values[np.isfinite(values)])
        for column, _ in top
        if np.isfinite(values := numbers(frame, column)).any()
    ]
    if clouds:
        drawn = swarm(clouds, title="SHAP values, row by row", axis=f"SHAP value ({unit})")
        caption = (
            f"A dot per explained test row: right of zero the row's value raised {output}, left "
            "of zero it lowered it."
        )
        figures.append(Figure(svg=drawn, caption=caption))
    blocks: list[Block] = []
    if figures:
        blocks = [_explained(content, about), *_limits(content, BUDGETS), Figures(figures)]
    blocks += _methods(content, columns)
    if not blocks and reports.problem(artifacts.IMPORTANCE) is None:
        blocks.append(Text("No column has an importance."))
    read = (
        f"A SHAP value is what the row's own value in a column added to {output}, compared with "
        "the values of the background rows; those of a row add up to the difference between its "
        "prediction and the mean prediction of the background rows."
    )
    files = [artifacts.IMPORTANCE, artifacts.SHAP_VALUES]
    return Subsection(title="What moves predictions", read=read, blocks=blocks, files=files)


def _explained(content: Any, about: About) -> Metadata:
    exact = pick(content, "exact") is True
    permutations = whole(pick(content, "permutations"))
    metadata: list[tuple[str, str | Status]] = [
        ("explained", explained_output(about).removeprefix("the ")),
        (BUDGETS["rows"], _used(content, "rows")),
        (BUDGETS["background"], _used(content, "background")),
        ("computed", "exactly") if exact else ("permutations", number(permutations)),
    ]
    error = real(pick(content, "std_error"))
    if error:
        metadata.append(("sampling error of a value", f"± {number(error, 2)}"))
    if pick(content, "budget", TESTED) is not None:
        metadata.append((BUDGETS[TESTED], _used(content, TESTED)))
    return Metadata(metadata)


def _used(content: Any, key: str) -> str:
    """`12 of 100` where less was used than params.yaml asks for."""
    entry = pick(content, "budget", key)
    return used_of(entry) or number(whole(pick(content, key)))


def _limits(content: Any, budgets: Mapping[str, str]) -> list[Block]:
    return limits({label: pick(content, "budget", key) for key, label in budgets.items()})


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
    headings = ["column", method_name("shap"), *(method_name(key) for key in others)]
    caption = "Ranks of the columns, by method"
    return [Grid(caption=caption, columns=headings, rows=rows, folded=True)]


def _rank(column: str, ranking: list[str]) -> str:
    return f"{ranking.index(column) + 1}" if column in ranking else NOTHING


def _local(reports: Reports, about: About) -> Subsection:
    content = reports.json(artifacts.LIME)
    rows = [row for row in listed(pick(content, "rows")) if pick(row, "weights")][:LOCAL_ROWS]
    figures = [figure for row in rows for figure in _one_row(row, about)]
    blocks: list[Block] = []
    if figures:
        budget = reports.json(artifacts.IMPORTANCE)
        if pick(budget, "budget", "lime_rows") is not None:
            blocks.append(Metadata([(v, _used(budget, key)) for key, v in LIME_BUDGETS.items()]))
            blocks += _limits(budget, LIME_BUDGETS)
        blocks += [Figures(figures), *(_values(row) for row in rows if pick(row, "values"))]
    elif reports.problem(artifacts.LIME) is None:
        blocks.append(Text("No single row was explained (explain.lime_rows is 0)."))
    read = (
        f"LIME fits a linear model around one row: a bar to the right says that the row's own "
        f"value raises {explained_output(about)}, compared with values of other rows, one to the "
        "left that it lowers it. With an R² near zero the linear model does not fit: do not trust "
        "it."
    )
    return Subsection(
        title="Single rows, by LIME", read=read, blocks=blocks, files=[artifacts.LIME]
    )


def _weights(row: Any) -> list[tuple[str, float]]:
    return [
        (key, float(v))
        for key, value in entries(pick(row, "weights"))
        if (v := real(value)) is not None
    ]


def _one_row(row: Any, about: About) -> list[Figure]:
    weights = _weights(row)[:LOCAL_COLUMNS]
    if not weights:
        return []
    values, number_of = pick(row, "values"), number(whole(pick(row, "row")))
    drawn = bars(
        [(_with_value(key, values), v) for key, v in weights],
        title=f"LIME weights of row {number_of}",
        axis=f"weight ({explained_unit(about)})",
    )
    text = f"Row {number_of}"
    if reason := words(pick(row, "reason")):
        text += f", {reason}"
    text += f". {outcome(row)}R² of the linear model {fixed(real(pick(row, 'r2')), 2)}"
    agreement = real(pick(row, "agreement_with_shap"))
    if agreement is not None:
        text += f", correlation with SHAP {fixed(agreement, 2)}"
    return [Figure(svg=drawn, caption=f"{text}.")]


def _with_value(column: str, values: Any) -> str:
    """`column = value`; the column is cut before the value is."""
    if not isinstance(values, dict) or column not in values:
        return column
    value = f" = {shorten(shown(values[column], 3), LABEL_ROOM / 2)}"
    return f"{shorten(column, LABEL_ROOM - text_width(value))}{value}"


def _values(row: Any) -> Grid:
    """A row's values beside their weights, the heaviest first."""
    values = pick(row, "values")
    weights = _weights(row)
    texts = aligned([weight for _, weight in weights[:TOP]])
    return Grid(
        caption=f"Values of row {number(whole(pick(row, 'row')))}",
        columns=["column", "value", "weight"],
        rows=[
            [name(key[:80]), name(shown(pick(values, key))), figure_cell(text)]
            for (key, _), text in zip(weights[:TOP], texts, strict=True)
        ],
        more=f"The first {TOP} of {len(weights):,} columns; all are in reports/explain/lime.json."
        if len(weights) > TOP
        else "",
        folded=True,
        total=len(weights),
    )


def _faithfulness(reports: Reports) -> Subsection:
    tests = [
        (key, v) for key, v in entries(reports.json(artifacts.FAITHFULNESS)) if pick(v, "rows")
    ]
    blocks: list[Block] = []
    if tests:
        caption = "The deletion test: area under the change of the prediction"
        blocks.append(deletion_grid(caption, tests[:10]))
    elif reports.problem(artifacts.FAITHFULNESS) is None:
        single = len(_columns(reports)) == 1
        blocks.append(Text(ONE_COLUMN if single else "No explanation was tested."))
    read = (
        "The columns that an explanation ranks first are replaced first by values of background "
        "rows: if it is faithful, the prediction changes sooner (a larger area) than with columns "
        "in random order. LIME is tested on its few rows only."
    )
    files = [artifacts.FAITHFULNESS]
    return Subsection(title="Faithfulness", read=read, blocks=blocks, files=files)
