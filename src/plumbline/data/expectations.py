"""expectations.yaml: what the owner says of each column, and what may not be otherwise."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Literal

from pydantic import Field, field_validator

from plumbline.config.section import NonNegativeInt, Probability, TaskName, section
from plumbline.kinds import ColumnType, Role, Task
from plumbline.tables import MISSING, CellFormat, Column, Schema

Severity = Literal["critical", "warning"]


@section
class Missing:
    """The largest share of missing cells."""

    max: Probability
    severity: Severity = "warning"


@section
class Range:
    """The smallest and the largest value, both allowed."""

    min: float | None = None
    max: float | None = None
    severity: Severity = "critical"


@section
class Length:
    """The fewest and the most characters of a text, both allowed."""

    min: NonNegativeInt = 0
    max: NonNegativeInt | None = None
    severity: Severity = "warning"


@section
class LargestShare:
    """The largest share of the rows that have a fault."""

    max: Probability
    severity: Severity = "warning"


@section
class Values:
    """The only values allowed."""

    only: list[str]
    severity: Severity = "warning"

    @field_validator("only", mode="before")
    @classmethod
    def _as_text(cls, given: Any) -> Any:
        """Numbers are the texts that they are written as; YAML's yes and no are truth values."""
        if not isinstance(given, list):
            return given
        if any(isinstance(value, bool) for value in given):
            raise ValueError("write yes, no, true and false in quotes")
        return [str(v) if isinstance(v, int | float) else v for v in given]


@section
class Pattern:
    """A regular expression that every value matches."""

    regex: str
    severity: Severity = "warning"


@section
class Flag:
    """An expectation without a number: unique, increasing."""

    severity: Severity = "warning"


@section
class ColumnExpectations:
    """One column."""

    type: ColumnType
    role: Role = Role.FEATURE
    format: CellFormat | None = None
    missing: Missing | None = None
    range: Range | None = None
    values: Values | None = None
    pattern: Pattern | None = None
    length: Length | None = None
    garbled: LargestShare | None = None
    repeated: LargestShare | None = None
    unique: Flag | None = None
    increasing: Flag | None = None


@section
class RowCount:
    """How many rows there may be."""

    min: NonNegativeInt = 1
    max: NonNegativeInt | None = None
    severity: Severity = "critical"


@section
class Rule:
    """Two columns of a row against each other: left at least (or more than) right."""

    left: str
    right: str
    relation: Literal[">=", ">"] = ">="
    severity: Severity = "warning"


@section
class Expectations:
    """The whole file. `schema` is what the rest of the pipeline reads of it."""

    columns: dict[str, ColumnExpectations]
    rows: RowCount = Field(default_factory=RowCount)
    ordered_columns: bool = False
    rules: list[Rule] = Field(default_factory=list)
    task: TaskName = Task.REGRESSION
    positive: str | None = None
    missing_words: tuple[str, ...] = MISSING

    @property
    def schema(self) -> Schema:
        """Columns, task and classes; the positive class last."""
        target = next(c for c in self.columns.values() if c.role is Role.TARGET)
        classes: tuple[str, ...] = ()
        if self.task.has_classes:
            assert target.values is not None
            classes = tuple(v for v in target.values.only if v != self.positive)
            classes += (self.positive,) if self.positive is not None else ()
        return Schema(
            columns=tuple(
                Column(
                    name=name,
                    type=c.type,
                    role=c.role,
                    format=self._format(c),
                    labels=classes if c.role is Role.TARGET else (),
                )
                for name, c in self.columns.items()
            ),
            task=self.task,
            classes=classes,
        )

    def _format(self, column: ColumnExpectations) -> CellFormat:
        form = column.format or CellFormat()
        words = self.missing_words if form.missing is None else form.missing
        return replace(form, missing=None if words == MISSING else words)
