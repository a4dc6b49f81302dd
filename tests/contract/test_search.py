"""Every sampler and pruner searches a space, repeats itself, and goes on where it was killed."""

from __future__ import annotations

import logging
import math
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import optuna
import pytest

from plumbline.config.model import Dimension, TuneConfig
from plumbline.errors import ParameterError
from plumbline.training.divergence import DivergedError
from plumbline.training.samplers import PRUNERS, SAMPLERS, grid_points
from plumbline.training.search import Reporter, SearchResult, Values, forget_unfinished, search

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning", "ignore::FutureWarning")

SPACE = {
    "train.learning_rate": Dimension(type="float", low=1e-4, high=1e-1, log=True),
    "train.weight_decay": Dimension(type="float", low=0.0, high=1.0),
    "model.depth": Dimension(type="int", low=1, high=4),
    "model.name": Dimension(type="categorical", choices=["mlp", "resmlp"]),
}
NUMBERS = {k: d for k, d in SPACE.items() if d.type == "float"}


class Killed(BaseException):
    pass


def bowl(values: Values, report: Reporter) -> list[float]:
    """Best at a rate of 0.01 and a decay of 0.3; three folds; reports as it goes."""
    loss = abs(math.log10(float(values["train.learning_rate"])) + 2)
    loss += abs(float(values["train.weight_decay"]) - 0.3)
    for step in range(1, 6):
        report(step, loss + 1 / step)
    return [loss, loss + 0.1, loss - 0.1]


def run(folder: Path, seed: int = 0, evaluate: object = bowl, **settings: object) -> SearchResult:
    sampler = settings.get("sampler", "tpe")
    space = NUMBERS if sampler == "cmaes" else SPACE
    config = TuneConfig(**{"trials": 12, "epochs": 5, "space": space, **settings})  # type: ignore[arg-type]
    forget_unfinished(folder, "k")
    return search(
        evaluate,  # type: ignore[arg-type]
        config,
        key="k",
        folder=folder,
        seed=seed,
        greater_is_better=False,
    )


@pytest.mark.parametrize("pruner", PRUNERS)
@pytest.mark.parametrize("sampler", SAMPLERS)
def test_a_search_stays_in_its_space_and_repeats(sampler: str, pruner: str, tmp_path: Path) -> None:
    result = run(tmp_path / "a", sampler=sampler, pruner=pruner)
    again = run(tmp_path / "b", sampler=sampler, pruner=pruner)
    assert result == again
    assert len(result.trials) == 12
    assert result.trials[0].values == {k: SPACE[k].center for k in result.trials[0].values}
    for trial in result.trials:
        for key, value in trial.values.items():
            dimension = SPACE[key]
            if dimension.choices:
                assert value in dimension.choices
            else:
                assert dimension.low <= value <= dimension.high  # type: ignore[operator]
    done = [t for t in result.trials if t.state == "complete"]
    assert result.best.value == min(t.value for t in done if t.value is not None)


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_another_seed_searches_elsewhere(sampler: str, tmp_path: Path) -> None:
    one = run(tmp_path / "a", sampler=sampler, pruner="none")
    two = run(tmp_path / "b", sampler=sampler, pruner="none", seed=1)
    assert [t.values for t in one.trials[1:]] != [t.values for t in two.trials[1:]]


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_a_killed_search_ends_as_an_unbroken_one(sampler: str, tmp_path: Path) -> None:
    whole = run(tmp_path / "whole", sampler=sampler)
    for at in (1, 4, 9):
        calls = 0

        def dies(values: Values, report: Reporter) -> list[float]:
            nonlocal calls
            calls += 1
            if calls == at:  # noqa: B023
                raise Killed
            return bowl(values, report)

        folder = tmp_path / str(at)
        with pytest.raises(Killed):
            run(folder, evaluate=dies, sampler=sampler)
        assert run(folder, sampler=sampler) == whole


