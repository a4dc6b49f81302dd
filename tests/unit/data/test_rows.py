"""Typed rows, written once: what is read is what was parsed, in order, the same bytes twice."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

import polars as pl
import pytest
from polars.testing import assert_frame_equal

from plumbline.data.rows import ABOUT, ROWS, open_rows, write_rows
from plumbline.errors import DataError
from plumbline.kinds import ColumnType, Role, Task
from plumbline.tables import CellFormat, Column, Schema

COUNT = 3000
SCHEMA = Schema(
    columns=(
        Column(name="x", type=ColumnType.NUMBER, format=CellFormat(decimal=",", unit="kg")),
        Column(name="数", type=ColumnType.INTEGER),
        Column(name="when", type=ColumnType.DATE, role=Role.TIME),
        Column(name="ok", type=ColumnType.BOOLEAN),
        Column(name="y", type=ColumnType.CATEGORY, role=Role.TARGET, labels=("no", "yes")),
    ),
    task=Task.BINARY,
    classes=("no", "yes"),
)


def frame() -> pl.DataFrame:
    n = range(COUNT)
    return pl.DataFrame(
        {
            "x": [None if i % 7 == 0 else i / 3 for i in n],
            "数": list(n),
            "when": [datetime(2024, 1, 1, i % 24) for i in n],
            "ok": [i % 2 == 0 for i in n],
            "y": ["yes" if i % 3 else "no" for i in n],
        },
        schema={c.name: c.dtype for c in SCHEMA.columns},
    )


def write(folder: Path, rows: pl.DataFrame) -> None:
    folder.mkdir(exist_ok=True)
    write_rows(folder, rows.lazy(), SCHEMA, test_rows=100, max_memory_mb=1)


def test_what_is_read_is_what_was_written(tmp_path: Path) -> None:
    rows = frame()
    write(tmp_path, rows.with_columns(more=1))  # what nobody described is left out
    table, schema = open_rows(tmp_path, 1)
    assert schema == SCHEMA
    assert (table.rows, table.test_rows) == (COUNT, 100)
    assert_frame_equal(table.frame.collect(engine="streaming"), rows)


def test_the_same_rows_give_the_same_bytes(tmp_path: Path) -> None:
    for name in ("one", "other"):
        write(tmp_path / name, frame())
    for name in (ROWS, ABOUT):
        one, other = ((tmp_path / folder / name).read_bytes() for folder in ("one", "other"))
        assert one == other


def test_rows_come_in_groups_within_memory(tmp_path: Path) -> None:
    write(tmp_path, frame())
    groups = pl.read_parquet_metadata(tmp_path / ROWS)
    assert groups is not None
    pieces = pl.scan_parquet(tmp_path / ROWS).collect(engine="streaming").n_chunks()
    assert pieces > 1


@pytest.mark.parametrize("name", [ROWS, ABOUT])
@pytest.mark.parametrize("damage", ["gone", "cut", "empty"])
def test_a_broken_file_is_named_with_the_way_to_make_it_again(
    tmp_path: Path, name: str, damage: str
) -> None:
    write(tmp_path, frame())
    file = tmp_path / name
    content = file.read_bytes()
    file.unlink()
    if damage != "gone":
        file.write_bytes(b"" if damage == "empty" else content[: len(content) // 2])
    with pytest.raises(DataError, match=rf"{name}.*dvc repro validate"):
        open_rows(tmp_path, 1)
