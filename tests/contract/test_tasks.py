"""Every dict of what is computed by task has every task, and every name that a task gives."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from plumbline.data import load
from plumbline.evaluation.baselines import BASELINES
from plumbline.evaluation.conformal import CONFORMAL
from plumbline.evaluation.curves import CURVES
from plumbline.evaluation.decision import PREDICTED
from plumbline.evaluation.metrics import METRICS
from plumbline.evaluation.picks import PICKS
from plumbline.evaluation.predictions import SHOWN
from plumbline.evaluation.slices import EXPLAINED
from plumbline.kinds import TASKS, Y_DTYPES, TargetKind, Task
from plumbline.leakage import codes
from plumbline.leakage.pairs import CUTS
from plumbline.leakage.target_text import CLUES
from plumbline.models import TO_PREDICTION
from plumbline.preprocessing import table_reader
from plumbline.report.sections import overview
from plumbline.report.sections.evaluation import PAGE_PARTS
from plumbline.split.rows import LABELS
from plumbline.stages.drift import TARGET_TYPES
from plumbline.training.curve import CONSTANTS
from plumbline.training.losses import LOSSES
from plumbline.words import METRIC_WORDS, TASK_WORDS

BY_TASK: dict[str, Mapping[Task, Any]] = {
    "models.TO_PREDICTION": TO_PREDICTION,
    "evaluation.baselines.BASELINES": BASELINES,
    "evaluation.conformal.CONFORMAL": CONFORMAL,
    "evaluation.curves.CURVES": CURVES,
    "report.sections.evaluation.PAGE_PARTS": PAGE_PARTS,
    "words.TASK_WORDS": TASK_WORDS,
}
BY_TARGET: dict[str, Mapping[TargetKind, Any]] = {
    "kinds.Y_DTYPES": Y_DTYPES,
    "data.load.CHECKS": load.CHECKS,
    "split.rows.LABELS": LABELS,
    "leakage.codes.TARGETS": codes.TARGETS,
    "leakage.codes.KNOWN": codes.KNOWN,
    "leakage.pairs.CUTS": CUTS,
    "leakage.target_text.CLUES": CLUES,
    "preprocessing.table_reader.TARGETS": table_reader.TARGETS,
    "stages.drift.TARGET_TYPES": TARGET_TYPES,
    "report.sections.overview.TARGETS": overview.TARGETS,
    "evaluation.decision.PREDICTED": PREDICTED,
    "evaluation.picks.PICKS": PICKS,
    "evaluation.predictions.SHOWN": SHOWN,
    "evaluation.slices.EXPLAINED": EXPLAINED,
}


@pytest.mark.parametrize("name", BY_TASK)
def test_a_dict_by_task_has_every_task(name: str) -> None:
    assert list(BY_TASK[name]) == list(TASKS)


@pytest.mark.parametrize("name", BY_TARGET)
def test_a_dict_by_the_kind_of_target_has_every_kind(name: str) -> None:
    assert list(BY_TARGET[name]) == list(TargetKind)


@pytest.mark.parametrize("task", TASKS)
def test_the_losses_and_metrics_of_a_task_exist(task: Task) -> None:
    assert set(task.spec.losses) <= set(LOSSES) and set(LOSSES) == set(CONSTANTS)
    assert set(task.spec.metrics) <= set(METRICS) and set(task.spec.metrics) <= set(METRIC_WORDS)
    assert task.spec.metric in task.spec.metrics


def test_a_task_is_its_name() -> None:
    assert f"{Task.BINARY}" == "binary" and Task.of("binary") == Task.BINARY
    with pytest.raises(ValueError, match="'ternary' is no task: choose one of binary, multiclass"):
        Task.of("ternary")
