"""What the training rows have in each column, and how far outside of it a cell is: its excess.

n rows, k columns. Inside, the excess is 0. That of a number is its distance to the training range,
in units of that range. That of a new category, of another value in a constant column and of a
missing cell in a column without missing cells is how surprising it is, 0 to 1.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from typing import Any, Self

import numpy as np
import polars as pl

from plumbline.kinds import ORDERED, Cells, ColumnType, DoubleArray, IntArray

MICROSECONDS = 1e6  # in a second
MOST_EXCESS = 100.0  # of one cell: scores stay finite
MOST_VALUES = 1000  # of a category; where there are more, new ones are no surprise
DECADES = 3.0  # an event as rare as one in a thousand has the full surprise
RANGED = (*ORDERED, ColumnType.BOOLEAN)


@dataclass(frozen=True, kw_only=True)
class ColumnRange:
    """One column of the training rows.

    Attributes:
        low, high: of numbers; of dates in seconds since 1970. None: no training row has one.
        values: of a category; None: there are too many, or it is no category.
        new: surprise at a value that is not among the values, or not the only number.
        missing: surprise at a missing cell; 0 where training rows had missing ones.
    """

    name: str
    low: float | None = None
    high: float | None = None
    values: tuple[str, ...] | None = None
    new: float = 0.0
    missing: float = 0.0

    def reason(self, cell: float | str | None) -> str:
        """Why a cell has an excess, in words; `cell` as `as_numbers` gives it."""
        if cell is None:
            return "missing"
        if self.low is None or self.high is None or self.low == self.high:
            return "new value"
        return "below the range" if float(cell) < self.low else "above the range"


def surprise(rate: float) -> float:
    """0 for what happens in every row, 1 for what happens in one of a thousand, or less often."""
    return min(1.0, max(0.0, -math.log10(rate) / DECADES))


@dataclass(frozen=True, kw_only=True)
class ColumnRanges:
    """Of the columns that a model reads."""

    columns: tuple[ColumnRange, ...]
    types: Mapping[str, ColumnType]

    def excesses(self, frame: pl.DataFrame) -> DoubleArray:
        """(n, k): of every cell of typed rows, in the order of the columns."""
        made = np.zeros((len(frame), len(self.columns)))
        for place, own in enumerate(self.columns):
            column = frame[own.name]
            if self.types[own.name] in RANGED:
                made[:, place] = numbers_of(column)
            else:
                made[:, place] = self._unlike(own, column)
        numeric = self._numeric
        if len(numeric):
            made[:, numeric] = self._outside(made[:, numeric])
        return made

    def excesses_of(self, cells: Cells) -> DoubleArray:
        """As `excesses`, of the cells of few rows by column."""
        made = np.zeros((len(next(iter(cells.values()))), len(self.columns)))
        if len(self._numeric):
            names = [self.columns[place].name for place in self._numeric]
            numbers = np.array([cells[name] for name in names], dtype=np.float64).T
            numbers /= self._units
            made[:, self._numeric] = self._outside(numbers)
        for place, own, known in self._texts:
            made[:, place] = [
                own.missing if cell is None else 0.0 if known is None or cell in known else own.new
                for cell in cells[own.name]
            ]
        return made

    def _unlike(self, own: ColumnRange, column: pl.Series) -> DoubleArray:
        """(n,): of the cells of a column that holds no numbers."""
        missing = column.is_null().to_numpy()
        new = np.zeros(len(column))
        if own.values is not None:
            known = column.is_in(self._values[own.name]).fill_null(value=True)
            new = np.where(known.to_numpy(), 0.0, own.new)
        excess: DoubleArray = np.where(missing, own.missing, new)
        return excess

    def _outside(self, cells: DoubleArray) -> DoubleArray:
        """(n, numeric columns): of numbers, NaN where they are missing."""
        low, high, new, missing = self._bounds
        if ((cells >= low) & (cells <= high)).all():  # as most rows are; no NaN is
            return np.zeros(cells.shape)
        with np.errstate(over="ignore"):
            width = np.where(high > low, high - low, 1.0)
            away = np.maximum(np.maximum(low - cells, cells - high), 0.0) / width
        away = np.minimum(away, MOST_EXCESS)
        away = np.where((high > low) | (away == 0), away, new)
        excess: DoubleArray = np.where(np.isnan(cells), missing, away)
        return excess

    @cached_property
    def _numeric(self) -> IntArray:
        """Places of the columns that hold numbers."""
        return np.flatnonzero([self.types[own.name] in RANGED for own in self.columns])

    @cached_property
    def _bounds(self) -> DoubleArray:
        """(4, numeric columns): low and high (NaN where there is no number), new, missing."""
        own = [self.columns[place] for place in self._numeric]
        rows = [[c.low, c.high, c.new, c.missing] for c in own]
        return np.array(rows, dtype=np.float64).T

    @cached_property
    def _units(self) -> DoubleArray:
        """(numeric columns,): what numbers are divided by; dates come in microseconds."""
        kinds = [self.types[self.columns[place].name] for place in self._numeric]
        return np.array([MICROSECONDS if kind is ColumnType.DATE else 1.0 for kind in kinds])

    @cached_property
    def _texts(self) -> list[tuple[int, ColumnRange, frozenset[object] | None]]:
        """Place of each column that holds no numbers, and its values."""
        return [
            (place, own, None if own.values is None else frozenset(own.values))
            for place, own in enumerate(self.columns)
            if self.types[own.name] not in RANGED
        ]

    @cached_property
    def _values(self) -> dict[str, pl.Series]:
        """The values of categories."""
        return {
            c.name: pl.Series(c.values, dtype=pl.String)
            for c in self.columns
            if c.values is not None
        }

    def to_json(self) -> list[dict[str, Any]]:
        return [{**asdict(c), "type": str(self.types[c.name])} for c in self.columns]

    @classmethod
    def from_json(cls, state: Sequence[Mapping[str, Any]]) -> Self:
        columns = []
        for entry in state:
            own = {key: value for key, value in entry.items() if key != "type"}
            values = None if own["values"] is None else tuple(map(str, own["values"]))
            columns.append(ColumnRange(**{**own, "values": values}))
        types = {entry["name"]: ColumnType(entry["type"]) for entry in state}
        return cls(columns=tuple(columns), types=types)


def as_numbers(name: str, kind: ColumnType) -> pl.Expr:
    """A typed column as ranges are made of it: numbers, booleans and dates as Float64, missing
    where they are not finite."""
    column = pl.col(name)
    if kind is ColumnType.DATE:
        return column.cast(pl.Int64).cast(pl.Float64) / MICROSECONDS
    if kind in RANGED:
        number = column.cast(pl.Float64)
        return pl.when(number.is_finite()).then(number)
    return column


def numbers_of(column: pl.Series) -> DoubleArray:
    """Numbers, booleans and dates in memory as they are compared, (n,), NaN where missing."""
    if column.dtype.is_temporal():
        return column.cast(pl.Int64).cast(pl.Float64).to_numpy() / MICROSECONDS
    numbers: DoubleArray = column.cast(pl.Float64).to_numpy()
    return numbers
