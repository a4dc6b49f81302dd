"""What is in the data, column by column, for whoever looks at the run: types, gaps, values."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Any

import polars as pl

from plumbline.data.expectations import ColumnExpectations, Expectations
from plumbline.data.source import Source
from plumbline.kinds import ORDERED, ColumnType, Role, TargetKind

DETAILED = 200  # columns with more than their gaps
PER_PASS = 50  # columns at most that are summarized in one pass over the data
CELLS_PER_PASS = 2**25  # cells: a median holds its column, half a GB in all
VALUES = 20  # most frequent values kept of the target; fewer of other columns
OTHERS = 3
BINS = 30
NAMED = (ColumnType.CATEGORY, ColumnType.BOOLEAN)


def overview(source: Source, expectations: Expectations) -> dict[str, Any]:
    """Rows, and per column its type, role, gaps and values; of the target the distribution.

    A few passes over the rows, in bounded memory.
    """
    columns = list(_columns(source, expectations.columns))
    target = next(n for n, c in expectations.columns.items() if c.role is Role.TARGET)
    column = next(c for c in columns if c["name"] == target)
    is_number = expectations.task.spec.target is TargetKind.NUMBERS
    distribution = _histogram(source, column) if is_number else {}
    return {
        "rows": source.rows,
        "test_file_rows": source.test_rows,
        "columns": columns,
        "target": {"name": target, **distribution},
    }


def _columns(source: Source, columns: Mapping[str, ColumnExpectations]) -> Iterator[dict[str, Any]]:
    target = next(n for n, c in columns.items() if c.role is Role.TARGET)
    detailed = {*list(columns)[:DETAILED], target}
    per_pass = min(PER_PASS, max(CELLS_PER_PASS // max(source.rows, 1), 1))
    for start in range(0, len(columns), per_pass):
        names = list(columns)[start : start + per_pass]
        wanted = {}
        for i, name in enumerate(names):
            column = pl.col(name)
            wanted[f"{i} missing"] = column.null_count()
            if name not in detailed:
                continue
            kind = columns[name].type
            if kind in ORDERED:
                wanted |= {f"{i} min": column.min(), f"{i} max": column.max()}
                wanted[f"{i} median"] = column.median()
            if kind in NAMED or name == target:
                kept = VALUES if name == target else OTHERS
                counts = column.drop_nulls().value_counts(sort=True, name="rows")
                wanted[f"{i} values"] = counts.head(kept).implode()
            if kind not in ORDERED:
                wanted[f"{i} distinct"] = column.drop_nulls().n_unique()
        query = source.frame.select(**wanted)
        row = query.collect(engine="streaming").row(0, named=True)
        for i, name in enumerate(names):
            entry: dict[str, Any] = {
                "name": name,
                "type": str(columns[name].type),
                "role": str(columns[name].role),
            }
            for key in ("missing", "min", "median", "max", "distinct"):
                if f"{i} {key}" in row:
                    entry[key] = _plain(row[f"{i} {key}"])
            if f"{i} values" in row:
                entry["values"] = [
                    {"value": str(v[name])[:200], "rows": v["rows"]} for v in row[f"{i} values"]
                ]
            yield entry


def _histogram(source: Source, target: Mapping[str, Any]) -> dict[str, Any]:
    """Counts of a number in bins of one width."""
    low, high = target.get("min"), target.get("max")
    if not isinstance(low, int | float) or not isinstance(high, int | float) or low >= high:
        return {}
    share = (pl.col(target["name"]).cast(pl.Float64) - low) / (high - low)
    bins = (share * BINS).floor().clip(0, BINS - 1).cast(pl.Int64).alias("bin")
    counted = (
        source.frame.select(bins).drop_nulls().group_by("bin").len().collect(engine="streaming")
    )
    counts = [0] * BINS
    for where, rows in counted.iter_rows():
        counts[where] = rows
    return {"histogram": {"low": low, "high": high, "counts": counts}}


def _plain(value: Any) -> Any:
    """A value as JSON has it."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    return value if isinstance(value, int) or value is None else str(value)
