"""tune: what it writes, by every objective, again, and in a shared database."""

from __future__ import annotations

import csv
import multiprocessing
from pathlib import Path
from typing import Any

import numpy as np
import optuna
import polars as pl
import pytest
from numpy.testing import assert_array_equal
from tests.made import (
    RUNTIME,
    SHORT,
    SMALL,
    made_examples,
    made_spec,
    small_model,
    write_table,
)

from plumbline.config import Config, Paths
from plumbline.config.load import parse_config
from plumbline.config.model import TextEncoderConfig
from plumbline.errors import ParameterError
from plumbline.files import read_json, write_json
from plumbline.kinds import Part
from plumbline.models import learn_inputs
from plumbline.models.size import SIZES, count_multiply_adds
from plumbline.preprocessing.frames import take_rows
from plumbline.preprocessing.transform import TableTransformer
from plumbline.report.page import render
from plumbline.report.read import Reports
from plumbline.stages import tune
from plumbline.stages.inputs import load_table
from plumbline.training.cross_validation import Fold, network_sizes, prepare_fold
from plumbline.training.samplers import PRUNERS, SAMPLERS
from plumbline.training.search import search
from plumbline.training.search_result import SearchResult

N = 120
FOLDS = 2
EXPECTATIONS = """columns:
  a: {type: number}
  b: {type: number}
  y: {type: category, role: target, values: {only: ["no", "yes"]}}
"""
SPACE = {
    "train.learning_rate": {"type": "float", "low": 0.001, "high": 0.1, "log": True},
    "train.weight_decay": {"type": "float", "low": 1e-6, "high": 1e-2, "log": True},
}


def checkout(
    root: Path,
    *,
    data: dict[str, Any] | None = None,
    train: dict[str, Any] | None = None,
    **settings: Any,
) -> tuple[Config, Paths]:
    """What tune reads; each fold scores half of the training rows."""
    paths = Paths(root)
    rng = np.random.default_rng(0)
    a, b = rng.normal(size=(2, N))
    paths.data.mkdir(parents=True)
    frame = pl.DataFrame({"a": a, "b": b, "y": np.where(a + b > 0, "yes", "no")})
    frame.write_csv(paths.data / "rows.csv")
    paths.expectations.write_text(EXPECTATIONS)
    paths.split.mkdir(parents=True)
    part = np.repeat([Part.TRAIN, Part.VAL, Part.TEST], [80, 20, 20]).astype(np.uint8)
    training, turn = part == Part.TRAIN, np.arange(N) % FOLDS
    fold = {
        f"fold_{k}": np.where(training, np.where(turn == k, Part.VAL, Part.TRAIN), Part.UNUSED)
        for k in range(FOLDS)
    }
    index = {"row": np.arange(N, dtype=np.uint32), "part": part}
    pl.DataFrame({**index, **{k: v.astype(np.uint8) for k, v in fold.items()}}).write_parquet(
        paths.split / "index.parquet"
    )
    write_json(paths.split / "dropped.json", {})
    source = {"name": "t", "path": "data/rows.csv", "target": "y", "task": "binary"}
    raw = {
        "seed": 0,
        "data": {**source, "positive": "yes", **(data or {})},
        "model": {"name": "mlp", **SMALL},
        "train": {**SHORT, "learning_rate": "tuned", **(train or {})},
        "runtime": RUNTIME,
        "normalize": {"scale": "quantile"},
        "tune": {"trials": 2, "epochs": 2, "sampler": "random", "space": SPACE, **settings},
    }
    config = parse_config(raw)
    write_table(config, paths)
    return config, paths


def written(paths: Paths) -> tuple[dict[str, Any], list[dict[str, str]]]:
    with (paths.reports / "tuning" / "trials.csv").open() as file:
        trials = list(csv.DictReader(file))
    best: dict[str, Any] = read_json(paths.tuning / "best.json")
    return best, trials


@pytest.mark.parametrize(("objective", "folds"), [("kfold", FOLDS), ("holdout", 1)])
def test_the_best_trial_is_the_mean_of_its_folds(
    tmp_path: Path, objective: str, folds: int
) -> None:
    config, paths = checkout(tmp_path, objective=objective)
    tune.run(config, paths)
    best, trials = written(paths)
    assert [trial["number"] for trial in trials] == ["0", "1"]
    scores = read_json(paths.reports / "tuning" / "summary.json")["fold_scores"]
    assert len(scores) == folds
    assert f"fold_{folds - 1}" in trials[0] and f"fold_{folds}" not in trials[0]
    assert best["score"] == pytest.approx(np.mean(scores))
    assert best["values"]["train.learning_rate"] in [
        float(trial["train.learning_rate"]) for trial in trials
    ]
    assert not list((paths.state / "tuning").glob("*.log*"))  # done: nothing to go on with


