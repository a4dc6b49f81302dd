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
    texts = raw.select([written(column, schema[name]) for name, column in columns.items()])
    with readable(file):
        return {name: profile for name in columns if (profile := _profile(texts, name))}


def _profile(texts: pl.LazyFrame, name: str) -> TextProfile | None:
    """Measure one column. What is counted per text is a query of its own: within one `select`, a
    column without its nulls beside whole ones can be refused by the streaming engine."""
    text = pl.col(name)
    wanted = {
        "rows": pl.len(),
        "shortest": text.str.len_chars().min(),
        "longest": text.str.len_chars().max(),
        "garbled": is_garbled(text).sum(),
    }
    times = texts.filter(text.is_not_null()).group_by(text.hash(0)).len(name="times")
    queries = [texts.select(**wanted), times.select(pl.col("times").max())]
    measured, counted = pl.collect_all(queries, engine="streaming")
    row = measured.row(0, named=True)
    if row["longest"] is None:
        return None
    return TextProfile(
        shortest=row["shortest"],
        longest=row["longest"],
        garbled=row["garbled"] / row["rows"],
        repeated=counted["times"][0] / row["rows"],
    )
