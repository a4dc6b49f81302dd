"""Whether new values of a number column may be in another unit than the earlier ones.

Two things must hold. By rank: were old and new values drawn alike, the chance that the new ones
all stand among so few of the extreme old ones is below one in a thousand, over all columns (exact,
by counting orders). By size: none stands among the old ones, or their median is ten times larger
or smaller. The first alone is also true of a cluster, the second alone of a few rows of a long
tail.
"""

from __future__ import annotations

from math import lgamma, log

import numpy as np
import polars as pl

from plumbline.kinds import DoubleArray
from plumbline.numbers import number

LEAST = 20  # old values
CHANCE = 1e-3  # of a false alarm, over all columns
FACTOR = 10.0


def other_unit(before: pl.Series, after: pl.Series, columns: int) -> str | None:
    """What is odd about the new values, in words; None: nothing. Zeros have no unit.

    Args:
        before: (n,) and after: (m,), numbers.
        columns: how many are asked.
    """
    old, new = (_values(column) for column in (before, after))
    if len(old) < LEAST or not len(new) or _is_counter(old):
        return None
    low, high = float(old.min()), float(old.max())
    ratio = float(np.median(np.abs(new)) / np.median(np.abs(old)))
    for side, beyond in (
        ("above", int((old >= new.min()).sum())),
        ("below", int((old <= new.max()).sum())),
    ):
        if _log_chance(len(old), len(new), beyond) > log(CHANCE / (2 * columns)):
            continue
        if beyond and 1 / FACTOR < ratio < FACTOR:
            continue
        where = "the earlier ones" if beyond == 0 else "nearly all earlier ones"
        return (
            f"all {len(new):,} new values lie {side} {where} ({number(low)} to {number(high)}), "
            f"their median is {number(ratio, 2)} times the earlier one: another unit?"
        )
    return None


def _values(column: pl.Series) -> DoubleArray:
    values = column.cast(pl.Float64).drop_nulls().to_numpy()
    kept: DoubleArray = values[np.isfinite(values) & (values != 0)]
    return kept


def _is_counter(old: DoubleArray) -> bool:
    """A column that only rises, or only falls, goes on beyond its range."""
    step = np.diff(old)
    return bool((step >= 0).all() or (step <= 0).all())


def _log_chance(old: int, new: int, beyond: int) -> float:
    """Of `new` values all to stand among the `new + beyond` most extreme of all."""
    return lgamma(new + beyond + 1) - lgamma(beyond + 1) - lgamma(old + new + 1) + lgamma(old + 1)
