"""Words that every layer uses: what kind of data, what task, which part, which arrays."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import IntEnum, StrEnum
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float32]
DoubleArray = NDArray[np.float64]
IntArray = NDArray[np.int64]
ByteArray = NDArray[np.uint8]
BoolArray = NDArray[np.bool_]
ObjectArray = NDArray[np.object_]
# a cell as its column's type has it; a date in microseconds since 1970; None where it is missing
Cell = float | int | str | bytes | None
Cells = Mapping[str, Sequence[Cell]]  # of few rows, by column


class Kind(StrEnum):
    """What one example is."""

    TABULAR = "tabular"


class TargetKind(StrEnum):
    """What a cell of the target is, and so what the model is fitted to and predicts."""

    CLASSES = "classes"  # one of some labels: class numbers; a probability per class
    NUMBERS = "numbers"  # a number in its own units


class Task(str):
    """What is predicted: the name of an entry of `TASKS`."""

    __slots__ = ()

    BINARY: ClassVar[Task]
    MULTICLASS: ClassVar[Task]
    REGRESSION: ClassVar[Task]

    @classmethod
    def of(cls, name: str) -> Task:
        """The task of this name.

        Raises:
            ValueError: there is none.
        """
        if name not in TASKS:
            raise ValueError(f"{name!r} is no task: choose one of {', '.join(TASKS)}")
        return cls(name)

    @property
    def spec(self) -> TaskSpec:
        return TASKS[self]

    @property
    def has_classes(self) -> bool:
        """Whether the target is one of some labels, and a prediction a probability of each."""
        return self.spec.target is TargetKind.CLASSES


Task.BINARY, Task.MULTICLASS, Task.REGRESSION = map(Task, ("binary", "multiclass", "regression"))


@dataclass(frozen=True, kw_only=True)
class TaskSpec:
    """What distinguishes a task. What is computed for it is found in dicts by the task: see
    `docs/architecture.md`.

    Attributes:
        target: what its target is.
        losses: names of `training.losses.LOSSES`, the default first.
        metrics: names of `evaluation.metrics.METRICS`, in the order in which they are listed.
        metric: the one that counts where none is named.
        outputs: how many numbers a model gives per row; None: one per class.
        column: which column of a prediction decisions, explanations and drift are about: that of
            the positive class, or of the predicted value; None: that of the predicted class.
        scaled: whether the loss is computed on the scaled target (`train.target_transform`).
    """

    target: TargetKind
    losses: tuple[str, ...]
    metrics: tuple[str, ...]
    metric: str
    outputs: int | None
    column: int | None
    scaled: bool

    @property
    def has_positive(self) -> bool:
        """Whether there are two classes and one of them is the positive one."""
        return self.target is TargetKind.CLASSES and self.column is not None


_CLASS_LOSSES = ("cross_entropy", "focal", "hinge")
_CLASS_METRICS = (
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
)
TASKS: dict[Task, TaskSpec] = {
    Task.BINARY: TaskSpec(
        target=TargetKind.CLASSES,
        losses=_CLASS_LOSSES,
        metrics=_CLASS_METRICS,
        metric="roc_auc",
        outputs=None,
        column=1,
        scaled=False,
    ),
    Task.MULTICLASS: TaskSpec(
        target=TargetKind.CLASSES,
        losses=_CLASS_LOSSES,
        metrics=_CLASS_METRICS,
        metric="accuracy",
        outputs=None,
        column=None,
        scaled=False,
    ),
    Task.REGRESSION: TaskSpec(
        target=TargetKind.NUMBERS,
        losses=("mse", "mae", "huber"),
        metrics=("mae", "mse", "rmse", "r2", "mape"),
        metric="rmse",
        outputs=1,
        column=0,
        scaled=True,
    ),
}


class Part(IntEnum):
    """Where a row belongs, in the split or in one fold."""

    UNUSED = 0
    TRAIN = 1
    VAL = 2
    TEST = 3


class ColumnType(StrEnum):
    """What a column holds, and so the polars type it is read as."""

    NUMBER = "number"  # Float64
    INTEGER = "integer"  # Int64
    BOOLEAN = "boolean"  # Boolean
    CATEGORY = "category"  # String, few values
    TEXT = "text"  # String, many values
    DATE = "date"  # Datetime("us")
    IMAGE = "image"  # Binary, a file of pixels


NUMERIC = (ColumnType.NUMBER, ColumnType.INTEGER)
ORDERED = (*NUMERIC, ColumnType.DATE)  # whose values have distances
TEXTUAL = (ColumnType.CATEGORY, ColumnType.TEXT)  # whose cells are strings


class CellKind(StrEnum):
    """What a value is of itself, before its column says what it means."""

    TEXT = "text"  # which a column reads by its format: all that a CSV file has
    NUMBER = "number"
    BOOLEAN = "boolean"
    DATE = "date"  # or a date with a time
    DURATION = "duration"  # or a time of day: since midnight
    BYTES = "bytes"
    OTHER = "other"  # a list, an object


class Role(StrEnum):
    """What a column is for."""

    FEATURE = "feature"
    TARGET = "target"
    TIME = "time"
    GROUP = "group"
    ID = "id"
    WEIGHT = "weight"
    SPLIT = "split"  # the owner's own split: train, val, test
    IGNORE = "ignore"
