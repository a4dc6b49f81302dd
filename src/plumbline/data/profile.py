"""What each column of a table holds, counted over all rows by streaming."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import polars as pl

from plumbline.cells import typed, unreadable, written
from plumbline.data.choose import MOST_VALUES, Choice
from plumbline.data.formats import Reading
from plumbline.data.read import AT_ONCE, batched, readable
from plumbline.data.text_profile import TextProfile
from plumbline.errors import shorten
from plumbline.kinds import NUMERIC, TEXTUAL, ColumnType
from plumbline.tables import ROW, Column, internal

EXACT_ROWS = 5_000_000  # beyond so many, values are counted approximately
SAMPLE = 5000  # rows that codes are looked at in
STRUCTURE = 200  # values looked at for a common structure
MOST_SHOWN = 100  # columns of which a cell that cannot be read is shown
MOST_LETTERS = 40
MOST_READ = 1000  # characters of a text whose words are counted
FEW_WORDS, MANY_WORDS = 3, 5  # per text on average; between them it counts whether words recur
MOST_TEXTS = 5000  # whose words are counted one by one
KEYS = ("there", "bad", "read", "low", "high", "falls", "words")
# scripts without spaces between words, and emoji: each character counts as one; elsewhere a word
# has a letter
UNPARTED = (
    r"\p{Han}\p{Hiragana}\p{Katakana}\p{Thai}\p{Lao}\p{Khmer}\p{Myanmar}"
    r"\p{Extended_Pictographic}"
)
OTHER = rf"[\S--[{UNPARTED}]]"
WORD = rf"[{UNPARTED}]|{OTHER}*[\p{{L}}--[{UNPARTED}]]{OTHER}*"


@dataclass(frozen=True, kw_only=True)
class ColumnProfile:
    """What one column was found to hold.

    Attributes:
        reading: its type, and how its cells are written.
        readable: cells that can be read as the type.
        low, high: of its numbers; whole ones of integers.
        values: the different texts, sorted, if they are few.
        words: per text, the mean; None where it is no text of many values.
        recurring: of the words of few, the share of those that come more than once.
        text: what its texts look like, where it is a text.
        notes: what its owner should know of the choice.
    """

    rows: int
    missing: int
    reading: Reading
    readable: int
    distinct: int
    low: float | int | None = None
    high: float | int | None = None
    values: tuple[str, ...] = ()
    increasing: bool = False
    regex: str | None = None
    words: float | None = None
    recurring: float | None = None
    text: TextProfile | None = None
    notes: tuple[str, ...] = ()

    @property
    def there(self) -> int:
        return self.rows - self.missing


def profile_columns(
    raw: pl.LazyFrame, choices: Mapping[str, Choice], file: str, at_once: int = AT_ONCE
) -> dict[str, ColumnProfile]:
    """Count and measure every column, read as was decided, so many at once."""
    profiles: dict[str, ColumnProfile] = {}
    for part in batched(list(choices), at_once):
        profiles |= _profile(raw.select(part), {name: choices[name] for name in part}, file)
    return profiles


def _profile(
    raw: pl.LazyFrame, choices: Mapping[str, Choice], file: str
) -> dict[str, ColumnProfile]:
    schema = raw.collect_schema()
    columns = {name: choice.reading.column(name) for name, choice in choices.items()}
    cells: list[pl.Expr] = []
    expressions: dict[str, pl.Expr] = {"rows": pl.len()}
    for i, (name, dtype) in enumerate(schema.items()):
        cells += [e.alias(f"{i}.{key}") for key, e in _cells(columns[name], dtype).items()]
        for key, expression in _questions(columns[name], dtype, f"{i}.").items():
            expressions[f"{i}.{key}"] = expression
    with readable(file):
        measured = (
            raw.select(cells)  # each cell is read once, whatever is asked of it
            .select(e.alias(a) for a, e in expressions.items())
            .collect(engine="streaming")
            .row(0, named=True)
        )
    texts = {n for n, c in columns.items() if c.type in TEXTUAL}
    counts = {n: measured[f"{i}.distinct"] for i, n in enumerate(schema)}
    few = [n for n in schema if counts[n] <= MOST_VALUES * 1.1]
    values = _values(raw, columns, [n for n in few if n in texts], file)
    unsure = [n for i, n in enumerate(schema) if _maybe_unique(measured, i)]
    counted = dict.fromkeys([*unsure, *(n for n in few if n not in texts)])
    exact = _exact(raw, columns, list(counted), file)
    exact |= {name: len(listed) for name, listed in values.items()}
    first = _first_unreadable(
        raw, [columns[n] for i, n in enumerate(schema) if measured[f"{i}.bad"]], file
    )
    brief = [
        n
        for i, n in enumerate(schema)
        if FEW_WORDS <= (measured.get(f"{i}.words") or 0) < MANY_WORDS
    ]
    recurring = {name: _recurring(raw, columns[name], schema[name], file) for name in brief}
    profiles = {}
    for i, name in enumerate(schema):
        of: dict[str, Any] = {key: measured.get(f"{i}.{key}") for key in KEYS}
        if columns[name].type is ColumnType.IMAGE:
            of["read"] = of["there"] - of["bad"]
        infinite = of["there"] - of["bad"] - of["read"]
        profiles[name] = ColumnProfile(
            rows=measured["rows"],
            missing=measured["rows"] - of["there"] + infinite,
            reading=choices[name].reading,
            readable=of["read"],
            distinct=exact.get(name, counts[name]),
            low=of["low"],
            high=of["high"],
            values=values.get(name, ()),
            increasing=of["falls"] == 0 and exact.get(name, counts[name]) > 1,
            words=of["words"],
            recurring=recurring.get(name),
            regex=_regex(raw, columns[name], schema[name]),
            notes=_notes(choices[name], of["bad"], infinite, first.get(name)),
        )
    return profiles


def _cells(column: Column, dtype: pl.DataType) -> dict[str, pl.Expr]:
    """What is read of a cell: its value, whether it is there, whether it is unreadable."""
    cell, value = written(column, dtype), typed(column, dtype)
    if column.type is ColumnType.IMAGE:
        value = value.hash()
    texts = column.type in TEXTUAL
    return {
        "value": cell if texts else value,
        "there": cell.is_not_null(),
        "bad": pl.lit(False) if texts else unreadable(column, dtype),
    }


def _questions(column: Column, dtype: pl.DataType, prefix: str) -> dict[str, pl.Expr]:
    """What is asked of all rows of one column."""
    value = pl.col(f"{prefix}value")
    expressions = {
        "there": pl.col(f"{prefix}there").sum(),
        "bad": pl.col(f"{prefix}bad").sum(),
        "read": value.is_not_null().sum(),
        "distinct": value.approx_n_unique(),
    }
    if column.type in (*NUMERIC, ColumnType.DATE):
        step = value.to_physical().diff()
        expressions |= {"low": value.min(), "high": value.max(), "falls": (step < 0).sum()}
    elif column.type is ColumnType.TEXT and dtype == pl.String:
        expressions["words"] = value.str.head(MOST_READ).str.count_matches(WORD).mean()
    return expressions


def _values(
    raw: pl.LazyFrame, columns: Mapping[str, Column], names: list[str], file: str
) -> dict[str, tuple[str, ...]]:
    """The different texts, sorted, of columns of few."""
    if not names:
        return {}
    schema = raw.collect_schema()
    with readable(file):
        values = raw.select(
            written(columns[name], schema[name]).drop_nulls().unique().implode() for name in names
        ).collect(engine="streaming")
    return {name: tuple(sorted(values[name][0].to_list(), key=_natural)) for name in names}


def _recurring(raw: pl.LazyFrame, column: Column, dtype: pl.DataType, file: str) -> float:
    """The share of the words, of the first texts, that come in more than one place."""
    text = written(column, dtype).drop_nulls().head(MOST_TEXTS).str.head(MOST_READ)
    with readable(file):
        words = raw.select(text.str.to_lowercase().str.extract_all(WORD).explode().alias("word"))
        counts = words.group_by("word").len().collect(engine="streaming")["len"]
    return int(counts.filter(counts > 1).sum()) / max(1, int(counts.sum()))


def _exact(
    raw: pl.LazyFrame, columns: Mapping[str, Column], names: list[str], file: str
) -> dict[str, int]:
    """How many different values, exactly: the first count is an estimate."""
    if not names:
        return {}
    schema = raw.collect_schema()
    with readable(file):
        counts = raw.select(
            typed(columns[name], schema[name]).drop_nulls().n_unique() for name in names
        ).collect(engine="streaming")
    return {name: int(counts[name][0]) for name in names}


def _first_unreadable(
    raw: pl.LazyFrame, columns: list[Column], file: str
) -> dict[str, tuple[int, str]]:
    """The row and the cell that is the first of each column to be refused."""
    examples = {}
    dtypes = raw.collect_schema()
    for column in columns[:MOST_SHOWN]:
        dtype = dtypes[column.name]
        cells = raw.select(written(column, dtype), unreadable(column, dtype).alias(internal("bad")))
        row = cells.with_row_index(ROW).filter(pl.col(internal("bad"))).head(1)
        with readable(file):
            first = row.collect(engine="streaming")
        examples[column.name] = (int(first[ROW][0]), str(first[column.name][0]))
    return examples


def _notes(
    choice: Choice, bad: int, infinite: int, first: tuple[int, str] | None
) -> tuple[str, ...]:
    kind = choice.reading.type
    notes = list(choice.notes)
    if infinite:
        notes.append(f"{infinite:,} infinite value{'s' if infinite > 1 else ''} taken as missing")
    if bad:
        are, them = ("cells are", "them") if bad > 1 else ("cell is", "it")
        where = ""
        if first is not None:
            cell = shorten(first[1], MOST_LETTERS)
            where = f" ({'first ' if bad > 1 else ''}{cell} in row {first[0]}, counted from 0)"
        one = "an" if kind in (ColumnType.INTEGER, ColumnType.IMAGE) else "a"
        notes.append(f"{bad:,} {are} not {one} {kind}{where}: validation will refuse {them}")
    return tuple(notes)


def _natural(value: str) -> tuple[int, float, str]:
    try:
        return (0, float(value), value)
    except ValueError:
        return (1, 0.0, value)


def _maybe_unique(counts: dict[str, Any], i: int) -> bool:
    there = counts[f"{i}.there"]
    return bool(MOST_VALUES < there <= EXACT_ROWS and counts[f"{i}.distinct"] > 0.9 * there)


def _regex(raw: pl.LazyFrame, column: Column, dtype: pl.DataType) -> str | None:
    """The common structure of codes (`AB-1234`), if all values have one."""
    if column.type is not ColumnType.TEXT:
        return None
    values = raw.head(SAMPLE).select(written(column, dtype)).collect()[column.name]
    there = values.drop_nulls().head(STRUCTURE).to_list()
    if len(there) < 20 or len(set(there)) < len(there) // 2:
        return None
    shapes = {re.sub(r"\d", "9", re.sub(r"[a-z]", "a", re.sub(r"[A-Z]", "A", v))) for v in there}
    if len(shapes) != 1:
        return None
    (shape,) = shapes
    if not re.search("[9Aa]", shape) or len(shape) > 60:
        return None
    classes = {"9": r"\d", "A": "[A-Z]", "a": "[a-z]"}
    parts = [
        (classes.get(run[0][0], re.escape(run[0][0])), len(run[0]))
        for run in re.finditer(r"(.)\1*", shape)
    ]
    body = "".join(part + (f"{{{count}}}" if count > 1 else "") for part, count in parts)
    return f"^{body}$"
