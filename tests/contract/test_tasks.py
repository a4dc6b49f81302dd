"""Every dict of what is computed by task has every task, and every name that a task gives."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from plumbline.evaluation.metrics import METRICS
from plumbline.kinds import TASKS, TargetKind, Task
from plumbline.training.curve import CONSTANTS
from plumbline.training.losses import LOSSES
from plumbline.words import METRIC_WORDS

SOURCES = sorted((Path(__file__).parents[2] / "src").rglob("*.py"))
# what docs/architecture.md names, and no other dict by task
BY_TASK = {
    "TASKS",
    "TASK_WORDS",
    "TO_PREDICTION",
    "BASELINES",
    "CONFORMAL",
    "CURVES",
    "PAGE_PARTS",
}


def dicts_by(enumeration: str) -> Iterator[tuple[str, set[str]]]:
    """The dicts of the sources whose keys are members, `Task.BINARY` say: (name, members)."""
    for path in SOURCES:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if not isinstance(node, ast.Assign | ast.AnnAssign):
                continue
            if not isinstance(node.value, ast.Dict):
                continue
            target = node.targets[0] if isinstance(node, ast.Assign) else node.target
            keys = {
                key.attr
                for key in node.value.keys
                if isinstance(key, ast.Attribute) and ast.unparse(key.value) == enumeration
            }
            if keys:
                yield ast.unparse(target), keys


def test_a_dict_by_task_has_every_task() -> None:
    members = {str(task).upper() for task in TASKS}
    by_task = dict(dicts_by("Task"))
    assert set(by_task) == BY_TASK
    assert {name: members - keys for name, keys in by_task.items() if keys != members} == {}


def test_a_dict_by_the_kind_of_target_has_every_kind() -> None:
    members = {kind.name for kind in TargetKind}
    by_kind = list(dicts_by("TargetKind"))
    assert len(by_kind) > 10
    assert [name for name, keys in by_kind if keys != members] == []


def test_no_task_is_asked_for_by_name() -> None:
    """What depends on the task is a field of its `TaskSpec` or found in a dict: a branch would
    have to know the tasks that are still to come."""
    comparison = re.compile(r"(?:[=!]=|\bis|\bis not|\bin) \(?Task\.[A-Z]")
    assert [
        path.name for path in SOURCES if comparison.search(path.read_text(encoding="utf-8"))
    ] == []


@pytest.mark.parametrize("task", TASKS)
def test_the_losses_and_metrics_of_a_task_exist(task: Task) -> None:
    assert set(task.spec.losses) <= set(LOSSES) and set(LOSSES) == set(CONSTANTS)
    assert set(task.spec.metrics) <= set(METRICS) and set(task.spec.metrics) <= set(METRIC_WORDS)
    assert task.spec.metric in task.spec.metrics
    # without classes, the column of the predicted value is known
    assert task.has_classes or task.spec.column is not None


def test_a_task_is_its_name() -> None:
    assert f"{Task.BINARY}" == "binary" and Task.of("binary") == Task.BINARY
    with pytest.raises(ValueError, match="'ternary' is no task: choose one of binary, multiclass"):
        Task.of("ternary")
