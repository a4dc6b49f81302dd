"""Sections of params.yaml about fitting: model, tune, train."""

from __future__ import annotations

import dataclasses
from typing import Annotated, Literal, Self, get_args

from pydantic import Field, model_validator

from plumbline.config.image import ImageEncoderConfig
from plumbline.config.section import (
    Positive,
    PositiveInt,
    Share,
    ShareOrZero,
    Text,
    section,
)

ModelName = Literal["perceptron", "mlp", "resmlp", "ft_transformer", "tabm", "tabm_mini"]
NumberEmbedding = Literal["none", "piecewise_linear", "periodic"]
TextEncoderName = Literal["mean", "cnn", "rnn", "lstm", "gru", "transformer"]
Positions = Literal["sinusoidal", "learned", "rotary"]
Activation = Literal["relu", "leaky_relu", "gelu", "silu", "tanh", "sigmoid"]
Initialization = Literal["default", "xavier", "he", "orthogonal", "normal", "zero"]
Normalization = Literal["none", "batch", "layer"]
LossName = Literal["auto", "cross_entropy", "focal", "hinge", "mse", "mae", "huber"]
OptimizerName = Literal["sgd", "adam", "adamw", "rmsprop", "adagrad"]
ScheduleName = Literal["constant", "step", "cosine", "onecycle", "cyclic", "plateau"]
Precision = Literal["fp32", "bf16", "fp16"]
TargetTransform = Literal["auto", "none", "standard", "log", "quantile"]
TrialEpochs = Annotated[int, Field(ge=1, le=10_000)]
FrozenEpochs = Annotated[int, Field(ge=1, le=100_000)] | Literal["all"]  # the first so many
BatchSize = Annotated[int, Field(ge=0, le=10_000_000)]
Epochs = Annotated[int, Field(ge=1, le=100_000)]
Networks = Annotated[int, Field(ge=1, le=20)]
RateFactor = Annotated[float, Field(gt=0, le=1000)]
TuneSampler = Literal["tpe", "random", "grid", "cmaes", "gp", "nsga2"]
TunePruner = Literal["none", "median", "hyperband", "successive_halving", "wilcoxon"]
Size = Literal["parameters", "multiply_adds"]
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
class TextColumnConfig:
    """What the encoder of one text column does otherwise than `model.text` says."""

    encoder: TextEncoderName | None = None
    embedding_dim: int | None = Field(default=None, ge=1, le=4096)
    width: int | None = Field(default=None, ge=1, le=4096)
    depth: int | None = Field(default=None, ge=1, le=100)
    heads: int | None = Field(default=None, ge=1, le=256)
    positions: Positions | None = None
    dropout: ShareOrZero | None = None
    wide: bool | None = None


@section
class TextEncoderConfig:
    """How the tokens of a text become features. `columns` overrides by name."""

    encoder: TextEncoderName = "mean"
    embedding_dim: int = Field(default=64, ge=1, le=4096)
    width: int = Field(default=64, ge=1, le=4096)
    depth: int = Field(default=1, ge=1, le=100)
    heads: int = Field(default=4, ge=1, le=256)
    positions: Positions = "sinusoidal"
    dropout: ShareOrZero = 0.5
    wide: bool = True
    columns: dict[str, TextColumnConfig] = Field(default_factory=dict)

    def of(self, column: str) -> Self:
        """The section as it holds for one column."""
        own = self.columns.get(column, TextColumnConfig())
        given = {f.name: getattr(own, f.name) for f in dataclasses.fields(TextColumnConfig)}
        return dataclasses.replace(self, **{k: v for k, v in given.items() if v is not None})


@section
class ModelConfig:
    """Architecture, and the network whose tensors it starts from."""

    start_from: Text | None = None
    name: ModelName = "tabm_mini"
    width: int = Field(default=256, ge=1, le=16_384)
    token_width: int = Field(default=128, ge=1, le=4096)
    depth: int = Field(default=2, ge=0, le=100)
    dropout: ShareOrZero = 0.1
    activation: Activation = "relu"
    initialization: Initialization = "default"
    normalization: Normalization = "none"
    number_embedding: NumberEmbedding | Literal["auto"] = "auto"
    embedding_dim: int = Field(default=16, ge=1, le=1024)
    frequencies: int = Field(default=24, ge=1, le=1024)
    frequency_scale: float = Field(default=0.3, gt=0, le=1000)
    bins: int = Field(default=48, ge=2, le=4096)
    category_dim: int = Field(default=16, ge=1, le=1024)
    heads: int = Field(default=8, ge=1, le=256)
    members: int = Field(default=8, ge=1, le=256)
    text: TextEncoderConfig = Field(default_factory=TextEncoderConfig)
    image: ImageEncoderConfig = Field(default_factory=ImageEncoderConfig)


