"""What stages read from each other."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from plumbline import artifacts
from plumbline.config import Config, Paths
from plumbline.data.rows import open_rows
from plumbline.errors import DataError, ParameterError
from plumbline.examples import Examples, InputSpec
from plumbline.files import read_json
from plumbline.kinds import Part, Role, Task
from plumbline.preprocessing.arrays import read_examples
from plumbline.tables import Schema, SplitIndex, Table


def load_table(config: Config, paths: Paths) -> tuple[Table, Schema]:
    """The typed rows; what the split stage dropped is no feature."""
    table, schema = open_rows(paths.table, config.data.max_memory_mb)
    dropped = read_json(paths.split / artifacts.DROPPED)
    columns = tuple(
        replace(c, role=Role.IGNORE) if c.name in dropped else c for c in schema.columns
    )
    return table, replace(schema, columns=columns)


def load_split(paths: Paths) -> SplitIndex:
    """The part of each row, and its part in each fold."""
    return artifacts.read_split(paths.split)


def load_part(paths: Paths, part: Part) -> Examples:
    """Prepared examples of a part, memory-mapped."""
    return read_examples(paths.prepared / part.name.lower(), load_spec(paths).names)


def load_spec(paths: Paths) -> InputSpec:
    """What the prepared examples hold."""
    return artifacts.read_spec(paths.prepared)


def with_tuned(config: Config, paths: Paths) -> Config:
    """The parameters with what the tune stage found in place of `tuned`."""
    if not config.tuned:
        return config
    values = artifacts.read(artifacts.TunedValues, paths.root).values
    return config.replace({key: values[key] for key in config.tuned})


def resolve_monitor(config: Config, spec: InputSpec) -> str:
    """The metric that early stopping watches, or `loss`.

    `auto` is `evaluate.metric`, but the loss where classes are read from texts: their order is near
    perfect after an epoch or two, when the probabilities are not yet (SMS spam: ROC-AUC .990 and
    accuracy .92 after one epoch, .994 and .98 after three).
    """
    name = config.train.monitor
    if name == "loss":
        return name
    if name != "auto":
        return resolve_metric(name, spec.task, "train.monitor")
    if spec.task.has_classes and spec.of_kind("text"):
        return "loss"
    return resolve_metric(config.evaluate.metric, spec.task)


def resolve_metric(name: str, task: Task, key: str = "evaluate.metric") -> str:
    """A metric's name, `auto` resolved; `key` is where the name was given.

    Raises:
        ParameterError: the metric is not one of the task's.
    """
    if name == "auto":
        return task.spec.metric
    if name not in task.spec.metrics:
        raise ParameterError(
            f"'{name}' is no metric of a {task} task",
            file="params.yaml",
            where=key,
            wanted=", ".join(task.spec.metrics),
        )
    return name


def refuse_unfit(examples: Examples, spec: InputSpec, part: str) -> None:
    """Rows that no model can be fitted on or scored on.

    Raises:
        DataError: no rows, a number that is not finite, or training rows of one class.
    """
    if len(examples) == 0:
        raise DataError(f"there are no {part} rows", hint="change the shares in split")
    for tensor in spec.of_kind("numbers"):
        finite = np.isfinite(examples.inputs[tensor.name]).all(axis=0)
        if not finite.all():
            name = tensor.features[int(np.argmin(finite))]
            raise DataError(
                f"the prepared {part} rows hold a number that is not finite",
                where=f"column '{name}'",
                hint=f"set normalize.columns.{name}.scale to robust or quantile",
            )
    if not np.isfinite(examples.y).all():
        raise DataError(f"the target is not a finite number in all {part} rows")
    if part == "training" and spec.task.has_classes and len(np.unique(examples.y)) < 2:
        only = spec.classes[int(examples.y[0])]
        raise DataError(
            "the training rows hold one class only",
            wanted="two or more classes",
            got=only,
            hint="use a stratified split, or more rows",
        )
