"""What makes tensors of the cells of some columns: the face that all preparers have."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, Self

import polars as pl
from numpy.typing import NDArray

from plumbline.config.data import NormalizeConfig
from plumbline.examples import TensorSpec
from plumbline.kinds import Cells, IntArray
from plumbline.preprocessing.decoded import DecodedImages
from plumbline.tables import Column, Schema

Tensors = dict[str, NDArray[Any]]
# by tensor of codes: what each row of its table stands for, as (feature, value), None the unknown
Labels = dict[str, list[tuple[str, str | None]]]
ApplyToFew = Callable[[Cells], list[Tensors]]  # the tensors of each network


@dataclass(frozen=True, kw_only=True)
class Given:
    """What a preparer is made of.

    Attributes:
        columns: those that are its own, features of `schema`.
        batch_rows: rows read at once.
        max_memory_mb: what it may keep of the rows.
        folder: of the files that cells name; None: no cell names one.
        decoded: images of rows of the same table that need not be decoded again.
    """

    schema: Schema
    columns: tuple[Column, ...]
    config: NormalizeConfig
    batch_rows: int
    max_memory_mb: int
    folder: Path | None = None
    decoded: DecodedImages | None = None


class Preparer(Protocol):
    """Learns from training rows how cells become tensors, and makes them.

    Fitted state: `tensors_`, what they hold; `dropped_`, feature -> why it is in none.
    """

    tensors_: tuple[TensorSpec, ...]
    dropped_: dict[str, str]

    def __init__(self, given: Given) -> None: ...

    # -- learning: begin, then every batch of the training rows in order, then finish

    def begin(self, seed: int) -> None:
        """Forget what was learned."""

    def reads(self, frame: pl.LazyFrame) -> list[pl.Expr]:
        """What `observe` wants of each row; names of columns, or `tables.internal` ones.

        Raises:
            DataError: the frame lacks a column.
        """

    def observe(self, batch: pl.DataFrame, rows: IntArray) -> None:
        """Training rows, whose row numbers are `rows` (n,)."""

    def finish(self, frame: pl.LazyFrame, rows: IntArray | None) -> None:
        """Settle what was learned; may go over the training rows again."""

    # -- applying

    def selects(self, frame: pl.LazyFrame) -> list[pl.Expr]:
        """What `apply` wants of each row."""

    def apply(self, batch: pl.DataFrame, rows: IntArray, positions: IntArray | None) -> Tensors:
        """The tensors of rows.

        Args:
            positions: (n,) of the rows among those that were learned from, ascending, -1 for
                others; None: none of them was.

        Raises:
            DataError: a cell is not what its column holds; names the row, `rows` (n,).
        """

    @classmethod
    def few_rows(cls, networks: Sequence[Self]) -> ApplyToFew:
        """What applies the preparers of some networks to few rows, without a frame."""

    def labels(self) -> Labels:
        """What the codes in the tensors stand for; nothing where no tensor has codes."""

    # -- state

    def to_json(self) -> dict[str, Any]:
        """What was learned; readable, exact."""

    @classmethod
    def from_json(cls, given: Given, state: Mapping[str, Any]) -> Self:
        """The preparer whose `to_json` this is; applies the same, bit for bit."""
