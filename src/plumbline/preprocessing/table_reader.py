"""Reads raw values off a frame: numbers, codes, target, weight."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np
import polars as pl

from plumbline.cells import typed, unreadable
from plumbline.errors import DataError
from plumbline.kinds import (
    ColumnType,
    DoubleArray,
    FloatArray,
    IntArray,
    TargetKind,
)
from plumbline.preprocessing.columns import AS_NUMBERS, CategoryState, Settings
from plumbline.preprocessing.dates import date_names, date_numbers
from plumbline.preprocessing.row import wrong_value
from plumbline.preprocessing.summary import FLOAT32_MAX
from plumbline.tables import Column, Schema, internal


def check_present(kinds: Mapping[str, pl.DataType], names: Sequence[str]) -> None:
    """Refuse a frame, of these columns, that lacks one of the names.

    Raises:
        DataError: names the first.
    """
    absent = [name for name in names if name not in kinds]
    if absent:
        raise DataError(
            "is absent" + (f", and {len(absent) - 1} more" if len(absent) > 1 else ""),
            where=f"column '{absent[0]}'",
            got=f"columns {', '.join(kinds)}",
        )


class TableReader:
    """Reads raw numbers off a frame: (n, k) float64, NaN where missing."""

    def __init__(
        self,
        schema: Schema,
        settings: Mapping[str, Settings],
        numbers: list[tuple[str, str | None]] | None = None,
    ) -> None:
        features = [c for c in schema.features if c.name in settings]
        self._numbers = [c for c in features if c.type in AS_NUMBERS]
        self._dates = [c for c in features if c.type is ColumnType.DATE]
        self.number_names = [c.name for c in self._numbers]
        self.date_names = [c.name for c in self._dates]
        self.category_names = [c.name for c in features if c.type is ColumnType.CATEGORY]
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
        kinds = frame.collect_schema()
        check_present(kinds, [*self.number_names, *self.date_names, *self.category_names])
        values = []
        for column in (*self._numbers, *self._dates):
            dtype = kinds[column.name]
            plain = dtype.is_numeric() and column.type in AS_NUMBERS
            value = pl.col(column.name) if plain else typed(column, dtype)
            is_date = column.type is ColumnType.DATE
            values.append((value.to_physical() if is_date else value).cast(pl.Float64))
            if kinds[column.name] == pl.String:
                bad = unreadable(column, pl.String())
                values.append(
                    pl.when(bad).then(pl.col(column.name)).otherwise(None).alias(_bad(column))
                )
        texts = [pl.col(name).cast(pl.String) for name in self.category_names]
        return [*values, *(texts if categories else [])]

    def number_matrix(self, batch: pl.DataFrame, rows: IntArray) -> DoubleArray:
        """The raw numbers of a batch, parts of dates included.

        Raises:
            DataError: text that is no number or date; names column and row, `rows` (n,).
        """
        for column in (*self._numbers, *self._dates):
            if _bad(column) in batch.columns and batch[_bad(column)].null_count() < len(batch):
                bad = batch[_bad(column)]
                first = int(bad.is_not_null().arg_max() or 0)
                raise wrong_value(column, bad[first], row=int(rows[first]))
        x = batch.select(self.number_names).to_numpy()
        if not self.number_names:
            x = np.empty((len(batch), 0))
        dates = [
            date_numbers(batch[name].to_numpy(), self._parts[name]) for name in self.date_names
        ]
        return np.concatenate([x, *dates], axis=1) if dates else x


def _bad(column: Column) -> str:
    return internal(f"unreadable {column.name}")


def code_expression(state: CategoryState) -> pl.Expr:
    """Codes of a text column: position in the vocabulary + 1, or 0."""
    known = pl.Enum(list(state.values))
    column = pl.col(state.source).cast(pl.String).cast(known, strict=False)
    return (column.to_physical().cast(pl.Int64) + 1).fill_null(0)


def read_targets(values: pl.Series, schema: Schema, rows: IntArray) -> IntArray | DoubleArray:
    """Class numbers int64, or values float64: of 1,700,000,003 float32 leaves 1,700,000,000.

    Raises:
        DataError: a missing or unknown target; names the first row.
    """
    kind = schema.task.spec.target
    y: DoubleArray = TARGETS[kind](values, schema).cast(pl.Float64).to_numpy()
    bad = np.flatnonzero(~np.isfinite(y) | (np.abs(y) > FLOAT32_MAX))
    if len(bad):
        raise DataError(
            f"{len(bad)} of the target's values cannot be learned from",
            where=f"column '{schema.target}', row {rows[bad[0]]}",
            wanted=f"one of {', '.join(schema.classes)}" if schema.classes else "a finite number",
            got=values[int(bad[0])],
            hint="fix or remove the rows without a usable target",
        )
    return y if kind is TargetKind.NUMBERS else y.astype(np.int64)


def _class_numbers(values: pl.Series, schema: Schema) -> pl.Series:
    known = pl.Enum(list(schema.classes))
    return values.cast(pl.String).cast(known, strict=False).to_physical()


TARGETS: dict[TargetKind, Callable[[pl.Series, Schema], pl.Series]] = {
    TargetKind.CLASSES: _class_numbers,
    TargetKind.NUMBERS: lambda values, schema: values,
}


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
