"""Expectations that the data at hand meet, with tolerance for data to come."""

from __future__ import annotations

import math
import re
from dataclasses import replace
from typing import Any

import polars as pl

from plumbline.cells import typed
from plumbline.data.choose import LISTED_VALUES
from plumbline.data.expectations import (
    ColumnExpectations,
    Expectations,
    Flag,
    LargestShare,
    Length,
    Missing,
    Pattern,
    Range,
    Rule,
    Values,
)
from plumbline.data.profile import ColumnProfile
from plumbline.data.text_profile import TextProfile
from plumbline.kinds import NUMERIC, ORDERED, TEXTUAL, ColumnType, Role
from plumbline.tables import CellFormat

GARBLED = 0.01  # share of texts, where none is
SPANS, TARGET_SPANS = 0.5, 10.0  # on either side of what is there; targets grow, and are retrained
FEW_ROWS = 20  # fewer say nothing about rows to come
OPPOSITES = (("max", "min"), ("end", "start"), ("high", "low"), ("worst", "mean"), ("to", "from"))


def expect(
    profile: ColumnProfile,
    kind: ColumnType,
    role: Role,
    classes: tuple[str, ...],
    words: tuple[str, ...],
) -> ColumnExpectations:
    """The expectations of one column; `words` mean a missing cell in every column."""
    share = profile.missing / max(profile.rows, 1)
    is_target = role is Role.TARGET
    values = classes if is_target and classes else profile.values
    listed = kind is ColumnType.CATEGORY and (
        bool(classes) if is_target else 0 < profile.distinct <= LISTED_VALUES
    )
    return ColumnExpectations(
        type=kind,
        role=role,
        format=_format(profile, kind, words),
        missing=Missing(
            max=0.0 if is_target and not share else _tolerance_share(share),
            severity="critical" if is_target else "warning",
        ),
        range=_range(profile, kind, role),
        values=Values(only=list(values), severity="critical" if is_target else "warning")
        if listed
        else None,
        unique=Flag() if role is Role.ID and profile.distinct == profile.there else None,
        increasing=Flag() if role is Role.TIME and profile.increasing else None,
        pattern=Pattern(regex=profile.regex)
        if profile.regex and kind in TEXTUAL and not is_target
        else None,
        **(_of_texts(profile.text) if profile.text is not None else {}),
    )


def _of_texts(text: TextProfile) -> dict[str, Any]:
    """Lengths with the tolerance of a range, shares with that of missing cells."""
    wide = limits(text.shortest, text.longest)
    assert wide.min is not None and wide.max is not None
    return {
        "length": Length(min=math.floor(wide.min), max=math.ceil(wide.max)),
        "garbled": LargestShare(max=_tolerance_share(text.garbled, GARBLED)),
        "repeated": LargestShare(max=_tolerance_share(text.repeated)),
    }


def _format(profile: ColumnProfile, kind: ColumnType, words: tuple[str, ...]) -> CellFormat | None:
    form = profile.reading.format
    if kind is not profile.reading.type:  # classes and texts are read as they stand
        form = CellFormat(missing=form.missing)
    if form.missing == words:
        form = replace(form, missing=None)
    return form if form.to_json() else None


def _range(profile: ColumnProfile, kind: ColumnType, role: Role) -> Range | None:
    """None where new rows will have values beyond those of today: ids, counters, times."""
    if kind not in NUMERIC or profile.low is None or profile.high is None:
        return None
    unique = kind is ColumnType.INTEGER and profile.distinct == profile.there >= FEW_ROWS
    grows = role is not Role.TARGET and (unique or profile.increasing)
    if grows or role in (Role.ID, Role.TIME):
        return None
    return limits(profile.low, profile.high, role)


def _tolerance_share(share: float, of_none: float = 0.05) -> float:
    return of_none if share == 0 else min(1.0, math.ceil((share * 1.5 + 0.02) * 100) / 100)


def limits(low: float, high: float, role: Role = Role.FEATURE) -> Range:
    """Half the span on either side, of a target ten: one that outgrew its range would stop the
    retraining that it calls for. What is never negative stays so."""
    spans = TARGET_SPANS if role is Role.TARGET else SPANS
    tolerance = (high - low) * spans or abs(high) * spans or 2 * spans
    bottom = 0.0 if low >= 0 and low - tolerance < 0 else _outward(low - tolerance, down=True)
    return Range(min=bottom, max=_outward(high + tolerance, down=False))


def _outward(value: float, *, down: bool) -> float:
    """Rounded to three figures, away from the data."""
    if value == 0:
        return 0.0
    unit = 10.0 ** (math.floor(math.log10(abs(value))) - 2)
    steps = math.floor(value / unit) if down else math.ceil(value / unit)
    return float(f"{steps * unit:.6g}")


def rules(raw: pl.LazyFrame, expectations: Expectations) -> list[Rule]:
    """Pairs whose names are opposites (end and start, max and min) that hold in all rows."""
    columns = expectations.columns
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
                    or {columns[other].type, column.type} <= set(NUMERIC)
                )
                if same and column.type in ORDERED:
                    pairs.append((name, other))
    if not pairs:
        return []
    schema, own = raw.collect_schema(), {c.name: c for c in expectations.schema.columns}
    read = {n: typed(own[n], schema[n]) for pair in pairs for n in pair}
    expressions = []
    for i, (left, right) in enumerate(pairs):
        expressions.append((read[left] >= read[right]).sum().alias(f"{i}.held"))
        expressions.append((read[left] < read[right]).sum().alias(f"{i}.broken"))
    shares = raw.select(expressions).collect(engine="streaming").row(0, named=True)
    return [
        Rule(left=left, right=right)
        for i, (left, right) in enumerate(pairs)
        if shares[f"{i}.broken"] == 0 and shares[f"{i}.held"] >= FEW_ROWS
    ]
