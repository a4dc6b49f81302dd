"""`plumbline retrain`: labeled rows of the log become a new data version, and the graph runs.

What was appended is noted by the keys of its rows. A note of what is about to be appended is
written before: a run that is killed between the two is finished by the next. Rows that fail a
critical expectation are noted as well, and looked at again once expectations.yaml is another.
"""

from __future__ import annotations

import datetime as dt
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import polars as pl

from plumbline.commands.data_lock import replacing_data
from plumbline.commands.data_versions import push_data
from plumbline.commands.ingest import ingest
from plumbline.commands.quarantine import Quarantine
from plumbline.commands.repro import repro
from plumbline.commands.warm import champion_number, check_settings
from plumbline.config import Config, Paths, load_config
from plumbline.data.load import load_expectations
from plumbline.data.read import open_table
from plumbline.errors import DataError, GateError
from plumbline.files import exclusive, new_file, sha256
from plumbline.monitoring.labeled_rows import as_data, choose_rows, labeled_rows, numbered
from plumbline.monitoring.log_reader import KEYS, words_of_unmatched
from plumbline.retraining_state import note_again, note_begun, note_outcome, read_state
from plumbline.stages import Report
from plumbline.tables import Column, Table

TAKEN, ASIDE = "appended.parquet", "put_aside.parquet"  # in the folder of the history
ROWS, PENDING = "labeled_rows.parquet", "pending.parquet"
LOCK, WHO = "retrain", "'plumbline retrain'"
KEY_TYPES = {"request_id": pl.String(), "row": pl.Int32()}
BY = "expectations"  # hash of the expectations.yaml that a row failed
MOST_BAD = 0.5  # share of the rows; where more fail, the expectations or the columns are at fault


@dataclass(frozen=True, kw_only=True)
class Appended:
    """Whether there is something to train on; `why` says it in words. `pushed` says whether the
    data are in DVC's remote, where they were to be sent there."""

    due: bool
    rows: int
    why: str
    report: Report | None = None
    pushed: str | None = None


def append_labeled(paths: Paths, *, now: bool = False, clock: float | None = None) -> Appended:
    """Append labeled rows of the log to the data, unless it is too early or there are too few.

    Args:
        now: whatever the cool-down says.
        clock: seconds since 1970; None: it is.

    Raises:
        DataError: the log lacks what a row of the data needs, or is broken.
        GateError: most rows fail a critical expectation.
        ParameterError: a second fit is wanted (retrain.warm), and could not be compared.
        StorageError: another retraining is under way, or something reads the data.
    """
    config = load_config(paths.params)
    check_settings(config)
    clock = time.time() if clock is None else clock
    with exclusive(paths.locks / LOCK, WHO):
        place = paths.root / config.monitor.folder
        again = note_again(place)
        until = None if again else _cool_until(place, config.retrain.cooldown_hours)
        if until is not None and clock < until and not now:
            moment = dt.datetime.fromtimestamp(until, dt.UTC)
            return Appended(
                due=False, rows=0, why=f"too early: not again before {moment:%Y-%m-%d %H:%M} UTC"
            )
        try:
            appended = _append(config, paths, place, clock)
        except (DataError, GateError) as error:
            note_outcome(place, "failed", str(error))
            raise
        if again and not appended.due:
            rows = read_state(place)["rows"]
            why = f"the last retraining was killed: {rows:,} rows of the log are part of the data"
            appended = Appended(due=True, rows=0, why=why)
        if appended.due and config.retrain.push:
            return replace(appended, pushed=push_data(paths.root))
        return appended


def _append(config: Config, paths: Paths, place: Path, clock: float) -> Appended:
    work = paths.state / "retrain"
    if (work / PENDING).exists():  # a killed run had begun with these
        return _appended(config, paths, place, clock, _ingest(paths, work, place))
    rows, unmatched = labeled_rows(paths.root / config.serve.log.folder)
    aside = _aside(place).filter(pl.col(BY) == sha256(paths.expectations)).select(KEYS)
    settled = pl.concat([_taken(place), aside])
    new = choose_rows(rows, settled, config.retrain, config.monitor, round(clock * 1e6))
    if len(new) < config.retrain.min_rows:
        return Appended(
            due=False,
            rows=0,
            why=f"too few: {len(new):,} labeled rows that the data have not, "
            f"{config.retrain.min_rows:,} wanted (retrain.min_rows){_left_out(len(aside))}"
            f"{_met_by_none(unmatched)}",
        )
    schema = load_expectations(paths.expectations, config.data).schema
    hidden = {*config.serve.log.mask, *config.serve.log.hash}
    largest = _largest(open_table(config.data, schema, paths.root), numbered(schema))
    _write(as_data(new, schema, hidden, largest), work / ROWS)
    _write(new.select(KEYS), work / PENDING)
    appended = _appended(config, paths, place, clock, _ingest(paths, work, place))
    return replace(appended, why=f"{appended.why}{_met_by_none(unmatched)}")


