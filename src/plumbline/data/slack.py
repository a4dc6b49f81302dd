"""Expectations that the data at hand meet, with slack for data to come."""

from __future__ import annotations

import math
import re

import polars as pl

from plumbline.config.data import FormatConfig
from plumbline.data.cells import READERS
from plumbline.data.expectations import (
    ColumnExpectations,
    Flag,
    Missing,
    Pattern,
    Range,
    Rule,
    Values,
)
from plumbline.data.look import Seen
from plumbline.kinds import ColumnType, Role

LISTED_VALUES = 50  # categories of more values are not listed in expectations.yaml
OPPOSITES = (("max", "min"), ("end", "start"), ("high", "low"), ("worst", "mean"), ("to", "from"))


def expect(
    seen: Seen, kind: ColumnType, role: Role, classes: tuple[str, ...]
) -> ColumnExpectations:
    """The expectations of one column."""
    numeric = kind in (ColumnType.NUMBER, ColumnType.INTEGER)
    share = seen.missing / max(seen.rows, 1)
    is_target = role is Role.TARGET
    values = classes if is_target and classes else seen.values
    listed = kind is ColumnType.CATEGORY and (
        bool(classes) if is_target else 0 < seen.distinct <= LISTED_VALUES
    )
    return ColumnExpectations(
        type=kind,
        role=role,
        missing=Missing(max=0.0, severity="critical")
        if is_target
        else Missing(max=_slack_share(share), severity="warning"),
        range=_range(seen.low, seen.high) if numeric and seen.low is not None else None,
        values=Values(only=list(values), severity="critical" if is_target else "warning")
        if listed
        else None,
        unique=Flag() if role is Role.ID and seen.distinct == seen.there else None,
        increasing=Flag() if role is Role.TIME and seen.increasing else None,
        pattern=Pattern(regex=seen.regex)
        if seen.regex and kind is ColumnType.TEXT and not is_target
        else None,
    )


def _slack_share(share: float) -> float:
    return 0.05 if share == 0 else min(1.0, math.ceil((share * 1.5 + 0.02) * 100) / 100)


def _range(low: float | None, high: float | None) -> Range:
    """Half the span on either side; what is never negative stays so."""
    assert low is not None and high is not None
    slack = (high - low) / 2 or abs(high) / 2 or 1.0
    bottom = 0.0 if low >= 0 and low - slack < 0 else _outward(low - slack, down=True)
    return Range(min=bottom, max=_outward(high + slack, down=False))


def _outward(value: float, *, down: bool) -> float:
    """Rounded to three figures, away from the data."""
    if value == 0:
        return 0.0
    unit = 10.0 ** (math.floor(math.log10(abs(value))) - 2)
    steps = math.floor(value / unit) if down else math.ceil(value / unit)
    return float(f"{steps * unit:.6g}")


def rules(raw: pl.LazyFrame, columns: dict[str, ColumnExpectations]) -> list[Rule]:
    """Pairs whose names are opposites (end and start, max and min) and that hold in all rows."""
    number = (ColumnType.NUMBER, ColumnType.INTEGER)
    pairs = []
    for name, column in columns.items():
        for upper, lower in OPPOSITES:
            words = re.split(r"([_\s.-])", name)
            for i, word in enumerate(words):
                if word.lower() != upper:
                    continue
                other = "".join([*words[:i], lower, *words[i + 1 :]])
                same = other in columns and (
                    columns[other].type is column.type
                    or {columns[other].type, column.type} <= set(number)
                )
                if same and column.type in (*number, ColumnType.DATE):
                    pairs.append((name, other))
    if not pairs:
        return []
    schema, form = raw.collect_schema(), FormatConfig()
    read = {n: READERS[columns[n].type](n, schema[n], form) for pair in pairs for n in pair}
    broken = raw.select(
        (read[left] < read[right]).sum().alias(str(i)) for i, (left, right) in enumerate(pairs)
    ).collect(engine="streaming")
    return [
        Rule(left=left, right=right)
        for i, (left, right) in enumerate(pairs)
        if broken[str(i)][0] == 0
    ]
