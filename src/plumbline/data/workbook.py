"""Excel and OpenDocument workbooks: one sheet is a table."""

from __future__ import annotations

import datetime
from collections.abc import Collection, Sequence
from pathlib import Path

import python_calamine

from plumbline.data.dialect import Row
from plumbline.data.find_table import find_table
from plumbline.data.native import Native, TimeOfDay, Truth, seconds_text
from plumbline.data.opened import Opened
from plumbline.data.options import ReadingOptions
from plumbline.errors import DataError, ParameterError

EXACT = 2**53  # whole numbers up to here are exact in a workbook


def open_workbook(
    path: Path, options: ReadingOptions, target: str | None, names: Collection[str]
) -> Opened:
    """The sheet named, or the only one that is not empty.

    Raises:
        DataError: damaged, or several sheets hold cells and none is named.
        ParameterError: no such sheet.
        Unclear: no table in it, or more than one reading of it.
    """
    try:
        with python_calamine.CalamineWorkbook.from_path(path) as book:
            name = _sheet(path, book, options.sheet)
            grid = book.get_sheet_by_name(name).to_python(skip_empty_area=False)
    except (python_calamine.CalamineError, python_calamine.PasswordError, OSError) as error:
        raise DataError(
            f"cannot be read as an Excel workbook: {str(error).splitlines()[0]}",
            file=path.name,
            hint="the workbook may be cut, damaged or protected by a password; save it again",
        ) from None
    timed = [
        any(isinstance(c, datetime.datetime) for c in column) for column in zip(*grid, strict=True)
    ]
    spans = [_holds_spans(column) for column in zip(*grid, strict=True)]
    kinds = list(zip(timed, spans, strict=True))
    sheet: list[Row] = [
        (number, [cell_text(c, timed=t, span=s) for c, (t, s) in zip(cells, kinds, strict=True)])
        for number, cells in enumerate(grid, start=1)
    ]
    skip = options.skip or 0
    sheet = sheet[skip : len(sheet) - options.footer]
    located = find_table(sheet, options, complete=True, target=target, names=names)
    kept = [row for row in sheet if row[0] >= located.line]
    where = f"header in row {located.line}" if located.headers else "no header"
    words = f"Excel, sheet '{name}', {where}"
    in_seconds = [n or f"column_{i}" for i, n in enumerate(located.given) if spans[i]]
    notes = (
        [f"times of day and durations in seconds: {', '.join(in_seconds)}"] if in_seconds else []
    )
    return Opened(table=located, again=lambda: iter(kept), words=words, notes=notes)


def _holds_spans(column: Sequence[object]) -> bool:
    """Whether most cells of a column are times of day or durations."""
    there = [c for c in column if c != ""]
    spans = sum(isinstance(c, datetime.time | datetime.timedelta) for c in there)
    return 2 * spans > len(there)


def _sheet(path: Path, book: python_calamine.CalamineWorkbook, sheet_name: str | None) -> str:
    if sheet_name is not None and sheet_name in book.sheet_names:
        return sheet_name
    full = [n for n in book.sheet_names if book.get_sheet_by_name(n).height]
    if sheet_name is not None:
        raise ParameterError(
            "no such sheet",
            file=path.name,
            where="--sheet",
            wanted=", ".join(book.sheet_names),
            got=sheet_name,
        )
    if not full:
        raise DataError("is empty", file=path.name, wanted="a sheet with a header and rows")
    if len(full) > 1:
        raise DataError(
            f"{len(full)} sheets hold cells",
            file=path.name,
            got=", ".join(full[:10]),
            hint="pass --sheet NAME",
        )
    return full[0]


def cell_text(cell: object, *, timed: bool = False, span: bool = False) -> str:
    """A cell as text that reads back as the same value; a day of a column of times at midnight.

    Args:
        span: whether the column holds times of day or durations, which become seconds.

    >>> [cell_text(c) for c in (3.0, 0.1, True, datetime.date(2024, 1, 2), "a")]
    ['3', '0.1', 'true', '2024-01-02', 'a']
    """
    if isinstance(cell, bool):
        return Truth("true" if cell else "false")
    if isinstance(cell, float):
        whole = cell.is_integer() and abs(cell) <= EXACT
        return Native(int(cell) if whole else repr(cell))
    if timed and isinstance(cell, datetime.date) and not isinstance(cell, datetime.datetime):
        cell = datetime.datetime.combine(cell, datetime.time())
    if isinstance(cell, datetime.datetime):
        return Native(cell.isoformat(sep=" "))
    if isinstance(cell, datetime.date):
        return Native(cell.isoformat())
    if isinstance(cell, datetime.time):
        return TimeOfDay(cell) if span else cell.isoformat()
    if isinstance(cell, datetime.timedelta):
        return Native(seconds_text(cell))
    return str(cell).rstrip("\r")
