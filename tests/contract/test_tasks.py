"""Every dict of what is computed by task has every task, and every name that a task gives."""

from __future__ import annotations

import pytest

from plumbline.evaluation.metrics import METRICS
from plumbline.kinds import TASKS, Task
from plumbline.training.losses import LOSSES
from plumbline.words import METRIC_WORDS, TASK_WORDS

BY_TASK = {"TASK_WORDS": TASK_WORDS}


@pytest.mark.parametrize("name", BY_TASK)
def test_a_dict_by_task_has_every_task(name: str) -> None:
    assert list(BY_TASK[name]) == list(TASKS)


@pytest.mark.parametrize("task", TASKS)
def test_the_losses_and_metrics_of_a_task_exist(task: Task) -> None:
    assert set(task.spec.losses) <= set(LOSSES)
    assert set(task.spec.metrics) <= set(METRICS) and set(task.spec.metrics) <= set(METRIC_WORDS)
    assert task.spec.metric in task.spec.metrics


def test_a_task_is_its_name() -> None:
    assert f"{Task.BINARY}" == "binary" and Task.of("binary") == Task.BINARY
    with pytest.raises(ValueError, match="'ternary' is no task: choose one of binary, multiclass"):
        Task.of("ternary")
