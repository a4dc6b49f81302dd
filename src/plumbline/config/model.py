"""Sections of params.yaml about fitting: model, tune, train."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from plumbline.config.section import (
    NonNegative,
    NonNegativeInt,
    Positive,
    PositiveInt,
    Share,
    ShareOrZero,
    section,
)

ModelName = Literal["perceptron", "mlp", "resmlp", "ft_transformer", "tabm", "tabm_mini"]
NumberEmbedding = Literal["none", "piecewise_linear", "periodic"]
Activation = Literal["relu", "leaky_relu", "gelu", "silu", "tanh", "sigmoid"]
Initialisation = Literal["default", "xavier", "he", "orthogonal", "normal", "zero"]
Normalisation = Literal["none", "batch", "layer"]
LossName = Literal["auto", "cross_entropy", "focal", "hinge", "mse", "mae", "huber"]
OptimiserName = Literal["sgd", "adam", "adamw", "rmsprop", "adagrad"]
ScheduleName = Literal["constant", "step", "cosine", "onecycle", "cyclic", "plateau"]
Precision = Literal["fp32", "bf16", "fp16"]
TargetTransform = Literal["auto", "none", "standard", "log", "quantile"]
TuneSampler = Literal["tpe", "random", "grid", "cmaes"]
TunePruner = Literal["none", "median", "hyperband", "successive_halving"]
MetricName = Literal[
    "accuracy",
    "balanced_accuracy",
    "precision",
    "recall",
    "f1",
    "roc_auc",
    "average_precision",
    "log_loss",
    "brier",
    "ece",
    "mae",
    "mse",
    "rmse",
    "r2",
    "mape",
]


@section
class ModelConfig:
    """Architecture."""

    name: ModelName = "tabm_mini"
    width: PositiveInt = 256
    token_width: PositiveInt = 128
    depth: NonNegativeInt = 2
    dropout: ShareOrZero = 0.1
    activation: Activation = "relu"
    initialisation: Initialisation = "default"
    normalisation: Normalisation = "none"
    number_embedding: NumberEmbedding = "periodic"
    embedding_dim: PositiveInt = 16
    frequencies: PositiveInt = 24
    frequency_scale: Positive = 0.3
    bins: Annotated[int, Field(ge=2)] = 48
    category_dim: PositiveInt = 16
    heads: PositiveInt = 8
    members: PositiveInt = 8


@section
class Dimension:
    """One search dimension of the tuner."""

    type: Literal["float", "int", "categorical"]
    low: float | None = None
    high: float | None = None
    log: bool = False
    step: Positive | None = None
    choices: list[float | int | str | bool] | None = None

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.type == "categorical":
            if not self.choices:
                raise ValueError("a categorical dimension needs choices")
            return self
        if self.low is None or self.high is None or not self.low < self.high:
            raise ValueError(f"needs low < high, got low={self.low}, high={self.high}")
        if self.log and self.low <= 0:
            raise ValueError(f"a log dimension needs low > 0, got {self.low}")
        return self

    @property
    def ends(self) -> list[float | int | str | bool]:
        """What the checks of the searched key are tried on: all choices, or both ends."""
        if self.choices:
            return self.choices
        assert self.low is not None and self.high is not None
        return [round(v) if self.type == "int" else v for v in (self.low, self.high)]

    @property
    def centre(self) -> float | int | str | bool:
        """The middle of the range (the geometric one if log), or the first choice."""
        if self.type == "categorical":
            assert self.choices
            return self.choices[0]
        assert self.low is not None and self.high is not None
        value = (self.low * self.high) ** 0.5 if self.log else (self.low + self.high) / 2
        return round(value) if self.type == "int" else value


@section
class TuneConfig:
    """The search. Values come from `space`; every key `section.name` can be a dimension."""

    trials: NonNegativeInt = 8
    sampler: TuneSampler = "tpe"
    pruner: TunePruner = "median"
    objective: Literal["kfold", "holdout"] = "kfold"
    metric: MetricName | Literal["auto"] = "auto"
    epochs: PositiveInt = 20
    max_rows: PositiveInt = 2000
    workers: PositiveInt = 1
    storage: str | None = None
    space: dict[str, Dimension] = Field(default_factory=dict)


@section
class TrainConfig:
    """Optimisation. A value `tuned` takes what the tune stage found."""

    learning_rate: Positive = 1e-3
    weight_decay: NonNegative = 0.0
    loss: LossName = "auto"
    label_smoothing: ShareOrZero = 0.0
    focal_gamma: NonNegative = 2.0
    huber_delta: Positive = 1.0
    class_weights: Literal["none", "balanced"] | list[Positive] = "none"
    target_transform: TargetTransform = "auto"
    optimizer: OptimiserName = "adamw"
    momentum: ShareOrZero = 0.9
    schedule: ScheduleName = "constant"
    warmup_epochs: NonNegative = 0.0
    step_epochs: PositiveInt = 30
    plateau_epochs: PositiveInt = 5
    decay: Share = 0.1
    batch_size: NonNegativeInt = 256
    accumulate: PositiveInt = 1
    epochs: PositiveInt = 100
    patience: NonNegativeInt = 16
    monitor: MetricName | Literal["auto", "loss"] = "auto"
    l1: NonNegative = 0.0
    clip_norm: Positive | None = 1.0
    average: ShareOrZero = 0.0
    precision: Precision = "fp32"
    compile: bool = False
    device: Literal["auto", "cpu", "cuda"] = "auto"
    processes: PositiveInt = 1
    threads: NonNegativeInt = 0
    shard: bool = False
    max_restarts: NonNegativeInt = 3
    checkpoint_epochs: PositiveInt = 1
    checkpoint_steps: NonNegativeInt = 0
    find_learning_rate: bool = False
    learning_curve: list[Share] = Field(default_factory=lambda: [0.5])
