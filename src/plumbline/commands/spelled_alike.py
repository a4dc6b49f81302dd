"""How the cells of the data's file spell truth values and days, so that new rows are spelled alike.

Rows that come typed (of the service's log, or of a Parquet file) have no spelling of their own: a
flag of `yes` and `no` would be `true` in the new rows, and a day would have a time of 00:00:00.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import polars as pl

from plumbline.cells import COMPACT, FALSE, TRUE, written
from plumbline.data.read import readable
from plumbline.kinds import ColumnType
from plumbline.tables import Column

OPPOSITES = dict(zip([*TRUE, *FALSE], [*FALSE, *TRUE], strict=True))
MOMENT = "%Y-%m-%d %H:%M:%S%.f"
DAY = 10  # characters of 2024-05-01


@dataclass(frozen=True, kw_only=True)
class CellWords:
    """By column: the words for true and false, and the pattern of ISO days."""

    truths: Mapping[str, tuple[str, str]] = field(default_factory=dict)
    days: Mapping[str, str] = field(default_factory=dict)

    def cell(self, column: Column, value: pl.Series) -> pl.Expr | None:
        """A truth value or an ISO date as text; None: of another type or format."""
        name = pl.col(column.name)
        if column.type is ColumnType.BOOLEAN:
            true, false = self.truths.get(column.name, ("true", "false"))
            return pl.when(name).then(pl.lit(true)).when(~name).then(pl.lit(false))
        if column.type is ColumnType.DATE and column.format.date is None:
            whole = (value == value.dt.truncate("1d")).all()
            return name.dt.to_string(self.days.get(column.name, MOMENT) if whole else MOMENT)
        return None


def cell_words(raw: pl.LazyFrame, columns: Sequence[Column], file: str) -> CellWords:
    """What is most frequent in the data's file, as it is read.

    Args:
        columns: those of the new rows that have no text.
    """
    types = raw.collect_schema()
    truths, days = {}, {}
    with readable(file):
        for column in columns:
            cell = written(column, types[column.name])
            if column.type is ColumnType.BOOLEAN:
                counts = raw.select(cell.drop_nulls()).group_by(column.name).len()
                order = counts.sort(["len", column.name], descending=[True, False])
                words = order.collect(engine="streaming")[column.name].to_list()
                truths[column.name] = _words(words)
            elif column.type is ColumnType.DATE and column.format.date is None:
                shapes = raw.select(
                    longest=cell.str.len_chars().max(),
                    shortest=cell.str.len_chars().min(),
                    slashes=cell.str.contains("/", literal=True).all(),
                )
                longest, shortest, slashes = shapes.collect(engine="streaming").row(0)
                if longest == shortest == len("20240501"):
                    days[column.name] = COMPACT
                elif longest is not None and longest <= DAY:
                    days[column.name] = "%Y/%m/%d" if slashes else "%Y-%m-%d"
    return CellWords(truths=truths, days=days)


def _words(words: Sequence[str]) -> tuple[str, str]:
    """The words for true and false; one that the data have not is the opposite of the other."""
    true = next((word for word in words if word.lower() in TRUE), None)
    false = next((word for word in words if word.lower() in FALSE), None)
    if true is None and false is None:
        return "true", "false"
    return true or _opposite(false or ""), false or _opposite(true or "")


def _opposite(word: str) -> str:
    other = OPPOSITES[word.lower()]
    if word.isupper():
        return other.upper()
    return other.title() if word.istitle() else other
