"""The part on test rows that are unlike the training rows."""

from __future__ import annotations

from typing import Any

from plumbline import artifacts
from plumbline.numbers import fixed, number, percent
from plumbline.report.about import About
from plumbline.report.blocks import Block, Cell, Grid, Subsection, Text, figure_cell, name
from plumbline.report.read import Reports, listed, pick, real, whole, words

SHOWN = 10
NOTICED = 0.55  # ROC AUC; below, it is as good as chance
METHODS = {
    "mahalanobis": "the Mahalanobis distance of the network's features to the nearest class, or to "
    "the mean where a number is predicted",
    "neighbors": "the distance of the network's features to the fifth nearest training row",
    "ranges": "nothing but the columns' ranges",
}


def unusual(reports: Reports, about: About) -> Subsection:
    """How many test rows are flagged, and the most unusual ones."""
    content = reports.json(artifacts.OUT_OF_DISTRIBUTION)
    method = words(pick(content, "method"))
    rows = listed(pick(content, "rows"))[:SHOWN]
    blocks: list[Block] = []
    if method == "off":
        blocks.append(Text("Not measured: evaluate.out_of_distribution.method is off."))
    elif method is not None:
        blocks.append(Text(_summary(content, method)))
        if rows:
            blocks.append(_table(rows))
    read = (
        "A score says how unlike the training rows a row is: how far the network's features are "
        "from theirs, and how far cells are outside of what training rows have. Predictions of "
        "flagged rows deserve less trust than the figures above say. Many flagged test rows mean "
        "that test and training rows differ: see Drift."
    )
    files = [artifacts.OUT_OF_DISTRIBUTION]
    return Subsection(title="Unusual rows", read=read, blocks=blocks, files=files)


def _summary(content: Any, method: str) -> str:
    threshold, share = real(pick(content, "threshold")), real(pick(content, "share"))
    text = f"Measured by {METHODS.get(method, method)}, and by the columns' ranges."
    if method == "ranges":
        text = f"Measured by {METHODS[method]}."
    if threshold is None:
        return f"{text} There is no validation row to take a threshold from, so none is flagged."
    flagged = percent(real(pick(content, "flagged", "test")))
    text += (
        f" A row is flagged above a score of {number(threshold, 3)}, which {percent(share)} of the "
        f"validation rows exceed at most: {flagged} of the test rows are."
    )
    separated = real(pick(content, "shuffled_roc_auc"))
    if separated is not None:
        text += (
            " As a check, the score tells test rows from the same rows with the cells of each "
            f"column shuffled with a ROC AUC of {fixed(separated)}"
        )
        text += (
            ", where 0.5 is chance."
            if separated >= NOTICED
            else ": no better than chance (0.5), so cells that do not go together are not noticed "
            "here, single ones out of range are."
        )
    return text


def _table(rows: list[Any]) -> Grid:
    return Grid(
        caption="The most unusual test rows",
        columns=["row", "score", "distance", "column", "value", "why"],
        rows=[
            [
                figure_cell(number(whole(pick(row, "row")))),
                figure_cell(fixed(real(pick(row, "score")), 2)),
                figure_cell(fixed(real(pick(row, "distance")), 2)),
                name(words(pick(row, "column")) or "–"),
                name(words(pick(row, "value")) or "–"),
                Cell(text=words(pick(row, "reason")) or "features"),
            ]
            for row in rows
        ],
        more="A distance of 1 is what 99% of the training rows keep; the score adds, for each "
        "column, how far the cell is outside of what training rows have. The column is the one "
        "that is furthest outside; where none is, the features alone are far.",
    )
