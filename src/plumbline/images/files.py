"""Image files that cells name, read into the cells."""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

import polars as pl

from plumbline.errors import DataError
from plumbline.images.read import ImageReader
from plumbline.tables import IMAGE_CELL, MISSING


@dataclass(kw_only=True)
class FilesRead:
    """What came of reading files into cells: the paths of those that are not there, and refusals
    by path. Threads add to both. `stop`: read no more after a refusal."""

    stop: bool = True
    missing: list[str] = field(default_factory=list)
    refusals: dict[str, DataError] = field(default_factory=dict)


def read_files(reader: ImageReader, outcome: FilesRead, cells: pl.Series) -> pl.Series:
    """Paths to cells with their bytes; those of a missing or refused file have none."""
    given = [(cell or "").strip() for cell in cells]
    paths = [None if path in ("", *MISSING) else path for path in given]

    def content(path: str | None) -> bytes | None:
        if path is None or (outcome.stop and outcome.refusals):
            return None
        try:
            read = reader.content(path, f"column '{cells.name}'")
        except DataError as error:
            outcome.refusals[path] = error
            return None
        if read is None:
            outcome.missing.append(path)
        return read

    with ThreadPoolExecutor(len(os.sched_getaffinity(0))) as pool:
        contents = list(pool.map(content, paths))
    held = [
        None if path is None else {"bytes": content, "path": path}
        for path, content in zip(paths, contents, strict=True)
    ]
    return pl.Series(cells.name, held, dtype=IMAGE_CELL)
