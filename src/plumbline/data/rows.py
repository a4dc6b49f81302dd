"""The data as every stage after validation reads them: typed rows in Parquet, and their schema.

Written once, by `validate`; no later stage knows how a cell is written in the file.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import polars as pl
import pyarrow.parquet as pq
import yaml

from plumbline.errors import DataError
from plumbline.files import read_json, write_json
from plumbline.kinds import ColumnType
from plumbline.manifest import MANIFEST
from plumbline.tables import Schema, Table, batches, rows_at_once

ROWS, ABOUT = "rows.parquet", "table.json"
IMAGE_NAMES = "image_names.parquet"  # of images: the files that they were, or their sizes
VERSION = "rows.json"  # in .plumbline/: which version of the data the rows were read from
HINT = "run `dvc repro validate`"
GROUPS_AT_ONCE = 8  # groups of rows that are read together


def write_rows(
    folder: Path, frame: pl.LazyFrame, schema: Schema, *, test_rows: int, max_memory_mb: int
) -> None:
    """Write typed rows into a folder that exists, in bounded memory.

    Args:
        frame: has the schema's columns in their types; the rows of the test file come last.
    """
    images = len(schema.of_type(ColumnType.IMAGE))
    own = frame.select(c.name for c in schema.columns)
    sink_rows(own, folder / ROWS, max_memory_mb, images)
    write_json(folder / ABOUT, {**schema.to_json(), "test_rows": test_rows})


def write_image_names(
    folder: Path, written: pl.LazyFrame, schema: Schema, *, max_memory_mb: int
) -> None:
    """Write what people know the images of the rows by, where columns hold images.

    Args:
        written: the cells as they are written, in the order of the rows.
    """
    if images := schema.of_type(ColumnType.IMAGE):
        sink_rows(written.select(images), folder / IMAGE_NAMES, max_memory_mb, len(images))


def image_names(folder: Path, column: str, rows: Sequence[int]) -> list[str | None]:
    """The names of the images of some rows; None: the cell is missing, or names are not known."""
    if not (folder / IMAGE_NAMES).is_file():
        return [None] * len(rows)
    names = pl.scan_parquet(folder / IMAGE_NAMES).select(column).collect()[column]
    return [names[row] for row in rows]


def data_version(root: Path) -> str | None:
    """DVC's hash of the data, out of data.dvc; None where there is none."""
    try:
        content = yaml.safe_load((root / "data.dvc").read_text(encoding="utf-8"))
        return str(content["outs"][0]["md5"])
    except (OSError, KeyError, IndexError, TypeError, yaml.YAMLError):
        return None


def note_version(table: Path, state: Path, version: str | None) -> None:
    """Note which version of the data the rows in `table` were read from; beside the outputs, as
    other versions may have the same rows."""
    write_json(state / VERSION, {"rows": _rows_hash(table), "data": version})


def version_of(table: Path, state: Path) -> str | None:
    """What `note_version` noted of these rows; None where it noted others, or nothing."""
    try:
        noted = read_json(state / VERSION)
        same = noted["rows"] == _rows_hash(table)
        return str(noted["data"]) if same and noted["data"] else None
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _rows_hash(table: Path) -> str:
    return str(read_json(table / MANIFEST)["files"][ROWS])


def sink_rows(
    frame: pl.LazyFrame,
    path: Path,
    max_memory_mb: int,
    images: int = 0,
    cells: Sequence[pl.Expr] = (),
) -> None:
    """Rows as Parquet, in order, in groups of one size: the same rows give the same bytes.

    Args:
        cells: what is written, computed of each piece once it was read. As a part of the query,
            and with polars' own writer, the engine would read ahead of them without bound.
    """
    columns = len(cells) or len(frame.collect_schema())
    size = rows_at_once(columns, max_memory_mb, images)
    nothing = pl.DataFrame(schema=frame.collect_schema())
    schema = (nothing.select(cells) if cells else nothing).to_arrow().schema
    with pq.ParquetWriter(path, schema, compression="zstd") as writer:
        for piece in batches(frame, size * (1 if images else GROUPS_AT_ONCE)):
            table = (piece.select(cells) if cells else piece).to_arrow()
            writer.write_table(table, row_group_size=size)


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
    limit_reading(len(schema.columns), max_memory_mb, len(schema.of_type(ColumnType.IMAGE)))
    return Table(frame=frame, rows=count, test_rows=test_rows), schema


def limit_reading(columns: int, max_memory_mb: int, images: int = 0) -> None:
    """Let polars read ahead no more than fits; holds for the process, which is one stage."""
    pl.Config.set_streaming_chunk_size(rows_at_once(columns, max_memory_mb, images))
