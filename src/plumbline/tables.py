"""The nouns that siblings exchange: a schema, typed rows, a split.

`data` makes a `Table`, `preprocessing` turns it into `Examples`; neither imports the other, so
what passes between them is defined here and in `examples`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, fields, replace
from typing import Any, ClassVar, Literal, Self

import numpy as np
import polars as pl

from plumbline.errors import DataError
from plumbline.kinds import ByteArray, CellKind, ColumnType, IntArray, Part, Role, Task

MOST_ROWS_AT_ONCE = 65_536
IMAGE_KB = 64  # of a file of pixels
MISSING = ("NA", "NaN", "nan", "null", "?")  # words for a missing cell, unless told otherwise
RESERVED = "\ue000"  # begins the names that we give to columns beside those of the data


def internal(name: str) -> str:
    """A column name of ours, which no column of the data has: readers refuse them."""
    return RESERVED + name


ROW = internal("row")  # name of the row-number column in frames that carry one


@dataclass(frozen=True, kw_only=True)
class CellFormat:
    """How the cells of one column are written, where they are text.

    Attributes:
        decimal: the decimal separator, `.` or `,`.
        thousands: groups digits; a blank stands for every kind of blank, `'` for both apostrophes.
        unit: stands before or after the number: `$`, `€`, `kg`. `%` divides by 100.
        parentheses: (5) is -5.
        minus: `−` (U+2212) and `behind` (`5-`) are read beside `-`.
        date: pattern of dates; None: ISO 8601, zones become UTC.
        missing: words for a missing cell; None: those of `data.format.missing`. An empty cell is
            missing always.
    """

    __pydantic_config__: ClassVar[dict[str, str]] = {"extra": "forbid"}

    decimal: Literal[".", ","] = "."
    thousands: str | None = None
    unit: str | None = None
    parentheses: bool = False
    minus: Literal["-", "−", "behind"] = "-"
    date: str | None = None
    missing: tuple[str, ...] | None = None

    def __post_init__(self) -> None:
        if self.thousands is not None and self.thousands not in THOUSANDS:
            raise ValueError(f"thousands is one of {' '.join(map(repr, THOUSANDS))}")
        if self.thousands == self.decimal:
            raise ValueError("thousands and decimal are the same character")
        if self.unit is not None and not re.fullmatch(r"[^\s\d.,+()−-]+", self.unit):
            raise ValueError("a unit has no blanks, digits, signs, points or parentheses")

    @property
    def is_plain(self) -> bool:
        """Whether numbers are written as a computer writes them."""
        own = (self.decimal, self.thousands, self.unit, self.parentheses, self.minus)
        return own == (".", None, None, False, "-")

    def words(self) -> tuple[str, ...]:
        """The cells that are missing, the empty one first."""
        return ("", *(MISSING if self.missing is None else self.missing))

    def to_json(self) -> dict[str, Any]:
        """What differs from the default."""
        default = CellFormat()
        values = {f.name: getattr(self, f.name) for f in fields(self)}
        values = {k: v for k, v in values.items() if v != getattr(default, k)}
        return {k: list(v) if isinstance(v, tuple) else v for k, v in values.items()}

    @classmethod
    def from_json(cls, state: Mapping[str, Any]) -> Self:
        given: dict[str, Any] = {
            k: tuple(v) if isinstance(v, list) else v for k, v in state.items()
        }
        return cls(**given)


THOUSANDS = (",", ".", "'", " ", "_")


@dataclass(frozen=True, kw_only=True)
class Column:
    """One column of the data: name as in the file, type, role, how its cells are written.

    `labels`: the classes of a target. A cell that differs from one only in case, or as 1.0 does
    from 1, is that class. `native`: what its cells are in the data, where no column of this type
    takes such cells otherwise: the numbers of a Parquet file that are categories.
    """

    name: str
    type: ColumnType
    role: Role = Role.FEATURE
    format: CellFormat = field(default_factory=CellFormat)
    labels: tuple[str, ...] = ()
    native: CellKind | None = None

    @property
    def dtype(self) -> pl.DataType:
        """The polars type that readers deliver for this column."""
        return POLARS_TYPES[self.type]


POLARS_TYPES: dict[ColumnType, pl.DataType] = {
    ColumnType.NUMBER: pl.Float64(),
    ColumnType.INTEGER: pl.Int64(),
    ColumnType.BOOLEAN: pl.Boolean(),
    ColumnType.CATEGORY: pl.String(),
    ColumnType.TEXT: pl.String(),
    ColumnType.DATE: pl.Datetime("us"),
    ColumnType.IMAGE: pl.Binary(),
}
# an image in the data file: its bytes, and the path that they were read from
IMAGE_CELL = pl.Struct({"bytes": pl.Binary(), "path": pl.String()})


@dataclass(frozen=True, kw_only=True)
class Schema:
    """The columns in file order. `classes` are the target's labels, index = class number.

    For a binary task the positive class is `classes[1]`; empty for regression.
    """

    columns: tuple[Column, ...]
    task: Task
    classes: tuple[str, ...] = ()

    def names(self, *roles: Role) -> tuple[str, ...]:
        """Names of the columns that have one of these roles, in file order."""
        return tuple(c.name for c in self.columns if c.role in roles)

    def one(self, role: Role) -> str | None:
        """The name of the only column of a role, or None."""
        names = self.names(role)
        return names[0] if names else None

    @property
    def features(self) -> tuple[Column, ...]:
        return tuple(c for c in self.columns if c.role is Role.FEATURE)

    @property
    def target(self) -> str:
        (name,) = self.names(Role.TARGET)
        return name

    def of_type(self, kind: ColumnType) -> tuple[str, ...]:
        """Names of the columns of a type, in file order."""
        return tuple(c.name for c in self.columns if c.type is kind)

    def column(self, name: str) -> Column:
        return next(c for c in self.columns if c.name == name)

    def with_native(self, native: Mapping[str, CellKind]) -> Self:
        """The same, with what the cells of some columns are in the data."""
        columns = tuple(replace(c, native=native.get(c.name)) for c in self.columns)
        return replace(self, columns=columns)

    def to_json(self) -> dict[str, Any]:
        """Task, classes and columns; a column's format where it is not the default one."""
        return {
            "task": str(self.task),
            "classes": list(self.classes),
            "columns": [_column_json(column) for column in self.columns],
        }

    @classmethod
    def from_json(cls, state: Mapping[str, Any]) -> Self:
        """The schema whose `to_json` is among the state."""
        classes = tuple(str(label) for label in state["classes"])
        return cls(
            columns=tuple(
                Column(
                    name=c["name"],
                    type=ColumnType(c["type"]),
                    role=Role(c["role"]),
                    format=CellFormat.from_json(c.get("format", {})),
                    labels=classes if c["role"] == Role.TARGET else (),
                    native=CellKind(c["native"]) if "native" in c else None,
                )
                for c in state["columns"]
            ),
            task=Task.of(state["task"]),
            classes=classes,
        )


