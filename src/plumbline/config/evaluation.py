"""Sections of params.yaml about judging and shipping: evaluate, explain, drift, export,
register, report."""

from __future__ import annotations

from typing import Annotated, Literal, get_args

from pydantic import Field, field_validator

from plumbline.config.model import MetricName
from plumbline.config.section import (
    NonNegative,
    Positive,
    PositiveInt,
    Probability,
    Share,
    Text,
    section,
)

BaselineName = Literal["majority", "linear", "gradient_boosting"]


@section
class OutOfDistributionConfig:
    """The score that says how unlike the training rows a row is."""

    method: Literal["auto", "mahalanobis", "neighbors", "ranges", "off"] = "auto"
    share: Share = 0.01


@section
class EvaluateConfig:
    """Metrics, intervals, threshold, calibration, slices, baselines."""

    metric: MetricName | Literal["auto"] = "auto"
    bootstrap: int = Field(default=1000, ge=1, le=100_000)
    threshold: Literal["none"] | MetricName | Literal["cost"] = "none"
    costs: dict[str, NonNegative] = Field(default_factory=lambda: {"fp": 1.0, "fn": 1.0})
    calibrate: bool = True
    coverage: Share = 0.9
    baselines: list[BaselineName] = Field(default_factory=lambda: list(get_args(BaselineName)))
    slices: list[Text] | Literal["auto"] = "auto"
    min_slice_rows: PositiveInt = 30
    out_of_distribution: OutOfDistributionConfig = Field(default_factory=OutOfDistributionConfig)

    @field_validator("costs")
    @classmethod
    def _both(cls, costs: dict[str, float]) -> dict[str, float]:
        if set(costs) != {"fp", "fn"}:
            raise ValueError("needs the two costs fp and fn")
        return costs


@section
class ExplainConfig:
    """How many rows are explained, against how many background rows."""

    rows: int = Field(default=200, ge=1, le=100_000)
    background: int = Field(default=100, ge=1, le=10_000)
    lime_rows: int = Field(default=5, ge=0, le=1000)
    lime_samples: int = Field(default=1000, ge=10, le=1_000_000)
    faithfulness_rows: int = Field(default=100, ge=1, le=100_000)
    cell_rows: int = Field(default=20, ge=0, le=1000)


@section
class DriftConfig:
    """When a column, and when the data set, has drifted."""

    share: Probability = 0.5
    method: Literal["auto", "psi", "ks", "wasserstein", "jensenshannon"] = "auto"
    threshold: Positive | None = None
    max_rows: int = Field(default=20_000, ge=1, le=10_000_000)
    reference_rows: int = Field(default=10_000, ge=0, le=1_000_000)


@section
class ExportConfig:
    """The ONNX graph and its parity gate."""

    opset: int = Field(default=18, ge=18, le=25)
    parity_rows: int = Field(default=1000, ge=1, le=1_000_000)
    tolerance: float = Field(default=1e-4, gt=0, le=1)


@section
class CardConfig:
    """What only the model's owner can say of it, for the model card."""

    intended_use: Text | None = None
    out_of_scope: Text | None = None
    ethics: Text | None = None
    contact: Text | None = None


@section
class RegisterConfig:
    """The registry and its gate."""

    experiment: Annotated[Text, Field(max_length=500)] | None = None  # what MLflow takes
    promote: Literal["auto", "review"] = "auto"
    metric: MetricName | Literal["auto"] = "auto"
    significance: Share = 0.05
    max_slice_loss: NonNegative = 0.05
    benefit: Literal["size", "latency"] | None = None
    min_benefit: Share = 0.2
    margin: Positive = 0.01
    recent_rows: PositiveInt | None = None
    approvals: int = Field(default=1, ge=1, le=20)
    ask_server: bool = True
    require_clean: bool = False
    card: CardConfig = Field(default_factory=CardConfig)


@section
class ReportConfig:
    """The page."""

    title: Text | None = None
