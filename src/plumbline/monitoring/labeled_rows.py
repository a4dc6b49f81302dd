"""Labeled rows of the log, as rows of the training data."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Collection, Mapping
from pathlib import Path

import polars as pl

from plumbline.config.monitor import MonitorConfig
from plumbline.config.retrain import RetrainConfig
from plumbline.errors import DataError
from plumbline.kinds import ColumnType, Role
from plumbline.monitoring.log_reader import KEYS, LABEL, log_files, read_labels, read_log_file
from plumbline.monitoring.windows import HOUR
from plumbline.serving.log_lines import INPUT
from plumbline.serving.request_log import REQUESTS
from plumbline.tables import Column, Schema

TIME = "time"
# up to which every whole number is a value of its own
LAST_NUMBER = {ColumnType.INTEGER: 2**63 - 1, ColumnType.NUMBER: 2**53}


def labeled_rows(folder: Path) -> tuple[pl.DataFrame, int]:
    """Every row of the log that has a label, whichever version answered: keys, time, inputs and
    label; the oldest first. And how many labels meet no row.

    Raises:
        DataError: a file is broken; names it.
    """
    labels = read_labels(folder).select(*KEYS, LABEL)
    frames = []
    for path in log_files(folder / REQUESTS) if len(labels) else []:
        rows = read_log_file(path, None)
        if rows is not None:
            names = [*KEYS, TIME, *(n for n in rows.columns if n.startswith(INPUT))]
            frames.append(rows.select(names).join(labels, on=KEYS, maintain_order="left"))
    if not frames:
        return pl.DataFrame(schema={"request_id": pl.String(), "row": pl.Int32()}), len(labels)
    rows = pl.concat(frames, how="diagonal_relaxed").sort(TIME, *KEYS)
    return rows, len(labels.join(rows, on=KEYS, how="anti"))


def choose_rows(
    rows: pl.DataFrame, taken: pl.DataFrame, config: RetrainConfig, monitor: MonitorConfig, now: int
) -> pl.DataFrame:
    """Those that are to be appended.

    Args:
        rows: see `labeled_rows`.
        taken: keys of those that were appended before.
        now: in microseconds since 1970.
    """
    if not len(rows):
        return rows
    if config.rows == "reservoir":
        rows = _reservoir(rows, config.max_rows)
    elif config.rows == "window" and monitor.window_rows is not None:
        rows = rows.tail(config.windows * monitor.window_rows)
    elif config.rows == "window":
        since = now - round(config.windows * monitor.window_hours * HOUR)
        rows = rows.filter(pl.col(TIME).cast(pl.Int64) >= since)
    new = rows.join(taken, on=KEYS, how="anti", maintain_order="left")
    return new.tail(config.max_rows)


def as_data(
    rows: pl.DataFrame, schema: Schema, hidden: Collection[str], largest: Mapping[str, float | None]
) -> pl.DataFrame:
    """Rows with the columns of the data, typed, as a file to append; classes as text.

    Args:
        schema: of the data.
        hidden: columns that the log masks or hashes.
        largest: of each of `numbered`, the largest value of the data; None where there is none.

    Raises:
        DataError: a column cannot be had from the log; names it.
    """
    own = {
        c.name: _numbers(c, largest[c.name], len(rows))
        for c in numbered(schema)
        if f"{INPUT}{c.name}" not in rows.columns
    }
    frame = rows.select(
        own[c.name] if c.name in own else _column(c, rows.columns, hidden) for c in schema.columns
    )
    # a class is text, read like a cell; a value is a number whatever its column's format is
    return frame if schema.classes else frame.cast({schema.target: pl.Float64()})


def numbered(schema: Schema) -> list[Column]:
    """Identifiers that are numbers: those of new rows follow the largest of the data."""
    return [c for c in schema.columns if c.role is Role.ID and c.type in LAST_NUMBER]


def _numbers(column: Column, largest: float | None, rows: int) -> pl.Series:
    first = 0 if largest is None else math.floor(largest) + 1
    if first + rows > LAST_NUMBER[column.type]:
        raise _lacking(column.name, f"no number follows {first - 1}, the largest of the data")
    return pl.Series(column.name, range(first, first + rows), dtype=pl.Int64).cast(column.dtype)


def _column(column: Column, logged: Collection[str], hidden: Collection[str]) -> pl.Expr:
    name, source = column.name, f"{INPUT}{column.name}"
    if column.role is Role.TARGET:
        return pl.col(LABEL).alias(name)
    if source in logged:
        if column.type is ColumnType.IMAGE:
            raise _lacking(name, "it has the hashes of images only")
        if name in hidden:
            raise _lacking(name, "serve.log masks or hashes it")
        return pl.col(source).cast(column.dtype, strict=False).alias(name)
    if column.role is Role.ID and column.dtype == pl.String:
        return pl.concat_str(KEYS, separator="-").alias(name)
    if column.role is Role.TIME and column.type is ColumnType.DATE:
        return pl.col(TIME).alias(name)
    if column.role in (Role.GROUP, Role.TIME, Role.SPLIT):
        raise _lacking(name, f"the model does not read it, and it is the {column.role} of the rows")
    return pl.lit(None, column.dtype).alias(name)


def _lacking(name: str, why: str) -> DataError:
    return DataError(
        f"rows of the service's log cannot become training rows: {why}",
        where=f"column '{name}'",
        hint="append rows from where they come from, with `plumbline ingest`",
    )


def _reservoir(rows: pl.DataFrame, size: int) -> pl.DataFrame:
    """A uniform sample that changes little as rows come: the rows of the lowest hashes."""
    keys = rows.select(pl.concat_str(KEYS, separator="-")).to_series()
    digests = [hashlib.blake2b(key.encode(), digest_size=8).hexdigest() for key in keys]
    ranks = pl.Series(digests).rank("ordinal")
    return rows.filter(ranks <= size)
