"""Rows of a request, column -> JSON value, become frames that the model reads as it reads a file.

A JSON text is a cell of a file: it is read by the column's format. A number, true or false is that
value, as a Parquet file would have it.
"""

from __future__ import annotations

import base64
import binascii
import datetime as dt
import difflib
import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import polars as pl

from plumbline.cells import numbers_among
from plumbline.errors import DataError, shorten
from plumbline.images import ImageReader
from plumbline.inference.accepted_kinds import AcceptedKinds
from plumbline.inference.feature_reader import Extra
from plumbline.kinds import TEXTUAL, ColumnType, IntArray
from plumbline.preprocessing.row import AS_WRITTEN, category_of
from plumbline.serving.refused import CellError, refuse_cells
from plumbline.tables import Column

TIMESTAMP = re.compile(r"[1-9]\d{3}-\d\d-\d\dT\d\d:\d\d")
DATA_URL = re.compile(r"data:image/[\w.+-]+;base64,")
INTEGERS = range(-(2**63), 2**63)
DTYPES: dict[type, pl.DataType] = {
    str: pl.String(),
    float: pl.Float64(),
    int: pl.Int64(),
    bool: pl.Boolean(),
    bytes: pl.Binary(),
    dt.datetime: pl.Datetime("us"),
}
PLAIN = {
    ColumnType.NUMBER: (str, float),
    ColumnType.BOOLEAN: (str, bool),
    ColumnType.CATEGORY: (str,),
    ColumnType.TEXT: (str,),
}
Row = dict[str, Any]


class RowParser:
    """Checks the rows of a request and brings their cells into the types that columns have.

    Args:
        columns: those that the model reads.
        accepted: the kinds of values that they take.
        known: names of all columns of the training data; those that are not read are left out.
        optional: columns that a row may lack, because training rows had gaps in them.
        max_pixels: of an image, by its header.
    """

    def __init__(
        self,
        columns: Sequence[Column],
        accepted: AcceptedKinds,
        *,
        known: Collection[str],
        optional: Collection[str] = (),
        max_pixels: int = 2**24,
    ) -> None:
        self.columns = tuple(columns)
        self._accepted = accepted
        self.optional = frozenset(optional)
        self._known, self._max_pixels = frozenset(known), max_pixels
        # -999 is missing as a JSON number, too
        self._missing = {c.name: frozenset(numbers_among(c.format.words())) for c in columns}
        # cells of these types are taken as they are, but for the numbers that mean a missing one
        self._plain = [(c, PLAIN.get(c.type, ()), self._missing[c.name]) for c in columns]
        self._images = ImageReader(None)

    def parse(self, rows: Sequence[Mapping[str, Any]], extra: Extra = "refuse") -> list[Row]:
        """The cells of each row in the order of the columns.

        Raises:
            Refused: 422, with every cell that is of no type that its column can have, and every
                column that is missing or unknown.
        """
        parsed, wrong = [], []
        for number, given in enumerate(rows):
            row: Row = {}
            for column, kinds, missing in self._plain:
                value = given.get(column.name)
                if type(value) in kinds and value not in missing:
                    row[column.name] = value
                    continue
                try:
                    row[column.name] = self._cell(column, given)
                except ValueError as error:
                    value = given.get(column.name)
                    shown = None if value is None else shorten(value)
                    wrong.append(
                        CellError(row=number, column=column.name, reason=str(error), value=shown)
                    )
            if extra == "refuse" and not given.keys() <= self._known:
                wrong += [self._unknown(number, n) for n in given if n not in self._known]
            parsed.append(row)
        if wrong:
            raise refuse_cells(wrong)
        return parsed

    def frames(self, rows: Sequence[Row]) -> Iterator[tuple[IntArray, pl.DataFrame]]:
        """Parsed rows as frames whose columns have one type each, with the rows' positions; one
        frame but where cells of a column are of several types."""
        kinds = {c.name: {type(row[c.name]) for row in rows} - {type(None)} for c in self.columns}
        if all(len(types) <= 1 for types in kinds.values()):
            yield np.arange(len(rows)), self._frame(rows)
            return
        alike: dict[tuple[type, ...], list[int]] = {}
        for number, row in enumerate(rows):
            alike.setdefault(tuple(map(type, row.values())), []).append(number)
        for numbers in alike.values():
            yield np.asarray(numbers), self._frame([rows[i] for i in numbers])

    def _frame(self, rows: Sequence[Row]) -> pl.DataFrame:
        series = []
        for column in self.columns:
            cells = [row[column.name] for row in rows]
            kind = next((type(cell) for cell in cells if cell is not None), None)
            empty = bytes if column.type is ColumnType.IMAGE else str
            series.append(pl.Series(column.name, cells, dtype=DTYPES[kind or empty]))
        return pl.DataFrame(series)

    def _unknown(self, row: int, name: str) -> CellError:
        close = difflib.get_close_matches(name[:200], self._known, n=1)
        hint = f"did you mean '{close[0]}'?" if close else "remove it, or send ?extra=ignore"
        return CellError(
            row=row, column=name[:200], reason=f"is not a column of the training data; {hint}"
        )

    def _cell(self, column: Column, given: Mapping[str, Any]) -> Any:
        """A cell in a type that its column can have.

        Raises:
            ValueError: it has none.
        """
        value = given.get(column.name)
        if value is None:
            if column.name not in given and column.name not in self.optional:
                raise ValueError("no such column in the row; send null where nothing is known")
            return None
        if column.type is ColumnType.IMAGE:
            return self._image(value)
        if isinstance(value, str):
            return _timestamp(value) if _may_be_timestamp(column, value) else value
        if not isinstance(value, int | float):  # bool is an int
            raise ValueError(f"wanted {self._accepted.wanted(column)}, got {_kind(value)}")
        if not isinstance(value, bool) and value in self._missing[column.name]:
            return None
        refusal = self._accepted.refusal(column.name, value)
        if refusal is not None:
            raise ValueError(f"{refusal.what}, wanted {refusal.wanted}; {refusal.hint}")
        if column.type in TEXTUAL:
            return self._accepted.spell(column.name, value)
        return _native(column, value)

    def _image(self, value: Any) -> bytes | None:
        if value == "":
            return None
        if isinstance(value, str):
            value = _decoded(value)
        if not isinstance(value, bytes):
            raise ValueError("wanted the bytes of an image in base64")
        try:
            shape = self._images.shape(value, "")
        except DataError as error:
            raise ValueError(error.what) from None
        if shape.height * shape.width > self._max_pixels:
            raise ValueError(
                f"the image has {shape.width} × {shape.height} pixels, wanted at most "
                f"{self._max_pixels} (serve.max_image_pixels)"
            )
        return value


