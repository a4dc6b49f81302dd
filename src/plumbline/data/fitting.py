"""Whether the expectations of a column can be asked of its type: refused before any row is read."""

from __future__ import annotations

import re

import polars as pl

from plumbline.cells import is_date_pattern, typed, unreadable
from plumbline.data.expectations import ColumnExpectations, Expectations, Rule
from plumbline.errors import ParameterError, nearest
from plumbline.kinds import NUMERIC, TEXTUAL, ColumnType, Role
from plumbline.tables import CellFormat, Column


def check_fitting(expectations: Expectations, file: str) -> None:
    """Refuse what no cell of a column's type could be asked.

    Raises:
        ParameterError: names the key, and what would fit.
    """
    for column in expectations.schema.columns:
        own = expectations.columns[column.name]
        where = f"columns.{column.name}"
        _check_format(own, where, file)
        _check_limits(own, column, where, file)
        if own.role is Role.WEIGHT and own.type not in NUMERIC:
            raise ParameterError(
                "a weight is a number",
                file=file,
                where=f"{where}.type",
                wanted="number or integer",
                got=str(own.type),
            )
    for rule in expectations.rules:
        _check_rule(rule, expectations, file)


def _check_format(own: ColumnExpectations, where: str, file: str) -> None:
    form = own.format or CellFormat()
    keys = form.to_json().keys() - {"missing"}
    fitting = {"date"} if own.type is ColumnType.DATE else set()
    if own.type in NUMERIC:
        fitting = {"decimal", "thousands", "unit", "parentheses"}
    wrong = sorted(keys - fitting)
    if wrong:
        raise ParameterError(
            f"has no effect on a column of type {own.type}",
            file=file,
            where=f"{where}.format.{wrong[0]}",
            hint="leave it out, or change the type",
        )
    if form.date is not None and not is_date_pattern(form.date):
        raise ParameterError(
            "is no pattern of a date",
            file=file,
            where=f"{where}.format.date",
            wanted="day, month and year, as '%d/%m/%Y' or '%Y-%m-%d %H:%M'",
            got=form.date,
        )


def _check_limits(own: ColumnExpectations, column: Column, where: str, file: str) -> None:
    if own.range is not None and own.type not in NUMERIC:
        raise ParameterError(
            f"a column of type {own.type} has no range",
            file=file,
            where=f"{where}.range",
            hint="leave it out, or make the column a number",
        )
    for key in ("length", "garbled", "repeated"):
        if getattr(own, key) is not None and own.type not in TEXTUAL:
            raise ParameterError(
                f"a column of type {own.type} has no texts",
                file=file,
                where=f"{where}.{key}",
                hint="leave it out, or make the column a text",
            )
    if own.pattern is not None:
        try:
            re.compile(own.pattern.regex)
            pl.Series([""]).str.contains(own.pattern.regex)
        except (re.error, pl.exceptions.ComputeError) as error:
            raise ParameterError(
                "is no regular expression that can be used (no look-around, no back-references)",
                file=file,
                where=f"{where}.pattern.regex",
                got=f"{own.pattern.regex}: {str(error).splitlines()[0]}",
            ) from None
    if own.values is not None and own.type not in TEXTUAL:
        listed = pl.LazyFrame({column.name: own.values.only}, schema={column.name: pl.String})
        bad = unreadable(column, pl.String())
        for value in listed.filter(bad).collect()[column.name].to_list():
            raise ParameterError(
                f"is not a {own.type}",
                file=file,
                where=f"{where}.values.only",
                got=value,
                hint="write the values as the cells of the column are written",
            )


def typed_values(own: ColumnExpectations, column: Column) -> pl.Series:
    """The values that a column may have, as its type."""
    only = own.values.only if own.values is not None else []
    listed = pl.LazyFrame({column.name: only}, schema={column.name: pl.String})
    return listed.select(typed(column, pl.String())).collect()[column.name]


def _check_rule(rule: Rule, expectations: Expectations, file: str) -> None:
    for side in (rule.left, rule.right):
        if side not in expectations.columns:
            raise ParameterError(
                "unknown column",
                file=file,
                where="rules",
                got=side,
                hint=nearest(side, expectations.columns),
            )
    kinds = [_group(expectations.columns[side].type) for side in (rule.left, rule.right)]
    if kinds[0] != kinds[1]:
        raise ParameterError(
            f"'{rule.left}' and '{rule.right}' cannot be compared",
            file=file,
            where="rules",
            wanted="two columns of one type",
            got=" and ".join(kinds),
        )


def _group(kind: ColumnType) -> str:
    return "number" if kind in NUMERIC else "text" if kind in TEXTUAL else str(kind)