def test_the_page_says_what_the_search_gained(tmp_path: Path) -> None:
    config, paths = checkout(tmp_path, trials=4)
    tune.run(config, paths)
    gain = read_json(paths.reports / "tuning" / "summary.json")["gain_over_default"]["mean"]
    page = render(config, Reports(paths.reports))
    assert ("Against the default point" in page) == (gain != 0)
    assert gain != 0


def test_twice_the_same_and_with_folds_side_by_side(tmp_path: Path) -> None:
    (config, one), (_, other) = (checkout(tmp_path / name) for name in ("one", "other"))
    tune.run(config, one)
    tune.run(config.replace({"runtime.threads": FOLDS}), other)  # a process and a thread for each
    assert written(one) == written(other)


def test_a_shared_database_keeps_the_trials_and_the_search_goes_on_from_them(
    tmp_path: Path,
) -> None:
    address = f"sqlite:///{tmp_path / 'trials.db'}"
    config, paths = checkout(tmp_path, storage=address)
    tune.run(config, paths)
    first = written(paths)
    (study,) = optuna.get_all_study_names(address)
    loaded = optuna.load_study(study_name=study, storage=address)
    assert [trial.value for trial in loaded.trials] == [float(row["value"]) for row in first[1]]
    tune.run(config, paths)
    assert written(paths) == first
    assert len(optuna.load_study(study_name=study, storage=address).trials) == 2


def test_no_search_takes_the_center(tmp_path: Path) -> None:
    config, paths = checkout(tmp_path, trials=0)
    tune.run(config, paths)
    best, trials = written(paths)
    assert trials == [] and best["trials"] == 0
    assert best["values"]["train.learning_rate"] == pytest.approx(0.01)


def test_workers_side_by_side_do_the_trials(tmp_path: Path) -> None:
    config, paths = checkout(tmp_path, workers=2, trials=3)
    tune.run(config, paths)
    best, trials = written(paths)
    assert best["trials"] == 3 and [trial["number"] for trial in trials] == ["0", "1", "2"]
    assert len({trial["train.learning_rate"] for trial in trials}) == 3


def test_what_stops_the_search_is_said_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The workers of a search that cannot be end without a traceback of their own."""
    config, paths = checkout(tmp_path, workers=2, train={"class_weights": [1.0, 2.0, 3.0]})

    ended: list[Any] = []

    class Here:  # a process, without the seconds that a new interpreter takes
        def __init__(self, target: Any, args: Any) -> None:
            self.task = lambda: target(*args)

        def start(self) -> None:
            self.task()
            ended.append(self)

        def join(self) -> None:
            pass

    monkeypatch.setattr(multiprocessing.get_context("spawn"), "Process", Here)
    with pytest.raises(ParameterError, match=r"train\.class_weights"):
        tune.run(config, paths)
    assert len(ended) == 2


def test_workers_and_what_follows_them_have_one_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The minutes begin once, and not anew in each process or when the workers are done."""
    config, paths = checkout(tmp_path, workers=2, minutes=5)
    ends: list[float] = []

    def noted(*arguments: Any, until: float, **more: Any) -> SearchResult:
        ends.append(until)
        return search(*arguments, until=until, **more)

    def here(count: int, work: Any, arguments: Any) -> None:
        for _ in range(count):
            work(*arguments)

    monkeypatch.setattr(tune, "search", noted)
    monkeypatch.setattr(tune, "run_side_by_side", here)
    tune.run(config, paths)
    assert len(ends) == 3 and len(set(ends)) == 1


def test_a_fold_is_prepared_within_the_memory_that_data_allow(tmp_path: Path) -> None:
    """As normalize would: quantiles are of as many rows as `data.max_memory_mb` has room for."""
    many = 6000
    config, paths = checkout(tmp_path, data={"max_memory_mb": 1}, max_rows=many)
    rng = np.random.default_rng(1)
    frame = pl.DataFrame({"a": rng.normal(size=many), "b": rng.normal(size=many)})
    frame = frame.with_columns(y=pl.Series(rng.choice(["no", "yes"], many)))
    frame.write_csv(paths.data / "rows.csv")
    write_table(config, paths)
    table, schema = load_table(config, paths)
    rows = np.arange(many)
    val = prepare_fold(table, schema, config, rows[:5000], rows[5000:], 0).val
    numbers = []
    for megabytes in (1, 2048):
        made = TableTransformer(schema, config.normalize, max_memory_mb=megabytes)
        made.fit(take_rows(table, rows[:5000]), config.seed, rows[:5000])
        numbers.append(made.transform(take_rows(table, rows[5000:]), rows[5000:]).inputs["num"])
    assert_array_equal(val.inputs["num"], numbers[0])
    assert (numbers[0] != numbers[1]).any()


SIZED = {**SPACE, "model.width": {"type": "int", "low": 4, "high": 64, "log": True}}


