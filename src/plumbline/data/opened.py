"""What every kind of file is before it is written: a table found, and its rows."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from plumbline.data.dialect import Row
from plumbline.data.find_table import TableShape


@dataclass(frozen=True, kw_only=True)
class Opened:
    """`again` gives the rows from the header on, as often as it is called. `plain`: the file may
    be one that polars can read as it lies, cut by `separator`."""

    table: TableShape
    again: Callable[[], Iterator[Row]]
    words: str
    notes: list[str] = field(default_factory=list)
    plain: bool = False
    separator: str = ","
