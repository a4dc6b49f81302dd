"""What the parts on words and on patches share: cells of single rows, their parts in color."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from plumbline import artifacts
from plumbline.numbers import number
from plumbline.report.about import About
from plumbline.report.blocks import Block, Legend, Metadata, Status, Subsection, Text
from plumbline.report.read import Reports, entries, listed, pick, whole, words
from plumbline.report.sections.methods import (
    deletion_grid,
    explained_output,
    explained_unit,
    limits,
    method_name,
    outcome,
    predicted,
    used_of,
)

CELLS, COLUMNS = 6, 3  # cells and columns that are shown
Tests = list[tuple[str, list[tuple[str, Any]]]]  # column -> method -> its deletion test


@dataclass(frozen=True, kw_only=True)
class Parts:
    """Which cells are explained by which parts, and in which file they stand."""

    one: str
    many: str
    cell: str
    file: str


WORDS = Parts(one="word", many="words", cell="text", file=artifacts.WORDS)
PATCHES = Parts(one="patch", many="patches", cell="image", file=artifacts.PATCHES)


def cell_tests(reports: Reports, parts: Parts) -> Tests:
    """By column: the deletion test of each method."""
    by_column = [
        (column, [(k, v) for k, v in entries(own) if pick(v, "rows")])
        for column, own in entries(pick(reports.json(parts.file), "faithfulness"))
    ]
    return [(column, tests) for column, tests in by_column if tests][:COLUMNS]


def cells_part(
    reports: Reports,
    about: About,
    parts: Parts,
    *,
    title: str,
    read: str,
    drawn: Sequence[Sequence[Block]],
    cells: int,
    legend: Sequence[tuple[str, str]] = (),
) -> list[Subsection]:
    """The part of the page; nothing where the model reads no such cell.

    Args:
        drawn: the blocks of each cell that is shown, of `cells` that could be.
        legend: further tints with what they mean.
    """
    if not drawn and reports.problem(parts.file) is None:
        return []
    blocks: list[Block] = []
    if drawn:
        content = reports.json(parts.file)
        blocks += [_metadata(content, about, parts), _legend(about, parts, legend)]
        blocks += limits({"rows": pick(content, "budget", "rows")})
    for each in drawn:
        blocks += each
    if cells > len(drawn):
        blocks.append(
            Text(f"{len(drawn)} of {cells:,} {parts.cell}s; all are in reports/{parts.file}.")
        )
    for column, tests in cell_tests(reports, parts):
        caption = f"The deletion test on the {parts.many} of {column}"
        blocks.append(deletion_grid(caption, tests[:10]))
    return [Subsection(title=title, read=read, blocks=blocks, files=[parts.file])]


def cell_name(row: Any, parts: Parts) -> str:
    """The row and the column of a cell."""
    return f"Row {number(whole(pick(row, 'row')))}, {words(pick(row, 'column')) or parts.cell}"


def cell_caption(row: Any, about: About, parts: Parts, method: str, largest: float) -> str:
    """Which cell it is and why it is shown, what was predicted, with and without its parts, and
    what the strongest color is worth by a method."""
    reason = words(pick(row, "reason"))
    return (
        f"{cell_name(row, parts)}{f': {reason}' if reason else ''}. {outcome(row)}"
        f"Without the {parts.many} {predicted(row, f'without_{parts.many}')}. "
        f"The strongest color is {number(largest, 2)} ({explained_unit(about)}, "
        f"{method_name(method)})."
    )


def _legend(about: About, parts: Parts, further: Sequence[tuple[str, str]]) -> Legend:
    scale = [("n4", "lowers most"), ("n2", "lowers"), ("p2", "raises"), ("p4", "raises most")]
    return Legend(
        [("", f"What a {parts.one} does to {explained_output(about)}:"), *scale, *further]
    )


def _metadata(content: Any, about: About, parts: Parts) -> Metadata:
    metadata: list[tuple[str, str | Status]] = [
        ("explained", explained_output(about).removeprefix("the "))
    ]
    if (rows := used_of(pick(content, "budget", "rows"))) is not None:
        metadata.append(("rows", rows))
    if (count := whole(pick(content, "budget", "permutations"))) is not None:
        metadata.append((f"permutations of the {parts.many}", number(count)))
    absent = [f"{text} ({column})" for column, text in entries(pick(content, "absent"))]
    if absent:
        metadata.append((f"an absent {parts.one} is", ", ".join(absent[:COLUMNS])))
    others = [text for text in listed(pick(content, "others")) if isinstance(text, str)]
    if others:
        metadata.append((f"{parts.cell} columns not shown", ", ".join(others[:10])))
    return Metadata(metadata)
