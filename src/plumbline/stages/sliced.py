"""The slices of the test rows, by columns of the data as they are in the file."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import polars as pl

from plumbline.evaluation.measured import find_cuts, measure_cells
from plumbline.evaluation.slices import Slice, make_slices
from plumbline.examples import Examples
from plumbline.kinds import ColumnType
from plumbline.preprocessing.frames import take_rows
from plumbline.tables import Schema, Table

MOST_MEASURED = 2000  # training rows whose images are measured, evenly spaced


def slice_rows(
    table: Table,
    schema: Schema,
    columns: Sequence[str],
    train: Examples,
    test: Examples,
    *,
    auto: bool,
    min_rows: int,
) -> list[Slice]:
    """Positions in the test rows; texts and images are cut at the thirds of training rows."""
    # rows of the file come back in file order, and so do prepared rows
    rows = np.asarray(test.rows, dtype=np.int64)
    assert (np.diff(rows) > 0).all()
    images = [name for name in columns if schema.column(name).type is ColumnType.IMAGE]
    others = [name for name in columns if name not in images]
    learned = np.asarray(train.rows, dtype=np.int64)
    some = learned[:: max(1, -(-len(learned) // MOST_MEASURED))]
    cuts = {
        **find_cuts(measure_cells(take_rows(table, learned), schema, others)),
        **find_cuts(measure_cells(take_rows(table, some), schema, images)),
    }
    own = take_rows(table, rows)
    # not their bytes; of literals alone a select would have one row
    plain = own.select(columns).with_columns(pl.lit(None).alias(name) for name in images)
    return make_slices(
        plain.collect(),
        schema,
        measured=measure_cells(own, schema, columns),
        cuts=cuts,
        auto=auto,
        min_rows=min_rows,
    )
