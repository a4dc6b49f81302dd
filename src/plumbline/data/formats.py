"""How the cells of a column may be written: the readings worth asking all rows for."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal

import polars as pl

from plumbline.cells import BLANKS, FALSE, READERS, TRUE
from plumbline.kinds import ColumnType
from plumbline.tables import CellFormat, Column

# words for "missing" where the other cells of a column are numbers or dates; else they are values
NUMBER_MISSING = (
    *("N/A", "n/a", "na", "#N/A", "NULL", "Null", "None", "none", "nil", "NIL", "<NA>"),
    *("-", "--", "---", ".", "..", "missing", "unknown", "#DIV/0!", "#VALUE!"),
)
# (decimal, thousands), the plainest first: of readings that fit alike, an earlier one is taken
NUMBERS: tuple[tuple[Literal[".", ","], str | None], ...] = (
    (".", None),
    (".", ","),
    (",", None),
    (",", "."),
    (".", " "),
    (",", " "),
    (".", "'"),
)
CURRENCY = "$€£¥₹₽₩₺₪฿"
CODES = (
    *("USD", "EUR", "GBP", "CHF", "JPY", "CNY", "INR", "AUD", "CAD", "NZD", "SEK", "NOK", "DKK"),
    *("PLN", "CZK", "HUF", "BRL", "MXN", "SGD", "HKD", "KRW", "ZAR", "TRY", "ILS", "THB", "RUB"),
    *("kr", "zł", "Kč", "R$", "US$"),
)
MARKS = {",": ",", ".": r"\.", " ": BLANKS, "'": "['’]"}  # patterns of what groups digits
SIGN = f"({'|'.join(map(re.escape, CODES))}|[{CURRENCY}%])"
LIKE_DATE = r"\d{1,4}[./-]\d{1,2}[./-]\d{1,4}|\d{1,2}[ -][A-Za-z]{3,9}|[A-Za-z]{3,9} \d|^\d{8}$"
LIKE_ISO = r"^\d{4}-?\d{2}-?\d{2}"
LOOKED_AT = 200  # cells that tell whether a column may hold dates
CLOCKS = ("", " %H:%M", " %H:%M:%S%.f", " %I:%M %p", " %I:%M:%S %p")
HALF = 0.5  # a reading is worth asking all rows for where it reads so much of a sample


@dataclass(frozen=True, kw_only=True)
class Reading:
    """A type, and how the cells of that type would be written."""

    type: ColumnType
    format: CellFormat = field(default_factory=CellFormat)

    def column(self, name: str) -> Column:
        return Column(name=name, type=self.type, format=self.format)


def day_patterns() -> tuple[str, ...]:
    """Patterns of days that are not ISO 8601; of two that fit, the earlier is taken.

    Days come first with points and dashes; months with slashes, as most software reads them.
    """
    patterns = []
    for mark in "./-":
        date_orders = ("%m{0}%d{0}", "%d{0}%m{0}") if mark == "/" else ("%d{0}%m{0}", "%m{0}%d{0}")
        patterns += [order.format(mark) + year for year in ("%Y", "%y") for order in date_orders]
    patterns += ["%Y.%m.%d", "%Y-%d-%m", "%Y/%d/%m"]
    patterns += ["%y-%m-%d", "%y/%m/%d", "%y.%m.%d"]
    for month in ("%b", "%B"):
        for year in ("%Y", "%y"):
            patterns += [f"%d-{month}-{year}", f"%d {month} {year}", f"{month} %d, {year}"]
    return tuple(patterns)


DAYS = day_patterns()


DAYS = day_patterns()


def readings(cells: Mapping[str, pl.Series], words: tuple[str, ...]) -> dict[str, list[Reading]]:
    """The readings that fit half of some cells of each text column, given as stripped text.

    The cells of all columns lie in one frame: a query per column takes far longer.

    Args:
        words: the general words for a missing cell.
    """
    parts = [
        pl.DataFrame({"cell": column}).select(pl.lit(i, pl.Int64).alias("column"), "cell")
        for i, column in enumerate(cells.values())
    ]
    if not parts:
        return {}
    gone = [*words, *NUMBER_MISSING, ""]
    there = pl.concat(parts).filter(pl.col("cell").is_not_null() & ~pl.col("cell").is_in(gone))
    shapes = {int(shape["column"]): shape for shape in _shapes(there).iter_rows(named=True)}
    form = CellFormat(missing=words)
    possible = {i: _possible(shapes[i], form) if i in shapes else [] for i in range(len(cells))}
    counts = _count(there, possible)
    return {
        name: [r for r in possible[i] if counts.get((i, r), 0) >= max(HALF * shapes[i]["there"], 1)]
        for i, name in enumerate(cells)
    }


def _shapes(there: pl.DataFrame) -> pl.DataFrame:
    """What the cells of each column look like: a row per column that has any."""
    cell = pl.col("cell")
    unit = cell.str.extract(f"^[(+−-]*{SIGN}", 1).fill_null(
        cell.str.extract(rf"[\d.,)-]\s*{SIGN}[)-]?$", 1)
    )
    behind = rf"[0-9.,]{BLANKS}*({SIGN}{BLANKS}*)?-({BLANKS}*{SIGN})?$"
    return (
        there.lazy()
        .with_columns(unit.alias("unit"))
        .group_by("column", maintain_order=True)
        .agg(
            pl.len().alias("there"),
            cell.str.to_lowercase().is_in([*TRUE, *FALSE]).any().alias("boolean"),
            cell.str.contains("[0-9]").sum().alias("digits"),
            *(cell.str.contains(mark).any().alias(name) for name, mark in MARKS.items()),
            cell.str.contains(r"^[^0-9(]{0,5}\(").any().alias("parentheses"),
            cell.str.contains("−", literal=True).any().alias("minus"),
            cell.str.contains(behind).any().alias("behind"),
            pl.col("unit").drop_nulls().unique().alias("units"),
            pl.col("unit").count().alias("united"),
            cell.head(LOOKED_AT).len().alias("looked at"),
            cell.head(LOOKED_AT).str.contains(LIKE_DATE).sum().alias("like date"),
            cell.head(LOOKED_AT).str.contains(LIKE_ISO).sum().alias("like iso"),
        )
        .collect()
    )


def _possible(shape: Mapping[str, Any], form: CellFormat) -> list[Reading]:
    possible = [Reading(type=ColumnType.BOOLEAN, format=form)] if shape["boolean"] else []
    if shape["digits"] >= max(HALF * shape["there"], 1):
        possible += [*_numbers(shape, form), *_dates(shape, form)]
    return possible


def _count(
    there: pl.DataFrame, possible: Mapping[int, list[Reading]]
) -> dict[tuple[int, Reading], int]:
    """How many cells of each column each of its readings reads."""
    columns: dict[Reading, list[int]] = {}
    for i, own in possible.items():
        for reading in own:
            columns.setdefault(reading, []).append(i)
    groups: dict[tuple[int, ...], list[Reading]] = {}
    for reading, own_columns in columns.items():
        groups.setdefault(tuple(own_columns), []).append(reading)
    counts: dict[tuple[int, Reading], int] = {}
    for numbers, own in groups.items():
        read = [
            READERS[r.type](r.column("cell"), pl.String()).is_not_null().alias(str(j))
            for j, r in enumerate(own)
        ]
        frame = (
            there
            if len(numbers) == len(possible)
            else there.filter(pl.col("column").is_in(numbers))
        )
        totals = frame.lazy().select("column", *read).group_by("column").sum().collect()
        for row in totals.iter_rows():
            counts |= {(row[0], r): row[j + 1] for j, r in enumerate(own)}
    return counts


def _numbers(shape: Mapping[str, Any], form: CellFormat) -> Iterable[Reading]:
    """The ways to write numbers that need not be the plain one."""
    # the currency or percent sign that most cells have, if there is one alone
    one = len(shape["units"]) == 1 and shape["united"] >= HALF * shape["there"]
    minus: Literal["-", "−", "behind"] = "behind" if shape["behind"] else "-"
    for decimal, thousands in NUMBERS:
        if thousands is not None and not shape[thousands]:
            continue
        if decimal == "," and not shape[","] and thousands is None:
            continue
        yield Reading(
            type=ColumnType.NUMBER,
            format=replace(
                form,
                decimal=decimal,
                thousands=thousands,
                unit=shape["units"][0] if one else None,
                parentheses=shape["parentheses"],
                minus="−" if shape["minus"] else minus,
            ),
        )


def _dates(shape: Mapping[str, Any], form: CellFormat) -> Iterable[Reading]:
    if shape["like date"] < HALF * shape["looked at"]:
        return
    yield Reading(type=ColumnType.DATE, format=form)
    if shape["like iso"] > HALF * shape["looked at"]:
        return
    for day in DAYS:
        for clock in CLOCKS:
            yield Reading(type=ColumnType.DATE, format=replace(form, date=day + clock))
