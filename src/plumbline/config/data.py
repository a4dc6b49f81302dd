"""Sections of params.yaml about rows: data, validate, split, normalize."""

from __future__ import annotations

from typing import Any, Literal, Self

from pydantic import Field, model_validator

from plumbline.config.section import (
    NonNegativeInt,
    Positive,
    PositiveInt,
    Probability,
    Share,
    ShareOrZero,
    TaskName,
    Text,
    section,
)
from plumbline.kinds import Kind
from plumbline.tables import MISSING

SplitMethod = Literal[
    "auto",
    "holdout",
    "stratified",
    "grouped",
    "stratified_grouped",
    "time",
    "predefined",
]
FoldMethod = Literal[
    "auto",
    "kfold",
    "stratified_kfold",
    "group_kfold",
    "stratified_group_kfold",
    "time_rolling",
    "time_expanding",
]
Scaler = Literal[
    "auto", "zscore", "minmax", "log", "robust", "soft_clip", "quantile", "yeo_johnson", "none"
]
LinearChannel = Literal["auto", "none", "curved", "all"]
Imputer = Literal["mean", "median", "mode", "constant"]
Encoder = Literal["ordinal", "onehot", "target_mean", "frequency"]
Dates = Literal["parts", "cyclic", "both", "drop"]
Sampler = Literal["none", "oversample", "undersample", "smote"]
Tokenizer = Literal["words", "wordpiece", "bpe", "characters"]
Cells = Literal["scalars", "text", "image"]  # numbers, dates and categories have one preparer
Policy = Literal["fail", "warn", "drop", "off"]
NAME = r"\w[\w.-]{0,79}"  # of a data set and its registered model


@section
class FormatConfig:
    """How the data files are written. How cells are is said per column, in expectations.yaml."""

    type: Literal["csv", "parquet"] = "csv"
    separator: str = Field(default=",", pattern=r"^[\t -~]$")  # a byte, as the readers want it
    missing: list[str] = Field(default_factory=lambda: list(MISSING))

    @model_validator(mode="before")
    @classmethod
    def _moved(cls, given: Any) -> Any:
        keys = getattr(given, "kwargs", given) or {}
        for old, new in MOVED.items():
            if old in keys:
                raise ValueError(
                    f"{old} is said per column now: columns.NAME.format.{new} of "
                    "expectations.yaml; run `plumbline init` again, or move it there"
                )
        return given


MOVED = {"decimal_comma": "decimal", "thousands": "thousands", "dates": "date"}


@section
class DataConfig:
    """Which file, which target, which roles."""

    name: str = Field(pattern=f"^{NAME}$")
    path: Text
    target: Text
    task: TaskName
    kind: Kind = Kind.TABULAR
    positive: Text | None = None
    test_path: Text | None = None
    time: Text | None = None
    group: Text | None = None
    id: Text | None = None
    format: FormatConfig = Field(default_factory=FormatConfig)
    max_memory_mb: int = Field(default=2048, ge=1, le=16_777_216)

    @model_validator(mode="after")
    def _check(self) -> Self:
        roles = {k: getattr(self, k) for k in ("target", "time", "group", "id")}
        named = [v for v in roles.values() if v is not None]
        if len(set(named)) < len(named):
            raise ValueError(f"one column in two roles: {roles}")
        return self


@section
class ValidateConfig:
    """What the validation gate does."""

    max_failing_rows: int = Field(default=1000, ge=0, le=1_000_000)
    fail_on_warning: bool = False


@section
class LeakageConfig:
    """Policy per leakage check, and its thresholds."""

    duplicates: Policy = "warn"
    near_duplicates: Policy = "warn"
    groups: Policy = "fail"
    time_order: Policy = "fail"
    giveaway: Policy = "fail"
    identifier: Policy = "warn"
    target_text: Policy = "fail"
    adversarial_validation: Policy = "warn"
    giveaway_score: Probability = 1.0
    near_distance: float = Field(default=0.05, gt=0, le=1000)
    max_rows: int = Field(default=50_000, ge=100, le=1_000_000)


@section
class SplitConfig:
    """Test rows, validation rows, folds."""

    method: SplitMethod = "auto"
    test_share: Share = 0.2
    val_share: Share = 0.2
    folds_method: FoldMethod = "auto"
    folds: int = Field(default=5, ge=2, le=100)
    repeats: int = Field(default=1, ge=1, le=100)
    bins: int = Field(default=10, ge=2, le=1000)
    gap: NonNegativeInt = 0
    horizon: NonNegativeInt = 0
    column: Text | None = None
    rare_classes: Literal["train", "spread", "refuse"] = "train"
    keep_duplicates_together: bool = True
    leakage: LeakageConfig = Field(default_factory=LeakageConfig)

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.test_share + self.val_share >= 1:
            raise ValueError(
                f"test_share {self.test_share} and val_share {self.val_share} "
                "leave no training rows"
            )
        if self.method == "predefined" and self.column is None:
            raise ValueError("method 'predefined' needs split.column")
        return self


@section
class BalanceConfig:
    """Resampling of training rows, in the training part and in each fold."""

    method: Sampler = "none"
    ratio: float = Field(default=1.0, gt=0, le=1)
    neighbors: int = Field(default=5, ge=1, le=1000)


@section
class ColumnConfig:
    """What one column does otherwise than `normalize` says; null is no opinion."""

    scale: Scaler | None = None
    linear_channel: LinearChannel | None = None
    impute: Imputer | None = None
    impute_constant: float | None = Field(default=None, ge=-1e9, le=1e9)
    indicator: bool | None = None
    clip: float | None = Field(default=None, gt=0, le=1e6)
    encode: Encoder | None = None
    max_categories: int | None = Field(default=None, ge=1, le=10_000_000)
    min_count: PositiveInt | None = None
    dates: Dates | None = None
    as_category: bool | None = None
    tokenizer: Tokenizer | None = None


@section
class TextConfig:
    """How texts become tokens."""

    tokenizer: Tokenizer = "words"
    lowercase: bool = True
    max_tokens: int = Field(default=10_000, ge=100, le=1_000_000)
    max_length: int = Field(default=128, ge=1, le=4096)


@section
class NormalizeConfig:
    """How columns become numbers. `columns` overrides by name: {age: {scale: log}}."""

    scale: Scaler = "auto"
    linear_channel: LinearChannel = "auto"
    impute: Imputer = "median"
    impute_constant: float = Field(default=0.0, ge=-1e9, le=1e9)
    indicator: bool = True
    clip: float | None = Field(default=None, gt=0, le=1e6)
    encode: Encoder = "ordinal"
    max_categories: int = Field(default=1000, ge=1, le=10_000_000)
    min_count: PositiveInt = 1
    onehot_max: int = Field(default=16, ge=1, le=10_000)
    target_mean_folds: int = Field(default=5, ge=2, le=100)
    target_mean_smoothing: Positive = 10.0
    dates: Dates = "both"
    numbers_as_categories: bool = True
    as_category_max_values: int = Field(default=100, ge=1, le=100_000)
    as_category_mode_share: ShareOrZero = 0.5
    text: TextConfig = Field(default_factory=TextConfig)
    from_start: list[Cells] = Field(default_factory=list)
    columns: dict[str, ColumnConfig] = Field(default_factory=dict)
    balance: BalanceConfig = Field(default_factory=BalanceConfig)
