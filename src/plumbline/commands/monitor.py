"""`plumbline monitor`: windows of the service's log against what the version was fitted to."""

from __future__ import annotations

import logging
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from plumbline.commands.predict_model import named_address, version_folder
from plumbline.config import Config, Paths, load_config
from plumbline.config.monitor import MonitorConfig
from plumbline.errors import GateError
from plumbline.files import exclusive, write_json, write_text
from plumbline.monitoring.alerts import note, post
from plumbline.monitoring.history import History, history_folder
from plumbline.monitoring.log_reader import LogReader, words_of_unmatched
from plumbline.monitoring.measure import compared_columns, log_name, measure, settings_of
from plumbline.monitoring.rule import LABELS, ROWS, Firing, firing
from plumbline.monitoring.summary import PAGE, SUMMARY, summary
from plumbline.monitoring.version import WatchedVersion
from plumbline.monitoring.windows import Window, time_number, time_text, window_name, windows
from plumbline.report.page import render_monitoring
from plumbline.report.read import Reports
from plumbline.serving.log_lines import OUTPUT
from plumbline.stages import Report

SECOND = 1_000_000  # microseconds


@dataclass(frozen=True, kw_only=True)
class Monitored:
    """What a run did, and whether the rule fires now."""

    report: Report
    version: str
    firings: Sequence[Firing]
    page: Path


def monitor(paths: Paths, *, model: str | None = None, now: int | None = None) -> Monitored:
    """Look at the windows that are over and not recorded, or of which the log has more now.

    Args:
        model: models:/NAME@ALIAS, models:/NAME/VERSION or a folder with a version's files; None:
            the champion of the checkout's data.
        now: in microseconds since 1970; None: it is.

    Raises:
        ParameterError: no such model.
        DataError: the version has no reference, or a file of the log is broken.
        StorageError: the registry does not answer, or another run is under way.
    """
    config = load_config(paths.params)
    _log_to_stderr()
    folder, name = version_folder(named_address(model, paths), paths)
    version = WatchedVersion.load(folder, name)
    now = time.time_ns() // 1000 if now is None else now
    with exclusive(paths.locks / "monitor", "'plumbline monitor'"):
        return _monitor(version, config, paths, now)


def refuse_firing(monitored: Monitored) -> None:
    """Raises GateError where the rule fires."""
    if monitored.firings:
        words = "; ".join(one.words for one in monitored.firings)
        raise GateError(
            f"{monitored.version} drifts: {words}.",
            report=monitored.page,
            hint="Train again on rows of these windows (docs/monitoring.md)",
        )


def _monitor(version: WatchedVersion, config: Config, paths: Paths, now: int) -> Monitored:
    place = paths.root / config.monitor.folder
    history = History(
        history_folder(place, version.name, window_name(config.monitor)),
        config.monitor.keep_windows,
    )
    reader = LogReader(paths.root / config.serve.log.folder, version.name)
    recorded = _record_windows(version, reader, config, now, history)
    records = history.records
    fires = (firing(records, kind, config.monitor) for kind in (ROWS, LABELS))
    firings = [one for one in fires if one is not None]
    problems = _alert(firings, version.name, history, config.monitor)
    metric = config.evaluate.metric
    counts = version.schema.task.spec.metric if metric == "auto" else metric
    content = summary(version.name, records, firings, counts, config.monitor)
    write_json(place / SUMMARY, content)
    page = place / PAGE
    write_text(page, render_monitoring(version.name, Reports(place)))
    rows = [
        ("version", version.name),
        ("windows", f"{len(records):,}, {recorded:,} of them new or renewed"),
        *_newest(records),
        *([("labels", words_of_unmatched(reader.unmatched))] if reader.unmatched else []),
        ("rule", "; ".join(one.words for one in firings) or "does not fire"),
        *(("alert", problem) for problem in problems),
    ]
    report = Report(rows=rows, outputs=[page])
    return Monitored(
        report=report, version=version.name, firings=firings, page=page.relative_to(paths.root)
    )


def _record_windows(
    version: WatchedVersion, reader: LogReader, config: Config, now: int, history: History
) -> int:
    """Record the windows that have to be; gives how many."""
    log = config.serve.log
    late = round(2 * log.flush_seconds + config.serve.timeout_seconds)  # until it is in the log
    known = [(time_number(r["start"]), time_number(r["end"])) for r in history.records]
    settings = settings_of(config.monitor, version, config.seed)
    own = windows(reader.times, reader.labeled, known, config.monitor, now - late * SECOND)
    renewed = [one for one in own if _is_due(one, history, settings)]
    columns, left_out = compared_columns(version, reader.columns, {*log.mask, *log.hash})
    names = [log_name(c) for c in columns]
    names += [name for name in reader.columns if name.startswith(OUTPUT)]
    for window in renewed:
        rows = reader.read(window, names, config.monitor.max_rows, config.seed)
        history.add(measure(version, window, rows, columns, left_out, settings))
    return len(renewed)


def _is_due(window: Window, history: History, settings: dict[str, Any]) -> bool:
    """Whether the log has more of a window than its record, or this was made by other settings.
    What the log has no longer stays as it was recorded."""
    record = history.get(time_text(window.start))
    if record is None:
        return True
    if window.rows < record["rows"] or window.labels < record["labels"]:
        return False
    same = all(record.get(key) == value for key, value in window.content.items())
    return not same or record["settings"] != settings


def _alert(
    firings: Sequence[Firing], version: str, history: History, config: MonitorConfig
) -> list[str]:
    """Send an alert where the rule has begun to fire, once; gives what went wrong."""
    problems = []
    for one in firings:
        if history.alerts.get(one.kind) != one.begun:
            note(one, version)
            history.alerted(one.kind, one.begun)
        posted = f"webhook {one.kind}"
        if history.alerts.get(posted) != one.begun:
            problem = post(one, version, seconds=config.webhook_seconds)
            if problem is None:
                history.alerted(posted, one.begun)
            else:
                problems.append(f"{problem}; the next run tries again")
    return problems


def _newest(records: Sequence[dict[str, Any]]) -> list[tuple[str, str]]:
    if not records:
        return [("rows", "the log has none of this version in a window that is over")]
    newest = records[-1]
    alarms = [name for kind in (ROWS, LABELS) for name in newest["alarms"][kind] or []]
    too_few = newest["alarms"][ROWS] is None
    return [
        ("newest", f"{newest['start']} to {newest['end']}"),
        ("", f"{newest['rows']:,} rows, {newest['labels']:,} labels"),
        ("in alarm", "too few rows" if too_few else ", ".join(alarms) or "nothing"),
    ]


def _log_to_stderr() -> None:
    logging.basicConfig(
        stream=sys.stderr,
        level=logging.WARNING,
        format="%(asctime)s plumbline monitor: %(message)s",
    )
