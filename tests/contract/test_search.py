"""Every sampler, pruner, objective and limit of params.yaml: a search stays in its space, repeats
itself, ends where it should and goes on where it was killed."""

from __future__ import annotations

import itertools
import logging
import math
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, get_args

import numpy as np
import optuna
import pytest
import yaml

from plumbline.config import model as parameters
from plumbline.config.load import parse_config
from plumbline.config.model import TuneConfig
from plumbline.errors import ParameterError
from plumbline.models.size import SIZES
from plumbline.training.divergence import DivergedError
from plumbline.training.samplers import PRUNERS, SAMPLERS, grid_points
from plumbline.training.search import Reporter, search, trials_of
from plumbline.training.search_result import SearchResult, TrialRow, Values
from plumbline.training.trial_storage import forget_unfinished

pytestmark = [
    pytest.mark.filterwarnings("ignore::UserWarning", "ignore::FutureWarning"),
    pytest.mark.usefixtures("one_thread"),
]

PARAMETERS = Path(__file__).parents[2] / "params.yaml"
NUMBERS: dict[str, Any] = {
    "train.learning_rate": {"type": "float", "low": 1e-4, "high": 1e-1, "log": True},
    "train.weight_decay": {"type": "float", "low": 0.0, "high": 1.0},
}
SPACE: dict[str, Any] = {
    **NUMBERS,
    "model.depth": {"type": "int", "low": 1, "high": 4},
    "model.name": {"type": "categorical", "choices": ["mlp", "resmlp"]},
}
# of size and score, which pull against each other
TWO: dict[str, Any] = {**NUMBERS, "model.depth": {"type": "int", "low": 1, "high": 9}}
BOTH = [name for name in SAMPLERS if name != "cmaes"]  # samplers of two objectives


class Killed(BaseException):
    pass


def bowl(values: Values, report: Reporter) -> list[float]:
    """Best at a rate of 0.01 and a decay of 0.3; six folds; reports as it goes."""
    loss = abs(math.log10(float(values["train.learning_rate"])) + 2)
    loss += abs(float(values["train.weight_decay"]) - 0.3)
    for epoch in range(1, 6):
        report.check_time()
        report.epoch(epoch, loss + 1 / epoch)
    scores = [loss + apart for apart in (0.0, 0.1, -0.1, 0.2, -0.2, 0.0)]
    for number in range(len(scores) - 1):
        report.fold(number, scores[: number + 1])
    return scores


def sizes(values: Values) -> dict[parameters.Size, int]:
    """A network whose size is that of its depth."""
    depth = int(values.get("model.depth", 1))
    return {"parameters": 100 * depth, "multiply_adds": 70 * depth}


def tune_config(**settings: Any) -> TuneConfig:
    """The section of params.yaml with other settings."""
    raw = yaml.safe_load(PARAMETERS.read_text(encoding="utf-8"))
    space = NUMBERS if settings.get("sampler") == "cmaes" else SPACE
    raw["model"]["dropout"] = 0.1
    trials = 8 if settings.get("sampler") == "gp" else 12  # of a model of scores that takes long
    raw["tune"] |= {"trials": trials, "epochs": 5, "space": space, **settings}
    return parse_config(raw).tune


def run(
    folder: Path,
    seed: int = 0,
    evaluate: Any = bowl,
    *,
    clock: Any = time.monotonic,
    **settings: Any,
) -> SearchResult:
    forget_unfinished(folder, "k")
    config = tune_config(**settings)
    return search(
        evaluate,
        config,
        key="k",
        folder=folder,
        seed=seed,
        greater_is_better=False,
        sizes=lambda values: {size: sizes(values)[size] for size in config.sizes},
        until=clock() + 60 * config.minutes if config.minutes else math.inf,
        clock=clock,
    )


@pytest.mark.parametrize(
    ("named", "there"),
    [
        (parameters.TuneSampler, SAMPLERS),
        (parameters.TunePruner, PRUNERS),
        (parameters.Size, SIZES),
    ],
)
def test_params_yaml_takes_each_choice_and_no_other(named: Any, there: dict[str, Any]) -> None:
    assert set(get_args(named)) == set(there)