def test_going_on_after_a_kill_prints_nothing_of_optuna(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    def dies(values: Values, report: Reporter) -> list[float]:
        raise Killed

    with pytest.raises(Killed):
        run(tmp_path, evaluate=dies)
    monkeypatch.setattr(logging.getLogger("optuna"), "propagate", True)
    optuna.logging.set_verbosity(optuna.logging.INFO)  # as in a new process
    forget_unfinished(tmp_path, "k")
    assert not caplog.records


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_two_workers_at_once_try_different_values(sampler: str, tmp_path: Path) -> None:
    """Each of two that begin together sees no trial done: neither the center nor a draw comes
    twice."""
    both, first = threading.Barrier(2), threading.Semaphore(2)

    def waits(values: Values, report: Reporter) -> list[float]:
        if first.acquire(blocking=False):
            both.wait(timeout=30)
        return bowl(values, report)

    space = NUMBERS if sampler == "cmaes" else SPACE
    settings: dict[str, Any] = {"sampler": sampler, "pruner": "none", "workers": 2}
    config = TuneConfig(trials=4, epochs=5, space=space, **settings)

    def work() -> SearchResult:
        return search(waits, config, key="k", folder=tmp_path, seed=0, greater_is_better=False)

    with ThreadPoolExecutor(2) as pool:
        for future in [pool.submit(work), pool.submit(work)]:
            future.result()
    result = work()  # what is left when both are done, as the parent sees it
    assert len({tuple(t.values.values()) for t in result.trials}) == len(result.trials) == 4
    assert result.default == result.trials[0]


def test_pruning_ends_hopeless_trials(tmp_path: Path) -> None:
    steps: list[int] = []

    def counted(values: Values, report: Reporter) -> list[float]:
        def answer(step: int, value: float) -> None:
            steps.append(step)
            report(step, value)

        return bowl(values, answer)

    result = run(tmp_path, evaluate=counted, trials=20)
    pruned = [t for t in result.trials if t.state == "pruned"]
    assert pruned and len(steps) < 20 * 5
    assert result.best.value is not None and result.best.value < 0.8


def test_diverging_values_are_avoided_and_a_search_of_them_refused(tmp_path: Path) -> None:
    def often(values: Values, report: Reporter) -> list[float]:
        if float(values["train.learning_rate"]) > 1e-2:
            raise DivergedError("too large")
        return bowl(values, report)

    result = run(tmp_path / "some", evaluate=often)
    assert any(t.state == "pruned" for t in result.trials)

    def always(values: Values, report: Reporter) -> list[float]:
        raise DivergedError("too large", where="train.l1", hint="set it to 0")

    with pytest.raises(ParameterError, match=r"no trial came.*In one, train\.l1: set it"):
        run(tmp_path / "all", evaluate=always, trials=3)


def test_the_default_point_is_kept_where_the_gain_is_noise(tmp_path: Path) -> None:
    def noisy(values: Values, report: Reporter) -> list[float]:
        tiny = float(values["train.weight_decay"]) * 1e-3
        return [1.0 + tiny, 0.9 - 2 * tiny, 1.1 - tiny]

    result = run(tmp_path / "noise", evaluate=noisy, pruner="none")
    assert result.best.number != 0 and result.selected.number == 0
    clear = run(tmp_path / "clear", pruner="none")
    assert clear.selected == clear.best and clear.best.number != 0


def test_a_grid_is_tried_once_through(tmp_path: Path) -> None:
    space = {
        "train.learning_rate": Dimension(type="float", low=1e-4, high=1e-2, log=True),
        "train.weight_decay": Dimension(type="float", low=0.0, high=1.0, step=0.5),
    }
    assert grid_points(space["train.weight_decay"]) == [0.0, 0.5, 1.0]
    result = run(tmp_path, sampler="grid", space=space, trials=100, pruner="none")
    tried = {tuple(t.values.values()) for t in result.trials[1:]}
    assert len(tried) == 15 and len(result.trials) == 16
