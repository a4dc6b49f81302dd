"""Words that every layer uses: what kind of data, what task, which part, which arrays."""

from __future__ import annotations

from enum import IntEnum, StrEnum

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float32]
DoubleArray = NDArray[np.float64]
IntArray = NDArray[np.int64]
ByteArray = NDArray[np.uint8]
BoolArray = NDArray[np.bool_]


class Kind(StrEnum):
    """What one example is."""

    TABULAR = "tabular"


class Task(StrEnum):
    """What is predicted."""

    BINARY = "binary"
    MULTICLASS = "multiclass"
    REGRESSION = "regression"

    @property
    def is_classification(self) -> bool:
        return self is not Task.REGRESSION


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