@pytest.mark.parametrize(
    ("sampler", "pruner"),
    [
        *itertools.product([name for name in SAMPLERS if name != "gp"], PRUNERS),
        ("gp", "median"),  # its model of scores takes long
    ],
)
def test_a_search_stays_in_its_space_and_repeats(sampler: str, pruner: str, tmp_path: Path) -> None:
    result = run(tmp_path / "a", sampler=sampler, pruner=pruner)
    again = run(tmp_path / "b", sampler=sampler, pruner=pruner)
    assert result == again
    assert len(result.trials) == tune_config(sampler=sampler).trials
    space = tune_config(sampler=sampler).space
    assert result.default == result.trials[0]
    assert result.trials[0].values == {k: dimension.center for k, dimension in space.items()}
    for trial in result.trials:
        for key, value in trial.values.items():
            dimension = space[key]
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


CONDITIONS: dict[str, Any] = {
    **SPACE,
    "model.dropout": {"type": "float", "low": 0.0, "high": 0.5, "when": {"model.name": ["mlp"]}},
    "model.embedding_dim": {"type": "int", "low": 4, "high": 20, "when": {"model.depth": [1, 2]}},
}


@pytest.mark.parametrize("sampler", [name for name in SAMPLERS if name != "grid"])
def test_a_dimension_with_a_condition_is_searched_where_it_holds(
    sampler: str, tmp_path: Path
) -> None:
    space = CONDITIONS
    if sampler == "cmaes":  # of numbers alone
        space = {k: d for k, d in space.items() if k not in ("model.name", "model.dropout")}
    result = run(tmp_path, sampler=sampler, space=space, trials=14)
    assert len(result.trials) == 14 and result.default is result.trials[0]
    rows = [trial.values for trial in result.trials]
    assert all(set(values) == set(space) for values in rows)
    searched: dict[tuple[str, bool], set[Any]] = {}
    for values in rows:
        shallow = int(values["model.depth"]) <= 2
        searched.setdefault(("dims", shallow), set()).add(values["model.embedding_dim"])
        if sampler != "cmaes":
            is_mlp = values["model.name"] == "mlp"
            searched.setdefault(("dropout", is_mlp), set()).add(values["model.dropout"])
    assert searched["dims", False] == {12} and len(searched["dims", True]) > 2
    if sampler != "cmaes":
        assert searched["dropout", False] == {0.25} and len(searched["dropout", True]) > 2
    again = run(tmp_path / "again", sampler=sampler, space=space, trials=14)
    assert [trial.values for trial in again.trials] == rows


@pytest.mark.parametrize(
    ("when", "settings", "text"),
    [
        ({"model.nam": ["mlp"]}, {}, "'model.nam'.*Did you mean 'model.name'"),
        ({"model.width": [64]}, {}, "no dimension of the space"),
        ({"model.name": ["cnn"]}, {}, "names no value that model.name takes.*'cnn'"),
        ({"model.name": []}, {}, "an empty list"),
        ({"model.depth": [9]}, {}, "names no value that model.depth takes"),
        ({"train.weight_decay": [0.5]}, {}, "names no value that train.weight_decay takes"),
        ({"model.name": ["mlp"]}, {"sampler": "grid"}, "knows no conditions"),
    ],
)
def test_a_condition_that_cannot_hold_is_refused(
    when: dict[str, Any], settings: dict[str, Any], text: str
) -> None:
    dropout = {"type": "float", "low": 0.0, "high": 0.5, "when": when}
    with pytest.raises(ParameterError, match=rf"tune.space: model.dropout.when: .*{text}"):
        tune_config(space={**SPACE, "model.dropout": dropout}, **settings)


