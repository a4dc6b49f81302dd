"""The log of requests as a frame: for whoever watches what was served."""

from __future__ import annotations

import datetime as dt
from pathlib import Path

import polars as pl

from plumbline.serving.request_log import FEEDBACK, REQUESTS


def read_log(folder: Path, start: dt.datetime, end: dt.datetime) -> pl.DataFrame:
    """The rows that were answered from `start` (included) to `end` (not), in UTC, with their
    labels.

    Columns: `request_id`, `row`, `time`, `seconds` (of the request), `version`, `input.<column>`,
    `output.<column>`, `label` (text as it was sent; null where none came) and `labeled` (when the
    last one came, at whatever time). Empty where nothing was logged.
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
    frames = [pl.read_parquet(file) for file in files]
    return pl.concat(frames, how="diagonal_relaxed").sort("time") if frames else None
