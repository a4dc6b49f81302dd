"""Reads raw values off a frame or a row: numbers, codes, target, weight."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import polars as pl

from plumbline.errors import DataError
from plumbline.kinds import ColumnType, DoubleArray, FloatArray, IntArray
from plumbline.preprocessing.columns import NUMERIC, CategoryState, Settings
from plumbline.preprocessing.dates import date_names, date_numbers
from plumbline.preprocessing.summary import FLOAT32_MAX
from plumbline.preprocessing.text import boolean_of, date_of, number_of, read_texts, wrong_value
from plumbline.tables import Schema


class Source:
    """Reads raw numbers off a frame or a row: (n, k) float64, NaN where missing."""

    def __init__(
        self,
        schema: Schema,
        settings: Mapping[str, Settings],
        numbers: list[tuple[str, str | None]] | None = None,
    ) -> None:
        features = [c for c in schema.features if c.name in settings]
        self.number_names = [c.name for c in features if c.type in NUMERIC]
        self._read = {
            c.name: (boolean_of, "true or false")
            if c.type is ColumnType.BOOLEAN
            else (number_of, "a number")
            for c in features
            if c.type in NUMERIC
        }
        self.date_names = [c.name for c in features if c.type is ColumnType.DATE]
        self.category_names = [
            c.name for c in features if c.type in (ColumnType.CATEGORY, ColumnType.TEXT)
        ]
        if numbers is None:
            numbers = [(name, None) for name in self.number_names]
            numbers += [
                (name, part)
                for name in self.date_names
                for part in date_names(settings[name].dates)
            ]
        self.numbers = numbers
        self._parts = {
            name: tuple(p for s, p in numbers if s == name and p is not None)
            for name in self.date_names
        }

    def raw(self, frame: pl.LazyFrame, *, categories: bool = True) -> list[pl.Expr]:
        """Expressions for the columns that are read.

        Raises:
            DataError: the frame lacks one.
        """
        present = frame.collect_schema().names()
        names = [*self.number_names, *self.date_names, *self.category_names]
        absent = [name for name in names if name not in present]
        if absent:
            raise DataError(
                "is absent" + (f", and {len(absent) - 1} more" if len(absent) > 1 else ""),
                where=f"column '{absent[0]}'",
                got=f"columns {', '.join(present)}",
            )
        kinds = frame.collect_schema()
        numbers = [
            pl.col(name) if kinds[name] == pl.String else pl.col(name).cast(pl.Float64)
            for name in self.number_names
        ]
        dates = [
            pl.col(name)
            if kinds[name] == pl.String
            else pl.col(name).cast(pl.Datetime("us")).to_physical().cast(pl.Float64)
            for name in self.date_names
        ]
        texts = [pl.col(name).cast(pl.String) for name in self.category_names]
        return [*numbers, *dates, *(texts if categories else [])]

    def number_matrix(self, batch: pl.DataFrame, rows: IntArray) -> DoubleArray:
        """The raw numbers of a batch, parts of dates included.

        Raises:
            DataError: text that is no number or date; names column and row, `rows` (n,).
        """
        numbers = [
            pl.Series(name, read_texts(batch[name], *self._read[name], rows))
            if batch[name].dtype == pl.String
            else batch[name]
            for name in self.number_names
        ]
        x = pl.DataFrame(numbers).to_numpy()
        if not self.number_names:
            x = np.empty((len(batch), 0))
        dates = []
        for name in self.date_names:
            us = (
                read_texts(batch[name], date_of, "a date (ISO 8601)", rows)
                if batch.schema[name] == pl.String
                else batch[name].to_numpy()
            )
            dates.append(date_numbers(us, self._parts[name]))
        return np.concatenate([x, *dates], axis=1) if dates else x

    def number_row(self, values: Mapping[str, Any]) -> DoubleArray:
        """The raw numbers of one row, (1, k)."""
        x = np.empty((1, len(self.number_names)))
        for j, name in enumerate(self.number_names):
            value = values.get(name)
            read, wanted = self._read[name]
            number = read(value)
            if number is None:
                raise wrong_value(name, value, wanted)
            x[0, j] = number
        dates = []
        for name in self.date_names:
            us = date_of(values.get(name))
            if us is None:
                raise wrong_value(name, values[name], "a date (ISO 8601)")
            dates.append(date_numbers(np.array([us]), self._parts[name]))
        return np.concatenate([x, *dates], axis=1) if dates else x


def code_expression(state: CategoryState) -> pl.Expr:
    """Codes of a text column: position in the vocabulary + 1, or 0."""
    known = pl.Enum(list(state.values))
    column = pl.col(state.source).cast(pl.String).cast(known, strict=False)
    return (column.to_physical().cast(pl.Int64) + 1).fill_null(0)


def read_targets(values: pl.Series, schema: Schema, rows: IntArray) -> IntArray | FloatArray:
    """Class numbers int64, or values float32.

    Raises:
        DataError: a missing or unknown target; names the first row.
    """
    y: DoubleArray
    if schema.task.is_classification:
        known = pl.Enum(list(schema.classes))
        codes = values.cast(pl.String).cast(known, strict=False).to_physical()
        y = codes.cast(pl.Float64).to_numpy()
    else:
        y = values.cast(pl.Float64).to_numpy()
    bad = np.flatnonzero(~np.isfinite(y) | (np.abs(y) > FLOAT32_MAX))
    if len(bad):
        raise DataError(
            f"{len(bad)} of the target's values cannot be learnt from",
            where=f"column '{schema.target}', row {rows[bad[0]]}",
            wanted=f"one of {', '.join(schema.classes)}" if schema.classes else "a finite number",
            got=values[int(bad[0])],
            mend="mend or remove the rows without a usable target",
        )
    return y.astype(np.int64) if schema.task.is_classification else y.astype(np.float32)


def read_weights(values: pl.Series, rows: IntArray) -> FloatArray:
    """Weights float32.

    Raises:
        DataError: a missing, infinite or negative weight; names the first row.
    """
    weight: DoubleArray = values.cast(pl.Float64).to_numpy()
    bad = np.flatnonzero(~np.isfinite(weight) | (weight < 0))
    if len(bad):
        raise DataError(
            "wrong weight",
            where=f"column '{values.name}', row {rows[bad[0]]}",
            wanted="a finite number, zero or more",
            got=values[int(bad[0])],
        )
    return weight.astype(np.float32)
