"""Rows given as column -> value, whose cells are read as the same cells of a file are.

Native values, plain numbers and ISO dates take a short way; every other text goes through the very
expressions that read a file, so that both give the same.
"""

from __future__ import annotations

import datetime as dt
import math
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import polars as pl

from plumbline.cells import EXACT, FALSE, TRUE, describe, numbers_among, typed, unreadable
from plumbline.errors import DataError
from plumbline.kinds import Cell, ColumnType
from plumbline.tables import CellFormat, Column

# Unicode's white space, which reading a file strips; Python's own has four more
WHITE = "".join(chr(c) for c in range(0x3001) if chr(c).isspace() and not 0x1C <= c <= 0x1F)
PLAIN_NUMBER = re.compile(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?")
_INTEGER = re.compile(r"[+-]?[0-9]{1,15}")
_ISO = re.compile(r"[1-9][0-9]{3}-[0-9]{2}-[0-9]{2}([T ][0-9]{2}:[0-9]{2}(:[0-9]{2})?)?")
_EPOCH = dt.datetime(1970, 1, 1)
_MICROSECOND = dt.timedelta(microseconds=1)
AS_WRITTEN = CellFormat(missing=())  # no word means a missing cell
INTEGERS = range(-(2**63), 2**63)
_WORDS = {**dict.fromkeys(TRUE, True), **dict.fromkeys(FALSE, False)}
Quick = Callable[[str], Cell]  # of a text that is not missing; None: ask the expressions of a file


class _Unread(Exception):
    """A text that only the expressions of a file read."""


class _Wrong(Exception):
    """A value that is not of its column's type."""


class RowReader:
    """Reads cells of rows as their columns' types have them: finite numbers, whole numbers, truth
    values, texts; dates as microseconds since 1970, images as their bytes or path; None where
    missing."""

    def __init__(self, columns: Sequence[Column]) -> None:
        self.columns = tuple(columns)
        self._reads = [(c.name, _READS[c.type](c)) for c in columns]
        text = pl.String()
        self._slow = [
            (
                typed(c, text).to_physical().alias(f"{j} value"),
                unreadable(c, text).alias(f"{j} bad"),
            )
            for j, c in enumerate(columns)
        ]

    def __call__(self, values: Mapping[str, Any]) -> list[Cell]:
        """The cells of a row in the order of the columns.

        Raises:
            DataError: a value is not of its column's type, or not written in its format.
        """
        get = values.get
        cells: list[Cell] = []
        left: dict[int, str] = {}
        for name, read in self._reads:
            value = get(name)
            if value is not None:
                try:
                    value = read(value)
                except _Unread:
                    left[len(cells)] = str(value)
                except _Wrong:
                    raise wrong_value(self.columns[len(cells)], value) from None
            cells.append(value)
        if left:
            self._read(left, cells)
        return cells

    def _read(self, left: Mapping[int, str], cells: list[Cell]) -> None:
        """Cells as a file has them."""
        frame = pl.DataFrame({self.columns[j].name: [text] for j, text in left.items()})
        row = frame.select(e for j in left for e in self._slow[j]).row(0, named=True)
        for j, text in left.items():
            if row[f"{j} bad"]:
                raise wrong_value(self.columns[j], text)
            cells[j] = row[f"{j} value"]


Read = Callable[[Any], Cell]  # of a value that is there; may raise _Unread and _Wrong


def _reader(column: Column, quick: Quick, native: Callable[[object], Cell]) -> Read:
    """Texts by `quick`, other values by `native`, which gives None where it is of another type."""
    words = frozenset(column.format.words())
    numbers = frozenset(numbers_among(column.format.words()))

    def read(value: Any) -> Cell:
        if isinstance(value, str):
            cell = value.strip(WHITE)
            if cell in words:
                return None
            made = quick(cell)
            if made is None:
                raise _Unread
        else:
            made = native(value)
            if made is None:
                raise _Wrong
            if made in numbers and column.type is not ColumnType.DATE:
                return None
        return None if isinstance(made, float) and not math.isfinite(made) else made

    return read


def _number(column: Column) -> Read:
    plain = column.format.is_plain
    read = _reader(
        column,
        lambda text: float(text) if plain and PLAIN_NUMBER.fullmatch(text) else None,
        number_of,
    )

    numbers = frozenset(numbers_among(column.format.words()))

    def quick(value: Any) -> Cell:
        if type(value) is float:
            return value if math.isfinite(value) and value not in numbers else None
        return read(value)

    return quick


def _integer(column: Column) -> Read:
    plain = column.format.is_plain
    return _reader(
        column,
        lambda text: int(text) if plain and _INTEGER.fullmatch(text) else None,
        whole_of,
    )


def _boolean(column: Column) -> Read:
    return _reader(column, lambda text: _WORDS.get(text.lower()), boolean_of)


def _date(column: Column) -> Read:
    return _reader(column, _iso if column.format.date is None else lambda text: None, date_of)


def _text(column: Column) -> Read:
    form, words = column.format, frozenset(column.format.words())

    def read(value: Any) -> Cell:
        if isinstance(value, str):
            cell = value.strip(WHITE)
            return None if cell in words else cell
        return category_of(value, form)

    return read


def _image(column: Column) -> Read:
    text = _text(column)
    return lambda value: value if isinstance(value, bytes) else text(value)


def _iso(text: str) -> int | None:
    if not _ISO.fullmatch(text):
        return None
    try:
        return (dt.datetime.fromisoformat(text) - _EPOCH) // _MICROSECOND
    except ValueError:
        return None


def number_of(value: object) -> float | None:
    """A native number as float64; None where it cannot be one."""
    if not isinstance(value, int | float | np.number | np.bool_):
        return None
    try:
        return float(value)
    except OverflowError:
        return np.inf


def whole_of(value: object) -> float | None:
    """A whole number; NaN is missing, None if it is none."""
    if isinstance(value, int | np.integer):  # a truth value is one
        return int(value) if value in INTEGERS else None
    number = number_of(value)
    if number is None or math.isnan(number):
        return number
    return int(number) if number.is_integer() and abs(number) < EXACT else None


def boolean_of(value: object) -> float | None:
    """A truth value from one or from 1 and 0; NaN is missing, None if it is none."""
    number = number_of(value)
    if number is None or math.isnan(number):
        return number
    return bool(number) if number in (0.0, 1.0) else None


def date_of(value: object) -> float | None:
    """Microseconds since 1970, UTC where a zone is given; NaN where missing, None if no date."""
    if isinstance(value, np.datetime64):
        us = value.astype("datetime64[us]")
        return np.nan if np.isnat(us) else int(us.astype(np.int64))
    if isinstance(value, dt.date) and not isinstance(value, dt.datetime):
        value = dt.datetime(value.year, value.month, value.day)
    if not isinstance(value, dt.datetime):
        return None
    if value.tzinfo is not None:
        value = value.astimezone(dt.UTC).replace(tzinfo=None)
    return (value - _EPOCH) // _MICROSECOND


def category_of(value: object, form: CellFormat) -> str | None:
    """A category as the text that reading a file gives; None where missing.

    Text is stripped, and a whole number is never `1.0`. Times of day and durations are seconds.
    """
    if value is None:
        return None
    if isinstance(value, dt.time):
        value = dt.datetime.combine(dt.date.min, value) - dt.datetime.min
    if isinstance(value, dt.timedelta):
        value = value.total_seconds()
    if isinstance(value, dt.datetime) and value.tzinfo is None and value.time() == dt.time():
        value = value.date()
    if isinstance(value, bool | np.bool_):
        text = "true" if value else "false"
    elif isinstance(value, float | np.floating):
        number = float(value)
        if np.isnan(number):
            return None
        whole = number.is_integer() and abs(number) < 2**63
        # polars writes 1e-7, where Python has 1e-07
        text = str(int(number)) if whole else pl.Series([number]).cast(pl.String)[0]
    else:
        text = str(value).strip(WHITE)
    return None if text in form.words() else text


def wrong_value(column: Column, value: object, *, row: int | None = None) -> DataError:
    """The refusal of one cell."""
    place = f"column '{column.name}'" if row is None else f"column '{column.name}', row {row}"
    return DataError(
        "a value of another kind",
        where=place,
        wanted=describe(column),
        got=value,
        hint="write it as the data are written, or change the column's type or format in "
        "expectations.yaml",
    )


_READS: dict[ColumnType, Callable[[Column], Read]] = {
    ColumnType.NUMBER: _number,
    ColumnType.INTEGER: _integer,
    ColumnType.BOOLEAN: _boolean,
    ColumnType.DATE: _date,
    ColumnType.CATEGORY: _text,
    ColumnType.TEXT: _text,
    ColumnType.IMAGE: _image,
}