@pytest.mark.parametrize(
    "settings",
    [
        *({"sampler": name, "trials": 3} for name in SAMPLERS),
        *({"pruner": name, "trials": 3} for name in PRUNERS),
        *({"second_objective": size, "pruner": "none", "trials": 6} for size in SIZES),
        {"max_parameters": 200, "trials": 6},
        {"max_multiply_adds": 200, "trials": 6},
        {"minutes": 1e-6, "trials": 4},
        {"patience": 1, "trials": 20},
    ],
    ids=str,
)
def test_every_choice_of_params_yaml_ends_on_the_page(
    settings: dict[str, Any], tmp_path: Path
) -> None:
    sampler = settings.get("sampler")
    space = SPACE if sampler == "cmaes" else SIZED
    config, paths = checkout(tmp_path, **{**settings, "space": space})
    tune.run(config, paths)
    best, trials = written(paths)
    summary = read_json(paths.reports / "tuning" / "summary.json")
    page = render(config, Reports(paths.reports))
    assert best["values"].keys() == space.keys() and best["score"] is not None
    assert summary["trials"] == len(trials) <= config.tune.trials
    if second := config.tune.second_objective:
        assert "Pareto front" in page
        sizes = [int(trial[second]) for trial in trials]
        assert min(sizes) <= summary["size"][second] <= max(sizes)
        assert [p["value"] for p in summary["front"]] == sorted(
            p["value"] for p in summary["front"]
        )
    for size, most in config.tune.limits.items():
        large = [trial for trial in trials if int(trial[size]) > most]
        assert 0 < len(large) == summary["too_large"] < len(trials)
        assert all(trial["state"] == "too_large" for trial in large)
        assert "too large to be fitted" in page
    limit = next((key for key in ("minutes", "patience") if key in settings), "trials")
    assert summary["stopped_by"] == limit
    assert (len(trials) < config.tune.trials) == (limit != "trials")
    assert f"tune.{limit}" in page or limit == "trials"


TOKENS = {"type": "int", "low": 8, "high": 32, "log": True}
HEADS = {"type": "categorical", "choices": [2, 4]}


@pytest.mark.parametrize(
    ("dimensions", "refused"),
    [
        ({"model.token_width": TOKENS}, "model.token_width.*a multiple of model.heads.*got 9"),
        ({"model.heads": {"type": "categorical", "choices": [2, 3]}}, "model.heads.*got '3, and"),
        ({"model.token_width": TOKENS | {"step": 2, "log": False}, "model.heads": HEADS}, None),
    ],
)
def test_a_dimension_of_values_that_make_no_network_is_refused_before_the_first_trial(
    dimensions: dict[str, Any], refused: str | None, tmp_path: Path
) -> None:
    """Of two dimensions that do not fit together everywhere, the trials that meet it are."""
    space = {**SPACE, **dimensions}
    config, paths = checkout(tmp_path, space=space, trials=8)
    own = {"model.name": "ft_transformer", "model.token_width": 16, "model.heads": 2, "seed": 3}
    config = config.replace(own)
    if refused:
        with pytest.raises(ParameterError, match=f"tune.space: {refused}"):
            tune.run(config, paths)
        return
    tune.run(config, paths)
    states = [trial["state"] for trial in written(paths)[1]]
    summary = read_json(paths.reports / "tuning" / "summary.json")
    assert 0 < states.count("refused") == summary["refused"] < len(states)
    assert "whose values make no network" in render(config, Reports(paths.reports))


def test_what_a_network_takes_is_what_the_fitted_one_has(tmp_path: Path) -> None:
    """Of each family, and counted by hand for a plain one."""
    spec = made_spec(numbers=3, cardinalities=())
    fold = Fold(train=made_examples(spec, 40), val=made_examples(spec, 40), spec=spec)
    config, _ = checkout(tmp_path, second_objective="multiply_adds", pruner="none")
    plain = {"model.number_embedding": "none", "model.width": 8, "model.depth": 1}
    config = config.replace({**plain, "tune.max_parameters": 10**6})
    sizes = network_sizes(config, fold)
    assert sizes == {"parameters": 3 * 8 + 8 + 8 * 2 + 2, "multiply_adds": 3 * 8 + 8 * 2}


@pytest.mark.parametrize("encoder", ["mean", "cnn", "rnn", "lstm", "gru", "transformer"])
def test_multiply_adds_of_texts_grow_with_the_encoder(encoder: str) -> None:
    """Recurrent layers and attention are fused on a processor, and count nothing there."""
    spec = made_spec(numbers=0, cardinalities=(), texts=1)
    rows = made_examples(spec, 10)
    counts = []
    for width in (8, 16):
        text = TextEncoderConfig(encoder=encoder, width=width, embedding_dim=8)  # type: ignore[arg-type]
        model = small_model(text=text)
        learned = learn_inputs(model, spec, rows.inputs)
        counts.append(count_multiply_adds(model, spec, learned, rows.inputs))
    head = 16 * 8  # at least: what follows the encoder reads 8 features more
    assert counts[1] - counts[0] >= head + (0 if encoder == "mean" else 1)
