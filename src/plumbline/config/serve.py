"""Section of params.yaml about the REST service: `plumbline serve`."""

from __future__ import annotations

from pydantic import Field

from plumbline.config.section import NonNegative, Positive, Text, section


@section
class ServeLogConfig:
    """The log of requests: where it is, how long it is kept, which columns are not in it."""

    enabled: bool = True
    folder: Text = "logs/serving"
    flush_seconds: Positive = 5.0
    keep_days: int = Field(default=90, ge=1, le=36_500)
    max_queue_mb: int = Field(default=64, ge=1, le=100_000)
    mask: list[Text] = Field(default_factory=list)
    hash: list[Text] = Field(default_factory=list)


@section
class ServeConfig:
    """Where the service listens, and what it takes at most."""

    host: Text = "127.0.0.1"
    port: int = Field(default=8000, ge=0, le=65_535)
    max_body_mb: int = Field(default=8, ge=1, le=1024)
    max_rows: int = Field(default=1000, ge=1, le=1_000_000)
    max_image_pixels: int = Field(default=16_777_216, ge=64, le=89_478_485)
    timeout_seconds: Positive = 10.0
    batch_rows: int = Field(default=256, ge=1, le=100_000)
    queue_rows: int = Field(default=4000, ge=1, le=10_000_000)
    max_connections: int = Field(default=256, ge=1, le=100_000)
    rate_per_second: NonNegative = 1000.0
    shutdown_seconds: Positive = 30.0
    poll_seconds: Positive = 10.0
    explain_rows: int = Field(default=5, ge=1, le=1000)
    explain_evaluations: int = Field(default=2000, ge=10, le=1_000_000)
    explain_seconds: Positive = 2.0
    log: ServeLogConfig = Field(default_factory=ServeLogConfig)
