"""How the cells of a column may be written: the readings worth asking all rows for."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from typing import Literal

import polars as pl

from plumbline.cells import FALSE, READERS, TRUE
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
CODES = ("USD", "EUR", "GBP", "CHF", "JPY", "CNY", "INR", "kr", "zł", "Kč", "R$", "US$")
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
    found = []
    for mark in "./-":
        orders = ("%m{0}%d{0}", "%d{0}%m{0}") if mark == "/" else ("%d{0}%m{0}", "%m{0}%d{0}")
        found += [order.format(mark) + year for year in ("%Y", "%y") for order in orders]
    found += ["%Y.%m.%d", "%Y-%d-%m", "%Y/%d/%m"]
    for month in ("%b", "%B"):
        for year in ("%Y", "%y"):
            found += [f"%d-{month}-{year}", f"%d {month} {year}", f"{month} %d, {year}"]
    return tuple(found)


DAYS = day_patterns()


def readings(name: str, cells: pl.Series, words: tuple[str, ...]) -> list[Reading]:
    """The readings that fit half of some cells of a text column, given as stripped text.

    Args:
        words: the general words for a missing cell.
    """
    there = cells.filter(~cells.is_in([*words, *NUMBER_MISSING, ""])).drop_nulls()
    form = CellFormat(missing=words)
    possible = []
    if there.str.to_lowercase().is_in([*TRUE, *FALSE]).any():
        possible.append(Reading(type=ColumnType.BOOLEAN, format=form))
    if there.str.contains("[0-9]").sum() >= max(HALF * len(there), 1):
        possible += [*_numbers(there, form), *_dates(there, form)]
    if not possible:
        return []
    frame = there.alias(name).to_frame().lazy()
    counts = frame.select(
        READERS[r.type](r.column(name), pl.String()).is_not_null().sum().alias(str(i))
        for i, r in enumerate(possible)
    ).collect()
    least = max(HALF * len(there), 1)
    return [r for i, r in enumerate(possible) if counts[str(i)][0] >= least]


def _numbers(cells: pl.Series, form: CellFormat) -> Iterable[Reading]:
    """The ways to write numbers that need not be the plain one."""
    text = cells.str.join("").item() if len(cells) else ""
    unit = _unit(cells)
    parentheses = bool(cells.str.starts_with("(").any())
    for decimal, thousands in NUMBERS:
        marks = {" ": " \u00a0\u2009\u202f", "'": "'’"}.get(thousands or "", thousands or "")
        if thousands is not None and not any(mark in text for mark in marks):
            continue
        if decimal == "," and "," not in text and thousands is None:
            continue
        yield Reading(
            type=ColumnType.NUMBER,
            format=replace(
                form, decimal=decimal, thousands=thousands, unit=unit, parentheses=parentheses
            ),
        )


def _unit(cells: pl.Series) -> str | None:
    """The currency or percent sign that most cells have, if there is one alone."""
    codes = "|".join(map(re.escape, CODES))
    sign = f"({codes}|[{CURRENCY}%])"
    found = cells.str.extract(rf"^[(+-]*{sign}|[\d.,]\s*{sign}\)?$", 1).fill_null(
        cells.str.extract(rf"[\d.,]\s*{sign}\)?$", 1)
    )
    units = found.drop_nulls().unique().to_list()
    if len(units) != 1 or found.is_not_null().sum() < HALF * len(cells):
        return None
    return str(units[0])


def _dates(cells: pl.Series, form: CellFormat) -> Iterable[Reading]:
    some = cells.head(LOOKED_AT)
    if some.str.contains(LIKE_DATE).sum() < HALF * len(some):
        return
    yield Reading(type=ColumnType.DATE, format=form)
    if some.str.contains(LIKE_ISO).sum() > HALF * len(some):
        return
    for day in DAYS:
        for clock in CLOCKS:
            yield Reading(type=ColumnType.DATE, format=replace(form, date=day + clock))
