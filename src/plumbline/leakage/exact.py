"""Whether a column decides the target exactly: the evidence that stops the graph.

A strong column is no leak: two kinds of flower or two kinds of banknote are told apart by one
length with hardly an error. What no measurement does is to decide the target without an error
where rows lie dense: noise of any size would put some of them on the wrong side. So what counts
here is the form of the relation, and no score:

- a code: few values, each of which stands in rows of one class only
- a step: classes that change at an edge of the column, without an error among the rows beside it
- a gap: the column is missing where the class is, and nowhere else
- a copy: a number that only rises (or falls) with the target, without scatter
- bands: few values, each of which stands for a range of the target that no other value shares
"""

from __future__ import annotations

import numpy as np

from plumbline.kinds import BoolArray, DoubleArray, IntArray

MIN_ROWS = 20  # of a class, a value or a side of an edge
MOST_VALUES = 256
IMPURE = 0.001  # share of rows that may contradict a code
BESIDE, DENSE = 20, 0.25  # rows on each side of an edge; standard deviations that they span
GAP = 0.998  # share of rows in which missing and class agree
BANDS, PER_BAND = 5, 5  # ranges of a number, rows per range
CLOCK = 0.99  # share of rows from which a column that never falls is a clock


def is_code(codes: IntArray, number: IntArray) -> bool:
    """Whether each of few values stands in rows of one class only.

    Args:
        codes: value numbers (n,); number: class numbers (n,).
    """
    rows, classes = len(codes), int(number.max()) + 1
    sizes = np.bincount(codes)
    if (sizes > 0).sum() > min(MOST_VALUES, rows // MIN_ROWS):
        return False
    if rows - np.bincount(number).max() < MIN_ROWS:  # so few rows agree by chance
        return False
    table = np.bincount(codes * classes + number, minlength=len(sizes) * classes)
    return bool(rows - table.reshape(-1, classes).max(axis=1).sum() <= IMPURE * rows)


def edges_are_full(x: DoubleArray, number: IntArray) -> bool:
    """Whether rows lie dense on both sides of each place where a number's few values change class.

    A rounded measurement of kinds that lie apart is no code: its values thin out towards the edge,
    and some between are empty. Of codes in no order each change is an edge between full values.

    Args:
        x: (n,), NaN where missing; number: class numbers (n,).
    """
    there = np.isfinite(x)
    values, place, count = np.unique(x[there], return_inverse=True, return_counts=True)
    classes = int(number.max()) + 1
    table = np.bincount(place * classes + number[there], minlength=len(values) * classes)
    edge = np.flatnonzero(np.diff(table.reshape(-1, classes).argmax(axis=1)))
    if not len(edge) or len(edge) >= 2 * classes:
        return len(edge) > 0
    step = np.diff(values)
    full = np.minimum(count[edge], count[edge + 1]) >= BESIDE
    return bool(full.all() and (step[edge] <= 2 * np.median(step)).all())


def is_step(x: DoubleArray, number: IntArray) -> bool:
    """Whether classes change at edges of x, without an error among the dense rows beside them.

    Args:
        x: (n,), NaN where missing; number: class numbers (n,).
    """
    there = np.isfinite(x)
    if there.mean() < 0.5 or there.sum() < 2 * MIN_ROWS:
        return False
    order = np.argsort(x[there], kind="stable")
    value, label = x[there][order], number[there][order]
    edge = np.flatnonzero(np.diff(label)) + 1  # first row of each run of one class
    if not len(edge) or len(edge) >= 2 * (int(number.max()) + 1):
        return False
    if (value[edge] == value[edge - 1]).any():  # a value of two classes
        return False
    starts = np.concatenate([[0], edge, [len(value)]])
    if np.diff(starts).min() < BESIDE:
        return False
    low, high = np.quantile(value, [0.25, 0.75])
    scale = min(float(value.std()), float(high - low) / 1.35)
    span = value[edge + BESIDE - 1] - value[edge - BESIDE]
    return bool((span <= DENSE * scale).all())


def is_gap(missing: BoolArray, of_class: BoolArray) -> bool:
    """Whether the column is missing where the class is and nowhere else, or the reverse."""
    if not MIN_ROWS <= missing.sum() <= len(missing) - MIN_ROWS:
        return False
    agree = float((missing == of_class).mean())
    return max(agree, 1 - agree) >= GAP


def is_copy(x: DoubleArray, y: DoubleArray) -> bool:
    """Whether a number rises, or falls, with the target without scatter.

    A number that follows the order of the rows is a clock: what grows with time is no copy of it.

    Args:
        x: (n,), NaN where missing; y: the target (n,).
    """
    there = np.isfinite(x)
    if there.mean() < 0.5 or there.sum() < 2 * MIN_ROWS:
        return False
    x, y = x[there], y[there]
    step = np.diff(x)
    if max((step >= 0).mean(), (step <= 0).mean()) >= CLOCK:
        return False
    values = len(np.unique(x))
    if min(values, len(np.unique(y))) < MIN_ROWS:
        return False
    for way in (way * y for way in (1, -1)):
        against = int((np.diff(way[np.lexsort((way, x))]) < 0).sum())
        if against <= IMPURE * values:
            return True
    return False


def is_bands(codes: IntArray, y: DoubleArray) -> bool:
    """Whether each of few values stands for a range of the target that no other value shares.

    Args:
        codes: value numbers (n,), 0 where missing; y: the target (n,).
    """
    there = codes > 0
    codes, y = codes[there], y[there]
    if there.mean() < 0.5 or len(codes) < 2 * MIN_ROWS:
        return False
    sizes = np.bincount(codes)
    if (sizes > 0).sum() > min(MOST_VALUES, len(codes) // PER_BAND):
        return False
    if (sizes >= PER_BAND).sum() < BANDS:
        return False
    runs = 1 + int((np.diff(codes[np.argsort(y, kind="stable")]) != 0).sum())
    return bool(runs <= (sizes > 0).sum() + 2 * IMPURE * len(codes))
