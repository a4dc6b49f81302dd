"""Cells become typed values: one polars expression per column, the same everywhere.

A cell that cannot be read as its column's type becomes null here; `unreadable` finds such cells,
and the validation gate refuses them by row.
"""

from __future__ import annotations

import re

import polars as pl

from plumbline.config.data import FormatConfig
from plumbline.kinds import ColumnType, Role
from plumbline.tables import Column

TRUE = ("true", "t", "yes", "y", "1", "1.0")
FALSE = ("false", "f", "no", "n", "0", "0.0")
ISO = (
    "%Y-%m-%d",
    "%Y-%m-%d %H:%M:%S",
    "%Y-%m-%dT%H:%M:%S",
    "%Y-%m-%d %H:%M",
    "%Y-%m-%dT%H:%M:%S%.f",
    "%Y-%m-%d %H:%M:%S%.f",
    "%Y/%m/%d",
    "%Y%m%d",
)


def text(name: str, dtype: pl.DataType, form: FormatConfig) -> pl.Expr:
    """A column as stripped text, missing cells null; a whole number never as `1.0`."""
    column = pl.col(name)
    if dtype.is_float():
        whole = column.cast(pl.Int64, strict=False)
        column = (
            pl.when(column.is_nan())
            .then(None)
            .when(whole.cast(dtype) == column)
            .then(whole.cast(pl.String))
            .otherwise(column.cast(pl.String))
        )
    elif dtype == pl.Categorical or dtype != pl.String:
        column = column.cast(pl.String)
    column = column.str.strip_chars()
    return pl.when(column.is_in(form.missing)).then(None).otherwise(column).alias(name)


def number(name: str, dtype: pl.DataType, form: FormatConfig) -> pl.Expr:
    """Float64; NaN is null."""
    if dtype.is_numeric() or dtype == pl.Boolean:
        return pl.col(name).cast(pl.Float64).fill_nan(None)
    column = text(name, dtype, form)
    if form.thousands is not None:
        # a digit group of another length is no group: 52.12 is not 5212
        column = pl.when(column.str.contains(_grouped(form))).then(column)
        column = column.str.replace_all(form.thousands, "", literal=True)
    if form.decimal_comma:
        column = column.str.replace(",", ".", literal=True)
    return column.cast(pl.Float64, strict=False).fill_nan(None)


def _grouped(form: FormatConfig) -> str:
    """A number whose thousands are grouped, or not grouped at all."""
    group, point = re.escape(form.thousands or ""), "," if form.decimal_comma else r"\."
    return rf"^[+-]?(\d{{1,3}}({group}\d{{3}})+|\d+)({point}\d*)?([eE][+-]?\d+)?$"


def integer(name: str, dtype: pl.DataType, form: FormatConfig) -> pl.Expr:
    """Int64; a number with a fraction is unreadable."""
    if dtype.is_integer():
        return pl.col(name).cast(pl.Int64, strict=False)
    value = number(name, dtype, form)
    whole = value.cast(pl.Int64, strict=False)
    fallback = pl.when(whole.cast(pl.Float64) == value).then(whole)
    if dtype != pl.String:
        return fallback.alias(name)
    exact = text(name, dtype, form).cast(pl.Int64, strict=False)
    return pl.coalesce(exact, fallback).alias(name)


def boolean(name: str, dtype: pl.DataType, form: FormatConfig) -> pl.Expr:
    """Boolean from yes/no, true/false, 1/0."""
    if dtype == pl.Boolean:
        return pl.col(name)
    column = text(name, dtype, form).str.to_lowercase()
    return (
        pl.when(column.is_in(TRUE))
        .then(pl.lit(True))
        .when(column.is_in(FALSE))
        .then(pl.lit(False))
        .otherwise(None)
        .alias(name)
    )


def date(name: str, dtype: pl.DataType, form: FormatConfig) -> pl.Expr:
    """Datetime in microseconds, from ISO 8601 or the pattern of the format."""
    if dtype.is_temporal():
        return pl.col(name).cast(pl.Datetime("us"), strict=False)
    column = text(name, dtype, form)
    patterns = (form.dates,) if form.dates else ISO
    return pl.coalesce(
        [column.str.to_datetime(p, strict=False, time_unit="us") for p in patterns]
    ).alias(name)


READERS = {
    ColumnType.NUMBER: number,
    ColumnType.INTEGER: integer,
    ColumnType.BOOLEAN: boolean,
    ColumnType.CATEGORY: text,
    ColumnType.TEXT: text,
    ColumnType.DATE: date,
}


def typed(column: Column, dtype: pl.DataType, form: FormatConfig) -> pl.Expr:
    """The column as its schema's type; a regression target is always Float64."""
    value = READERS[column.type](column.name, dtype, form)
    if column.role is Role.TARGET and column.type is ColumnType.INTEGER:
        value = value.cast(pl.Float64)
    return value.alias(column.name)


def unreadable(column: Column, dtype: pl.DataType, form: FormatConfig) -> pl.Expr:
    """Whether a cell holds something that is not of the column's type."""
    present = text(column.name, dtype, form).is_not_null()
    return present & READERS[column.type](column.name, dtype, form).is_null()
