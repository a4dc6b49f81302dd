"""Which rows are equal: row numbers grouped by a 64-bit hash of their cells."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Sequence

import numpy as np
import polars as pl
from numpy.typing import NDArray

from plumbline.kinds import BoolArray, IntArray


def hash_rows(frame: pl.LazyFrame, columns: Sequence[str]) -> NDArray[np.uint64]:
    """A hash per row over these columns, streamed; shape (rows,).

    Two missing cells are equal, so are 0.0 and -0.0. Two different rows share a hash with
    probability 2^-64: among 20 million rows once in 90,000 data sets. Hash values differ
    between versions of polars; only their equality may be used.
    """
    hashed = frame.select(pl.struct(columns).hash(0).alias("hash")).collect(engine="streaming")
    return hashed["hash"].to_numpy()


def group_codes(values: NDArray[np.uint64] | IntArray) -> IntArray:
    """Number equal values 0, 1, … in order of first appearance; shape (rows,).

    Args:
        values: hashes, or codes from 0 on.
    """
    n = len(values)
    if not n:
        return np.zeros(0, dtype=np.int64)
    if int(values.max()) < 2 * n:
        first = _first_of_codes(values)
    else:
        again = _repeated(values)
        if not len(again):
            return np.arange(n)
        many = len(again) > n // 100
        first = _first_of_many(values) if many else _first_of_few(values, again)
    codes: IntArray = np.cumsum(first == np.arange(n))
    codes -= 1
    return codes[first]


def without_cells(schema: pl.Schema, columns: Sequence[str]) -> pl.Expr:
    """Whether a row has no cell in any of the columns."""
    missing = [
        pl.col(name).is_null() | pl.col(name).is_nan()
        if schema[name].is_float()
        else pl.col(name).is_null()
        for name in columns
    ]
    return pl.all_horizontal(missing)


def apart(code: IntArray, rows: BoolArray) -> IntArray:
    """The numbers of rows, (rows,), but for some rows, each of which gets one of its own."""
    if np.count_nonzero(rows) < 2:
        return code
    numbers = np.flatnonzero(rows)
    own = code.copy()
    own[numbers] = len(code) + np.arange(len(numbers))
    return group_codes(own)


COINCIDENCE = 10.0  # times that a row occurs on average, from which equality says nothing
BY_CHANCE = 2.0  # times as many equal pairs as chance makes, up to which they are no copies


def are_by_chance(code: IntArray, columns: Iterable[IntArray]) -> bool:
    """Whether equal rows are no copies, but rows that agree in few features of few values.

    The chance that two rows agree is at least the product over the columns of the chance that
    two of their cells do; it is that where columns are independent, and more where they are not.

    Args:
        code: number of each row, from 0 on; equal rows share one.
        columns: of each feature how many rows have each of its values; read as far as needed.
    """
    rows = len(code)
    pairs = _pairs(np.bincount(code))
    if not pairs:
        return False
    if rows >= COINCIDENCE * (int(code.max()) + 1):
        return True
    most = BY_CHANCE * rows * (rows - 1) / 2
    for counts in columns:
        most *= _pairs(counts) / (rows * (rows - 1) / 2)
        if most < pairs:
            return False
    return True


def _pairs(counts: IntArray) -> float:
    return float((counts * (counts - 1.0)).sum() / 2)


def different(values: NDArray[np.uint64]) -> int:
    """How many different values there are."""
    ordered = np.sort(values)
    return int((ordered[1:] != ordered[:-1]).sum()) + 1 if len(values) else 0


# Row number of the first row that has a row's value, (rows,): three ways, as tables of twenty
# million entries are what costs memory and time.


def _first_of_codes(values: NDArray[np.uint64] | IntArray) -> IntArray:
    least = np.empty(int(values.max()) + 1, dtype=np.int64)
    least[values[::-1]] = np.arange(len(values) - 1, -1, -1)  # of equal ones the last stays
    return least[values]


def _first_of_many(values: NDArray[np.uint64] | IntArray) -> IntArray:
    frame = pl.DataFrame({"value": values}).with_row_index("row")
    first: IntArray = frame.select(pl.col("row").min().over("value").cast(pl.Int64))[
        "row"
    ].to_numpy()
    return first


def _first_of_few(
    values: NDArray[np.uint64] | IntArray, again: NDArray[np.uint64] | IntArray
) -> IntArray:
    """Args: again: the values that occur more than once, ascending."""
    place = np.minimum(np.searchsorted(again, values), len(again) - 1)
    rows = np.flatnonzero(again[place] == values)
    first = np.arange(len(values))
    first[rows] = rows[_first_of_codes(place[rows])]
    return first


def _repeated(values: NDArray[np.uint64] | IntArray) -> NDArray[np.uint64] | IntArray:
    """Values that occur more than once, ascending."""
    ordered = np.sort(values)
    again = ordered[1:][ordered[1:] == ordered[:-1]]
    keep = np.ones(len(again), dtype=bool)
    keep[1:] = again[1:] != again[:-1]
    once: NDArray[np.uint64] | IntArray = again[keep]
    return once


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
    return group_codes(component[left].astype(np.int64))


def plain(
    schema: pl.Schema,
    columns: Sequence[str],
    rounded: Callable[[pl.Expr], pl.Expr] | None = None,
    *,
    as_is: Collection[str] = (),
) -> list[pl.Expr]:
    """The columns as they are but for how they are written.

    Text loses case, punctuation and repeated blanks, but in the columns `as_is`, and where it is
    all that there is (emoji); fractional numbers are rounded, where a function that rounds them is
    given.
    """
    expressions = []
    for name in columns:
        column = pl.col(name)
        if schema[name] == pl.String and name not in as_is:
            letters = column.str.to_lowercase().str.replace_all(r"[^\p{L}\p{N}]+", " ")
            letters = letters.str.strip_chars()
            column = pl.when(letters != "").then(letters).otherwise(column)
        elif rounded is not None and schema[name].is_float():
            column = rounded(column)
        expressions.append(column)
    return expressions
