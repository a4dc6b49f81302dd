"""tune: what the folds of a trial report, and what a pruner sees of it."""

from __future__ import annotations

from typing import Any

import optuna
import pytest
from tests.made import made_examples, made_spec, short_fit, small_model

from plumbline.config import Config
from plumbline.config.data import DataConfig
from plumbline.config.model import TuneConfig
from plumbline.kinds import Task
from plumbline.stages.criterion import criterion_of
from plumbline.training.cross_validation import Fold, score_folds
from plumbline.training.distributed import SINGLE_PROCESS
from plumbline.training.search import TrialReports

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.mark.parametrize("folds", [2, 3, 5])
def test_every_report_of_a_trial_reaches_the_pruner(folds: int) -> None:
    """Optuna keeps the first value of a step and drops the others."""
    spec = made_spec(Task.BINARY)
    config = Config(
        seed=0,
        data=DataConfig(name="made", path="data/made.csv", task=Task.BINARY, target="y"),
        model=small_model(),
        train=short_fit(patience=0),
        tune=TuneConfig(trials=1, epochs=3),
    )
    parts = [
        Fold(train=made_examples(spec, 40, k), val=made_examples(spec, 30, 100 + k), spec=spec)
        for k in range(folds)
    ]
    answer: list[tuple[int, float]] = []
    study = optuna.create_study(direction="maximize")

    def objective(trial: Any) -> float:
        report = trial.report

        def noted(value: float, step: int) -> None:
            answer.append((step, value))
            report(value, step)

        trial.report = noted
        reports = TrialReports(trial, config.tune)
        scores = score_folds(config, parts, criterion_of("roc_auc"), reports, SINGLE_PROCESS)
        return sum(scores) / len(scores)

    study.optimize(objective, n_trials=1)
    assert len(answer) == 3 + folds - 1  # an epoch of the first fold each, then means of folds
    assert study.trials[0].intermediate_values == dict(answer)
    assert [step for step, _ in answer] == sorted({step for step, _ in answer})
