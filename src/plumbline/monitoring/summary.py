"""The history in short: what the page, the terminal and the flow's artifacts show."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from plumbline.config.monitor import MonitorConfig
from plumbline.inference.out_of_distribution import FLAG
from plumbline.monitoring.history import Record
from plumbline.monitoring.rule import Firing

SUMMARY = "latest.json"  # in the folder of all histories
PAGE = "index.html"
SHOWN = 400  # windows


def summary(
    version: str,
    records: Sequence[Record],
    firings: Sequence[Firing],
    metric: str,
    config: MonitorConfig,
) -> dict[str, Any]:
    """The content of latest.json.

    Args:
        records: the oldest first.
        metric: the one that counts.
    """
    compared = [record for record in records if "columns" in record]
    newest = compared[-1] if compared else None
    return {
        "version": version,
        "metric": metric,
        "alarm_windows": config.alarm_windows,
        "of_windows": config.of_windows,
        "firing": [_firing(one) for one in firings],
        "windows": [_window(record, metric) for record in records[-SHOWN:]],
        "newest": None
        if newest is None
        else {"start": newest["start"], "columns": newest["columns"]},
        "left_out": {} if newest is None else newest["left_out"],
    }


def _firing(firing: Firing) -> dict[str, Any]:
    return {
        "kind": firing.kind,
        "window": firing.window,
        "begun": firing.begun,
        "words": firing.words,
        "columns": list(firing.columns),
    }


def _window(record: Mapping[str, Any], metric: str) -> dict[str, Any]:
    """A row of the table of windows."""
    values = record.get("performance", {}).get("metrics", {}).get(metric, {})
    flagged = record.get(FLAG, {})
    return {
        "start": record["start"],
        "end": record["end"],
        "rows": record["rows"],
        "labels": record["labels"],
        "alarms": record["alarms"],
        "prediction": record.get("prediction", {}).get("distance"),
        "out_of_distribution": flagged.get("share", {}).get("window"),
        "metric": values.get("window"),
        "reference": values.get("reference"),
        "p95": record["latency"].get("p95"),
    }
