"""What earlier stages wrote, read for the page: whatever is missing or broken becomes words.

The page is the place where a reviewer learns that something went wrong, so nothing that
lies in `reports/` may keep it from being written.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from plumbline.kinds import DoubleArray


class Reports:
    """The folder `reports/`. Names are relative to it; every file is read at most once.

    A reader gives None (or an empty frame) for a file that is not there, is empty or cannot
    be parsed, and `problem` then says so in a sentence.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._read: dict[str, Any] = {}
        self._problems: dict[str, str] = {}

    def json(self, name: str) -> Any:
        """A parsed JSON file."""
        return self._once(name, lambda raw: json.loads(raw.decode("utf-8")))

    def text(self, name: str) -> str | None:
        """A text file."""
        text_read: str | None = self._once(name, lambda raw: raw.decode("utf-8"))
        return text_read

    def frame(self, name: str) -> pl.DataFrame:
        """A CSV (all columns as text; see `numbers`) or Parquet file."""
        parse = _parquet if name.endswith(".parquet") else _csv
        frame_read = self._once(name, parse)
        return pl.DataFrame() if frame_read is None else frame_read

    def exists(self, name: str) -> bool:
        """Whether there is such a file, unread."""
        return (self.folder / name).is_file()

    def leave_out(self, name: str, why: str) -> None:
        """Take a file for absent, and say why."""
        self._read[name], self._problems[name] = None, why

    def problem(self, name: str) -> str | None:
        """What is wrong with a file that was asked for; None where nothing is."""
        return self._problems.get(name)

    def _once(self, name: str, parse: Any) -> Any:
        if name not in self._read:
            self._read[name] = self._load(name, parse)
        return self._read[name]

    def _load(self, name: str, parse: Any) -> Any:
        try:
            raw = (self.folder / name).read_bytes()
        except OSError:
            self._problems[name] = f"reports/{name} is not there: its stage has not run."
            return None
        if not raw.strip():
            self._problems[name] = f"reports/{name} is empty."
            return None
        try:
            return parse(raw)
        except (ValueError, RecursionError, pl.exceptions.PolarsError, OSError):
            self._problems[name] = f"reports/{name} cannot be read: its content is broken."
            return None


def _csv(raw: bytes) -> pl.DataFrame:
    return pl.read_csv(raw, infer_schema=False)


def _parquet(raw: bytes) -> pl.DataFrame:
    return pl.read_parquet(raw)


def pick(value: Any, *keys: str) -> Any:
    """A value in nested mappings; None where the way breaks off."""
    for key in keys:
        if not isinstance(value, dict):
            return None
        value = value.get(key)
    return value


def real(value: Any) -> float | None:
    """A finite number, or None. An int stays an int."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    if isinstance(value, int):
        return value if abs(value) < 1 << 62 else None
    return value if math.isfinite(value) else None


def whole(value: Any) -> int | None:
    """An integer, or None."""
    number = real(value)
    return number if isinstance(number, int) else None


def words(value: Any) -> str | None:
    """A text that is not empty, or None."""
    return value if isinstance(value, str) and value else None


def entries(value: Any) -> Iterator[tuple[str, Any]]:
    """The items of a mapping; none of anything else."""
    if isinstance(value, dict):
        yield from ((str(k), v) for k, v in value.items())


def listed(value: Any) -> list[Any]:
    """A list; an empty one in place of anything else."""
    return value if isinstance(value, list) else []


def pair(value: Any) -> tuple[float | None, float | None]:
    """`[low, high]`; two None where it is not that."""
    if isinstance(value, list) and len(value) == 2:
        return real(value[0]), real(value[1])
    return None, None


def numbers(frame: pl.DataFrame, name: str) -> DoubleArray:
    """A column as numbers (n,), NaN where a cell holds none; (0,) where there is no such column."""
    if name not in frame.columns:
        return np.zeros(0)
    column = frame[name]
    if column.dtype == pl.Boolean or not (column.dtype.is_numeric() or column.dtype == pl.String):
        return np.full(len(column), np.nan)
    values: DoubleArray = column.cast(pl.Float64, strict=False).to_numpy()
    return np.where(np.isfinite(values), values, np.nan)


def texts(frame: pl.DataFrame, name: str) -> list[str]:
    """A column as texts; empty where there is no such column."""
    if name not in frame.columns:
        return []
    return ["" if v is None else str(v) for v in frame[name].to_list()]
