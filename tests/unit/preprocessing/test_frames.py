"""Rows of a table by number, and batches of one size, from every kind of file."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from numpy.testing import assert_array_equal

from plumbline.preprocessing.frames import batches, take_rows
from plumbline.tables import Table

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
    found = list(batches(take_rows(table, rows), 1024))
    assert_array_equal(np.concatenate([b["x"].to_numpy() for b in found]), rows)
    assert found[0].columns == ["x", "s"]
    assert [len(b) for b in found[:-1]] == [1024] * (len(rows) // 1024)
    assert len(found[-1]) == len(rows) % 1024


def test_no_rows() -> None:
    table = Table(frame=FRAME.lazy(), rows=N)
    none = take_rows(table, np.zeros(0, dtype=np.int64))
    assert sum(map(len, batches(none, 10))) == 0
    assert none.collect().columns == ["x", "s"]
