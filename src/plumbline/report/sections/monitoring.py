"""The section on what was served since: windows of the log against what the model was fitted to."""

from __future__ import annotations

from typing import Any

import numpy as np

from plumbline.kinds import DoubleArray
from plumbline.numbers import fixed, method_words, number, percent, plural
from plumbline.report.about import About
from plumbline.report.blocks import (
    Block,
    Cell,
    Figure,
    Figures,
    Grid,
    Metadata,
    Note,
    Section,
    Status,
    Subsection,
    Text,
    figure_cell,
    name,
)
from plumbline.report.plots import Axes, Series, lines
from plumbline.report.read import Reports, entries, listed, pick, real, whole, words
from plumbline.words import metric_label

SUMMARY = "latest.json"
WINDOWS_SHOWN, COLUMNS_SHOWN = 20, 40
ROWS, LABELS = "rows", "labels"


def monitoring(reports: Reports, about: About) -> Section | None:
    """The history as it is now; None where there is none."""
    history = Reports(reports.folder.parent / about.config.monitor.folder)
    return monitoring_section(history)


def monitoring_section(history: Reports) -> Section | None:
    """The section of a folder with histories."""
    if not history.exists(SUMMARY):
        return None
    content = history.json(SUMMARY)
    windows = [one for one in listed(pick(content, "windows")) if isinstance(one, dict)]
    firings = listed(pick(content, "firing"))
    state = Status(state="good", word="no drift")
    if firings:
        state = Status(state="bad", word="the rule fires")
    elif any(_alarms(one) for one in windows[-1:]):
        state = Status(state="warn", word="newest window in alarm")
    elif not windows:
        state = Status(state="info", word="no window yet")
    blocks: list[Block] = [
        Note(Status(state="bad", word="fires"), words(pick(one, "words")) or "") for one in firings
    ]
    blocks.append(Metadata(_metadata(content, windows)))
    figures = _figures(content, windows)
    if figures:
        blocks.append(Figures(figures))
    if windows:
        blocks.append(_windows(windows))
    blocks += _columns(content)
    read = (
        "Each window of the service's log is compared with the rows that the version was fitted "
        "to. A column is in alarm where a test finds a difference that chance does not explain, "
        "and the difference is large enough to matter; the rule fires where enough of the last "
        "windows are in alarm, the newest among them. Labels may come later: the windows that "
        "they belong to are then renewed."
    )
    part = Subsection(read=read, blocks=blocks)
    return Section(id="monitoring", title="Monitoring", status=state, parts=[part])


def _alarms(window: dict[str, Any]) -> list[str]:
    both = (listed(pick(window, "alarms", kind)) for kind in (ROWS, LABELS))
    return [str(one) for alarms in both for one in alarms]


def _metadata(content: Any, windows: list[dict[str, Any]]) -> list[tuple[str, str | Status]]:
    k, n = (whole(pick(content, key)) for key in ("alarm_windows", "of_windows"))
    items: list[tuple[str, str | Status]] = [
        ("version", words(pick(content, "version")) or "–"),
        ("windows", number(len(windows))),
        ("rule", f"{number(k)} of the last {number(n)}"),
    ]
    if windows:
        newest = windows[-1]
        items += [
            ("newest window", _day(newest)),
            ("its rows", number(whole(newest.get("rows")))),
            ("its labels", number(whole(newest.get("labels")))),
        ]
    return items


def _day(window: dict[str, Any]) -> str:
    return (words(window.get("start")) or "–")[:16].replace("T", " ")


def _values(windows: list[dict[str, Any]], key: str) -> DoubleArray:
    values = (real(window.get(key)) for window in windows)
    return np.array([np.nan if value is None else float(value) for value in values])


