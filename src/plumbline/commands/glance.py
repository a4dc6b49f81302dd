"""How new rows differ from the earlier ones: a glance at some rows of either side.

Of texts and images no cell comes twice, so they are compared by numbers that describe them: the
length of a text, the light of an image. A column of them has the index of the descriptor that
moved most.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import polars as pl

from plumbline.evaluation.other_unit import other_unit
from plumbline.evaluation.psi import psi
from plumbline.images.cells import broken_image
from plumbline.kinds import ColumnType
from plumbline.tables import Column, Schema, Table

GLANCED = 20_000  # rows of either side that drift is measured on
DECODED = 1_000  # of images


@dataclass(frozen=True, kw_only=True)
class Glance:
    """Columns and their stability index, the largest first; what is odd about the numbers."""

    moved: list[tuple[str, float]]
    odd: dict[str, str]


def glance(before: Table, rows: pl.DataFrame, schema: Schema) -> Glance:
    """The features that moved, and those that may be in another unit."""
    columns = [*schema.features, schema.column(schema.target)]
    described = [c for c in columns if c.type in (ColumnType.TEXT, ColumnType.IMAGE)]
    names = [c.name for c in columns if c not in described]
    old = _some(before.frame.select(names), before.rows, GLANCED).collect(engine="streaming")
    new = rows.select(names).head(GLANCED)
    moved = [(name, psi(old[name], new[name])) for name in names]
    numbers = [name for name in names if old[name].dtype.is_numeric()]
    odd = {name: other_unit(old[name], new[name], len(numbers)) for name in numbers}
    if described:
        moved += _described(before, rows, described)
    return Glance(
        moved=sorted(moved, key=lambda pair: -pair[1]),
        odd={name: words for name, words in odd.items() if words is not None},
    )


def _described(
    before: Table, rows: pl.DataFrame, columns: Sequence[Column]
) -> list[tuple[str, float]]:
    """Of each text and image column the descriptor that moved most, and its index."""
    # its module imports Evidently, which takes seconds
    from plumbline.evaluation.described import describe

    names = [c.name for c in columns]
    images = [c.name for c in columns if c.type is ColumnType.IMAGE]
    most = DECODED if images else GLANCED
    old, new = (
        describe(_some(frame.select(names), count, most).with_columns(map(_whole, images)), columns)
        .select(names)
        .collect(engine="streaming")
        for frame, count in ((before.frame, before.rows), (rows.lazy(), len(rows)))
    )
    moved = []
    for name in names:
        sides = [side[name].struct.unnest() for side in (old, new)]
        index = {part: psi(*(side[part] for side in sides)) for part in sides[0].columns}
        part = max(index, key=lambda part: index[part])
        moved.append((f"{name}: {part}", index[part]))
    return moved


def _some(frame: pl.LazyFrame, count: int, most: int) -> pl.LazyFrame:
    return frame.gather_every(max(1, count // most))


def _whole(name: str) -> pl.Expr:
    """An image; null where it cannot be read, which is told elsewhere."""
    return pl.when(~broken_image(name, pl.Binary())).then(pl.col(name)).alias(name)