def _largest(table: Table, columns: Sequence[Column]) -> dict[str, Any]:
    if not columns:
        return {}
    query = table.frame.select(pl.col(c.name).max() for c in columns)
    return query.collect(engine="streaming").row(0, named=True)


def _left_out(rows: int) -> str:
    return f"; {rows:,} were left out: they fail expectations.yaml" if rows else ""


def _met_by_none(labels: int) -> str:
    return f"; {words_of_unmatched(labels)}" if labels else ""


def _ingest(paths: Paths, work: Path, place: Path) -> tuple[int, int, Report | None]:
    """Append what is pending but for bad rows, and note both; how many they are, and what `ingest`
    says."""
    keys = pl.read_parquet(work / PENDING)
    report: Report | None = None

    def leave_out(numbers: set[int]) -> None:
        others = _aside(place).join(keys, on=KEYS, how="anti", maintain_order="left")
        bad = keys[sorted(numbers)].with_columns(pl.lit(sha256(paths.expectations)).alias(BY))
        if len(others) + len(bad) or (place / ASIDE).exists():
            _write(pl.concat([others, bad]), place / ASIDE)

    quarantine = Quarantine(
        most=MOST_BAD,
        fix="If they are right, let columns.{column} in expectations.yaml allow them",
        otherwise="then run `plumbline retrain` again; if not, see what asks the service and "
        f"labels its rows: they are left out where they are at most {MOST_BAD:.0%}",
        before_appending=leave_out,
    )
    try:
        with replacing_data(paths, WHO):
            report = ingest(work / ROWS, paths, quarantine=quarantine)
    except DataError as error:
        if "holds no new row" not in error.what:
            (work / PENDING).unlink()  # nothing was appended: the next run chooses anew
            raise
    except GateError:
        (work / PENDING).unlink()
        raise
    good = keys.join(_aside(place), on=KEYS, how="anti", maintain_order="left")
    _write(pl.concat([_taken(place), good]), place / TAKEN)
    (work / PENDING).unlink()
    return len(good), len(keys) - len(good), report


def _appended(
    config: Config, paths: Paths, place: Path, clock: float, done: tuple[int, int, Report | None]
) -> Appended:
    rows, bad, report = done
    begun = dt.datetime.fromtimestamp(clock, dt.UTC).isoformat(timespec="seconds")
    champion = champion_number(config, paths) if config.retrain.warm else None
    note_begun(place, begun, rows, config.retrain.rows, champion)
    why = f"{rows:,} rows of the log are part of the data now"
    if report is None:
        why = f"the data have the {rows:,} labeled rows of the log already"
    return Appended(due=True, rows=rows, why=f"{why}{_left_out(bad)}", report=report)


def _write(frame: pl.DataFrame, path: Path) -> None:
    with new_file(path) as temporary:
        frame.write_parquet(temporary, compression="zstd")


def _taken(place: Path) -> pl.DataFrame:
    """Keys of the rows that were appended before."""
    return _noted(place / TAKEN, KEY_TYPES)


def _aside(place: Path) -> pl.DataFrame:
    """Keys of the rows that failed an expectation, and of which expectations.yaml."""
    return _noted(place / ASIDE, {**KEY_TYPES, BY: pl.String()})


def _noted(file: Path, types: Mapping[str, pl.DataType]) -> pl.DataFrame:
    if not file.exists():
        return pl.DataFrame(schema=types)
    try:
        return pl.read_parquet(file).select(pl.col(n).cast(t) for n, t in types.items())
    except (pl.exceptions.PolarsError, OSError) as error:
        raise DataError(
            f"cannot be read: {error}",
            file=file,
            hint="move the file away; rows of the log that the data have may be appended again",
        ) from None


def _cool_until(place: Path, hours: float) -> float | None:
    """When the next may begin, in seconds since 1970; a failed one cools down as well."""
    try:
        begun = dt.datetime.fromisoformat(read_state(place)["begun"])
    except (KeyError, TypeError, ValueError):
        return None
    return begun.timestamp() + hours * 3600


def run_graph(paths: Paths) -> int:
    """Run the graph on what was appended; returns the exit code of the stage that failed.

    Raises:
        StorageError: DVC itself failed.
    """
    place = paths.root / load_config(paths.params).monitor.folder
    with exclusive(paths.locks / LOCK, WHO):
        try:
            code = repro(paths.root, [], force=False)
        except Exception as error:
            note_outcome(place, "failed", str(error))
            raise
        message = f"a stage ended with {code}" if code else ""
        note_outcome(place, "failed" if code else "done", message)
    return code