def _figures(content: Any, windows: list[dict[str, Any]]) -> list[Figure]:
    """What there is over the windows, the oldest at the left."""
    if not windows:
        return []
    places = np.arange(1, len(windows) + 1, dtype=np.float64)
    alarms = np.array([float(len(_alarms(window))) for window in windows])
    metric = words(pick(content, "metric")) or ""
    label = metric_label(metric)
    shown = [
        ("In alarm", "columns and others in alarm", [("in alarm", alarms, "s1")]),
        ("Rows", "rows of the window", [("rows", _values(windows, "rows"), "s0")]),
        (
            label,
            f"{label} of labeled rows",
            [
                ("window", _values(windows, "metric"), "s0"),
                ("held-out rows", _values(windows, "reference"), "s2"),
            ],
        ),
        (
            "Predictions",
            "distance from predictions of held-out rows",
            [("distance", _values(windows, "prediction"), "s0")],
        ),
        (
            "Out of distribution",
            "share of rows flagged",
            [("share", _values(windows, "out_of_distribution"), "s0")],
        ),
        ("Latency", "seconds, 95% of requests", [("p95", _values(windows, "p95"), "s0")]),
    ]
    span = f"{_day(windows[0])} to {_day(windows[-1])}"
    return [
        Figure(
            svg=lines(
                [
                    Series(name=own, x=places, y=values, cls=cls, marks=cls != "s2")
                    for own, values, cls in series
                ],
                Axes(title=title, x="window", y=axis, text=f"{axis}, {span}", x_whole=True),
            ),
            caption=f"{axis[0].upper()}{axis[1:]}, windows from {span}.",
        )
        for title, axis, series in shown
        if any(np.isfinite(values).any() for _, values, _ in series)
    ]


def _windows(windows: list[dict[str, Any]]) -> Grid:
    newest = windows[::-1][:WINDOWS_SHOWN]
    return Grid(
        caption="Windows, the newest first",
        columns=["from (UTC)", "rows", "labels", "state", "in alarm"],
        rows=[
            [
                Cell(text=_day(window)),
                figure_cell(number(whole(window.get("rows")))),
                figure_cell(number(whole(window.get("labels")))),
                Cell(text="", status=_state(window)),
                name(_some(_alarms(window))),
            ]
            for window in newest
        ],
        more=f"The newest {len(newest)} of {plural(len(windows), 'window')}."
        if len(windows) > len(newest)
        else "",
        total=len(windows),
    )


def _state(window: dict[str, Any]) -> Status:
    if _alarms(window):
        return Status(state="warn", word="alarm")
    if pick(window, "alarms", ROWS) is None:
        return Status(state="info", word="too few rows")
    return Status(state="good", word="no")


def _some(names: list[str], limit: int = 6) -> str:
    return ", ".join(names[:limit]) + (f" and {len(names) - limit} more" if names[limit:] else "")


def _columns(content: Any) -> list[Block]:
    """The columns of the newest window that was compared, the farthest first."""
    newest = pick(content, "newest")
    listed_columns = [(k, v) for k, v in entries(pick(newest, "columns")) if isinstance(v, dict)]
    left_out = [f"{key}: {words(why) or ''}" for key, why in entries(pick(content, "left_out"))]
    blocks: list[Block] = []
    if listed_columns:
        by_distance = sorted(listed_columns, key=lambda one: -(real(one[1].get("distance")) or 0.0))
        blocks.append(
            Grid(
                caption=f"Columns in the window from {_day(newest)}, the farthest first",
                columns=["column", "alarm", "distance", "test", "p-value", "level", "missing"],
                rows=[_column(key, column) for key, column in by_distance[:COLUMNS_SHOWN]],
                more=f"The first {COLUMNS_SHOWN} of {len(by_distance):,}."
                if len(by_distance) > COLUMNS_SHOWN
                else "",
                total=len(by_distance),
            )
        )
    if left_out:
        blocks.append(Text(f"Not compared: {'; '.join(left_out[:COLUMNS_SHOWN])}."))
    return blocks


def _column(key: str, column: dict[str, Any]) -> list[Cell]:
    alarm = column.get("drifted") is True or column.get("missing_drifted") is True
    before, after = (real(pick(column, "missing", k)) for k in ("reference", "current"))
    missing = "none" if before == after == 0 else f"{percent(before)} → {percent(after)}"
    status = Status(state="warn", word="alarm") if alarm else Status(state="good", word="no")
    return [
        name(key),
        Cell(text="", status=status),
        figure_cell(fixed(real(column.get("distance")))),
        Cell(text=method_words(str(column.get("method") or "–")[:80])),
        figure_cell(number(real(column.get("score")), 2)),
        figure_cell(number(real(column.get("threshold")), 2)),
        figure_cell(missing),
    ]
