"""Lazy frames in bounded memory: some of the rows, and batches of one size in row order."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import polars as pl

from plumbline.kinds import IntArray
from plumbline.tables import Table

BATCH_ROWS = 65_536  # one size always: sums of batches then give the same bytes
_KEEP = "__keep__"


def take_rows(table: Table, rows: IntArray) -> pl.LazyFrame:
    """The rows of a table with these numbers, in file order; streams."""
    keep = np.zeros(table.rows, dtype=bool)
    keep[rows] = True
    flag = pl.LazyFrame({_KEEP: keep})
    return pl.concat([table.frame, flag], how="horizontal").filter(pl.col(_KEEP)).drop(_KEEP)


def batches(frame: pl.LazyFrame) -> Iterator[pl.DataFrame]:
    """The rows in order, `BATCH_ROWS` at a time, the last batch shorter."""
    yield from frame.collect_batches(chunk_size=BATCH_ROWS, maintain_order=True, engine="streaming")
