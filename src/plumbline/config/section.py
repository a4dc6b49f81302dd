"""How a section of params.yaml is declared: frozen, keyword-only, checked when built."""

from __future__ import annotations

from typing import Annotated, Any, TypeVar, cast

import pydantic
import pydantic.dataclasses
from pydantic import ConfigDict, Field, PlainValidator
from pydantic_core import PydanticCustomError
from typing_extensions import dataclass_transform

from plumbline.kinds import TASKS, Task

T = TypeVar("T")


@dataclass_transform(kw_only_default=True, frozen_default=True, field_specifiers=(Field,))
def section(cls: type[T]) -> type[T]:
    """A frozen, keyword-only dataclass that refuses unknown keys and wrong values."""
    settings = ConfigDict(extra="forbid", allow_inf_nan=False)
    return cast(
        type[T], pydantic.dataclasses.dataclass(config=settings, frozen=True, kw_only=True)(cls)
    )


def _task(given: Any) -> Task:
    if isinstance(given, str) and given in TASKS:
        return Task(given)
    *first, last = map(repr, map(str, TASKS))
    names = f"{', '.join(first)} or {last}"
    raise PydanticCustomError("enum", "Input should be {expected}", {"expected": names})


TaskName = Annotated[Task, PlainValidator(_task)]
Share = Annotated[float, Field(gt=0, lt=1)]
ShareOrZero = Annotated[float, Field(ge=0, lt=1)]
Probability = Annotated[float, Field(ge=0, le=1)]
Positive = Annotated[float, Field(gt=0, le=1e9)]
NonNegative = Annotated[float, Field(ge=0, le=1e9)]
PositiveInt = Annotated[int, Field(gt=0, le=1_000_000_000)]
NonNegativeInt = Annotated[int, Field(ge=0, le=1_000_000_000)]
Text = Annotated[str, Field(min_length=1, max_length=10_000, pattern=r"^[^\x00]*$")]
