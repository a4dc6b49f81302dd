"""Which rows are equal: row numbers grouped by a 64-bit hash of their cells."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence

import numpy as np
import polars as pl
from numpy.typing import NDArray

from plumbline.kinds import IntArray


def hash_rows(frame: pl.LazyFrame, columns: Sequence[str]) -> NDArray[np.uint64]:
    """A hash per row over these columns, streamed; shape (rows,).

    Two missing cells are equal, so are 0.0 and -0.0. Two different rows share a hash with
    probability 2^-64: among 20 million rows once in 90,000 data sets. Hash values differ
    between versions of polars; only their equality may be used.
    """
    hashed = frame.select(pl.struct(columns).hash(0).alias("hash")).collect(engine="streaming")
    return hashed["hash"].to_numpy()


def group_codes(values: NDArray[np.uint64]) -> IntArray:
    """Number equal values 0, 1, … in order of first appearance; shape (rows,)."""
    if not len(values):
        return np.zeros(0, dtype=np.int64)
    first = (
        pl.DataFrame({"value": values})
        .with_row_index("row")
        .select(pl.col("row").min().over("value"))["row"]
        .to_numpy()
    )
    codes = np.cumsum(first == np.arange(len(first))) - 1
    numbered: IntArray = codes[first].astype(np.int64)
    return numbered


def join_codes(left: IntArray, right: IntArray) -> IntArray:
    """Number the finest grouping in which rows equal on either side are together."""
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    if not len(left):
        return left
    pairs = np.unique(left * (int(right.max()) + 1) + right)
    tail, head = np.divmod(pairs, int(right.max()) + 1)
    size = int(left.max()) + 1
    graph = coo_array(
        (np.ones(len(pairs), dtype=np.uint8), (tail, head + size)),
        shape=(size + int(right.max()) + 1,) * 2,
    )
    _, component = connected_components(graph, directed=False)
    return group_codes(component[left].astype(np.uint64))


def plain(
    schema: pl.Schema,
    columns: Sequence[str],
    rounded: Callable[[pl.Expr], pl.Expr] | None = None,
    *,
    as_is: Collection[str] = (),
) -> list[pl.Expr]:
    """The columns as they are but for how they are written.

    Text loses case, punctuation and repeated blanks, but in the columns `as_is`; fractional
    numbers are rounded, where a function that rounds them is given.
    """
    expressions = []
    for name in columns:
        column = pl.col(name)
        if schema[name] == pl.String and name not in as_is:
            letters = column.str.to_lowercase().str.replace_all(r"[^\p{L}\p{N}]+", " ")
            column = letters.str.strip_chars()
        elif rounded is not None and schema[name].is_float():
            column = rounded(column)
        expressions.append(column)
    return expressions
