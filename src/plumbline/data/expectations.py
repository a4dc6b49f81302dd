"""expectations.yaml: what the owner says of each column, and what may not be otherwise."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Literal

import yaml
from pydantic import Field

from plumbline.config.build import build
from plumbline.config.data import DataConfig
from plumbline.config.section import NonNegativeInt, Probability, section
from plumbline.errors import ParameterError, nearest
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
class Values:
    """The only values allowed."""

    only: list[str]
    severity: Severity = "warning"


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
    task: Task = Task.REGRESSION
    positive: str | None = None
    missing_words: tuple[str, ...] = MISSING

    @property
    def schema(self) -> Schema:
        """Columns, task and classes; the positive class last."""
        target = next(c for c in self.columns.values() if c.role is Role.TARGET)
        classes: tuple[str, ...] = ()
        if self.task.is_classification:
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
        found = column.format or CellFormat()
        words = self.missing_words if found.missing is None else found.missing
        return replace(found, missing=None if words == MISSING else words)


def load_expectations(path: Path, config: DataConfig) -> Expectations:
    """Read expectations.yaml and hold it against the `data` section.

    Raises:
        ParameterError: the file is missing or broken, a key is unknown, or the target, its
            classes or a role do not fit the `data` section.
    """
    try:
        raw = yaml.safe_load(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ParameterError(
            "no such file", file=path.name, mend="make it with `plumbline init`"
        ) from None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ParameterError(f"not readable as YAML: {error}", file=path.name) from None
    if not isinstance(raw, dict):
        raise ParameterError("wanted a mapping", file=path.name, got=raw)
    own = [w for w in config.format.missing if w]  # an empty cell is missing always
    known = {
        **raw,
        "task": config.task,
        "positive": config.positive,
        "missing_words": tuple(own),
    }
    loaded = build(Expectations, known, file=path.name)
    _check(loaded, config, path.name)
    return loaded


def _check(loaded: Expectations, config: DataConfig, file: str) -> None:
    roles = {
        Role.TARGET: config.target,
        Role.TIME: config.time,
        Role.GROUP: config.group,
        Role.ID: config.id,
    }
    for role, name in roles.items():
        has = [column for column, c in loaded.columns.items() if c.role is role]
        if name is not None and name not in loaded.columns:
            raise ParameterError(
                f"data.{role} is not a column of {file}",
                file="params.yaml",
                where=f"data.{role}",
                got=name,
                mend=nearest(name, loaded.columns),
            )
        if has != ([] if name is None else [name]) and role is not Role.ID:
            raise ParameterError(
                f"the role {role} disagrees with params.yaml",
                file=file,
                wanted=f"{name} alone (data.{role})",
                got=", ".join(has) or "none",
                mend="make both the same, or run `plumbline init` again",
            )
    target = loaded.columns[config.target]
    if config.task.is_classification:
        classes = target.values.only if target.values else []
        if len(set(classes)) < 2 or (config.task is Task.BINARY and len(classes) != 2):
            raise ParameterError(
                "the target's values are its classes",
                file=file,
                where=f"columns.{config.target}.values.only",
                wanted="two classes" if config.task is Task.BINARY else "two or more classes",
                got=classes,
            )
        if config.task is Task.BINARY and config.positive not in classes:
            raise ParameterError(
                "is not a class of the target",
                file="params.yaml",
                where="data.positive",
                got=config.positive,
                mend=nearest(str(config.positive), classes),
            )
    elif target.type not in (ColumnType.NUMBER, ColumnType.INTEGER):
        raise ParameterError(
            "a regression needs a target of numbers",
            file=file,
            where=f"columns.{config.target}.type",
            wanted="number or integer",
            got=str(target.type),
        )
    for rule in loaded.rules:
        for side in (rule.left, rule.right):
            if side not in loaded.columns:
                raise ParameterError(
                    "unknown column",
                    file=file,
                    where="rules",
                    got=side,
                    mend=nearest(side, loaded.columns),
                )
