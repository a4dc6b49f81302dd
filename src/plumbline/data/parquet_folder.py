"""The files of a folder that is one table of Parquet files, as Spark and its kin write it."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

ENDING = ".parquet"


def parts_of(folder: Path) -> list[Path]:
    """The Parquet files below a folder, by name."""
    parts = [file for file in files_below(folder) if file.name.endswith(ENDING)]
    return sorted(
        (part for part in parts if not is_aside(part.name)), key=lambda part: part.as_posix()
    )


def files_below(folder: Path) -> Iterator[Path]:
    """All files, but for those in folders that are aside."""
    for place, inside, names in os.walk(folder):
        inside[:] = sorted(name for name in inside if not is_aside(name))
        yield from (Path(place) / name for name in sorted(names))


def is_aside(name: str) -> bool:
    """Whether a file or folder is no data by its name: hidden, `_SUCCESS`, `_temporary` and the
    like. Not so `_day=1`, a value of the column `_day`."""
    return name.startswith(".") or (name.startswith("_") and "=" not in name)
