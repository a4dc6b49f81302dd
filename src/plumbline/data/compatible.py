"""Whether a test file fits the data: the same columns, formats and classes."""

from __future__ import annotations

import polars as pl

from plumbline.cells import describe, typed, unreadable, written
from plumbline.data.read import AT_ONCE_FROM_FILE, readable, select_in_parts
from plumbline.errors import DataError
from plumbline.tables import Column


def refuse_unreadable(raw: pl.LazyFrame, columns: list[Column], *, file: str) -> None:
    """Refuse rows with a cell that is not written as its column's cells are.

    Raises:
        DataError: names column, cell and format.
    """
    dtypes = raw.collect_schema()
    flags = {c.name: unreadable(c, dtypes[c.name]).sum() for c in columns}
    counts = select_in_parts(raw, flags, file, AT_ONCE_FROM_FILE)
    for column in columns:
        if count := counts[column.name]:
            bad = unreadable(column, dtypes[column.name])
            cells = written(column, dtypes[column.name])
            cell = raw.filter(bad).select(cells).head(1).collect().item()
            raise DataError(
                f"{count:,} cell{'s are' if count > 1 else ' is'} not written as in the data",
                file=file,
                where=f"column '{column.name}'",
                wanted=describe(column),
                got=cell,
                hint="write the file as the data are written, or name the format that reads "
                "both in expectations.yaml",
            )


def refuse_classes(target: Column, test: pl.LazyFrame, *, file: str) -> tuple[str, ...]:
    """Refuse classes that only the test file has; returns those that it lacks.

    Raises:
        DataError: names the first class.
    """
    value = typed(target, test.collect_schema()[target.name])
    with readable(file):
        classes = test.select(value.drop_nulls().unique()).collect(engine="streaming")[target.name]
    new = sorted(set(classes) - set(target.labels))
    if new:
        raise DataError(
            f"class '{new[0]}' is not in the data, so no model can have learned it"
            + (f" ({len(new)} classes are like that)" if len(new) > 1 else ""),
            file=file,
            where=f"column '{target.name}'",
            wanted=", ".join(target.labels[:20]),
            got=", ".join(new[:20]),
            hint="give the classes the same names in both files, or leave these rows out",
        )
    return tuple(label for label in target.labels if label not in set(classes))
