"""Rows that fail a critical expectation, in `.plumbline/quarantine/` with their reasons: they stop
the command, or stay there while the others are appended."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from plumbline.cells import KINDS
from plumbline.config import Paths
from plumbline.data.checks import CheckResult, failing_rows, sentence
from plumbline.data.source import ROW, Source
from plumbline.errors import GateError
from plumbline.files import new_file, sha256
from plumbline.kinds import ColumnType
from plumbline.tables import internal

NAMED = 3  # expectations that a refusal names, those that most rows fail


@dataclass(frozen=True, kw_only=True)
class Quarantine:
    """What becomes of bad rows.

    Attributes:
        most: the share of the rows that may go aside; more stop the command.
        fix: what helps against them, where no range is too narrow; has the place of `column`.
        otherwise: what else helps.
        before_appending: is given the numbers of the bad rows.
    """

    most: float = 0.0
    fix: str = "Write them as the data are written (expectations.yaml says how)"
    otherwise: str = "or pass --quarantine to append the others"
    before_appending: Callable[[set[int]], None] | None = None


STOP, ASIDE = Quarantine(), Quarantine(most=1.0)


@dataclass(frozen=True, kw_only=True)
class Failed:
    """The numbers of the bad rows of a file, and the expectations that rows fail."""

    file: Path
    source: Source
    outcomes: list[CheckResult]
    rows: set[int]


def identity(path: Path) -> str:
    """The hash of a file; of a folder, of the names and sizes in it."""
    if path.is_file():
        return sha256(path)
    listed = sorted(
        (p.relative_to(path).as_posix(), p.stat().st_size) for p in path.rglob("*") if p.is_file()
    )
    return hashlib.sha256(repr(listed).encode("utf-8", "surrogateescape")).hexdigest()


def put_aside(failed: Failed, paths: Paths, quarantine: Quarantine) -> Path | None:
    """Write the bad rows with their reasons, if there are any; where.

    Raises:
        GateError: they are more than may go aside.
    """
    if not failed.rows:
        if quarantine.before_appending is not None:
            quarantine.before_appending(set())
        return None
    file, source = failed.file, failed.source
    place = paths.state / "quarantine" / f"{file.name.split('.')[0]}-{identity(file)[:12]}.csv"
    critical = [o for o in failed.outcomes if o.severity == "critical"]
    listed = failing_rows(critical, source, len(failed.rows))
    _write(failed, listed, place)
    if len(failed.rows) > quarantine.most * source.rows:
        most = sorted(critical, key=lambda o: -o.unexpected)
        named = [f"column '{o.column}': {sentence(o)}{_example(o, listed)}" for o in most[:NAMED]]
        more = f"; and {len(most) - NAMED} more" if len(most) > NAMED else ""
        raise GateError(
            f"{file.name}: {len(failed.rows)} of {source.rows} rows fail a critical "
            f"expectation ({'; '.join(named)}{more}).",
            report=place.relative_to(paths.root),
            hint=f"{_fix(most[0], quarantine)}, {quarantine.otherwise}",
        )
    if quarantine.before_appending is not None:
        quarantine.before_appending(failed.rows)
    return place


def _write(failed: Failed, listed: pl.DataFrame, place: Path) -> None:
    written = failed.source.written
    names = written.collect_schema().names()
    number, why = (_free(name, names) for name in ("row", "reason"))
    reasons = listed.group_by(pl.col("row").alias(ROW)).agg(
        (pl.col("column") + ": " + pl.col("expectation")).str.join("; ").alias(internal("why"))
    )
    rows = (
        written.with_row_index(ROW)
        .filter(pl.col(ROW).is_in(sorted(failed.rows)))
        .collect()
        .join(reasons, on=ROW, how="left", maintain_order="left")
        .rename({ROW: number, internal("why"): why})
    )
    with new_file(place) as temporary:
        rows.write_csv(temporary)


def _fix(outcome: CheckResult, quarantine: Quarantine) -> str:
    if outcome.is_range:
        return f"If they are right, widen columns.{outcome.column}.range in expectations.yaml"
    if outcome.problem.endswith(KINDS[ColumnType.IMAGE]):
        return "Replace these images (paths start in the new file's folder), or clear the cells"
    return quarantine.fix.format(column=outcome.column)


def _example(outcome: CheckResult, listed: pl.DataFrame) -> str:
    own = listed.filter(
        (pl.col("column") == outcome.column) & (pl.col("expectation") == outcome.expectation)
    )["value"].drop_nulls()
    return f", first {own[0]!r}" if len(own) else ""


def _free(name: str, taken: list[str]) -> str:
    """A name for a column beside others."""
    while name in taken:
        name += "_"
    return name
