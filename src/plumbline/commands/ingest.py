"""`plumbline ingest FILE`: new rows become a new version of the data, or nothing changes.

The rows are held against expectations.yaml; bad ones stop the command, or go aside with
`--quarantine`. The data file is replaced whole. A note of what is about to happen is written
first: a run that is killed is finished, or undone, by the next, and no row is appended twice.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl

from plumbline.commands.append import append_rows
from plumbline.commands.data_versions import add_data
from plumbline.commands.glance import Glance, glance
from plumbline.commands.quarantine import STOP, Failed, Quarantine, identity, put_aside
from plumbline.config import Paths, load_config
from plumbline.config.data import DataConfig
from plumbline.data.canonical import Canonical, make_canonical
from plumbline.data.checks import CheckResult, run_checks, sentence, with_helpers
from plumbline.data.column_checks import checks_of
from plumbline.data.expectations import Expectations
from plumbline.data.load import load_expectations
from plumbline.data.options import ReadingOptions
from plumbline.data.read import open_table
from plumbline.data.source import ROW, Source, open_source
from plumbline.errors import DataError
from plumbline.evaluation.psi import LITTLE, MUCH
from plumbline.files import read_json, sha256, write_json
from plumbline.kinds import ColumnType
from plumbline.stages import Report
from plumbline.tables import Schema, Table

TELLING = 100  # of fewer new rows the index is mostly noise
SHOWN = 8


@dataclass(frozen=True, kw_only=True)
class Incoming:
    """The new rows as read; `bad` are the numbers of those that fail a critical expectation."""

    table: Canonical
    source: Source
    failed: list[CheckResult]
    bad: set[int]

    def good(self, schema: Schema) -> tuple[pl.DataFrame, pl.DataFrame]:
        """The other rows, typed; and their columns of texts and images as they are written."""
        names = [c.name for c in schema.columns]
        texts = [name for name in names if name in self.source.texts | self.source.images]
        return self._others(self.source.frame, names), self._others(self.source.written, texts)

    def _others(self, frame: pl.LazyFrame, names: list[str]) -> pl.DataFrame:
        numbered = frame.with_row_index(ROW)
        return numbered.filter(~pl.col(ROW).is_in(sorted(self.bad))).select(names).collect()


def ingest(
    file: Path,
    paths: Paths,
    *,
    quarantine: Quarantine = STOP,
    again: bool = False,
    reading: ReadingOptions | None = None,
) -> Report:
    """Append the rows of a file to the data, as a new DVC version.

    Args:
        reading: how the file is laid out; what is left out is found out.
        quarantine: what becomes of bad rows.
        again: append rows that the data already hold.

    Raises:
        DataError: the file cannot be read, lacks a column, or holds nothing new.
        GateError: rows fail a critical expectation.
        StorageError: DVC refused.
    """
    config = load_config(paths.params).data
    expectations = load_expectations(paths.expectations, config)
    note = paths.state / "ingest" / "pending.json"
    place = paths.root / config.path
    if _finish(note, place, file, paths):
        return Report(
            rows=[("finished", f"an earlier run had appended {file.name}; its version is complete")]
        )
    before = open_table(config, expectations.schema, paths.root)
    incoming = _inspect(file, config, expectations, paths, reading)
    failed = Failed(file=file, source=incoming.source, outcomes=incoming.failed, rows=incoming.bad)
    aside = put_aside(failed, paths, quarantine)
    rows, cells = incoming.good(expectations.schema)
    known = _known(rows, before)
    if len(rows) == 0 or (known == len(rows) and not again):
        raise DataError(
            "holds no new row" + (": the data have them all" if len(rows) else ""),
            file=file.name,
            hint="nothing is left to do; pass --again to append them once more"
            if rows.height
            else None,
        )
    shift = glance(before, rows, expectations.schema)
    change = {
        "file": identity(file),
        "before": identity(place),
        "rows": before.rows - before.test_rows,
        "added": len(rows),
    }

    def remember(built: Path) -> None:
        after = built.name if place.is_dir() else sha256(built)
        write_json(note, {**change, "after": after})

    append_rows(place, rows, cells, expectations.schema, config.format, remember)
    add_data(paths.root)
    note.unlink()
    return _report(change, known, aside, incoming, shift, paths)


def _finish(note: Path, place: Path, file: Path, paths: Paths) -> bool:
    """End what a killed run began; says whether it was this file's rows, all appended."""
    if not note.exists():
        return False
    pending = read_json(note)
    done = (
        (place / pending["after"]).exists()
        if place.is_dir()
        else (place.exists() and sha256(place) == pending["after"])
    )
    if done:
        add_data(paths.root)
    note.unlink()
    return bool(done and file.exists() and pending["file"] == identity(file))