@section
class Dimension:
    """One search dimension of the tuner.

    `when` names other dimensions and the values of theirs at which this one is searched; in other
    trials it stays at its center.
    """

    type: Literal["float", "int", "categorical"]
    low: float | None = None
    high: float | None = None
    log: bool = False
    step: Positive | None = None
    choices: list[float | int | str | bool] | None = None
    when: dict[str, list[float | int | str | bool]] = Field(default_factory=dict)

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

    def holds(self, value: float | int | str | bool) -> bool:
        """Whether a trial may have this value of it."""
        if self.choices:
            return value in self.choices
        assert self.low is not None and self.high is not None
        return self.type == "int" and isinstance(value, int) and self.low <= value <= self.high

    @property
    def ends(self) -> list[float | int | str | bool]:
        """What the checks of the searched key are tried on: all choices, or both ends."""
        if self.choices:
            return self.choices
        assert self.low is not None and self.high is not None
        return [round(v) if self.type == "int" else v for v in (self.low, self.high)]

    @property
    def center(self) -> float | int | str | bool:
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

    trials: int = Field(default=8, ge=0, le=10_000)
    minutes: Positive | None = None
    patience: int = Field(default=0, ge=0, le=10_000)
    sampler: TuneSampler = "tpe"
    pruner: TunePruner = "median"
    objective: Literal["kfold", "holdout"] = "kfold"
    metric: MetricName | Literal["auto"] = "auto"
    second_objective: Size | None = None
    max_parameters: PositiveInt | None = None
    max_multiply_adds: PositiveInt | None = None
    epochs: Literal["auto"] | TrialEpochs = "auto"
    max_rows: int = Field(default=2000, ge=100, le=1_000_000_000)
    workers: int = Field(default=1, ge=1, le=256)
    storage: Text | None = None
    space: dict[str, Dimension] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.second_objective is None:
            return self
        if self.pruner != "none":
            raise ValueError("second_objective needs pruner: none: trials are pruned by one score")
        if self.sampler == "cmaes":
            raise ValueError("second_objective needs another sampler than cmaes")
        return self

    @property
    def most_epochs(self) -> int:
        """`epochs`, as `training.batches.epochs_of` made a number of it."""
        assert self.epochs != "auto"
        return self.epochs

    @property
    def limits(self) -> dict[Size, int]:
        """The largest network that is fitted."""
        limits: dict[Size, int | None] = {
            "parameters": self.max_parameters,
            "multiply_adds": self.max_multiply_adds,
        }
        return {key: limit for key, limit in limits.items() if limit is not None}

    @property
    def sizes(self) -> tuple[Size, ...]:
        """What is counted of each trial's network."""
        counted = {*self.limits, *([self.second_objective] if self.second_objective else [])}
        return tuple(size for size in get_args(Size) if size in counted)


@section
class AugmentConfig:
    """How strongly training rows are changed in each epoch; 0: not."""

    noise: float = Field(default=0.0, ge=0, le=10)
    mixup: float = Field(default=0.0, ge=0, le=100)
    mask_tokens: ShareOrZero = 0.0
    drop_tokens: ShareOrZero = 0.0
    flip: float = Field(default=0.0, ge=0, le=1)
    shift: ShareOrZero = 0.0
    rotate: float = Field(default=0.0, ge=0, le=180)
    zoom: float = Field(default=0.0, ge=0, le=10)
    recolor: ShareOrZero = 0.0
    erase: ShareOrZero = 0.0
    cutmix: float = Field(default=0.0, ge=0, le=100)


@section
class TrainConfig:
    """Optimization. A value `tuned` takes what the tune stage found."""

    learning_rate: Positive = 1e-3
    weight_decay: float = Field(default=0.0, ge=0, le=1000)
    loss: LossName = "auto"
    label_smoothing: ShareOrZero = 0.0
    focal_gamma: float = Field(default=2.0, ge=0, le=100)
    huber_delta: float = Field(default=1.0, gt=0, le=1e6)
    class_weights: Literal["none", "balanced"] | list[Positive] = "none"
    target_transform: TargetTransform = "auto"
    optimizer: OptimizerName = "adamw"
    momentum: ShareOrZero = 0.9
    schedule: ScheduleName = "constant"
    warmup_epochs: float = Field(default=0.0, ge=0, le=100_000)
    step_epochs: int = Field(default=30, ge=1, le=100_000)
    plateau_epochs: int = Field(default=5, ge=1, le=100_000)
    decay: Share = 0.1
    batch_size: Literal["auto"] | BatchSize = "auto"
    accumulate: int = Field(default=1, ge=1, le=100_000)
    epochs: Literal["auto"] | Epochs = "auto"
    patience: int = Field(default=16, ge=0, le=100_000)
    keep: Literal["best", "last"] = "best"
    bag: Literal["auto"] | Networks = "auto"
    monitor: MetricName | Literal["auto", "loss"] = "auto"
    l1: float = Field(default=0.0, ge=0, le=1000)
    clip_norm: Positive | None = 1.0
    average: ShareOrZero = 0.0
    augment: AugmentConfig = Field(default_factory=AugmentConfig)
    freeze: dict[str, FrozenEpochs] = Field(default_factory=dict)
    rates: dict[str, RateFactor] = Field(default_factory=dict)
    precision: Precision = "fp32"
    find_learning_rate: bool = False
    learning_curve: list[Share] = Field(default_factory=lambda: [0.5], max_length=20)

    @property
    def most_epochs(self) -> int:
        """`epochs`, as `training.batches.epochs_of` made a number of it."""
        assert self.epochs != "auto"
        return self.epochs
