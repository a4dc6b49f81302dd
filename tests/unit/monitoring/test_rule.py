"""The rule: enough of the last windows, the newest among them; by chance as rarely as wanted."""

from __future__ import annotations

from typing import Any

import numpy as np
import polars as pl
import pytest

from plumbline.config.monitor import MonitorConfig
from plumbline.evaluation.drift import ColumnPair
from plumbline.evaluation.window_drift import compare_window
from plumbline.kinds import ColumnType
from plumbline.monitoring.rule import LABELS, ROWS, firing, level_of_tests

TWO_OF_THREE = MonitorConfig(alarm_windows=2, of_windows=3)


def records(pattern: str) -> list[dict[str, Any]]:
    """A window per sign: `.` none in alarm, `x` column x in alarm, `-` too few rows."""
    alarms: dict[str, Any] = {".": [], "-": None}
    return [
        {"start": f"2026-06-{day:02d}T00:00:00", "alarms": {ROWS: alarms.get(c, [c]), LABELS: None}}
        for day, c in enumerate(pattern, 1)
    ]


@pytest.mark.parametrize(
    ("pattern", "fires"),
    [
        ("", False),
        ("x", False),
        ("xx", True),
        ("x.x", True),
        ("xx.", False),  # the newest is none
        ("x..x", False),
        ("x--x", True),  # those with too few rows count for nothing
        ("xx-", True),
        ("....xx", True),
    ],
)
def test_two_of_the_last_three_the_newest_among_them(pattern: str, fires: bool) -> None:
    assert (firing(records(pattern), ROWS, TWO_OF_THREE) is not None) == fires
    assert firing(records(pattern), LABELS, TWO_OF_THREE) is None


def test_it_says_when_it_began_and_what_is_in_alarm() -> None:
    one = firing(records("x..xyy"), ROWS, TWO_OF_THREE)
    assert one is not None
    assert one.begun == "2026-06-05T00:00:00" and one.window == "2026-06-06T00:00:00"
    assert one.columns == ("y", "x") and one.words == "3 of the last 3 windows: y, x"


def test_a_stream_that_does_not_drift_fires_as_rarely_as_wanted() -> None:
    """Many streams of 10 windows each, against one reference each that is not much larger than a
    window; only the tests decide, no distance."""
    config = MonitorConfig(
        alarm_windows=2, of_windows=3, false_alarm=0.3, false_alarm_windows=10, min_rows=20
    )
    level, streams, fired, alarms = level_of_tests(config, features=3), 80, 0, 0
    shares = np.array([0.5, 0.3, 0.15, 0.05])
    for seed in range(streams):
        rng = np.random.default_rng(seed)

        def rows(count: int, rng: np.random.Generator = rng) -> dict[str, Any]:
            common = rng.normal(size=count)
            return {
                "a": common + rng.normal(size=count),
                "b": common + 0.1 * rng.normal(size=count),  # goes with a
                "c": rng.choice(4, count, p=shares).astype(str),
            }

        reference = rows(300)
        own = []
        for _ in range(10):
            pairs = {
                name: ColumnPair(
                    type=ColumnType.CATEGORY if name == "c" else ColumnType.NUMBER,
                    reference=pl.Series(reference[name]),
                    current=pl.Series(values),
                )
                for name, values in rows(200).items()
            }
            drifts = compare_window(pairs, level=level, distance=0.0)
            own.append([name for name, one in drifts.items() if one.drifted])
        alarms += sum(map(bool, own))
        made = [{"start": str(i), "alarms": {ROWS: names}} for i, names in enumerate(own)]
        fired += any(firing(made[: i + 1], ROWS, config) for i in range(len(made)))
    assert fired <= streams * 0.3
    assert alarms > 0, "the simulation is one of tests that are never significant"
