"""Section of params.yaml about training again on what was served: `plumbline retrain`."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from plumbline.config.section import NonNegative, section


@section
class RetrainConfig:
    """Which labeled rows of the log become part of the data, and how often at most."""

    rows: Literal["all", "window", "reservoir"] = "all"
    windows: int = Field(default=10, ge=1, le=100_000)
    max_rows: int = Field(default=100_000, ge=20, le=1_000_000_000)
    min_rows: int = Field(default=100, ge=1, le=1_000_000_000)
    cooldown_hours: NonNegative = 24.0
    warm: bool = False
    push: bool = False
