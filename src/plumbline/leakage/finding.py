"""What a leakage check finds, and what it looks at."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Literal

import numpy as np
import polars as pl

from plumbline.config.data import LeakageConfig
from plumbline.images import ImageReader, read_images
from plumbline.kinds import ByteArray, ColumnType, DoubleArray, IntArray, Part
from plumbline.split import SplitRows
from plumbline.tables import ROW, Schema, Table

LISTED = 100  # row numbers listed per finding
CELLS, LEAST_ROWS = 25_000_000, 2_000  # of a sample: cells at most, but so many rows in any case
Severity = Literal["critical", "warning"]
NO_ROWS: IntArray = np.zeros(0, dtype=np.int64)
SIDE = 8  # pixels of a thumbnail
THUMBNAIL = pl.Array(pl.Float32, (SIDE, SIDE))
UNCODED = (ColumnType.TEXT, ColumnType.IMAGE)  # what no number or code stands for


@dataclass(frozen=True, kw_only=True)
class Finding:
    """One leak. `rows` are all row numbers concerned, ascending; reports list the first ones.

    `examined` is the number of rows looked at, where the check looks at a sample; 0: at all.
    What the policy `drop` takes away: `drop_rows` leave their part (UNUSED), `drop_columns`
    are no features any more.
    """

    check: str
    columns: tuple[str, ...]
    rows: IntArray = field(default_factory=lambda: NO_ROWS)
    examined: int = 0
    detail: str
    severity: Severity
    hint: str
    drop_rows: IntArray = field(default_factory=lambda: NO_ROWS)
    drop_columns: tuple[str, ...] = ()

    @property
    def fixable(self) -> bool:
        """Whether leaving something out fixes it."""
        return bool(len(self.drop_rows) or self.drop_columns)


@dataclass(frozen=True, kw_only=True)
class Evidence:
    """What the checks look at: the split and, sampled, the rows themselves."""

    table: Table
    schema: Schema
    rows: SplitRows
    part: ByteArray
    config: LeakageConfig
    ordered: bool  # split by time
    seed: int

    def generator(self, check: str) -> np.random.Generator:
        """Random numbers of a check's own, so that one check does not disturb another."""
        return np.random.default_rng([self.seed, 2, *check.encode()])

    @cached_property
    def features(self) -> tuple[str, ...]:
        return tuple(c.name for c in self.schema.features)

    @property
    def sampled_rows(self) -> int:
        """Rows of each side that the costly checks look at, at most: fewer of many columns."""
        columns = max(1, len(self.schema.features))
        return min(self.config.max_rows, max(LEAST_ROWS, CELLS // columns))

    def plan(self) -> str:
        """What the checks will look at, in words."""
        columns = len(self.schema.features)
        sides = {
            "training": int((self.part == Part.TRAIN).sum()),
            "held-out": self.held_out_rows,
        }
        if max(sides.values()) <= self.sampled_rows:
            return f"all rows × {columns:,} columns"
        sampled = (f"{min(self.sampled_rows, n):,} of {n:,} {k} rows" for k, n in sides.items())
        return f"{' and '.join(sampled)} × {columns:,} columns; equal rows among all"

    @cached_property
    def train(self) -> pl.DataFrame:
        """Training rows, at most `sampled_rows` of them, with their row numbers."""
        return self._sampled.filter(self._in(Part.TRAIN))

    @cached_property
    def held_out(self) -> pl.DataFrame:
        """Validation and test rows, at most `sampled_rows`, with their row numbers."""
        return self._sampled.filter(self._in(Part.VAL, Part.TEST))

    @property
    def held_out_rows(self) -> int:
        """How many validation and test rows there are."""
        return int(np.isin(self.part, (Part.VAL, Part.TEST)).sum())

    def _in(self, *parts: Part) -> pl.Series:
        return pl.Series(np.isin(self.part[self._sampled[ROW].to_numpy()], parts))

    @cached_property
    def _sampled(self) -> pl.DataFrame:
        """Rows of all parts, read in one pass; in place of an image a hash of its bytes."""
        sides = (np.isin(self.part, parts) for parts in ((Part.TRAIN,), (Part.VAL, Part.TEST)))
        rows = [sample(np.flatnonzero(s), self.sampled_rows, self.seed) for s in sides]
        rows_kept = pl.LazyFrame({ROW: np.concatenate(rows).astype(np.uint32)})
        return (
            self.table.frame.with_row_index(ROW)
            .join(rows_kept, on=ROW, how="semi", maintain_order="left")
            .with_columns(pl.col(name).hash(0) for name in self.schema.of_type(ColumnType.IMAGE))
            .collect(engine="streaming")
        )

    def thumbnails(self, name: str, rows: IntArray) -> DoubleArray:
        """Small gray copies of the images of some rows, ascending: (n, s, s), 0 to 255, NaN where
        there is none."""
        kept = pl.LazyFrame({ROW: rows.astype(np.uint32)})
        images = (
            self.table.frame.select(name)
            .with_row_index(ROW)
            .join(kept, on=ROW, how="semi", maintain_order="left")
            .select(pl.col(name).map_batches(_thumbnails, return_dtype=THUMBNAIL))
            .collect(engine="streaming")[name]
        )
        return images.to_numpy().astype(np.float64)


Check = Callable[[Evidence], Sequence[Finding]]


def _thumbnails(contents: pl.Series) -> pl.Series:
    cells = contents.to_list()
    out = np.zeros((len(cells), 1, SIDE, SIDE), dtype=np.uint8)
    read_images(ImageReader(None), cells, out, lambda i: f"column '{contents.name}'")
    values = out[:, 0].astype(np.float32)
    values[[cell is None for cell in cells]] = np.nan
    return pl.Series(contents.name, values, dtype=THUMBNAIL)


def sample(rows: IntArray, limit: int, seed: int) -> IntArray:
    """At most `limit` of these row numbers, ascending."""
    if len(rows) <= limit:
        return rows
    rows_kept = np.random.default_rng([seed, 3]).choice(len(rows), limit, replace=False)
    return np.sort(rows[rows_kept])
