"""Which reading of a column is taken where all rows have answered, and what its owner should know.

Where several readings fit and differ, the other columns decide, then the order of the rows, then a
rule; that it was open is noted, whatever decided.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import polars as pl

from plumbline.cells import READERS, text, unreadable
from plumbline.data.almost import almost_dates
from plumbline.data.answers import LEADING_ZERO, LONG, Answers, RawRows, query
from plumbline.data.formats import NUMBER_MISSING, Reading
from plumbline.data.read import readable
from plumbline.kinds import ORDERED, ColumnType
from plumbline.numbers import plural
from plumbline.tables import MISSING, CellFormat

LISTED_VALUES = 50  # categories of more values are not listed in expectations.yaml
MOST_VALUES = 1000  # a column of more different texts is a text
# whole numbers with a letter in front or behind, but for k, m and % ("12k")
LETTER = r"^([A-Za-z]\d+|\d+[A-JLN-Za-jln-z])$"
LETTERED = 0.02  # share of such cells from which they are codes, and no typing errors
READABLE = 0.9  # a text column is of a type where this share of its cells is
SHOWN = 3  # examples in a note


@dataclass(frozen=True, kw_only=True)
class Choice:
    """How a column is read, and what its owner should know."""

    reading: Reading
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Habits:
    """How the columns are written that leave nothing open."""

    numbers: frozenset[tuple[str, str | None]]  # decimal, thousands
    day_first: frozenset[bool]


def choose_all(rows: RawRows, answers: Mapping[str, Answers]) -> dict[str, Choice]:
    """The reading of every text column; those that only one fits tell how to read the others."""
    numbers, date_orders = set(), set()
    for name, own in answers.items():
        tied = own.best(ColumnType.NUMBER)
        if tied and _reads(own, tied[0]) and len(_different(rows, name, tied)) == 1:
            form = tied[0].format
            if own.whole[tied[0]] < own.numbers or form.thousands is not None:
                numbers.add((form.decimal, form.thousands))
        tied = own.best(ColumnType.DATE)
        if tied and _reads(own, tied[0]) and len(_different(rows, name, tied)) == 1:
            pattern = tied[0].format.date
            date_orders |= {day_first(pattern)} if pattern is not None else set()
    habits = Habits(numbers=frozenset(numbers), day_first=frozenset(date_orders))
    return {
        name: _with_words(rows, name, own, _choose(rows, name, own, habits))
        for name, own in answers.items()
    }


def _reads(own: Answers, reading: Reading) -> bool:
    """Whether a reading of numbers or dates reads (nearly) all cells."""
    return own.numbers > 0 and own.read[reading] >= READABLE * own.numbers


def day_first(pattern: str) -> bool:
    """Whether the day stands before the month."""
    months = (pattern.find(mark) for mark in ("%m", "%b", "%B"))
    return pattern.find("%d") < max(months)


def _different(rows: RawRows, name: str, tied: list[Reading]) -> list[Reading]:
    """Of readings that fit alike the first of each that gives the cells another value."""
    if len(set(tied)) == 1:
        return tied[:1]
    kept: dict[tuple[Any, ...], Reading] = {}
    frame = rows.cells.lazy()
    for reading in tied:
        value = READERS[reading.type](reading.column(name), pl.String())
        kept.setdefault(tuple(frame.select(value).collect()[name].to_list()), reading)
    return list(kept.values())


def _choose(rows: RawRows, name: str, own: Answers, habits: Habits) -> Choice:
    """The narrowest type that reads (nearly) all cells."""
    numbers, dates = own.best(ColumnType.NUMBER), own.best(ColumnType.DATE)
    booleans = own.best(ColumnType.BOOLEAN)
    if numbers and _reads(own, numbers[0]):
        is_whole = own.whole[numbers[0]] == own.numbers
        whole = own.whole[numbers[0]] == own.read[numbers[0]]  # of those that are numbers at all
        code = _code_note(rows, name, own) if whole or own.long else None
        if whole and code is None:
            code = _lettered_note(rows, name, own, numbers[0])
        if code is not None:
            return Choice(reading=_text(own, rows.words), notes=(code,))
        days = [r for r in dates if r.format.date is None and own.read[r] == own.numbers]
        if is_whole and days and _compact(rows, name):
            return Choice(reading=days[0], notes=("eight digits taken as YYYYMMDD",))
        choice = _choose_number(rows, name, numbers, habits)
        kind = ColumnType.INTEGER if is_whole else ColumnType.NUMBER
        if is_whole and own.whole[choice.reading] < own.numbers:
            kind = ColumnType.NUMBER
        notes = choice.notes + _padded_note(rows, name, own)
        return Choice(reading=replace(choice.reading, type=kind), notes=notes)
    if booleans and own.read[booleans[0]] == own.there:
        return Choice(reading=booleans[0])
    if dates and _reads(own, dates[0]):
        return _choose_date(rows, name, own, dates, habits)
    notes = _almost_number(rows, name, own) or almost_dates(_there(rows, name))
    return Choice(reading=_text(own, rows.words), notes=notes)


def _there(rows: RawRows, name: str) -> pl.Series:
    """The cells of the sample that are not missing."""
    cells = rows.cells[name]
    return cells.filter(cells.is_not_null() & ~cells.is_in(["", *rows.words, *NUMBER_MISSING]))


def _text(own: Answers, words: tuple[str, ...]) -> Reading:
    return text_reading(own.distinct, own.there, words)


def text_reading(distinct: int, there: int, words: tuple[str, ...]) -> Reading:
    """A category, or a text where there are too many different values."""
    few = min(MOST_VALUES, max(LISTED_VALUES, there // 2))
    kind = ColumnType.CATEGORY if distinct <= few else ColumnType.TEXT
    return Reading(type=kind, format=CellFormat(missing=words))


def _choose_number(rows: RawRows, name: str, tied: list[Reading], habits: Habits) -> Choice:
    """As the other columns are written; else 1.234 is a plain number, and 1,234 one that groups
    digits, unless fields are not separated by commas."""
    different = _different(rows, name, tied)
    same = [r for r in tied if (r.format.decimal, r.format.thousands) in habits.numbers]
    if not same and {decimal for decimal, _ in habits.numbers} == {","}:
        same = [r for r in tied if r.format.decimal == ","]
    if len({r.format.decimal for r in same}) == 1:
        others = [r for r in different if len(_different(rows, name, [same[-1], r])) > 1]
        note = [_example(rows, name, same[-1], r, " as in the other columns") for r in others[:1]]
        return Choice(reading=same[-1], notes=tuple(note))
    if len(different) == 1:
        return Choice(reading=different[0])
    plain = any((r.format.decimal, r.format.thousands) == (".", None) for r in different)
    commas = [r for r in different if r.format.decimal == ","]
    selected = commas[0] if commas and not plain and rows.separator != "," else different[0]
    other = next(r for r in different if r != selected)
    return Choice(reading=selected, notes=(_example(rows, name, selected, other),))


def _example(rows: RawRows, name: str, selected: Reading, other: Reading, why: str = "") -> str:
    """A cell that two readings give different values, and how to have the other."""
    dtype = pl.String()
    frame = rows.cells.lazy().select(
        pl.col(name).alias("cell"),
        READERS[selected.type](selected.column(name), dtype).alias("selected"),
        READERS[other.type](other.column(name), dtype).alias("other"),
    )
    first = frame.filter(pl.col("selected") != pl.col("other")).head(1).collect()
    wanted = other.format.to_json()
    wanted.pop("missing", None)
    want = ", ".join(f"{key}: '{value}'" for key, value in wanted.items()) or "decimal: '.'"
    return (
        f"'{first['cell'][0]}' read as {_shown(first['selected'][0])}{why}; if it is "
        f"{_shown(first['other'][0])}, set format: {{{want}}}"
    )


def _shown(value: Any) -> str:
    return f"{value:g}" if isinstance(value, float) else f"{value:%Y-%m-%d}"


def _choose_date(
    rows: RawRows, name: str, own: Answers, tied: list[Reading], habits: Habits
) -> Choice:
    """ISO 8601 before all; then what the test file, another column or the order of rows says."""
    fitting = _different(rows, name, tied)
    if len(fitting) == 1 or fitting[0].format.date is None:
        return Choice(reading=fitting[0], notes=_zone_note(rows, name, fitting[0]))
    if rows.test is not None and name in rows.test.collect_schema():
        answers = query(replace(rows, raw=rows.test), {name: fitting})[name]
        fitting = [r for r in fitting if answers.read[r] == max(answers.read.values())]
        if len(fitting) == 1:
            return Choice(reading=fitting[0], notes=("the test file shows which is the day",))
    same = [r for r in fitting if day_first(r.format.date or "") in habits.day_first]
    if len(habits.day_first) == 1 and same:
        return Choice(reading=same[0], notes=("day and month as in the other dates",))
    ordered = [r for r in fitting if own.falls[r] == 0 or own.rises[r] == 0]
    if len(ordered) == 1:
        note = "day, month and year so that the rows are in order of time"
        return Choice(reading=ordered[0], notes=(note,))
    other = next(r for r in fitting if r != fitting[0])
    return Choice(reading=fitting[0], notes=(_example(rows, name, fitting[0], other),))


def _zone_note(rows: RawRows, name: str, reading: Reading) -> tuple[str, ...]:
    cells = rows.cells[name].drop_nulls()
    zoned = int(cells.str.contains(r"\d(Z| ?[+-]\d\d(:?\d\d)?)$").sum())
    if reading.format.date is not None or not zoned or not cells.str.contains(":").any():
        return ()
    if zoned < len(cells):
        return ("times with a zone become UTC; those without are taken as UTC",)
    return ("times become UTC",)


def _compact(rows: RawRows, name: str) -> bool:
    """Whether whole numbers are days: eight digits of years that people mean."""
    cells = rows.cells[name].drop_nulls()
    return bool(cells.str.contains(r"^(19|20)\d{6}$").all()) and cells.n_unique() > 2


def _code_note(rows: RawRows, name: str, own: Answers) -> str | None:
    """Why whole numbers are not numbers, if so."""
    if own.zeros:
        where, what = LEADING_ZERO, "begin with a zero"
        count = own.zeros
    elif own.long:
        where, what, count = LONG, "have more than 18 digits", own.long
    else:
        return None
    cells = rows.cells[name].drop_nulls()
    example = next(iter(cells.filter(cells.str.contains(where))), None)
    shown = f" ('{example[:30]}')" if example else ""
    return f"{count:,} cells {what}{shown}: codes, kept as text"


def _lettered_note(rows: RawRows, name: str, own: Answers, number: Reading) -> str | None:
    """Why whole numbers beside some with a letter are not numbers, if so: one typo is none."""
    others = own.numbers - own.read[number]
    if others < LETTERED * own.numbers:
        return None
    frame = rows.cells.lazy()
    left = frame.filter(unreadable(number.column(name), pl.String())).collect()[name].drop_nulls()
    if left.n_unique() < 2 or not left.str.contains(LETTER).all():
        return None
    return f"{others:,} cells have a letter beside digits ('{left[0]}'): codes, kept as text"


def _padded_note(rows: RawRows, name: str, own: Answers) -> tuple[str, ...]:
    """Numbers with a fraction that begin with a zero may be codes: 038.9."""
    if not own.zeros:
        return ()
    cells = rows.cells[name].drop_nulls()
    example = next(iter(cells.filter(cells.str.contains(LEADING_ZERO))), None)
    shown = f" ('{example[:30]}')" if example else ""
    return (
        f"{plural(own.zeros, 'cell')} with a zero in front{shown} read as numbers; if they are "
        "codes, set type: category and no format",
    )


def _almost_number(rows: RawRows, name: str, own: Answers) -> tuple[str, ...]:
    """What stands in the way where half of the cells are numbers or more."""
    tied = own.best(ColumnType.NUMBER)
    there = own.numbers
    cells = rows.cells[name].drop_nulls()
    if tied and own.read[tied[0]] < there:
        column = tied[0].column(name)
        frame = rows.cells.lazy()
        left = frame.filter(unreadable(column, pl.String())).collect()[name]
        bad = left.unique(maintain_order=True).to_list()
        shown = ", ".join(f"'{cell[:20]}'" for cell in bad[:SHOWN])
        text = f"{own.read[tied[0]]:,} of {there:,} cells are numbers, others not ({shown})"
        if len(bad) <= SHOWN and not any(c.isdigit() for c in "".join(bad)):
            text += f"; if that means missing, set type: number, format: {{missing: [{shown}]}}"
        return (text,)
    united = cells.str.contains(r"^[+-]?[0-9][0-9.,]*\s*[^\d\s.,+()-]{1,10}$")
    units = cells.str.extract(r"^[+-]?[0-9][0-9.,]*\s*([^\d\s.,+()-]{1,10})$", 1).unique()
    if len(cells) and bool(united.all()) and len(units) == 1:
        return (f"numbers with a unit? Then set type: number, format: {{unit: {units[0]}}}",)
    if cells.str.contains(r"^[<>≤≥~]\s*[0-9.,]+$").sum() > len(cells) / 20:
        return ("cells like '<0.5' are no numbers",)
    return ()


def _with_words(rows: RawRows, name: str, own: Answers, choice: Choice) -> Choice:
    """The words for "missing" that the column has, written into its format and said."""
    kind = choice.reading.type
    number = kind in ORDERED
    wanted = [*rows.words, *(NUMBER_MISSING if number and own.words else ())]
    words = _count_words(rows, name, wanted) if own.general or (number and own.words) else {}
    special = tuple(w for w in NUMBER_MISSING if w in words and w not in rows.words)
    listed = (*rows.words, *special)
    form = replace(choice.reading.format, missing=None if listed == MISSING else listed)
    notes = choice.notes
    if words:
        text = ", ".join(f"{count:,} × '{word}'" for word, count in list(words.items())[:SHOWN])
        keep = "" if number else "; format: {missing: []} keeps them"
        notes += (f"{text} taken as missing{keep}",)
    return Choice(reading=Reading(type=kind, format=form), notes=notes)


def _count_words(rows: RawRows, name: str, words: list[str]) -> dict[str, int]:
    """How many cells hold each word, the most frequent first."""
    cell = text(name, rows.raw.collect_schema()[name], ("",))
    with readable(rows.file):
        counts = (
            rows.raw.select(cell.filter(cell.is_in(words)).alias("word"))
            .group_by("word")
            .len()
            .sort(["len", "word"], descending=[True, False])
            .collect(engine="streaming")
        )
    return dict(counts.iter_rows())
