"""Rows of a table by number, and batches of one size, from every kind of file."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from plumbline.config.data import DataConfig, NormalizeConfig
from plumbline.data.read import open_table
from plumbline.kinds import ColumnType, Role, Task
from plumbline.preprocessing.frames import take_rows
from plumbline.preprocessing.transform import TableTransformer
from plumbline.tables import MOST_ROWS_AT_ONCE, Column, Schema, Table, batches, rows_at_once

N = 10_000
FRAME = pl.DataFrame({"x": np.arange(N), "s": [f"text {k} " * (k % 7) for k in range(N)]})


def _csv(folder: Path) -> pl.LazyFrame:
    FRAME.write_csv(folder / "a.csv")
    return pl.scan_csv(folder / "a.csv")


def _parquet(folder: Path) -> pl.LazyFrame:
    FRAME.write_parquet(folder / "a.parquet", row_group_size=777)
    return pl.scan_parquet(folder / "a.parquet")


def _folder(folder: Path) -> pl.LazyFrame:
    for k, start in enumerate(range(0, N, 3000)):
        FRAME[start : start + 3000].write_parquet(folder / f"{k}.parquet", row_group_size=500)
    return pl.scan_parquet(folder / "*.parquet")


def _two_files(folder: Path) -> pl.LazyFrame:
    return pl.concat([_csv(folder).head(4000), _parquet(folder).slice(4000)])


SOURCES: dict[str, Callable[[Path], pl.LazyFrame]] = {
    "memory": lambda folder: FRAME.lazy(),
    "csv": _csv,
    "parquet": _parquet,
    "folder": _folder,
    "two files": _two_files,
}


@pytest.mark.parametrize("source", SOURCES)
def test_rows_come_in_file_order_and_batches_of_one_size(source: str, tmp_path: Path) -> None:
    table = Table(frame=SOURCES[source](tmp_path), rows=N)
    rows = np.flatnonzero(np.random.default_rng(0).random(N) < 0.6)
    result = list(batches(take_rows(table, rows), 1024))
    assert_array_equal(np.concatenate([b["x"].to_numpy() for b in result]), rows)
    assert result[0].columns == ["x", "s"]
    assert [len(b) for b in result[:-1]] == [1024] * (len(rows) // 1024)
    assert len(result[-1]) == len(rows) % 1024


def test_no_rows() -> None:
    table = Table(frame=FRAME.lazy(), rows=N)
    none = take_rows(table, np.zeros(0, dtype=np.int64))
    assert sum(map(len, batches(none, 10))) == 0
    assert none.collect().columns == ["x", "s"]


@pytest.mark.parametrize("columns", [1, 30, 1000, 100_000])
def test_rows_at_once_follow_memory_and_width(columns: int) -> None:
    small, default, large = (rows_at_once(columns, mb) for mb in (64, 2048, 16_384))
    assert 500 <= small <= default <= large <= MOST_ROWS_AT_ONCE
    # sixty pieces of ten bytes a cell, in a quarter of the memory; but never fewer than 500 rows
    assert default * columns * 600 <= 2048 * 2**20 / 4 or default == 500


def test_reading_ahead_follows_the_memory(tmp_path: Path) -> None:
    FRAME.write_csv(tmp_path / "a.csv")
    columns = (
        Column(name="x", type=ColumnType.INTEGER, role=Role.TARGET),
        Column(name="s", type=ColumnType.TEXT),
    )
    schema = Schema(columns=columns, task=Task.REGRESSION)
    for mb in (3, 2048):
        config = DataConfig(
            name="t", path="a.csv", target="x", task=Task.REGRESSION, max_memory_mb=mb
        )
        table = open_table(config, schema, tmp_path)
        assert os.environ["POLARS_IDEAL_MORSEL_SIZE"] == str(rows_at_once(2, mb))
        assert table.rows == N
        assert table.frame.select(pl.col("x").sum()).collect().item() == N * (N - 1) / 2


def test_little_memory_changes_last_digits_at_most() -> None:
    """Batches of 500 rows instead of all: the same arrays but for rounding."""
    rng = np.random.default_rng(0)
    frame = pl.DataFrame(
        {
            "a": rng.lognormal(0, 1, 4000),
            "b": rng.choice(["u", "v", "w"], 4000),
            "y": rng.normal(size=4000),
        }
    )
    columns = (
        Column(name="a", type=ColumnType.NUMBER),
        Column(name="b", type=ColumnType.CATEGORY),
        Column(name="y", type=ColumnType.NUMBER, role=Role.TARGET),
    )
    schema = Schema(columns=columns, task=Task.REGRESSION)
    config = NormalizeConfig(scale="zscore", encode="target_mean")
    made = [
        TableTransformer(schema, config, max_memory_mb=mb).fit_transform(
            frame.lazy(), np.arange(4000), seed=0
        )
        for mb in (1, 2048)
    ]
    assert_allclose(made[0].inputs["num"], made[1].inputs["num"], atol=1e-6)
    assert_array_equal(made[0].y, made[1].y)