def _native(column: Column, value: float) -> Any:
    """A number, true or false, as the column's type has it."""
    if isinstance(value, bool):
        return value
    if column.type in (ColumnType.DATE, ColumnType.BOOLEAN):
        return category_of(value, AS_WRITTEN)
    if column.type is ColumnType.NUMBER:
        return float(value)
    if isinstance(value, int) and value not in INTEGERS:
        raise ValueError("wanted a whole number of at most 64 bits")
    return value


def _may_be_timestamp(column: Column, text: str) -> bool:
    return (
        column.type is ColumnType.DATE
        and "T" not in (column.format.date or "")
        and TIMESTAMP.match(text.strip()) is not None
    )


def _timestamp(text: str) -> dt.datetime | str:
    """A date as JSON has it, in UTC without its zone; text that is none stays as it is."""
    try:
        moment = dt.datetime.fromisoformat(text.strip())
        return moment.astimezone(dt.UTC).replace(tzinfo=None) if moment.tzinfo else moment
    except (ValueError, OverflowError):
        return text


def _decoded(text: str) -> bytes:
    """Base64, in one line or, as `base64` and MLflow write it, in several."""
    start = DATA_URL.match(text)
    lines = (text[start.end() :] if start else text).split()
    try:
        return base64.b64decode("".join(lines), validate=True)
    except (binascii.Error, ValueError):
        raise ValueError("wanted the bytes of an image in base64, got other text") from None


def _kind(value: Any) -> str:
    if isinstance(value, bytes):
        return "a file; send its content as a field of the form"
    return "a JSON object" if isinstance(value, dict) else "a JSON array"
