"""What kind of value a cell is: of a typed file, a frame or JSON; and which kinds a type takes."""

from __future__ import annotations

import datetime as dt
import re
from decimal import Decimal
from functools import cache

import numpy as np
import polars as pl

from plumbline.images.cells import has_images
from plumbline.kinds import CellKind, ColumnType

# beside texts. Of the numbers for a boolean only 0 and 1, for a date only such as 20240501: the
# cell is refused, not the column
TAKEN: dict[ColumnType, frozenset[CellKind]] = {
    ColumnType.NUMBER: frozenset({CellKind.NUMBER}),
    ColumnType.INTEGER: frozenset({CellKind.NUMBER}),
    ColumnType.BOOLEAN: frozenset({CellKind.BOOLEAN, CellKind.NUMBER}),
    ColumnType.DATE: frozenset({CellKind.DATE, CellKind.NUMBER}),
    ColumnType.CATEGORY: frozenset(),
    ColumnType.TEXT: frozenset(),
    ColumnType.IMAGE: frozenset({CellKind.BYTES}),
}
WORDS = {
    CellKind.TEXT: "text",
    CellKind.NUMBER: "a number",
    CellKind.BOOLEAN: "true or false",
    CellKind.DATE: "a date",
    CellKind.DURATION: "a duration or a time of day",
    CellKind.BYTES: "bytes",
    CellKind.OTHER: "a list or an object",
}
HALF = re.compile("[\ud800-\udfff]")
_TYPES: tuple[tuple[tuple[type, ...], CellKind], ...] = (
    ((str,), CellKind.TEXT),
    ((bool, np.bool_), CellKind.BOOLEAN),  # before numbers: bool is an int
    ((dt.timedelta, np.timedelta64, dt.time), CellKind.DURATION),  # so is numpy's timedelta
    ((int, float, np.number, Decimal), CellKind.NUMBER),
    ((dt.date, np.datetime64), CellKind.DATE),
    ((bytes, bytearray, memoryview), CellKind.BYTES),
)


def kind_of(value: object) -> CellKind:
    """The kind of a value that is not missing."""
    return next((kind for types, kind in _TYPES if isinstance(value, types)), CellKind.OTHER)


def is_unicode(text: str) -> bool:
    """Whether UTF-8 can hold a text: it has no half of a surrogate pair alone."""
    return not HALF.search(text)


@cache
def kind_of_dtype(dtype: pl.DataType) -> CellKind | None:
    """The kind of all cells of a column; None where they can only be missing."""
    if dtype == pl.Null:
        return None
    if dtype in (pl.String, pl.Categorical, pl.Enum):
        return CellKind.TEXT
    if dtype == pl.Boolean:
        return CellKind.BOOLEAN
    if dtype.is_numeric():
        return CellKind.NUMBER
    if isinstance(dtype, pl.Date | pl.Datetime):
        return CellKind.DATE
    if isinstance(dtype, pl.Duration | pl.Time):
        return CellKind.DURATION
    return CellKind.BYTES if has_images(dtype) else CellKind.OTHER


def untypical(kind: ColumnType, dtype: pl.DataType) -> CellKind | None:
    """The kind of cells that a column of a type does not take unless its data have them."""
    own = kind_of_dtype(dtype)
    return None if own in (None, CellKind.TEXT) or own in TAKEN[kind] else own
