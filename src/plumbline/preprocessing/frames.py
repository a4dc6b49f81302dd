"""Lazy frames in bounded memory: some of the rows, and batches of one size in row order."""

from __future__ import annotations

import numpy as np
import polars as pl

from plumbline.kinds import IntArray
from plumbline.tables import Table, internal

_KEEP = internal("keep")


def take_rows(table: Table, rows: IntArray) -> pl.LazyFrame:
    """The rows of a table with these numbers, in file order; streams."""
    keep = np.zeros(table.rows, dtype=bool)
    keep[rows] = True
    flag = pl.LazyFrame({_KEEP: keep})
    return pl.concat([table.frame, flag], how="horizontal").filter(pl.col(_KEEP)).drop(_KEEP)


def named(rows: IntArray | None, start: int, count: int) -> IntArray:
    """The row numbers of a batch, for messages: positions where nobody gave any."""
    return np.arange(start, start + count) if rows is None else rows[start : start + count]
