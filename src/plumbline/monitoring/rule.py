"""When windows in alarm are enough: k of the last n, the newest among them.

The level of a single test follows from how often the rule may fire by chance. Let m be the tests
of a window and N the windows: of m N tests at level α each, m N α are significant by chance on the
average, whatever they have to do with each other. The rule needs k windows in alarm, so by Markov's
inequality it fires with a probability of at most m N α / k.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from plumbline.config.monitor import MonitorConfig

ROWS, LABELS = "rows", "labels"  # the kinds of windows that the rule is applied to
PER_FEATURE = 2  # tests: of its cells, and whether they are missing
OTHER_TESTS = 5  # prediction, out of distribution, labels, concept, performance


def level_of_tests(config: MonitorConfig, features: int) -> float:
    """The level of each test."""
    tests = PER_FEATURE * features + OTHER_TESTS
    return config.false_alarm * config.alarm_windows / (config.false_alarm_windows * tests)


@dataclass(frozen=True, kw_only=True)
class Firing:
    """The rule fires.

    Attributes:
        kind: `rows` or `labels`.
        window: start of the newest window.
        begun: start of the window with which it began to fire, without a break since.
        windows: how many of the last ones are in alarm, and `of` how many.
        columns: what is in alarm in them, the most often first.
    """

    kind: str
    window: str
    begun: str
    windows: int
    of: int
    columns: tuple[str, ...]

    @property
    def words(self) -> str:
        """`2 of the last 3 windows: age, plan`."""
        what = "windows" if self.kind == ROWS else "windows with labels"
        return f"{self.windows} of the last {self.of} {what}: {', '.join(self.columns)}"


def firing(records: Sequence[Mapping[str, Any]], kind: str, config: MonitorConfig) -> Firing | None:
    """Whether the rule fires with the newest window that counts.

    Args:
        records: of windows, the oldest first.
    """
    counted = [r for r in records if r["alarms"][kind] is not None]
    fires = [_fires(counted[: i + 1], kind, config) for i in range(len(counted))]
    if not fires or not fires[-1]:
        return None
    first = len(fires)
    while first and fires[first - 1]:
        first -= 1
    last = counted[-config.of_windows :]
    names = [name for record in last for name in record["alarms"][kind]]
    return Firing(
        kind=kind,
        window=counted[-1]["start"],
        begun=counted[first]["start"],
        windows=sum(bool(record["alarms"][kind]) for record in last),
        of=config.of_windows,
        columns=tuple(sorted(dict.fromkeys(names), key=lambda name: -names.count(name))),
    )


def _fires(counted: Sequence[Mapping[str, Any]], kind: str, config: MonitorConfig) -> bool:
    alarms = [bool(record["alarms"][kind]) for record in counted[-config.of_windows :]]
    return alarms[-1] and sum(alarms) >= config.alarm_windows