def _inspect(
    file: Path,
    config: DataConfig,
    expectations: Expectations,
    paths: Paths,
    reading: ReadingOptions | None,
) -> Incoming:
    """Hold the new rows against the expectations. The file's layout is its own; its cells are
    read as those of the data are."""
    table = make_canonical(
        file.resolve(),
        paths.state / "ingest",
        reading,
        names=[c.name for c in expectations.schema.columns],
        like=config.format,
        columns=expectations.schema.columns,
        images=expectations.schema.of_type(ColumnType.IMAGE),
        max_memory_mb=config.max_memory_mb,
    )
    if table.test is not None:
        raise DataError(
            "has a test part, and new rows go into the data alone",
            file=file.name,
            wanted="CLASS/*",
            hint="name the folder in it that holds the new images to train on",
        )
    form = dataclasses.replace(config.format, type=table.form.type, separator=table.form.separator)
    own = dataclasses.replace(config, path=str(table.path), test_path=None, format=form)
    source = open_source(own, expectations.schema, file.parent, shown=file.name)
    outcomes = run_checks(
        checks_of(expectations, source), source, max_memory_mb=config.max_memory_mb
    )
    failed = [o for o in outcomes if not o.success]
    bad: set[int] = set()
    for outcome in failed:
        if outcome.severity == "critical" and outcome.check is not None:
            rows = (
                with_helpers(source.frame, [outcome.check])
                .with_row_index(ROW)
                .filter(outcome.check.broken)
                .select(ROW)
                .collect(engine="streaming")
            )
            bad |= set(rows[ROW].to_list())
    return Incoming(table=table, source=source, failed=failed, bad=bad)


def _known(rows: pl.DataFrame, before: Table) -> int:
    """How many of the new rows the data already hold, cell by cell."""
    names = rows.columns
    types = before.frame.collect_schema()
    key = pl.struct(pl.col(n).cast(types[n]) for n in names).hash(seed=0).alias("key")
    mine = rows.select(key)
    theirs = before.frame.select(key).unique().collect(engine="streaming")
    return len(mine.join(theirs, on="key", how="semi"))


def _report(
    change: dict[str, Any],
    known: int,
    aside: Path | None,
    incoming: Incoming,
    shift: Glance,
    paths: Paths,
) -> Report:
    rows = [
        ("read as", incoming.table.words),
        *(("note", note) for note in incoming.table.notes),
        (
            "rows",
            f"{change['rows']:,} + {change['added']:,} = {change['rows'] + change['added']:,}",
        ),
        ("version", "data.dvc (commit it with git; `dvc push` sends the rows)"),
    ]
    foreign = [n for n in incoming.source.names if n not in incoming.source.unreadable]
    if foreign:
        listed = ", ".join(foreign[:SHOWN]) + (" …" if len(foreign) > SHOWN else "")
        rows.append(("left out", f"what the data have no column for: {listed}"))
    if known:
        rows.append(("known", f"{known:,} of the new rows equal earlier ones"))
    if aside is not None:
        place = aside.relative_to(paths.root)
        rows.append(("quarantine", f"{len(incoming.bad):,} rows in {place}"))
    rows += [
        ("warning", f"{o.column}: {sentence(o)}")
        for o in incoming.failed
        if o.severity == "warning"
    ]
    rows += [("warning", f"{name}: {words}") for name, words in shift.odd.items()]
    moved = [(name, value) for name, value in shift.moved if value >= LITTLE]
    if change["added"] < TELLING:
        moved = []
        rows.append(("drift", f"fewer than {TELLING} new rows do not tell"))
    else:
        rows.append(("drift", f"{len(moved)} of {len(shift.moved)} columns moved (PSI ≥ {LITTLE})"))
    for name, value in moved[:SHOWN]:
        rows.append((f"  {name}", f"{value:.2f} {'much' if value >= MUCH else 'some'}"))
    rows.append(("next", "plumbline repro"))
    return Report(rows=rows, outputs=[paths.root / "data.dvc"])
