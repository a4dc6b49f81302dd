"""The part on the data themselves: columns by type, gaps, values, the target."""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np

from plumbline import artifacts
from plumbline.kinds import TargetKind
from plumbline.numbers import NBSP, NOTHING, aligned, cell, number, percent, plural
from plumbline.report.about import About
from plumbline.report.blocks import (
    Block,
    Cell,
    Figure,
    Figures,
    Grid,
    Metadata,
    Subsection,
    figure_cell,
    name,
)
from plumbline.report.plots import bars, counts
from plumbline.report.read import Reports, listed, pick, real, whole, words

SHOWN = 60  # columns
CLASSES = 15  # bars of the target's
FILE = artifacts.COLUMNS


def overview(reports: Reports, about: About) -> Subsection:
    """Rows, columns and gaps at a glance; the target's distribution; every column, folded."""
    content = reports.json(FILE)
    columns = [c for c in listed(pick(content, "columns")) if words(pick(c, "name"))]
    rows = whole(pick(content, "rows"))
    blocks: list[Block] = []
    if columns and rows:
        for column in columns:
            column["present"] = rows - (whole(column.get("missing")) or 0)
        blocks += [Metadata(_metadata(columns, rows)), *_target(content, columns, about)]
        blocks.append(_table(columns, rows))
    read = (
        "All rows of the data, before any is left out; missing cells are the empty ones and those "
        "with a word that means missing (`data.format.missing`)."
    )
    return Subsection(title="Overview", read=read, blocks=blocks, files=[FILE])


def _metadata(columns: list[Any], rows: int) -> list[tuple[str, str]]:
    types = Counter(str(c.get("type")) for c in columns)
    missing = [whole(c.get("missing")) or 0 for c in columns]
    gaps = sum(count > 0 for count in missing)
    metadata = [("rows", number(rows)), ("columns", number(len(columns)))]
    metadata += [(f"of type {kind}", number(count)) for kind, count in types.most_common()]
    if gaps:
        metadata.append(("columns with missing cells", number(gaps)))
    cells = percent(sum(missing) / (rows * len(columns))) if gaps else "none"
    metadata.append(("missing cells", cells))
    return metadata


def _target(content: Any, columns: list[Any], about: About) -> list[Block]:
    """How the target is distributed."""
    target = about.config.data.target
    column: dict[str, Any] = next((c for c in columns if c.get("name") == target), {})
    return TARGETS[about.task.spec.target](target, column, pick(content, "target", "histogram"))


def _classes(target: str, column: dict[str, Any], histogram: Any) -> list[Block]:
    """The shares of the classes."""
    shares = _shares(column)
    if not shares:
        return []
    drawn = bars(
        [(label, 100 * share) for label, share in shares[:CLASSES]],
        title=f"Classes of {target}",
        axis="% of the rows",
    )
    caption = f"Share of each class of {target}."
    if len(shares) > CLASSES or (whole(column.get("distinct")) or 0) > len(shares):
        caption = f"Share of the largest classes of {target}."
    return [Figures([Figure(svg=drawn, caption=caption)])]


def _numbers(target: str, column: dict[str, Any], histogram: Any) -> list[Block]:
    """The distribution of a number."""
    low, high = real(pick(histogram, "low")), real(pick(histogram, "high"))
    heights = [whole(v) or 0 for v in listed(pick(histogram, "counts"))]
    if low is None or high is None or not heights or not low < high:
        return []
    edges = np.linspace(low, high, len(heights) + 1)
    drawn = counts(np.array(heights), edges, title=f"Distribution of {target}", axis=target)
    return [Figures([Figure(svg=drawn, caption=f"Distribution of {target}.")])]


TARGETS = {TargetKind.CLASSES: _classes, TargetKind.NUMBERS: _numbers}


def _shares(column: Any) -> list[tuple[str, float]]:
    """Values and their share of the cells that are there."""
    values = [(str(pick(v, "value")), whole(pick(v, "rows"))) for v in listed(column.get("values"))]
    known = [(value, rows) for value, rows in values if rows is not None]
    total = whole(column.get("present")) or sum(rows for _, rows in known)
    return [(value, rows / total) for value, rows in known] if total else []


def _table(columns: list[Any], rows: int) -> Grid:
    rest = len(columns) - SHOWN
    return Grid(
        caption="Columns",
        columns=["column", "type", "role", "missing", "values"],
        rows=[
            [
                name(str(c["name"])),
                Cell(text=str(c.get("type"))),
                Cell(text=str(c.get("role"))),
                figure_cell(_missing(c, rows)),
                name(_values(c)[:200]),
            ]
            for c in columns[:SHOWN]
        ],
        more=f"{rest:,} more in reports/{FILE}." if rest > 0 else "",
        folded=True,
        total=len(columns),
    )


def _missing(column: Any, rows: int) -> str:
    count = whole(column.get("missing"))
    return NOTHING if count is None else percent(count / rows) if count else "0"


def _values(column: Any) -> str:
    """Its range and median, or its most frequent values."""
    ends = [column.get(key) for key in ("min", "median", "max")]
    if all(real(end) is not None for end in ends):
        numbers = [float(end) for end in ends]
        if column.get("type") == "integer" or all(v.is_integer() for v in numbers):
            low, middle, high = (cell(v) for v in numbers)
        else:
            low, middle, high = aligned(numbers, 4)
        return f"{low} to {high}, median{NBSP}{middle}"
    if words(ends[0]) and words(ends[2]):
        return f"{ends[0].removesuffix(' 00:00:00')} to {ends[2].removesuffix(' 00:00:00')}"
    distinct = whole(column.get("distinct"))
    several = "" if distinct is None else plural(distinct, "value")
    shares = [f"{value} {percent(share)}" for value, share in _shares(column)[:3]]
    return ": ".join(text for text in (several, ", ".join(shares)) if text) or NOTHING
