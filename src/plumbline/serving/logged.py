"""The log of requests as a frame: for whoever watches what was served."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from pathlib import Path

import polars as pl

from plumbline.errors import DataError
from plumbline.serving.request_log import FEEDBACK, REQUESTS


def read_log(folder: Path, start: dt.datetime, end: dt.datetime) -> pl.DataFrame:
    """The rows that were answered from `start` (included) to `end` (not), in UTC, with their
    labels.

    Columns: `request_id`, `row`, `time`, `seconds` (of the request), `version`, `input.<column>`,
    `output.<column>`, `label` (text as it was sent; null where none came) and `labeled` (when the
    last one came, at whatever time). A column that another version had of another type is text,
    but for numbers. Empty where nothing was logged.

    Raises:
        DataError: a file is damaged; names it.
    """
    rows = _read(folder / REQUESTS, start, end)
    labels = _read(folder / FEEDBACK, start, None)
    if rows is None:
        return pl.DataFrame()
    rows = rows.filter(pl.col("time").is_between(start, end, closed="left"))
    if labels is None:
        empty = {"label": pl.String(), "labeled": pl.Datetime("us")}
        return rows.with_columns(pl.lit(None, kind).alias(n) for n, kind in empty.items())
    keys = ["request_id", "row"]
    last = labels.sort("time", maintain_order=True).unique(keys, keep="last")
    return rows.join(last.rename({"time": "labeled"}), on=keys, how="left", maintain_order="left")


def _read(folder: Path, start: dt.datetime, end: dt.datetime | None) -> pl.DataFrame | None:
    """The files of the days that a time reaches into; columns that some lack are null there."""
    last = None if end is None else f"date={end.date()}"
    files = [
        file
        for day in sorted(folder.glob("date=*"))
        if f"date={start.date()}" <= day.name and (last is None or day.name <= last)
        for file in sorted(day.glob("*.parquet"))
    ]
    frames = [frame for frame in map(_read_file, files) if frame is not None]
    return _together(frames).sort("time") if frames else None


def _read_file(file: Path) -> pl.DataFrame | None:
    try:
        return pl.read_parquet(file)
    except FileNotFoundError:  # its day was removed meanwhile
        return None
    except pl.exceptions.PolarsError as error:
        raise DataError(
            f"cannot be read: {str(error).splitlines()[0]}", file=file, hint="move it away"
        ) from None


def _together(frames: Sequence[pl.DataFrame]) -> pl.DataFrame:
    """All rows; a column of several types is text, but for numbers."""
    kinds: dict[str, set[pl.DataType]] = {}
    for frame in frames:
        for name, kind in frame.schema.items():
            kinds.setdefault(name, set()).add(kind)
    mixed = [
        name
        for name, types in kinds.items()
        if len(types - {pl.Null()}) > 1 and not all(one.is_numeric() for one in types - {pl.Null()})
    ]
    alike = [
        frame.with_columns(_as_text(frame[name]) for name in mixed if name in frame.columns)
        for frame in frames
    ]
    return pl.concat(alike, how="diagonal_relaxed")


def _as_text(cells: pl.Series) -> pl.Series:
    if not cells.dtype.is_nested():
        return cells.cast(pl.String)
    texts = [None if cell is None else str(cell) for cell in cells.to_list()]
    return pl.Series(cells.name, texts, dtype=pl.String)
