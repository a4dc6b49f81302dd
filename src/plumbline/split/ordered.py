"""Order in time: ties stay together, groups do not return."""

from __future__ import annotations

import numpy as np

from plumbline.kinds import ByteArray, IntArray, Part
from plumbline.split.rows import SplitRows


def time_order(rows: SplitRows, keep: IntArray) -> tuple[IntArray, IntArray]:
    """These row numbers in order of time, and their times; without times, in file order."""
    if rows.time is None:
        return keep, np.arange(len(keep))
    order = keep[np.argsort(rows.time[keep], kind="stable")]
    return order, rows.time[order]


def snap(stamp: IntArray, position: int) -> int:
    """The position nearest to `position` that does not cut rows of one time apart."""
    if not 0 < position < len(stamp):
        return position
    low = int(np.searchsorted(stamp, stamp[position], side="left"))
    high = int(np.searchsorted(stamp, stamp[position], side="right"))
    if high == len(stamp) or (low > 0 and position - low <= high - position):
        return low
    return high


def purge_groups(part: ByteArray, group: IntArray | None) -> ByteArray:
    """Leave out rows whose group goes on in a later part: no group on two sides."""
    if group is None:
        return part
    part = part.copy()
    for earlier, later in ((Part.TRAIN, (Part.VAL, Part.TEST)), (Part.VAL, (Part.TEST,))):
        goes_on = np.zeros(int(group.max()) + 1, dtype=bool)
        goes_on[group[np.isin(part, later)]] = True
        part[(part == earlier) & goes_on[group]] = Part.UNUSED
    return part
