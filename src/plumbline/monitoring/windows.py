"""Which windows of a version's rows are over. Times are microseconds since 1970, UTC."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

import numpy as np

from plumbline.config.monitor import MonitorConfig
from plumbline.kinds import IntArray

HOUR = 3_600_000_000
NEVER = -1  # when a row was labeled, where it was not


@dataclass(frozen=True, kw_only=True)
class Window:
    """From `start` (included) to `end` (not), with what the log has of it.

    `labeled`: when the last of its labels came; None without.
    """

    start: int
    end: int
    rows: int
    labels: int
    labeled: int | None

    @property
    def content(self) -> dict[str, int | str | None]:
        """What a record says of the log that it was made from."""
        return {
            "rows": self.rows,
            "labels": self.labels,
            "labeled": None if self.labeled is None else time_text(self.labeled),
        }


def windows(
    times: IntArray,
    labeled: IntArray,
    known: Sequence[tuple[int, int]],
    config: MonitorConfig,
    now: int,
) -> list[Window]:
    """The windows that are over, the oldest first, at most `keep_windows` of them.

    Args:
        times: (n,) of the version's rows, ascending.
        labeled: (n,) when each was labeled, or `NEVER`.
        known: start and end of windows that were recorded before, ascending; windows of so many
            rows go on from there.
        now: what came before is in the log.
    """
    if not len(times):
        return []
    if config.window_rows is None:
        bounds = _by_hours(times, config, now)
    else:
        bounds = [*known, *_by_rows(times, known, config.window_rows, now)]
    return [_window(times, labeled, *ends) for ends in bounds[-config.keep_windows :]]


def _by_hours(times: IntArray, config: MonitorConfig, now: int) -> list[tuple[int, int]]:
    width = max(1, round(config.window_hours * HOUR))
    first, over = int(times[0]) // width, now // width
    first = max(first, over - config.keep_windows)
    return [(i * width, (i + 1) * width) for i in range(first, over)]


def _by_rows(
    times: IntArray, known: Sequence[tuple[int, int]], rows: int, now: int
) -> list[tuple[int, int]]:
    """Rows of one time, such as those of a request, stay together."""
    start = known[-1][1] if known else int(times[0])
    position = int(np.searchsorted(times, start))
    bounds = []
    while position + rows <= len(times):
        end = int(times[position + rows - 1]) + 1
        if end > now:
            break
        bounds.append((start, end))
        start, position = end, int(np.searchsorted(times, end))
    return bounds


def _window(times: IntArray, labeled: IntArray, start: int, end: int) -> Window:
    first, last = np.searchsorted(times, [start, end])
    own = labeled[first:last]
    own = own[own != NEVER]
    return Window(
        start=start,
        end=end,
        rows=int(last - first),
        labels=len(own),
        labeled=int(own.max()) if len(own) else None,
    )


def time_text(microseconds: int) -> str:
    """`2026-06-01T00:00:00`, with a fraction where there is one."""
    seconds, rest = divmod(microseconds, 1_000_000)
    moment = datetime.fromtimestamp(seconds, UTC).replace(tzinfo=None, microsecond=rest)
    return moment.isoformat()


def time_number(text: str) -> int:
    """What `time_text` wrote, as a number."""
    moment = datetime.fromisoformat(text).replace(tzinfo=UTC)
    return int(moment.replace(microsecond=0).timestamp()) * 1_000_000 + moment.microsecond


def window_name(config: MonitorConfig) -> str:
    """How windows are cut: `24h`, `1000rows`."""
    if config.window_rows is not None:
        return f"{config.window_rows}rows"
    return f"{config.window_hours:g}h"
