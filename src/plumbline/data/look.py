"""What each column of a table holds, counted over all rows by streaming."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import polars as pl

from plumbline.config.data import FormatConfig
from plumbline.data.cells import READERS, text
from plumbline.data.read import readable
from plumbline.errors import DataError
from plumbline.kinds import ColumnType

MOST_VALUES = 1000  # values are listed up to so many
EXACT_ROWS = 5_000_000  # beyond so many, values are counted approximately
SAMPLE = 5000  # rows that tell which types are worth asking all rows for
STRUCTURE = 200  # values looked at for a common structure


@dataclass(frozen=True, kw_only=True)
class Seen:
    """What one column was found to hold. `low`, `high` of its numbers; `values` if few."""

    rows: int
    missing: int
    readable: Mapping[ColumnType, int]  # cells that can be read as the type
    distinct: int
    low: float | None
    high: float | None
    values: tuple[str, ...] = ()
    increasing: bool = False
    regex: str | None = None
    lines: int = 0  # most line breaks inside one cell

    @property
    def there(self) -> int:
        return self.rows - self.missing


def look(raw: pl.LazyFrame, form: FormatConfig, file: str) -> dict[str, Seen]:
    """Count, measure and sample every column."""
    schema = raw.collect_schema()
    with readable(file):
        sample = raw.head(SAMPLE).collect()
    plausible = {name: _plausible(sample, name, dtype, form) for name, dtype in schema.items()}
    asked: dict[str, pl.Expr] = {"rows": pl.len()}
    for i, (name, dtype) in enumerate(schema.items()):
        for key, expression in _questions(name, dtype, plausible[name], form).items():
            asked[f"{i}.{key}"] = expression
    with readable(file):
        found = (
            raw.select(e.alias(a) for a, e in asked.items())
            .collect(engine="streaming")
            .row(0, named=True)
        )
    if found["rows"] == 0:
        raise DataError("has a header and no rows", file=file, mend="add rows below the header")
    few = [name for i, name in enumerate(schema) if found[f"{i}.distinct"] <= MOST_VALUES * 1.1]
    values = _values(raw, form, few, file)
    exact = _exact(raw, form, [n for i, n in enumerate(schema) if _maybe_unique(found, i)], file)
    seen = {}
    for i, (name, dtype) in enumerate(schema.items()):
        there = found[f"{i}.there"]
        distinct = exact.get(name, found[f"{i}.distinct"])
        seen[name] = Seen(
            rows=found["rows"],
            missing=found["rows"] - there,
            readable={k: found[f"{i}.{k}"] for k in ColumnType if f"{i}.{k}" in found},
            distinct=len(values[name]) if name in values else distinct,
            low=_finite(found.get(f"{i}.low")),
            high=_finite(found.get(f"{i}.high")),
            values=values.get(name, ()),
            increasing=found["rows"] > 2 and there > 0 and found.get(f"{i}.falls") == 0,
            regex=_regex(sample.select(text(name, dtype, form))[name]),
            lines=found.get(f"{i}.lines") or 0,
        )
    _refuse_swallowed(seen, file)
    return seen


def _plausible(
    sample: pl.DataFrame, name: str, dtype: pl.DataType, form: FormatConfig
) -> tuple[ColumnType, ...]:
    """The types worth asking all rows for: native ones, or those that read half of a sample."""
    if dtype == pl.Boolean:
        return (ColumnType.BOOLEAN,)
    if dtype.is_temporal():
        return (ColumnType.DATE,)
    if dtype.is_numeric():
        return (ColumnType.NUMBER,)
    if dtype != pl.String:
        return ()
    there = sample.select(text(name, dtype, form).is_not_null().sum()).item()
    return tuple(
        kind
        for kind in (ColumnType.NUMBER, ColumnType.BOOLEAN, ColumnType.DATE)
        if sample.select(READERS[kind](name, dtype, form).is_not_null().sum()).item() * 2 >= there
    )


def _questions(
    name: str, dtype: pl.DataType, plausible: tuple[ColumnType, ...], form: FormatConfig
) -> dict[str, pl.Expr]:
    """What is asked of all rows of one column."""
    present = text(name, dtype, form)
    read = {kind: READERS[kind](name, dtype, form) for kind in plausible}
    asked = {"there": present.is_not_null().sum(), "distinct": present.approx_n_unique()}
    asked |= {str(kind): value.is_not_null().sum() for kind, value in read.items()}
    if ColumnType.NUMBER in read:
        number = read[ColumnType.NUMBER]
        asked |= {"low": number.min(), "high": number.max()}
        asked[str(ColumnType.INTEGER)] = (number == number.floor()).sum()
        asked["falls"] = (number.diff() < 0).sum()
    elif ColumnType.DATE in read:
        asked["falls"] = (read[ColumnType.DATE].to_physical().diff() < 0).sum()
    elif dtype == pl.String:
        asked["lines"] = present.str.count_matches("\n", literal=True).max()
    return asked


def _refuse_swallowed(seen: dict[str, Seen], file: str) -> None:
    for name, column in seen.items():
        if column.lines > 100:
            raise DataError(
                f"a cell holds {column.lines} lines: a stray quote swallowed rows",
                file=file,
                where=f"column '{name}'",
                mend="remove the quote, or set data.format.quote to null if quotes mean nothing",
            )


def _values(
    raw: pl.LazyFrame, form: FormatConfig, names: list[str], file: str
) -> dict[str, tuple[str, ...]]:
    """The different values, sorted, of columns of few; as text."""
    if not names:
        return {}
    schema = raw.collect_schema()
    with readable(file):
        found = raw.select(
            text(name, schema[name], form).drop_nulls().unique().implode().alias(name)
            for name in names
        ).collect(engine="streaming")
    return {name: tuple(sorted(found[name][0].to_list(), key=_natural)) for name in names}


def _maybe_unique(found: dict[str, Any], i: int) -> bool:
    there = found[f"{i}.there"]
    return bool(MOST_VALUES < there <= EXACT_ROWS and found[f"{i}.distinct"] > 0.9 * there)


def _exact(raw: pl.LazyFrame, form: FormatConfig, names: list[str], file: str) -> dict[str, int]:
    """How many different values, exactly: the first count is an estimate."""
    if not names:
        return {}
    schema = raw.collect_schema()
    with readable(file):
        counts = raw.select(
            text(name, schema[name], form).drop_nulls().n_unique().alias(name) for name in names
        ).collect(engine="streaming")
    return {name: int(counts[name][0]) for name in names}


def _natural(value: str) -> tuple[int, float, str]:
    try:
        return (0, float(value), value)
    except ValueError:
        return (1, 0.0, value)


def _finite(value: float | None) -> float | None:
    return None if value is None or not math.isfinite(value) else float(value)


def _regex(values: pl.Series) -> str | None:
    """The common structure of codes (`AB-1234`), if all values have one."""
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
