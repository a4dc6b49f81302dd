"""One row given as column -> value, read as the same cells of a file are.

Native values, plain numbers and ISO dates take a short way; every other text goes through the very
expressions that read a file, so that both give the same.
"""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import polars as pl

from plumbline.cells import FALSE, TRUE, describe, typed, unreadable
from plumbline.errors import DataError
from plumbline.kinds import ColumnType
from plumbline.tables import CellFormat, Column

# Unicode's white space, which reading a file strips; Python's own has four more
WHITE = "".join(chr(c) for c in range(0x3001) if chr(c).isspace() and not 0x1C <= c <= 0x1F)
_NUMBER = re.compile(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?")
_INTEGER = re.compile(r"[+-]?[0-9]{1,15}")
_ISO = re.compile(r"[1-9][0-9]{3}-[0-9]{2}-[0-9]{2}([T ][0-9]{2}:[0-9]{2}(:[0-9]{2})?)?")
_EPOCH = dt.datetime(1970, 1, 1)
_WORDS = {**dict.fromkeys(TRUE, 1.0), **dict.fromkeys(FALSE, 0.0)}
Quick = Callable[[str], float | None]  # None: ask the expressions of a file


class RowReader:
    """Reads the numbers and dates of rows; dates as microseconds since 1970."""

    def __init__(self, columns: Sequence[Column]) -> None:
        self._columns = list(columns)
        self._words = [frozenset(c.format.words()) for c in columns]
        self._quick = [_quick(c) for c in columns]
        self._native = [_NATIVE.get(c.type, number_of) for c in columns]
        text = pl.String()
        self._slow = [
            (
                typed(c, text).to_physical().cast(pl.Float64).alias(f"{j} value"),
                unreadable(c, text).alias(f"{j} bad"),
            )
            for j, c in enumerate(columns)
        ]

    def __call__(self, values: Mapping[str, Any]) -> list[float]:
        """The numbers of a row in the order of the columns, NaN where missing.

        Raises:
            DataError: a value is not of its column's type, or not written in its format.
        """
        numbers = [np.nan] * len(self._columns)
        left: dict[int, str] = {}
        for j, column in enumerate(self._columns):
            value = values.get(column.name)
            if value is None:
                continue
            if isinstance(value, str):
                cell = value.strip(WHITE)
                number = np.nan if cell in self._words[j] else self._quick[j](cell)
                if number is None:
                    left[j] = value
                    continue
            else:
                number = self._native[j](value)
                if number is None:
                    raise wrong_value(column, value)
            numbers[j] = number
        if left:
            self._read(left, numbers)
        return numbers

    def _read(self, left: Mapping[int, str], numbers: list[float]) -> None:
        """Cells as a file has them."""
        cells = pl.DataFrame({self._columns[j].name: [text] for j, text in left.items()})
        row = cells.select(e for j in left for e in self._slow[j]).row(0, named=True)
        for j, text in left.items():
            if row[f"{j} bad"]:
                raise wrong_value(self._columns[j], text)
            value = row[f"{j} value"]
            numbers[j] = np.nan if value is None else value


def _quick(column: Column) -> Quick:
    """The short way for texts that are read alike in every file of the format."""
    form = column.format
    plain = form.is_plain
    if column.type is ColumnType.BOOLEAN:
        return lambda text: _WORDS.get(text.lower())
    if column.type is ColumnType.DATE:
        return _iso if form.date is None else lambda text: None
    pattern = _INTEGER if column.type is ColumnType.INTEGER else _NUMBER
    return lambda text: float(text) if plain and pattern.fullmatch(text) else None


def _iso(text: str) -> float | None:
    if not _ISO.fullmatch(text):
        return None
    try:
        return date_of(dt.datetime.fromisoformat(text))
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


def boolean_of(value: object) -> float | None:
    """1 or 0 from a truth value or a number; NaN is missing."""
    number = number_of(value)
    return number if number in (0.0, 1.0) or number is None or np.isnan(number) else None


def date_of(value: object) -> float | None:
    """Microseconds since 1970, UTC where a zone is given; NaN where missing, None if no date."""
    if isinstance(value, np.datetime64):
        us = value.astype("datetime64[us]")
        return np.nan if np.isnat(us) else float(us.astype(np.int64))
    if isinstance(value, dt.date) and not isinstance(value, dt.datetime):
        value = dt.datetime(value.year, value.month, value.day)
    if not isinstance(value, dt.datetime):
        return None
    if value.tzinfo is not None:
        value = value.astimezone(dt.UTC).replace(tzinfo=None)
    return float((value - _EPOCH) // dt.timedelta(microseconds=1))


_NATIVE: dict[ColumnType, Callable[[object], float | None]] = {
    ColumnType.BOOLEAN: boolean_of,
    ColumnType.DATE: date_of,
}


def category_of(value: object, form: CellFormat) -> str | None:
    """A category as the text that reading a file gives; None where missing.

    Text is stripped, and a whole number is never `1.0`.
    """
    if value is None:
        return None
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
