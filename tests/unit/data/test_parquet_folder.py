"""A folder of Parquet files is one table, without what its writer left beside them."""

from __future__ import annotations

from pathlib import Path

import polars as pl
import pytest

from plumbline.commands.predict_files import list_files
from plumbline.config.data import FormatConfig
from plumbline.data.magic import FileKind, kind_of
from plumbline.data.options import ReadingOptions
from plumbline.data.read import scan
from plumbline.errors import DataError

PARQUET = FormatConfig(type="parquet")


def write(file: Path, value: int) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    pl.DataFrame({"x": [value]}).write_parquet(file)


def test_what_spark_leaves_is_no_data(tmp_path: Path) -> None:
    folder = tmp_path / "in"
    write(folder / "part-00001.snappy.parquet", 1)
    write(folder / "part-00000.snappy.parquet", 0)
    for aside in ("_temporary/0/half.parquet", ".hidden/a.parquet", "_meta.parquet", ".a.parquet"):
        write(folder / aside, 9)
    for name in ("_SUCCESS", "._SUCCESS.crc", ".part-00000.snappy.parquet.crc"):
        (folder / name).write_bytes(b"crc")
    (folder / "_temporary" / "0" / "cut.parquet").write_bytes(b"PAR1")
    assert scan(folder, PARQUET).collect()["x"].to_list() == [0, 1]
    assert list_files(folder).files == [folder]


def test_a_folder_of_a_job_that_is_not_done_holds_no_data(tmp_path: Path) -> None:
    write(tmp_path / "in" / "_temporary" / "0" / "half.parquet", 1)
    with pytest.raises(DataError, match=r"holds no \.parquet file"):
        kind_of(tmp_path / "in", ReadingOptions())
    with pytest.raises(DataError, match=r"holds no \.parquet file"):
        scan(tmp_path / "in", PARQUET)


def test_folders_that_name_values_are_columns_whatever_their_first_letter(tmp_path: Path) -> None:
    folder = tmp_path / "in"
    for day in (1, 2):
        write(folder / f"_day={day}" / "0.parquet", day)
        write(folder / f"_day={day}" / "_temporary" / "0.parquet", 9)
    assert kind_of(folder, ReadingOptions()) is FileKind.PARQUET
    assert scan(folder, PARQUET).collect().rows() == [(1, 1), (2, 2)]


def test_rows_keep_the_order_of_the_names(tmp_path: Path) -> None:
    names = ["a-b/0.parquet", "a.parquet", "a/0.parquet", "a0/9.parquet", "z.parquet"]
    for number in (3, 0, 4, 1, 2):
        write(tmp_path / names[number], number)
    assert scan(tmp_path, PARQUET).collect()["x"].to_list() == [0, 1, 2, 3, 4]
