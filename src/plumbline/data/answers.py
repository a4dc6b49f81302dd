"""What all rows say of the ways that columns may be written, asked in one pass."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

import polars as pl

from plumbline.cells import READERS, any_number, text
from plumbline.data.formats import NUMBER_MISSING, Reading
from plumbline.data.read import AT_ONCE, batched, readable
from plumbline.kinds import ColumnType

LEADING_ZERO = r"^[+-]?0[0-9]"
LONG = r"^[+-]?[0-9]{19,}$"


@dataclass(frozen=True, kw_only=True)
class RawRows:
    """The rows that are asked. `cells`: the text columns of a sample, stripped.

    Attributes:
        words: the general words for a missing cell.
        test: rows of another file, which may tell what these leave open.
        separator: of the file, which tells what a comma in a number may be.
        at_once: how many columns are asked about in a query.
    """

    raw: pl.LazyFrame
    words: tuple[str, ...]
    file: str
    cells: pl.DataFrame
    test: pl.LazyFrame | None
    separator: str
    at_once: int = AT_ONCE


@dataclass(kw_only=True)
class Answers:
    """What all rows said of one text column."""

    there: int  # cells but those of general words for "missing"
    general: int  # cells of those words
    words: int  # of them, words that mean "missing" among numbers
    zeros: int  # of them, whole numbers that begin with a zero
    long: int  # of them, whole numbers of more than 18 digits
    distinct: int
    read: dict[Reading, int] = field(default_factory=dict)
    whole: dict[Reading, int] = field(default_factory=dict)  # of numbers: whole ones
    falls: dict[Reading, int] = field(default_factory=dict)  # of dates: earlier than the last
    rises: dict[Reading, int] = field(default_factory=dict)

    @property
    def numbers(self) -> int:
        """The cells there would be in a column of numbers."""
        return self.there - self.words

    def best(self, kind: ColumnType) -> list[Reading]:
        """The readings of a type that read the most cells."""
        counts = {r: n for r, n in self.read.items() if r.type is kind}
        most = max(counts.values(), default=0)
        return [r for r, n in counts.items() if n == most > 0]

    def add(self, other: Answers) -> None:
        """The answers about other readings of the column."""
        for key in COUNTS:
            getattr(self, key).update(getattr(other, key))


COUNTS = ("read", "whole", "falls", "rises")
FIGURES = ("there", "general", "words", "zeros", "long", "distinct")


def query(rows: RawRows, options: Mapping[str, Iterable[Reading]]) -> dict[str, Answers]:
    """Over all rows, so many columns at a time."""
    answers: dict[str, Answers] = {}
    for part in batched(list(options), rows.at_once):
        answers |= _query(rows, {name: options[name] for name in part})
    return answers


def _query(rows: RawRows, options: Mapping[str, Iterable[Reading]]) -> dict[str, Answers]:
    dtypes = rows.raw.collect_schema()
    expressions: dict[str, pl.Expr] = {}
    for i, (name, possible) in enumerate(options.items()):
        cell = text(name, dtypes[name], ("", *rows.words))
        expressions[f"{i}.there"] = cell.is_not_null().sum()
        expressions[f"{i}.general"] = text(name, dtypes[name], ("",)).is_in(rows.words).sum()
        expressions[f"{i}.words"] = cell.is_in(NUMBER_MISSING).sum()
        expressions[f"{i}.zeros"] = cell.str.contains(LEADING_ZERO).sum()
        expressions[f"{i}.long"] = cell.str.contains(LONG).sum()
        expressions[f"{i}.distinct"] = cell.approx_n_unique()
        for j, reading in enumerate(possible):
            for key, expression in _counts(reading, name, dtypes[name]).items():
                expressions[f"{i}.{j}.{key}"] = expression
    with readable(rows.file):
        counts = (
            rows.raw.select(e.alias(a) for a, e in expressions.items())
            .collect(engine="streaming")
            .row(0, named=True)
        )
    answers = {}
    for i, (name, possible) in enumerate(options.items()):
        answers[name] = Answers(**{key: counts[f"{i}.{key}"] for key in FIGURES})
        for j, reading in enumerate(possible):
            for key in COUNTS:
                if f"{i}.{j}.{key}" in counts:
                    getattr(answers[name], key)[reading] = counts[f"{i}.{j}.{key}"]
    return answers


def _counts(reading: Reading, name: str, dtype: pl.DataType) -> dict[str, pl.Expr]:
    column = reading.column(name)
    if reading.type is ColumnType.NUMBER:
        whole = READERS[ColumnType.INTEGER](column, dtype)
        value = any_number(column, dtype)
        return {"read": value.is_not_null().sum(), "whole": whole.is_not_null().sum()}
    value = READERS[reading.type](column, dtype)
    counts = {"read": value.is_not_null().sum()}
    if reading.type is ColumnType.DATE:
        step = value.to_physical().diff()
        counts |= {"falls": (step < 0).sum(), "rises": (step > 0).sum()}
    return counts
