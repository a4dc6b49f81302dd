"""Cells that are numbers or dates in their own file, written as the data write theirs.

A number of a workbook is no text: 1.234 is not 1234 where points group the digits of the data, nor
is a date unclear in a column of `%m/%d/%Y`.
"""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from decimal import Decimal
from itertools import islice

import polars as pl

from plumbline.cells import date, date_text, numbers_among
from plumbline.kinds import NUMERIC, TEXTUAL, CellKind, ColumnType
from plumbline.tables import CellFormat, Column

AT_ONCE = 5000  # rows
DAY = re.compile(r"\d{4}-\d{2}-\d{2}([T ]|$)")
ISO = CellFormat(missing=())
MIDNIGHT = dt.datetime.combine(dt.date.min, dt.time())


class Native(str):
    """The text of a number (`-1234.5`) or of a date (ISO 8601)."""

    __slots__ = ()


class Truth(Native):
    """`true` or `false` of a workbook or of JSON."""

    __slots__ = ()


class MaybeDate(Native):
    """A text of JSON, which has no dates, that is written as a date is in JSON: ISO 8601."""

    __slots__ = ()


class TimeOfDay(Native):
    """A time of day of a workbook, in seconds since midnight; `clock`: as ISO 8601 writes it."""

    __slots__ = ("clock",)
    clock: str

    def __new__(cls, time: dt.time) -> TimeOfDay:
        own = super().__new__(cls, seconds_text(dt.datetime.combine(dt.date.min, time) - MIDNIGHT))
        own.clock = time.isoformat()
        return own


def seconds_text(span: dt.timedelta) -> str:
    """A time span in seconds, with every digit.

    >>> seconds_text(dt.timedelta(hours=8, minutes=30)), seconds_text(dt.timedelta(seconds=0.25))
    ('30600', '0.25')
    """
    seconds = span.total_seconds()
    return str(int(seconds)) if seconds.is_integer() else repr(seconds)


# (row, column, text of a cell, its kind) -> what a text file of the data would have there
AsText = Callable[[int, Column, str, CellKind], str]


def rewrite_native(
    rows: Iterable[list[str]],
    names: Sequence[str],
    columns: Collection[Column],
    as_text: AsText | None = None,
) -> Iterator[list[str]]:
    """Rows whose native cells are written in the formats of `columns`.

    A date of which the pattern would lose a part stays ISO 8601, which the pattern does not read.
    A time of day is a clock's text where the column holds no numbers.

    Args:
        as_text: for cells in columns of categories and texts, and true and false; None: as they
            are.
    """
    places = [(names.index(c.name), c) for c in columns if c.name in names]
    if as_text is not None:
        rows = _texts(rows, places, as_text)
    forms = [(i, c.format) for i, c in places if c.type in NUMERIC]
    numbers = [(i, form) for i, form in forms if not form.is_plain or numbers_among(form.words())]
    dates = [(i, c) for i, c in places if c.type is ColumnType.DATE and c.format.date is not None]
    texts = [i for i, c in places if c.type not in NUMERIC]
    if not numbers and not dates and not texts:
        yield from rows
        return
    given = iter(rows)
    while batch := [list(cells) for cells in islice(given, AT_ONCE)]:
        for i, form in numbers:
            _rewrite_numbers(batch, i, form)
        for cells in batch:
            for i in texts:
                cell = cells[i]
                if isinstance(cell, TimeOfDay):
                    cells[i] = cell.clock
        for i, column in dates:
            _rewrite_dates(batch, i, column)
        yield from batch


def _texts(
    rows: Iterable[list[str]], places: Sequence[tuple[int, Column]], as_text: AsText
) -> Iterator[list[str]]:
    for row, given in enumerate(rows):
        cells = list(given)
        for i, column in places:
            kind = kind_of_native(cells[i])
            if kind is CellKind.BOOLEAN or (kind is not CellKind.TEXT and column.type in TEXTUAL):
                cells[i] = as_text(row, column, str(cells[i]), kind)
        yield cells


def kind_of_native(cell: str) -> CellKind:
    """The kind of a cell; of a workbook, a duration is a number of seconds."""
    if not isinstance(cell, Native) or isinstance(cell, MaybeDate | TimeOfDay):
        return CellKind.TEXT
    if isinstance(cell, Truth):
        return CellKind.BOOLEAN
    return CellKind.DATE if DAY.match(cell) else CellKind.NUMBER


def _rewrite_numbers(batch: list[list[str]], i: int, form: CellFormat) -> None:
    """In the format; a number that means a missing cell as the word that says so."""
    missing = {float(word): word for word in form.words() if numbers_among([word])}
    for cells in batch:
        cell = cells[i]
        if type(cell) in (Native, TimeOfDay) and not DAY.match(cell):
            word = missing.get(float(cell)) if missing else None
            cells[i] = number_text(cell, form) if word is None else word


def number_text(text: str, form: CellFormat) -> str:
    """A number as a computer writes it, in the format of a column, with every digit.

    >>> number_text("-1234.5", CellFormat(decimal=",", thousands="."))
    '-1234,5'
    >>> number_text("0.125", CellFormat(unit="%"))
    '12.5%'
    """
    if form.unit == "%":
        text = f"{Decimal(text).scaleb(2):f}%"
    return text.replace(".", ",") if form.decimal == "," else text


def _rewrite_dates(batch: list[list[str]], i: int, column: Column) -> None:
    pattern = column.format.date or ""
    sure = (Native,) if _takes_iso_for_other_days(column) else (Native, MaybeDate)
    dates = [k for k, cells in enumerate(batch) if type(cells[i]) in sure]
    if not dates:
        return
    plain = Column(name="cell", type=ColumnType.DATE, format=ISO)
    own = Column(name="text", type=ColumnType.DATE, format=CellFormat(date=pattern, missing=()))
    frame = pl.DataFrame({"cell": [str(batch[k][i]) for k in dates]}).lazy()
    texts = (
        frame.select(date(plain, pl.String()))
        .with_columns(date_text(pl.col("cell"), pattern).alias("text"))
        .with_columns(date(own, pl.String()).alias("back"))
        .select(pl.when(pl.col("back") == pl.col("cell")).then(pl.col("text")))
        .collect()["text"]
    )
    for k, text in zip(dates, texts, strict=True):
        if text is not None:
            batch[k][i] = text


def _takes_iso_for_other_days(column: Column) -> bool:
    """Whether a pattern takes days in ISO 8601 for other days: `%Y-%d-%m`."""
    day = dt.datetime(2001, 2, 3)
    texts = [str(day.date()), str(day), day.isoformat(), str(day)[:-3], day.isoformat()[:-3]]
    read = pl.DataFrame({column.name: texts}).select(date(column, pl.String()))[column.name]
    return bool((read.drop_nulls() != day).any())
