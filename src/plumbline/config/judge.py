"""Sections of params.yaml about judging and shipping: evaluate, explain, drift, export,
register, report."""

from __future__ import annotations

from typing import Literal, get_args

from pydantic import Field

from plumbline.config.model import MetricName
from plumbline.config.section import (
    NonNegative,
    NonNegativeInt,
    Positive,
    PositiveInt,
    Probability,
    Share,
    section,
)

BaselineName = Literal["majority", "linear", "gradient_boosting"]


@section
class EvaluateConfig:
    """Metrics, intervals, threshold, calibration, slices, baselines."""

    metric: MetricName | Literal["auto"] = "auto"
    bootstrap: PositiveInt = 1000
    threshold: Literal["none"] | MetricName | Literal["cost"] = "none"
    costs: dict[str, float] = Field(default_factory=lambda: {"fp": 1.0, "fn": 1.0})
    calibrate: bool = True
    coverage: Share = 0.9
    baselines: list[BaselineName] = Field(default_factory=lambda: list(get_args(BaselineName)))
    slices: list[str] | Literal["auto"] = "auto"
    min_slice_rows: PositiveInt = 30


@section
class ExplainConfig:
    """How many rows are explained, against how many background rows."""

    rows: PositiveInt = 200
    background: PositiveInt = 100
    lime_rows: NonNegativeInt = 5
    lime_samples: PositiveInt = 1000
    faithfulness_rows: PositiveInt = 100


@section
class DriftConfig:
    """When a column, and when the data set, has drifted."""

    share: Probability = 0.5
    method: Literal["auto", "psi", "ks", "wasserstein", "jensenshannon"] = "auto"
    threshold: Positive | None = None
    max_rows: PositiveInt = 20_000


@section
class ExportConfig:
    """The ONNX graph and its parity gate."""

    opset: int = Field(default=18, ge=18, le=25)
    parity_rows: PositiveInt = 1000
    tolerance: Positive = 1e-4


@section
class RegisterConfig:
    """The registry and its gate."""

    experiment: str | None = None
    promote: Literal["auto", "review"] = "auto"
    metric: MetricName | Literal["auto"] = "auto"
    significance: Share = 0.05
    max_slice_loss: NonNegative = 0.05


@section
class ReportConfig:
    """The page."""

    title: str | None = None
