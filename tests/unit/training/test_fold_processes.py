"""Folds of a trial that are fitted in other processes: the same scores and reports, in order."""

from __future__ import annotations

import multiprocessing
import os
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tests.made import made_examples, made_spec, short_fit, small_model

from plumbline.config import Config
from plumbline.config.data import DataConfig
from plumbline.config.model import TuneConfig
from plumbline.kinds import Task
from plumbline.stages.criterion import criterion_of
from plumbline.training.cross_validation import Fold, fit_beside, score_folds
from plumbline.training.distributed import SINGLE_PROCESS, World
from plumbline.training.divergence import DivergedError
from plumbline.training.fold_processes import FoldProcesses

pytestmark = pytest.mark.usefixtures("one_thread")
FOLDS, EPOCHS = 5, 3
CRITERION = criterion_of("roc_auc")


class Pruned(Exception):
    pass


def config(**train: Any) -> Config:
    return Config(
        seed=0,
        data=DataConfig(name="made", path="data/made.csv", task=Task.BINARY, target="y"),
        model=small_model(dropout=0.1),
        train=short_fit(patience=0, **train),
        tune=TuneConfig(trials=1, epochs=EPOCHS),
    )


def parts() -> list[Fold]:
    spec = made_spec(Task.BINARY)
    return [
        Fold(train=made_examples(spec, 40, k), val=made_examples(spec, 30, 100 + k), spec=spec)
        for k in range(FOLDS)
    ]


def trial(
    others: FoldProcesses | None, values: Config, act: Callable[[int], None] = lambda step: None
) -> tuple[list[float] | str, list[tuple[int, float]]]:
    """Scores, or how the trial ended instead; and what it reported."""
    reports: list[tuple[int, float]] = []

    class Noted:
        def epoch(self, epoch: int, value: float) -> None:
            reports.append((epoch, value))
            act(epoch)

        def fold(self, number: int, scores: list[float]) -> None:
            self.epoch(EPOCHS + 1 + number, scores[-1])

        def check_time(self) -> None:
            pass

    try:
        return score_folds(values, parts(), CRITERION, Noted(), SINGLE_PROCESS, others), reports
    except (Pruned, DivergedError) as error:
        return str(error), reports


def noted(config: Config, given: Any, world: World, after_epoch: Callable[[], None]) -> float:
    """In another process: fit, and leave a file that says so."""
    fold, folder = given
    score = fit_beside(config, (fold, CRITERION), world, after_epoch)
    (folder / "fitted").touch()
    return score


def far(config: Config, given: Any, world: World, after_epoch: Callable[[], None]) -> float:
    """In another process: diverge."""
    _, folder = given
    (folder / "diverged").touch()
    raise DivergedError("too large", where="train.l1", hint="set it to 0")


def wait_for(ready: Callable[[], bool]) -> None:
    until = time.monotonic() + 60
    while not ready():
        assert time.monotonic() < until
        time.sleep(0.01)


def test_trials_are_the_same_with_another_process_and_when_one_is_killed(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """The same process through trials that end well, are pruned at an epoch or at a fold, or
    diverge; then it is killed."""

    def pruned_at(step: int) -> Callable[[int], None]:
        def act(reported: int) -> None:
            if reported == step:
                raise Pruned

        return act

    plans: list[tuple[Config, Callable[[int], None]]] = [
        (config(), lambda step: None),
        (config(), pruned_at(2)),
        (config(learning_rate=0.02), lambda step: None),
        (config(), pruned_at(EPOCHS + 2)),
        (config(optimizer="sgd", learning_rate=1e9, clip_norm=None), lambda step: None),
        (config(learning_rate=0.03), lambda step: None),
    ]
    alone = [trial(None, *plan) for plan in plans]
    assert len(alone[0][0]) == FOLDS and "no longer a finite number" in alone[4][0]
    given = [(fold, tmp_path) for fold in parts()]

    def fitted(step: int) -> None:
        if step == 1:  # the first fold is not done before the other process has fitted one
            wait_for((tmp_path / "fitted").exists)

    def kill(step: int) -> None:
        if step == 1:
            (victim,) = multiprocessing.active_children()
            assert victim.pid
            os.kill(victim.pid, signal.SIGKILL)

    with FoldProcesses(noted, given, SINGLE_PROCESS, count=1, threads=1) as others:
        assert trial(others, config(), fitted) == alone[0]
        assert [trial(others, *plan) for plan in plans] == alone
        assert "ended early" not in capfd.readouterr().err
        assert trial(others, config(), kill) == alone[0]
        assert trial(others, config()) == alone[0]
        assert capfd.readouterr().err.count("a process beside this one ended early") == 1
    assert not multiprocessing.active_children()


def test_a_fold_that_diverges_elsewhere_ends_the_trial_in_its_turn(tmp_path: Path) -> None:
    given = [(fold, tmp_path) for fold in parts()]

    def diverged(step: int) -> None:
        if step == 1:
            wait_for((tmp_path / "diverged").exists)

    with FoldProcesses(far, given, SINGLE_PROCESS, count=1, threads=1) as others:
        ended, reports = trial(others, config(), diverged)
    assert "too large" in ended
    assert [step for step, _ in reports] == [1, 2, 3, EPOCHS + 1]  # the first fold's own first