def _column_json(column: Column) -> dict[str, Any]:
    state: dict[str, Any] = {
        "name": column.name,
        "type": str(column.type),
        "role": str(column.role),
    }
    form = column.format.to_json()
    if form:
        state["format"] = form
    if column.native is not None:
        state["native"] = str(column.native)
    return state


@dataclass(frozen=True, kw_only=True)
class Table:
    """Typed rows: the data file in file order, then the supplied test file if there is one.

    `frame` has the schema's columns in order (no row-number column); a row's number is its
    position, 0-based, over both files. `test_rows` rows at the end came from the test file.
    A classification target is String, a regression target Float64.
    """

    frame: pl.LazyFrame
    rows: int
    test_rows: int = 0


def refuse_no_features(schema: Schema, *, file: str) -> None:
    """Refuse a table of which no column can be learned from.

    Raises:
        DataError: says what the columns are.
    """
    if schema.features:
        return
    others = [f"'{c.name}' has role {c.role}" for c in schema.columns if c.role is not Role.TARGET]
    raise DataError(
        "no column is left to learn from",
        file=file,
        wanted="a feature besides the target",
        got=", ".join(others)[:200] or "the target alone",
        hint="add columns, or give one role feature in expectations.yaml",
    )


def rows_at_once(columns: int, max_memory_mb: int, images: int = 0) -> int:
    """How many rows of so many columns are handled at once, within `data.max_memory_mb`.

    `images` of the columns hold images, which are taken to have `IMAGE_KB`. A reader holds some
    sixty such pieces ahead of a slow consumer, ten to twenty bytes a cell: an eighth to a quarter
    of the memory. Libraries and what is kept per row take theirs of the rest.
    """
    most = MOST_ROWS_AT_ONCE
    if images:
        most = max(max_memory_mb * 1024 // (64 * 4 * IMAGE_KB * images), 8)
    return min(max(max_memory_mb * 200 // max(columns, 1), 500), most)


def batches(frame: pl.LazyFrame, size: int) -> Iterator[pl.DataFrame]:
    """The rows in order, `size` at a time, the last batch shorter.

    One size always: sums of batches, and files written from them, then have the same bytes.
    """
    yield from frame.collect_batches(chunk_size=size, maintain_order=True, engine="streaming")


NEVER = 255  # in `SplitIndex.bag`: no network of the bag is fitted without the row


@dataclass(frozen=True, kw_only=True)
class SplitIndex:
    """Which part each row belongs to: once for the final model, once for every fold.

    Shapes: `part` (rows,), `folds` (rows, k); values are `Part`. In a fold, rows that are
    neither fitted on nor scored are UNUSED; test rows are UNUSED in every fold. `bag` (rows,): the
    network of the bag that a training or validation row is held out from, or `NEVER`; None where
    the model is a single network.
    """

    part: ByteArray
    folds: ByteArray
    bag: ByteArray | None = None

    def rows(self, part: Part) -> IntArray:
        """Row numbers of a part, ascending."""
        return np.flatnonzero(self.part == part).astype(np.int64)

    def fold(self, k: int) -> tuple[IntArray, IntArray]:
        """Row numbers to fit on and to score on in fold k, ascending."""
        column = self.folds[:, k]
        return (
            np.flatnonzero(column == Part.TRAIN).astype(np.int64),
            np.flatnonzero(column == Part.VAL).astype(np.int64),
        )

    @property
    def networks(self) -> int:
        """How many networks make the model together."""
        if self.bag is None:
            return 1
        return int(self.bag[self.bag != NEVER].max()) + 1

    def bag_fold(self, network: int) -> tuple[IntArray, IntArray]:
        """Row numbers that a network of the bag is fitted on and held out from, ascending."""
        assert self.bag is not None
        used = (self.part == Part.TRAIN) | (self.part == Part.VAL)
        held_out = self.bag == network
        return (
            np.flatnonzero(used & ~held_out).astype(np.int64),
            np.flatnonzero(used & held_out).astype(np.int64),
        )
