"""What a split looks at: of every row its label, group, duplicates, time and given part."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import polars as pl

from plumbline.config.data import DataConfig, SplitConfig
from plumbline.errors import DataError, nearest, shorten
from plumbline.kinds import ByteArray, ColumnType, DoubleArray, IntArray, Part, TargetKind
from plumbline.preprocessing.duplicates import (
    apart,
    are_by_chance,
    group_codes,
    hash_rows,
    without_cells,
)
from plumbline.tables import Schema, Table, refuse_no_features

GIVEN = {
    "train": Part.TRAIN,
    "training": Part.TRAIN,
    "val": Part.VAL,
    "valid": Part.VAL,
    "validation": Part.VAL,
    "dev": Part.VAL,
    "test": Part.TEST,
    "testing": Part.TEST,
    "holdout": Part.TEST,
}


@dataclass(frozen=True, kw_only=True)
class SplitRows:
    """All that a split may know of the rows; every array has shape (rows,).

    `label`: class number, or the quantile bin of a numeric target. `value`: the numeric
    target, NaN in classification. `duplicate`: rows with equal features share a number;
    `by_chance`: they are no copies, but agree in few features of few values.
    `group`: rows of one group share a number, a row without group has its own; None where
    there is no group column. `time`: rank of the time, ties equal; None where the data has
    no time column. `given`: the owner's `Part`. The last `test_rows` rows are the test file.
    """

    rows: int
    test_rows: int
    label: IntArray
    label_names: tuple[str, ...]
    classification: bool
    value: DoubleArray
    duplicate: IntArray
    group: IntArray | None
    time: IntArray | None
    given: ByteArray | None
    by_chance: bool = False

    @property
    def own(self) -> int:
        """Rows of the data file; the rest came in the test file."""
        return self.rows - self.test_rows


def read_rows(table: Table, schema: Schema, data: DataConfig, split: SplitConfig) -> SplitRows:
    """Read what a split looks at; only the columns needed are held, features as hashes.

    Raises:
        DataError: no features; a missing target or time, a time that cannot be ordered, a split
            column that is absent or holds something else than parts.
    """
    refuse_no_features(schema, file=data.path)
    label, value, names = _label(table, schema, data, split.bins)
    features = [c.name for c in schema.features if c.name != split.column]
    duplicate = _equal_rows(table, features)
    columns = (_counts(table, schema, name) for name in features)
    return SplitRows(
        rows=table.rows,
        test_rows=table.test_rows,
        label=label,
        label_names=names,
        classification=schema.task.has_classes,
        value=value,
        duplicate=duplicate,
        group=_group(table, data.group),
        time=_time(table, schema, data),
        given=_given(table, schema, data, split.column),
        by_chance=are_by_chance(duplicate, columns),
    )


def _equal_rows(table: Table, features: list[str]) -> IntArray:
    """A number for each row, which rows with equal features share; those without a single cell are
    no copies of each other."""
    empty = without_cells(table.frame.collect_schema(), features).alias("empty")
    rows = table.frame.select(empty).collect(engine="streaming")["empty"].to_numpy()
    return apart(group_codes(hash_rows(table.frame, features)), rows)


def _counts(table: Table, schema: Schema, name: str) -> IntArray:
    """How many rows have each value; of texts and images, which do not agree by chance, none
    has that of another."""
    if schema.column(name).type in (ColumnType.TEXT, ColumnType.IMAGE):
        return np.ones(1, dtype=np.int64)
    counts = table.frame.group_by(pl.col(name)).len("rows").select(pl.col("rows").cast(pl.Int64))
    return counts.collect(engine="streaming")["rows"].to_numpy()


def with_target(table: Table, schema: Schema) -> tuple[Table, IntArray]:
    """The rows that have a target, which alone can be learned from and scored, and their numbers.

    The same table where all have one.

    Raises:
        DataError: the test file has none.
    """
    target = pl.col(schema.target)
    missing = target.is_null()
    if not schema.classes:
        missing |= target.is_nan()
    flags = table.frame.select(missing.alias("missing")).collect(engine="streaming")
    there = ~flags["missing"].fill_null(value=True).to_numpy()
    numbers = np.flatnonzero(there).astype(np.int64)
    if len(numbers) == table.rows:
        return table, numbers
    if table.test_rows and not there[-table.test_rows :].any():
        raise DataError(
            "no row of the test file has a target",
            where=f"column '{schema.target}'",
            hint="leave data.test_path out: a part of the data is then held out as the test part",
        )
    return (
        Table(
            frame=table.frame.filter(missing.fill_null(value=True).not_()),
            rows=len(numbers),
            test_rows=int(there[table.rows - table.test_rows :].sum()) if table.test_rows else 0,
        ),
        numbers,
    )


def hold(table: Table, data: DataConfig) -> Table:
    """The table read once into memory where it is small; else as it is, read anew each time.

    Small: its cells, at 16 bytes, take less than a quarter of `data.max_memory_mb`.
    """
    cells = table.rows * len(table.frame.collect_schema())
    if cells * 16 > data.max_memory_mb * 2**20 / 4:
        return table
    return replace(table, frame=table.frame.collect(engine="streaming").lazy())


def _column(table: Table, name: str) -> pl.Series:
    return table.frame.select(name).collect(engine="streaming")[name]


Labels = tuple[IntArray, DoubleArray, tuple[str, ...]]  # label, value, names of the labels


def _label(table: Table, schema: Schema, data: DataConfig, bins: int) -> Labels:
    column = _column(table, schema.target)
    _refuse_missing(column, data, "the target")
    return LABELS[schema.task.spec.target](column, schema, data, bins)


def _classes(column: pl.Series, schema: Schema, data: DataConfig, bins: int) -> Labels:
    label = column.replace_strict(
        list(schema.classes), list(range(len(schema.classes))), default=None,
        return_dtype=pl.Int64,
    )  # fmt: skip
    if label.null_count():
        strange = column.filter(label.is_null())[0]
        raise DataError(
            f"row {int(label.is_null().arg_max() or 0)} has a class that the schema lacks",
            file=data.path,
            where=schema.target,
            wanted=", ".join(schema.classes[:10]),
            got=strange,
            hint="add it to the target's categories in expectations.yaml",
        )
    return label.to_numpy(), np.broadcast_to(np.nan, len(label)), schema.classes


def _bins(column: pl.Series, schema: Schema, data: DataConfig, bins: int) -> Labels:
    value = column.cast(pl.Float64).to_numpy()
    edges = np.unique(np.quantile(value, np.linspace(0, 1, bins + 1)[1:-1]))
    filled, label = np.unique(np.searchsorted(edges, value, side="right"), return_inverse=True)
    ends = [-np.inf, *edges, np.inf]
    names = tuple(f"[{ends[b]:.6g}, {ends[b + 1]:.6g})" for b in filled)
    return label.astype(np.int64), value, names


LABELS = {TargetKind.CLASSES: _classes, TargetKind.NUMBERS: _bins}


def _refuse_missing(column: pl.Series, data: DataConfig, what: str) -> None:
    missing = column.is_null()
    if column.dtype.is_float():
        missing |= column.is_nan().fill_null(value=False)
    if missing.any():
        first = int(missing.arg_max() or 0)
        raise DataError(
            f"{what} is missing in {missing.sum()} rows, the first is row {first}",
            file=data.path,
            where=column.name,
            hint="fill or remove these rows",
        )


def _group(table: Table, name: str | None) -> IntArray | None:
    """Rows without a group are groups of their own: nothing is known to tie them together."""
    if name is None:
        return None
    frame = table.frame.select(hash=pl.col(name).hash(0), missing=pl.col(name).is_null())
    read = frame.collect(engine="streaming")
    code = group_codes(read["hash"].to_numpy())
    alone = np.flatnonzero(read["missing"].to_numpy())
    code[alone] = len(code) + np.arange(len(alone))
    return group_codes(code)


def _time(table: Table, schema: Schema, data: DataConfig) -> IntArray | None:
    if data.time is None:
        return None
    kind = schema.column(data.time).type
    if kind in (ColumnType.CATEGORY, ColumnType.TEXT, ColumnType.BOOLEAN):
        raise DataError(
            f"the time column is read as {kind}, which has no order in time",
            file=data.path,
            where=data.time,
            wanted="dates or numbers",
            hint="give it type date, integer or number in expectations.yaml",
        )
    column = _column(table, data.time)
    _refuse_missing(column, data, "the time")
    return column.rank("dense").cast(pl.Int64).to_numpy()


def _given(table: Table, schema: Schema, data: DataConfig, name: str | None) -> ByteArray | None:
    if name is None:
        return None
    names = [c.name for c in schema.columns]
    if name not in names:
        raise DataError(
            f"there is no column {shorten(name)}",
            file=data.path,
            where="split.column",
            hint=nearest(name, names),
        )
    words = _column(table, name).cast(pl.String).str.strip_chars().str.to_lowercase()
    part = words.replace_strict(
        list(GIVEN), [int(p) for p in GIVEN.values()], default=0, return_dtype=pl.UInt8
    ).to_numpy()
    own = part[: table.rows - table.test_rows]
    if (own == Part.UNUSED).any():
        row = int(np.argmax(own == Part.UNUSED))
        raise DataError(
            f"row {row} of the split column names no part",
            file=data.path,
            where=name,
            wanted="train, val or test",
            got=words[row],
        )
    return part