def test_a_condition_on_a_condition_is_refused() -> None:
    space = CONDITIONS | {
        "model.width": {"type": "int", "low": 8, "high": 16, "when": {"model.embedding_dim": [8]}}
    }
    with pytest.raises(ParameterError, match=r"model\.width\.when.*always searched"):
        tune_config(space=space)


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_a_killed_search_ends_as_an_unbroken_one(sampler: str, tmp_path: Path) -> None:
    whole = run(tmp_path / "whole", sampler=sampler)
    for at in (1, 4, 7):
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

    settings: dict[str, Any] = {"sampler": sampler, "pruner": "none", "workers": 2, "trials": 4}
    config = tune_config(**settings)

    def work() -> SearchResult:
        return search(
            waits,
            config,
            key="k",
            folder=tmp_path,
            seed=0,
            greater_is_better=False,
            sizes=sizes,
        )

    with ThreadPoolExecutor(2) as pool:
        for future in [pool.submit(work), pool.submit(work)]:
            future.result()
    result = work()  # what is left when both are done, as the parent sees it
    assert len({tuple(t.values.values()) for t in result.trials}) == len(result.trials) == 4
    assert result.default == result.trials[0]


@pytest.mark.parametrize("pruner", [name for name in PRUNERS if name != "none"])
def test_pruning_ends_hopeless_trials(pruner: str, tmp_path: Path) -> None:
    """Whatever the pruner: some trials do not come to their last fold, and the best does."""
    whole: list[float] = []

    def counted(values: Values, report: Reporter) -> list[float]:
        scores = bowl(values, report)
        whole.append(scores[0])
        return scores

    result = run(tmp_path, evaluate=counted, trials=20, pruner=pruner, sampler="random")
    states = [t.state for t in result.trials]
    assert states.count("complete") == len(whole) < 20
    assert states.count("pruned") == 20 - len(whole)
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
    space = {**NUMBERS, "train.weight_decay": {**NUMBERS["train.weight_decay"], "step": 0.5}}
    points = grid_points(tune_config(space=space).space["train.weight_decay"])
    assert points == [0.0, 0.5, 1.0]
    result = run(tmp_path, sampler="grid", space=space, trials=100, pruner="none")
    tried = {tuple(t.values.values()) for t in result.trials[1:]}
    assert len(tried) == 15 and len(result.trials) == 16


def front_of(trials: list[TrialRow], key: str) -> set[tuple[float, int]]:
    """By comparing each with each."""
    points = {(t.value or 0.0, t.size[key]) for t in trials}
    return {
        one for one in points if not any(o[0] <= one[0] and o[1] <= one[1] for o in points - {one})
    }


def costly(values: Values, report: Reporter) -> list[float]:
    """The deeper, the better, by less and less."""
    scores = bowl(values, report)
    return list(np.add(scores, 4 / int(values["model.depth"])))


@pytest.mark.parametrize("second", get_args(parameters.Size))
@pytest.mark.parametrize("sampler", BOTH)
def test_of_two_objectives_there_is_a_front_and_the_smallest_good_one_is_selected(
    sampler: str, second: str, tmp_path: Path
) -> None:
    settings = {"sampler": sampler, "second_objective": second, "pruner": "none", "space": TWO}
    settings["trials"] = 8 if sampler == "gp" else 24
    result = run(tmp_path / "a", evaluate=costly, **settings)
    assert result == run(tmp_path / "b", evaluate=costly, **settings)
    assert {(t.value, t.size[second]) for t in result.front} == front_of(result.complete, second)
    assert [t.size[second] for t in result.front] == sorted(t.size[second] for t in result.front)
    assert len(result.front) > 1 and result.best in result.front
    assert result.selected in result.front  # here no two trials differ by noise
    assert result.importance and result.trials[0] == result.default


def test_the_smallest_of_those_within_noise_is_selected(tmp_path: Path) -> None:
    """Depth says nothing about the score, which noise makes best somewhere."""

    def noisy(values: Values, report: Reporter) -> list[float]:
        tiny = 1e-3 * float(values["train.weight_decay"])
        return [1.0 + tiny, 0.9 - 2 * tiny, 1.1 - tiny]

    two = {"second_objective": "parameters", "pruner": "none", "space": TWO}
    result = run(tmp_path, evaluate=noisy, trials=24, sampler="random", **two)
    least = min(t.size["parameters"] for t in result.trials)
    assert result.best.size["parameters"] > least == result.selected.size["parameters"]


