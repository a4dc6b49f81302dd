"""What Prometheus reads at /metrics."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    ProcessCollector,
    generate_latest,
)

from plumbline.inference.decided import PREDICTED

PATHS = ("/predict", "/explain", "/feedback", "/health", "/ready", "/metrics", "/docs")
SECONDS = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10)
ROWS = (1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000)
STEPS = [digit * 10.0**power for power in range(-2, 7) for digit in (1, 3)]
VALUES = (*(-step for step in reversed(STEPS)), 0.0, *STEPS)
OUTSIDE = "out_of_distribution"  # column of the table of predictions, where the version has one


class Measures:
    """Counters of one service, in a registry of its own."""

    def __init__(self) -> None:
        self._registry = registry = CollectorRegistry()
        ProcessCollector(registry=registry)
        self._seconds = Histogram(
            "plumbline_request_seconds",
            "Time from a request's first byte to its answer",
            ["path", "status"],
            buckets=SECONDS,
            registry=registry,
        )
        self._batches = Histogram(
            "plumbline_batch_rows",
            "Rows that were predicted at once",
            buckets=ROWS,
            registry=registry,
        )
        self._rows = Counter("plumbline_rows", "Rows that were predicted", registry=registry)
        self._classes = Counter(
            "plumbline_predictions", "Rows by predicted class", ["class"], registry=registry
        )
        self._values = Histogram(
            "plumbline_predicted_value", "Predicted values", buckets=VALUES, registry=registry
        )
        self._outside = Counter(
            "plumbline_rows_out_of_distribution",
            "Rows that are unlike the training rows",
            registry=registry,
        )
        self._version = Gauge(
            "plumbline_version", "1 for the version that answers", ["version"], registry=registry
        )
        self.in_place = Gauge(
            "plumbline_version_in_place",
            "1 while a version answers in place of the one that should",
            registry=registry,
        )
        self.log_dropped = Counter(
            "plumbline_log_dropped_rows", "Rows and labels that were not logged", registry=registry
        )
        self.log_failures = Counter(
            "plumbline_log_failures", "Times that the log could not be written", registry=registry
        )
        self.swaps = Counter(
            "plumbline_version_swaps",
            "Versions that were taken over, or refused",
            ["result"],
            registry=registry,
        )

    def answered(self, path: str, status: int, seconds: float) -> None:
        """Count a request."""
        known = path if path in PATHS else "other"
        self._seconds.labels(known, str(status)).observe(seconds)

    def batch(self, rows: int) -> None:
        """Count a batch."""
        self._batches.observe(rows)

    def predicted(self, answers: Sequence[Mapping[str, Any]]) -> None:
        """Count predictions: rows of a table of them."""
        self._rows.inc(len(answers))
        outside = 0
        for answer in answers:
            value = answer[PREDICTED]
            if isinstance(value, str):
                self._classes.labels(value).inc()
            elif value is not None:
                self._values.observe(value)
            outside += bool(answer.get(OUTSIDE))
        if outside:
            self._outside.inc(outside)

    def serves(self, version: str) -> None:
        """Say which version answers from now on."""
        self._version.clear()
        self._version.labels(version).set(1)

    def gauge(self, name: str, text: str, value: Callable[[], float]) -> None:
        """Show a number that something else keeps."""
        Gauge(name, text, registry=self._registry).set_function(value)

    def page(self) -> bytes:
        """The text that Prometheus reads."""
        return generate_latest(self._registry)
