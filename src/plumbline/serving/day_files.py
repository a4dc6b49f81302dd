"""The files of the log: Parquet by day."""

from __future__ import annotations

import datetime as dt
import os
import time
from pathlib import Path

import polars as pl

from plumbline.files import new_file

FILE_ROWS = 50_000  # a file of more is not written again


class DayFiles:
    """The files of a folder, one at a time per day: appended to by being written anew, whole,
    until it is large."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._day: dt.date | None = None
        self._number = 0
        self._path: Path | None = None
        self._rows = 0

    def append(self, day: dt.date, rows: pl.DataFrame) -> None:
        """Add rows to the file of a day; to another where a column has become of another type, or
        somebody removed or damaged the file."""
        before = self._before(day)
        if before is not None and not _fits(before.schema, rows.schema):
            before = None
        if before is None:
            name = f"{time.time_ns():x}-{os.getpid()}-{self._number}.parquet"
            path, whole = self._folder / f"date={day}" / name, rows
            self._number += 1
        else:
            assert self._path is not None
            path, whole = self._path, pl.concat([before, rows], how="diagonal_relaxed")
        with new_file(path) as temporary:
            whole.write_parquet(temporary, compression="zstd", statistics=False)
        self._path, self._day, self._rows = path, day, len(whole)

    def _before(self, day: dt.date) -> pl.DataFrame | None:
        """The rows of the file that is added to."""
        if self._path is None or day != self._day or self._rows >= FILE_ROWS:
            return None
        try:
            return pl.read_parquet(self._path)
        except (FileNotFoundError, pl.exceptions.PolarsError):
            return None


def _fits(before: pl.Schema, rows: pl.Schema) -> bool:
    """Whether the columns that both have are of the same types, but for empty ones."""
    both = ((before[name], kind) for name, kind in rows.items() if name in before)
    return all(one == other or pl.Null in (one, other) for one, other in both)