def test_what_cannot_have_two_objectives_is_refused() -> None:
    for settings in ({"sampler": "cmaes", "pruner": "none"}, {"pruner": "median"}):
        with pytest.raises(ParameterError, match="second_objective needs"):
            tune_config(second_objective="parameters", **settings)


@pytest.mark.parametrize(("limit", "most"), [("max_parameters", 200), ("max_multiply_adds", 140)])
@pytest.mark.parametrize("sampler", BOTH)
def test_too_large_networks_are_not_fitted(
    sampler: str, limit: str, most: int, tmp_path: Path
) -> None:
    depths: list[int] = []

    def counted(values: Values, report: Reporter) -> list[float]:
        depths.append(int(values["model.depth"]))
        return costly(values, report)

    result = run(tmp_path, evaluate=counted, sampler=sampler, space=TWO, **{limit: most})
    assert depths and max(depths) <= 2
    states = [t.state for t in result.trials]
    assert states[0] == "too_large" and states.count("too_large") == len(states) - len(depths)
    assert result.default is None and result.selected == result.best


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_values_that_make_no_network_end_their_trial_alone(sampler: str, tmp_path: Path) -> None:
    """But the default point's end the search: it is what no search would give."""

    def some(values: Values, report: Reporter) -> list[float]:
        if float(values["train.weight_decay"]) > 0.5:
            raise ParameterError("no such network", where="train.weight_decay")
        return bowl(values, report)

    result = run(tmp_path / "some", evaluate=some, sampler=sampler, pruner="none")
    refused = [trial for trial in result.trials if trial.state == "refused"]
    assert 0 < len(refused) < len(result.trials) and result.default is not None
    assert all(float(trial.values["train.weight_decay"]) > 0.5 for trial in refused)

    def none(values: Values, report: Reporter) -> list[float]:
        raise ParameterError("no such network", where="train.weight_decay")

    with pytest.raises(ParameterError, match="no such network"):
        run(tmp_path / "none", evaluate=none, sampler=sampler)


def test_a_limit_below_every_network_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ParameterError, match=r"max_parameters.*at least 100 parameters"):
        run(tmp_path, max_parameters=10)


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_patience_ends_a_search_that_finds_no_better(sampler: str, tmp_path: Path) -> None:
    most = 9 if sampler == "gp" else 20
    whole = run(tmp_path / "whole", sampler=sampler, pruner="none", trials=most)
    result = run(tmp_path / "short", sampler=sampler, pruner="none", trials=most, patience=4)
    values = [t.value for t in whole.trials if t.value is not None]
    bests = list(np.minimum.accumulate(values))
    wanted = next((k + 5 for k in range(len(bests) - 4) if bests[k + 4] == bests[k]), len(bests))
    assert len(result.trials) == wanted
    assert result.stopped_by == ("patience" if wanted < len(values) else "trials")
    if sampler in ("random", "grid"):  # the others draw more at random in longer searches
        assert result.trials == whole.trials[:wanted]


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_minutes_end_a_search_with_what_it_has(sampler: str, tmp_path: Path) -> None:
    """The trial that is running is dropped; the first is not, however long it takes."""
    whole = run(tmp_path / "whole", sampler=sampler, pruner="none")
    seconds = 0.0

    def slow(values: Values, report: Reporter) -> list[float]:
        nonlocal seconds
        seconds += 50
        return bowl(values, report)

    result = run(
        tmp_path / "short",
        evaluate=slow,
        sampler=sampler,
        pruner="none",
        clock=lambda: seconds,
        minutes=2.7,
    )
    assert result.stopped_by == "minutes" and result.trials == whole.trials[:3]
    if sampler != "gp":  # without the limit it goes on
        assert run(tmp_path / "short", sampler=sampler, pruner="none") == whole
    first = run(
        tmp_path / "first", evaluate=slow, sampler=sampler, clock=lambda: seconds, minutes=0.01
    )
    assert first.trials == whole.trials[:1]


def test_a_grid_smaller_than_the_trials_ends(tmp_path: Path) -> None:
    assert trials_of(tune_config(sampler="grid", trials=500)) == 5 * 5 * 4 * 2 + 1
