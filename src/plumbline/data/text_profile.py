"""What the texts of a column look like, whatever their language: length, garbling, repetition."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import polars as pl

from plumbline.cells import written
from plumbline.data.read import readable
from plumbline.tables import Column

# A text that was broken on its way: a replacement character (U+FFFD), a control character other
# than tab and line ends, or UTF-8 that was read as Latin-1 or Windows-1252 (`Ã©` for é, `â€™` for
# an apostrophe, `Ð¿Ñ` for Cyrillic).
GARBLED = (
    r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x84\x86-\x9f\x{FFFD}]"
    r"|[ÃÂ][\x80-\xbf]|â€|(?:[ÐÑ][\x80-\xbf]){2}"
)


@dataclass(frozen=True, kw_only=True)
class TextProfile:
    """Characters of the shortest and the longest text; shares of the rows: of garbled texts, and
    of the text that most rows have."""

    shortest: int
    longest: int
    garbled: float
    repeated: float


def is_garbled(text: pl.Expr) -> pl.Expr:
    """Whether a text holds what no writer wrote."""
    return text.str.contains(GARBLED)


def copies(text: pl.Expr) -> pl.Expr:
    """In how many rows each text stands; null for a missing one."""
    key = text.hash(0)
    return pl.when(text.is_not_null()).then(pl.len().over(key))


def profile_texts(
    raw: pl.LazyFrame, columns: Mapping[str, Column], file: str
) -> dict[str, TextProfile]:
    """Measure text columns over all rows; columns without a text are left out."""
    if not columns:
        return {}
    schema = raw.collect_schema()
    cells = [written(column, schema[name]) for name, column in columns.items()]
    wanted: dict[str, pl.Expr] = {"rows": pl.len()}
    for i, name in enumerate(columns):
        text = pl.col(name)
        wanted |= {
            f"{i}.shortest": text.str.len_chars().min(),
            f"{i}.longest": text.str.len_chars().max(),
            f"{i}.garbled": is_garbled(text).sum(),
            f"{i}.repeated": text.drop_nulls().hash(0).unique_counts().max(),
        }
    with readable(file):
        measured = raw.select(cells).select(**wanted).collect(engine="streaming").row(0, named=True)
    return {
        name: TextProfile(
            shortest=measured[f"{i}.shortest"],
            longest=measured[f"{i}.longest"],
            garbled=measured[f"{i}.garbled"] / measured["rows"],
            repeated=measured[f"{i}.repeated"] / measured["rows"],
        )
        for i, name in enumerate(columns)
        if measured[f"{i}.longest"] is not None
    }
