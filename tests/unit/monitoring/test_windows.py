"""Windows are those that are over, by time or by rows."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from plumbline.config.monitor import MonitorConfig
from plumbline.monitoring.windows import HOUR, NEVER, time_number, time_text, windows

DAYS = MonitorConfig(window_hours=24)


def times(*hours: float) -> np.ndarray:
    return np.array([round(h * HOUR) for h in hours], dtype=np.int64)


def unlabeled(rows: np.ndarray) -> np.ndarray:
    return np.full(len(rows), NEVER, dtype=np.int64)


def test_windows_of_a_day_begin_at_midnight_and_are_there_when_they_are_over() -> None:
    rows = times(5, 23.9, 24, 75)
    own = windows(rows, unlabeled(rows), [], DAYS, now=round(96.5 * HOUR))
    assert [(one.start // HOUR, one.end // HOUR, one.rows) for one in own] == [
        (0, 24, 2),
        (24, 48, 1),
        (48, 72, 0),
        (72, 96, 1),
    ]
    assert len(windows(rows, unlabeled(rows), [], DAYS, now=round(95.9 * HOUR))) == 3
    assert windows(rows[:0], rows[:0], [], DAYS, now=round(96 * HOUR)) == []


def test_labels_are_counted_with_the_window_of_their_row() -> None:
    rows = times(1, 2, 30)
    labeled = np.array([round(99 * HOUR), NEVER, round(50 * HOUR)])
    first, second = windows(rows, labeled, [], DAYS, now=round(48 * HOUR))
    assert (first.labels, first.labeled) == (1, 99 * HOUR)
    assert (second.labels, second.labeled) == (1, 50 * HOUR)


@settings(deadline=None)
@given(
    gaps=st.lists(st.integers(0, 3), min_size=1, max_size=300),
    size=st.integers(20, 60),
    cut=st.floats(0, 1),
)
def test_windows_of_rows_go_on_where_they_ended(gaps: list[int], size: int, cut: float) -> None:
    rows = np.cumsum(np.array(gaps, dtype=np.int64))
    config = MonitorConfig(window_rows=size)
    now = int(rows[-1]) + 1
    whole = windows(rows, unlabeled(rows), [], config, now=now)
    early = rows[: int(len(rows) * cut)]
    early = rows[rows <= early[-1]] if len(early) else early
    first = windows(early, unlabeled(early), [], config, now=now)
    known = [(one.start, one.end) for one in first]
    assert windows(rows, unlabeled(rows), known, config, now=now) == whole
    assert all(one.rows >= size for one in whole)
    assert all(a.end == b.start for a, b in pairwise(whole))
    left = int((rows >= whole[-1].end).sum()) if whole else len(rows)
    assert left < size


def test_only_so_many_windows_are_looked_at() -> None:
    rows = times(0, 24 * 400)
    own = windows(rows, unlabeled(rows), [], MonitorConfig(keep_windows=10), now=24 * 401 * HOUR)
    assert len(own) == 10 and own[-1].end == 24 * 401 * HOUR


@pytest.mark.parametrize("text", ["2026-06-01T00:00:00", "2026-06-01T12:34:56.000007"])
def test_times_are_written_and_read(text: str) -> None:
    assert time_text(time_number(text)) == text
