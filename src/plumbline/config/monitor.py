"""Section of params.yaml about watching what was served: `plumbline monitor`."""

from __future__ import annotations

from pydantic import Field, model_validator

from plumbline.config.section import NonNegative, Positive, Share, Text, section


@section
class MonitorConfig:
    """Windows of the request log, when one is in alarm, and when that is enough."""

    folder: Text = "monitoring"
    window_hours: float = Field(default=24.0, gt=0, le=24 * 366)
    window_rows: int | None = Field(default=None, ge=20, le=1_000_000_000)
    min_rows: int = Field(default=200, ge=20, le=1_000_000_000)
    min_labels: int = Field(default=100, ge=20, le=1_000_000_000)
    max_rows: int = Field(default=5000, ge=20, le=1_000_000)
    alarm_windows: int = Field(default=2, ge=1, le=1000)
    of_windows: int = Field(default=3, ge=1, le=1000)
    false_alarm: Share = 0.05
    false_alarm_windows: int = Field(default=365, ge=1, le=1_000_000)
    distance: NonNegative = 0.1
    loss_rise: NonNegative = 0.1
    latency_seconds: Positive | None = None
    least_rows: int | None = Field(default=None, ge=1, le=1_000_000_000)
    most_rows: int | None = Field(default=None, ge=1, le=1_000_000_000_000)
    keep_windows: int = Field(default=1000, ge=10, le=100_000)
    webhook_seconds: float = Field(default=5.0, gt=0, le=60)

    @model_validator(mode="after")
    def _enough(self) -> MonitorConfig:
        if self.alarm_windows > self.of_windows:
            raise ValueError("alarm_windows is more than of_windows")
        if self.of_windows > self.keep_windows:
            raise ValueError("of_windows is more than keep_windows")
        return self
