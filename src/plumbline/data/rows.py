"""The data as every stage after validation reads them: typed rows in Parquet, and their schema.

Written once, by `validate`; no later stage knows how a cell is written in the file.
"""

from __future__ import annotations

from pathlib import Path

import polars as pl

from plumbline.errors import DataError
from plumbline.files import read_json, write_json
from plumbline.tables import Schema, Table, rows_at_once

ROWS, ABOUT = "rows.parquet", "table.json"
HINT = "run `dvc repro validate`"


def write_rows(
    folder: Path, frame: pl.LazyFrame, schema: Schema, *, test_rows: int, max_memory_mb: int
) -> None:
    """Write typed rows into a folder that exists, in bounded memory.

    Args:
        frame: has the schema's columns in their types; the rows of the test file come last.
    """
    sink_rows(frame.select(c.name for c in schema.columns), folder / ROWS, max_memory_mb)
    write_json(folder / ABOUT, {**schema.to_json(), "test_rows": test_rows})


def sink_rows(frame: pl.LazyFrame, path: Path, max_memory_mb: int) -> None:
    """Rows as Parquet, in order, in groups of one size: the same rows give the same bytes."""
    columns = len(frame.collect_schema())
    size = rows_at_once(columns, max_memory_mb)
    frame.sink_parquet(path, compression="zstd", row_group_size=size, maintain_order=True)


def open_rows(folder: Path, max_memory_mb: int) -> tuple[Table, Schema]:
    """The rows that `write_rows` wrote, lazily, and their schema.

    Raises:
        DataError: a file is missing or broken.
    """
    about, rows = folder / ABOUT, folder / ROWS
    try:
        state = read_json(about)
        schema, test_rows = Schema.from_json(state), int(state["test_rows"])
    except FileNotFoundError:
        raise DataError("no such file", file=about, hint=HINT) from None
    except (ValueError, KeyError, TypeError):
        raise DataError("is not a description of the rows", file=about, hint=HINT) from None
    if not rows.is_file():
        raise DataError("no such file", file=rows, hint=HINT)
    frame = pl.scan_parquet(rows)
    try:
        count = int(frame.select(pl.len()).collect().item())
    except pl.exceptions.PolarsError as error:
        reason = str(error).strip().splitlines()[0]
        raise DataError(f"cannot be read: {reason}", file=rows, hint=HINT) from None
    limit_reading(len(schema.columns), max_memory_mb)
    return Table(frame=frame, rows=count, test_rows=test_rows), schema


def limit_reading(columns: int, max_memory_mb: int) -> None:
    """Let polars read ahead no more than fits; holds for the process, which is one stage."""
    pl.Config.set_streaming_chunk_size(rows_at_once(columns, max_memory_mb))
