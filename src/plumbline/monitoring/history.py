"""The records of a version's windows: a JSON file each, replaced whole, at most so many of them."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from plumbline.files import read_json, write_json
from plumbline.monitoring.windows import time_number

ALERTS = "alerts.json"
Record = dict[str, Any]


def history_folder(folder: Path, version: str, windows: str) -> Path:
    """Where the history of a version is.

    Args:
        folder: of all histories.
        windows: how they are cut (`windows.window_name`).
    """
    return folder / re.sub(r"[^\w.@-]+", "-", version) / windows


class History:
    """The history in a folder. A file that holds something else is not there."""

    def __init__(self, folder: Path, keep: int) -> None:
        self.folder, self._keep = folder, keep
        self._records: dict[str, Record] = {}
        for file in sorted(folder.glob("*.json")):
            record = _read(file)
            if record is not None:
                self._records[record["start"]] = record

    @property
    def records(self) -> list[Record]:
        """The oldest first."""
        return sorted(self._records.values(), key=lambda record: time_number(record["start"]))

    def get(self, start: str) -> Record | None:
        """The record of the window that begins then."""
        return self._records.get(start)

    def add(self, record: Record) -> None:
        """Keep a record, in place of one of the same window; the oldest goes if there are too
        many."""
        write_json(self._file(record), record)
        self._records[record["start"]] = record
        for old in self.records[: -self._keep]:
            self._file(old).unlink(missing_ok=True)
            del self._records[old["start"]]

    @property
    def alerts(self) -> dict[str, str]:
        """By where an alert goes, the start of the window with which the rule began to fire when
        one was last sent."""
        try:
            return {str(k): str(v) for k, v in read_json(self.folder / ALERTS).items()}
        except (OSError, ValueError, AttributeError):
            return {}

    def alerted(self, where: str, begun: str) -> None:
        """Note that an alert was sent."""
        write_json(self.folder / ALERTS, {**self.alerts, where: begun})

    def _file(self, record: Record) -> Path:
        return self.folder / f"{re.sub(r'[^0-9T]', '', record['start'])}.json"


def _read(file: Path) -> Record | None:
    """A record, as far as the rule needs it."""
    if file.name == ALERTS:
        return None
    try:
        record = read_json(file)
        time_number(record["start"])
        time_number(record["end"])
        whole = isinstance(record["alarms"], dict) and isinstance(record["rows"], int)
        return record if whole and isinstance(record["settings"], dict) else None
    except (OSError, ValueError, KeyError, TypeError):
        return None
