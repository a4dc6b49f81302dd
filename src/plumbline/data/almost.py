"""Columns of text that are dates but for some cells: what stands in the way, and the fix."""

from __future__ import annotations

import polars as pl

from plumbline.cells import READERS
from plumbline.data.formats import CLOCKS, DAYS, HALF, LIKE_DATE, LOOKED_AT, Reading
from plumbline.kinds import ColumnType
from plumbline.tables import CellFormat

READABLE = 0.9  # of the cells: share that some format or other reads
FORMATS = 3  # shown
WORDS = 3  # different cells that may all mean "missing"


def almost_dates(cells: pl.Series) -> tuple[str, ...]:
    """A note on cells that are text, as they stand, none of them missing."""
    some = cells.head(LOOKED_AT)
    if not len(some) or some.str.contains(LIKE_DATE).sum() < HALF * len(some):
        return ()
    formats, rest = _formats(some)
    if not formats:
        return ()
    if len(formats) > 1 and len(rest) <= (1 - READABLE) * len(some):
        shown = ", ".join(f"'{example}'" for _, example, _ in formats)
        return (
            f"dates in several formats ({shown}): write them all in one format, such as 2024-12-31",
        )
    reading, _, count = formats[0]
    if count < HALF * len(some) or rest.str.contains(LIKE_DATE).any():
        return ()
    others = rest.unique(maintain_order=True).to_list()
    shown = ", ".join(f"'{cell[:20]}'" for cell in others[:WORDS])
    note = f"most cells are dates, others not ({shown})"
    if 0 < len(others) <= WORDS and not any(c.isdigit() for c in "".join(others)):
        date = "" if reading.format.date is None else f"date: '{reading.format.date}', "
        note += f"; if that means missing, set type: date, format: {{{date}missing: [{shown}]}}"
    return (note,)


def _formats(cells: pl.Series) -> tuple[list[tuple[Reading, str, int]], pl.Series]:
    """The formats that read the most cells, each of those that are left by the ones before it,
    with its first cell and how many it reads; and the cells that none reads."""
    patterns = [None, *(day + clock for day in DAYS for clock in CLOCKS)]
    readings = [
        Reading(type=ColumnType.DATE, format=CellFormat(date=p, missing=())) for p in patterns
    ]
    read = READERS[ColumnType.DATE]
    values = pl.DataFrame({"cell": cells}).select(
        read(r.column("cell"), pl.String()).is_not_null().alias(str(i))
        for i, r in enumerate(readings)
    )
    left = pl.repeat(True, len(cells), eager=True)
    formats: list[tuple[Reading, str, int]] = []
    while len(formats) < FORMATS:
        counts = [int((values[str(i)] & left).sum()) for i in range(len(readings))]
        best = counts.index(max(counts))
        if counts[best] < max(1, len(cells) // 50):
            break
        mine = values[str(best)] & left
        formats.append((readings[best], str(cells.filter(mine)[0]), counts[best]))
        left = left & ~mine
    return formats, cells.filter(left)
