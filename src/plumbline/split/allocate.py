"""Units of rows into parts: shares and labels as wanted, no unit on two sides.

A unit is what must stay together: equal rows, a group, or one row alone. Units that weigh
much and units of mixed labels are placed one by one, the heaviest first, each where it is
missed most; the many small ones of one label are shuffled and cut, and what rounding leaves
over is carried to the next label. So shares err by about one small unit, not one per label.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from plumbline.kinds import DoubleArray, IntArray
from plumbline.preprocessing.duplicates import group_codes

Small = NDArray[np.signedinteger[Any]]  # of few bytes: there may be twenty million units

FREE = -1
HEAVY = 0.01  # a unit heavier than this share of a label's smallest part is placed by itself
MAX_CELLS = 4_000_000  # of the table units x labels that the one-by-one placing holds


def allocate(
    unit: IntArray,
    label: IntArray,
    shares: Sequence[float],
    rng: np.random.Generator,
    *,
    fixed: Small | None = None,
) -> Small:
    """A part number for every unit.

    Args:
        unit, label: number of the unit and of the label, per row; shape (rows,).
        shares: wanted share of the rows per part, sum 1; shape (P,).
        fixed: part of units that are settled already, else `FREE`; shape (units,).

    Returns:
        part numbers 0 … P-1, shape (units,).
    """
    size = np.bincount(unit).astype(np.int32)
    count = np.bincount(label)
    part = np.full(len(size), FREE, dtype=np.int16) if fixed is None else fixed.astype(np.int16)
    left = np.outer(count, shares)  # (labels, P): rows still wanted
    settled = np.flatnonzero(part[unit] != FREE)
    np.subtract.at(left, (label[settled], part[unit[settled]]), 1)

    first = np.empty(len(size), dtype=np.int32)
    first[unit[::-1]] = label[::-1]
    mixed = np.zeros(len(size), dtype=bool)
    mixed[unit[label != first[unit]]] = True
    heavy = size > np.maximum(1, HEAVY * min(shares) * count)[first]
    alone = np.flatnonzero((part == FREE) & (mixed | heavy))
    if len(alone) * len(count) > MAX_CELLS:
        alone = alone[np.argsort(-size[alone], kind="stable")[: MAX_CELLS // len(count)]]
    _place(part, alone, unit, label, size, left, count, rng)
    _cut(part, first, size, left, rng)
    return part


def fill(part: Small, unit: IntArray, label: IntArray, parts: int) -> None:
    """Give each part that has no unit the smallest one of the part with most, in place: few units
    of many sizes may leave one empty. A part keeps a unit of every label that it has.

    Args:
        part: part number per unit, or `FREE`.
    """
    size = np.bincount(unit)
    for empty in np.setdiff1d(np.arange(parts), part):
        count = np.bincount(part[part != FREE], minlength=parts)
        fullest = int(count.argmax())
        inside = part[unit] == fullest
        units = units_per_label(group_codes(unit[inside]), label[inside])
        alone = np.unique(unit[inside][units[label[inside]] < 2])
        movable = np.setdiff1d(np.unique(unit[inside]), alone)
        if len(movable):
            part[movable[np.argmin(size[movable])]] = empty


def _place(
    part: Small,
    selected: IntArray,
    unit: IntArray,
    label: IntArray,
    size: Small,
    left: DoubleArray,
    count: IntArray,
    rng: np.random.Generator,
) -> None:
    """Heaviest first, each to the part that misses its labels most."""
    if not len(selected):
        return
    order = selected[np.lexsort((rng.random(len(selected)), -size[selected]))]
    position = np.full(len(size), -1)
    position[order] = np.arange(len(order))
    mine = position[unit] >= 0
    cells = position[unit[mine]] * len(count) + label[mine]
    histogram = np.bincount(cells, minlength=len(order) * len(count)).reshape(-1, len(count))
    scale = np.maximum(count, 1)[:, None].astype(np.float64) ** 2
    taken = np.zeros(left.shape[1])
    for u, h in zip(order, histogram, strict=True):
        gain = h @ (left / scale)  # (P,)
        best = np.flatnonzero(gain >= gain.max() - 1e-12)
        p = best[np.argmin(taken[best])]
        part[u] = p
        left[:, p] -= h
        taken[p] += size[u]


def _cut(
    part: Small, first: Small, size: Small, left: DoubleArray, rng: np.random.Generator
) -> None:
    """Shuffle the remaining units of each label and cut them at the wanted shares."""
    free = np.flatnonzero(part == FREE)
    if not len(free):
        return
    free = free[np.lexsort((rng.random(len(free)), first[free]))]
    labels, start = np.unique(first[free], return_index=True)
    carry = np.zeros(left.shape[1])
    for c, units in zip(labels, np.split(free, start[1:]), strict=True):
        wanted = left[c] + carry
        weight = size[units]
        ends = np.maximum.accumulate(np.cumsum(wanted)[:-1])
        part[units] = np.searchsorted(ends, np.cumsum(weight) - weight / 2, side="left")
        carry = wanted - np.bincount(part[units], weights=weight, minlength=len(wanted))


def units_per_label(unit: IntArray, label: IntArray) -> IntArray:
    """In how many units each label occurs; shape (labels,)."""
    labels = int(label.max()) + 1
    first = np.full(int(unit.max()) + 1, -1)
    first[unit] = label
    counted = np.bincount(first[first >= 0], minlength=labels)
    # the few units of more than one label: sorting all rows would take longer than the rest
    mixed = label != first[unit]
    others = np.unique(unit[mixed] * labels + label[mixed]) % labels
    return counted + np.bincount(others, minlength=labels)
