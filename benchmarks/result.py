"""What a benchmark gives: tables, and figures held against what was promised."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Figure:
    """A measured number beside what it was to reach.

    `holds` is None where the figure is reported without a promise.
    """

    name: str
    reached: float
    unit: str
    target: str = ""
    holds: bool | None = None


def times(name: str, reached: float, least: float) -> Figure:
    """So many times the peer, at least `least`."""
    return Figure(
        name=name, reached=reached, unit="×", target=f"≥ {least:g} ×", holds=reached >= least
    )


@dataclass(frozen=True, kw_only=True)
class Table:
    """A titled table; cells are text."""

    title: str
    columns: Sequence[str]
    rows: Sequence[Sequence[str]]


@dataclass(frozen=True, kw_only=True)
class Result:
    """All that one benchmark module measured. `notes` say what a reader must know."""

    title: str
    figures: Sequence[Figure]
    tables: Sequence[Table] = ()
    notes: Sequence[str] = ()


def no_data(title: str) -> Result:
    """Of a benchmark on real data sets where there are none."""
    note = "not run: no real data sets at hand (set PLUMBLINE_TEST_DATA)"
    return Result(title=title, figures=[], notes=[note])


def together(title: str, parts: Sequence[Result]) -> Result:
    """What the parts of a benchmark measured, under one title."""
    return Result(
        title=title,
        figures=[figure for part in parts for figure in part.figures],
        tables=[table for part in parts for table in part.tables],
        notes=[note for part in parts for note in part.notes],
    )
