"""Which kinds of values a version's columns take, and which category a number, a truth value or a
date is.

A text may stand in every column: a CSV file has nothing else. Another value has to be of a kind
that the training data had in the column. So a number is refused in a column of texts, where it
would quietly be an unknown category; in one of codes (`1`, `2`) it is read, though they were text.
"""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Callable, Mapping, Sequence

import numpy as np
import polars as pl

from plumbline.cell_kinds import TAKEN, WORDS, kind_of, kind_of_dtype
from plumbline.cells import EXACT, describe, text
from plumbline.errors import DataError
from plumbline.inference.column_ranges import ColumnRange
from plumbline.kinds import NUMERIC, TEXTUAL, CellKind, ColumnType
from plumbline.preprocessing.encode import find_numbers
from plumbline.preprocessing.row import AS_WRITTEN, PLAIN_NUMBER, category_of
from plumbline.tables import ROW, Column

PADDED = re.compile(r"[+-]?0[0-9]+")  # a code, of which a number has lost a digit
DAY = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}([T ][0-9]{2}:[0-9]{2}(:[0-9]{2}(\.[0-9]+)?)?)?")
EXAMPLES = 3
HINTS = {
    CellKind.NUMBER: "write the cells as the training data have them, as text: in pandas "
    "`.astype('string')`, in JSON in quotes",
    CellKind.BOOLEAN: "write the cells as the training data have them: a flag as 1 and 0 where "
    "they have numbers, as a word where they have words",
    CellKind.DATE: "write the cells as the training data have them",
    CellKind.DURATION: "pass the number in the unit of the training data, or text as they have it",
    CellKind.BYTES: "decode the bytes to text; only an image is read as bytes",
    CellKind.OTHER: "pass one value in every cell",
}


class Spellings:
    """How training rows write those values of a category that are numbers, truth values, dates."""

    def __init__(self, known: Sequence[str]) -> None:
        self._known = frozenset(known)
        numbers = {float(v): v for v in reversed(known) if PLAIN_NUMBER.fullmatch(v)}
        self._numbers = np.array(sorted(numbers))
        self._of_number = [numbers[number] for number in self._numbers.tolist()]
        self._truths = {v.lower(): v for v in reversed(known) if v.lower() in ("true", "false")}
        moments = [(_moment(v), v) for v in reversed(known)]
        self._moments = {moment: v for moment, v in moments if moment is not None}
        self.is_padded = any(PADDED.fullmatch(v) for v in known)
        self.kinds = frozenset(
            kind
            for kind, there in (
                (CellKind.NUMBER, bool(numbers) and not self.is_padded),
                (CellKind.BOOLEAN, bool(self._truths)),
                (CellKind.DATE, bool(self._moments)),
            )
            if there
        )
        self._spell: dict[CellKind, Callable[[str], str | None]] = {
            CellKind.NUMBER: self._number,
            CellKind.DURATION: self._number,
            CellKind.BOOLEAN: self._truths.get,
            CellKind.DATE: self._day,
        }

    def __call__(self, cell: str, kind: CellKind) -> str:
        """The category that a value is, whose text is `cell`: 1.0 is the category `1`."""
        if cell in self._known or kind not in self._spell:
            return cell
        return self._spell[kind](cell) or cell

    def _day(self, cell: str) -> str | None:
        moment = _moment(cell)
        return None if moment is None else self._moments.get(moment)

    def _number(self, cell: str) -> str | None:
        if not len(self._numbers) or not PLAIN_NUMBER.fullmatch(cell):
            return None
        place = int(find_numbers(np.array([float(cell)]), self._numbers)[0])
        return self._of_number[place] if place >= 0 else None


