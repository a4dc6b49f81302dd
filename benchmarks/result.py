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