class AcceptedKinds:
    """Of the columns that a model reads.

    Args:
        known: by category column, the values that training rows had.
        ranges: of the numbers of training rows, by column, where they are known.
    """

    def __init__(
        self,
        columns: Sequence[Column],
        known: Mapping[str, Sequence[str]],
        ranges: Mapping[str, ColumnRange] | None = None,
    ) -> None:
        self._columns = {column.name: column for column in columns}
        self._known = {c.name: known.get(c.name, ()) for c in columns}
        self._spellings = {
            c.name: Spellings(self._known[c.name]) for c in columns if c.type is ColumnType.CATEGORY
        }
        self._numeric = {c.name for c in columns if c.type in NUMERIC}
        self._kinds: dict[str, frozenset[CellKind]] = {}
        for column in columns:
            kinds = {CellKind.TEXT, *TAKEN[column.type]}
            if column.name in self._spellings:
                kinds |= self._spellings[column.name].kinds
            if column.type is ColumnType.INTEGER and _is_flag((ranges or {}).get(column.name)):
                kinds.add(CellKind.BOOLEAN)
            if column.native is not None:
                kinds.add(column.native)
            self._kinds[column.name] = frozenset(kinds)

    def kinds(self, name: str) -> frozenset[CellKind]:
        """Those that a column takes."""
        return self._kinds[name]

    def refusal(self, name: str, value: object, row: int | None = None) -> DataError | None:
        """Why a column does not take a value; None: it does, or it is none that the model reads."""
        column = self._columns.get(name)
        number = abs(float(value)) if isinstance(value, float | np.floating) else 0.0
        if column is None or value is None or np.isnan(number):
            return None
        kind = kind_of(value)
        if kind not in self._kinds[name]:
            return self._refused(column, kind, value, WORDS[kind], row)
        if EXACT <= number < np.inf and self._may_have_lost_digits(column):
            return self._lost_digits(column, value, row)
        return None

    def check(self, frame: pl.DataFrame | pl.LazyFrame, name: str, dtype: pl.DataType) -> None:
        """Refuse a column of a type that ours does not take, unless all its cells are missing.

        Raises:
            DataError: names column, type, and the first cell with its row.
        """
        column = self._columns[name]
        wrong = self._wrong(column, dtype)
        if wrong is None:
            return
        lazy = frame.lazy().select(name).with_row_index(ROW).filter(wrong)
        first = lazy.head(1).collect(engine="streaming")
        if not len(first):
            return
        value, row, kind = first[name][0], int(first[ROW][0]), kind_of_dtype(dtype)
        assert kind is not None
        if isinstance(value, pl.Series):
            value = value.head(EXAMPLES).to_list()
        if kind in self._kinds[name]:
            raise self._lost_digits(column, value, row)
        raise self._refused(column, kind, value, f"cells of type {dtype}", row)

    def takes(self, name: str, dtype: pl.DataType) -> bool:
        """Whether a column takes cells of a type; where not, all of them are missing."""
        kind = kind_of_dtype(dtype)
        return kind is None or kind in self._kinds[name]

    def spelled(self, cells: pl.Series) -> pl.Series:
        """Cells of a category column, which takes them, as training rows write them: text."""
        kind, spellings = kind_of_dtype(cells.dtype), self._spellings.get(cells.name)
        if kind in (None, CellKind.TEXT) or spellings is None:
            return cells
        frame = pl.DataFrame({cells.name: cells})
        texts = frame.select(text(cells.name, cells.dtype, ("",)))[cells.name]
        own = texts.unique().drop_nulls().to_list()
        changed = {cell: other for cell in own if (other := spellings(cell, kind)) != cell}
        return texts.replace(changed) if changed else texts

    def spell(self, name: str, value: object) -> str | None:
        """What a text file of the training data would have for a value that its column takes; None:
        missing."""
        if name in self._numeric and isinstance(value, bool | np.bool_):
            return str(int(value))
        cell, spellings = category_of(value, AS_WRITTEN), self._spellings.get(name)
        return cell if cell is None or spellings is None else spellings(cell, kind_of(value))

    def _wrong(self, column: Column, dtype: pl.DataType) -> pl.Expr | None:
        """The cells that a column does not take; None: it takes all of the type."""
        cell, is_float = pl.col(column.name), dtype.is_float()
        if not self.takes(column.name, dtype):
            return cell.is_not_null() & cell.is_not_nan() if is_float else cell.is_not_null()
        if is_float and self._may_have_lost_digits(column):
            return cell.is_finite() & (cell.abs() >= EXACT)
        return None

    def _may_have_lost_digits(self, column: Column) -> bool:
        """Whether numbers are codes, of which a floating-point number holds 15 digits."""
        return column.type in TEXTUAL and column.native is None

    def _lost_digits(self, column: Column, value: object, row: int | None) -> DataError:
        return DataError(
            "a code that has lost digits as a floating-point number",
            where=_place(column, row),
            wanted=self.wanted(column),
            got=value,
            hint="pass such codes as text, or as whole numbers of 64 bits",
        )

    def _refused(
        self, column: Column, kind: CellKind, value: object, holds: str, row: int | None
    ) -> DataError:
        hint = None if column.type is ColumnType.IMAGE else HINTS.get(kind)
        spellings = self._spellings.get(column.name)
        if kind is CellKind.NUMBER and spellings is not None and spellings.is_padded:
            hint = "codes that begin with zeros lose them as numbers: pass them as text"
        return DataError(
            f"holds {holds}",
            where=_place(column, row),
            wanted=self.wanted(column),
            got=value,
            hint=hint,
        )

    def wanted(self, column: Column) -> str:
        """What a column takes, in words."""
        if column.type is ColumnType.IMAGE:
            return "the bytes of an image, or its path"
        if column.type not in TEXTUAL:
            return describe(column)
        known = self._known[column.name][:EXAMPLES]
        return f"text, such as {', '.join(map(repr, known))}" if known else "text"


def _is_flag(own: ColumnRange | None) -> bool:
    """Whether whole numbers are 0 and 1."""
    return own is not None and own.low in (0.0, 1.0) and own.high in (0.0, 1.0)


def _place(column: Column, row: int | None) -> str:
    return f"column '{column.name}'" + ("" if row is None else f", row {row}")


def _moment(cell: str) -> dt.datetime | None:
    if not DAY.fullmatch(cell):
        return None
    try:
        return dt.datetime.fromisoformat(cell)
    except ValueError:
        return None
