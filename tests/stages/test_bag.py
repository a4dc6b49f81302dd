"""`train.bag`: several networks, each fitted without one fold, kept as one model."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable
from multiprocessing import active_children
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
import torch
from safetensors.numpy import load_file
from tests.made import outputs, write_table

from plumbline import artifacts
from plumbline.config import Config, Paths
from plumbline.config.load import parse_config
from plumbline.evaluation.decision import decide
from plumbline.evaluation.metrics import score
from plumbline.evaluation.out_of_fold import out_of_fold
from plumbline.evaluation.reference import BY_ONE
from plumbline.examples import Examples
from plumbline.export.weights_file import read_graph
from plumbline.files import read_json
from plumbline.inference.decision import Decision
from plumbline.inference.onnx_predictor import OnnxPredictor
from plumbline.kinds import ColumnType, Part, Role, Task
from plumbline.preprocessing.bagged import load_transformer
from plumbline.preprocessing.frames import take_rows
from plumbline.preprocessing.transform import TableTransformer
from plumbline.split import networks_of
from plumbline.stages import evaluate, export, networks, normalize, split, train
from plumbline.stages.inputs import load_part, load_spec, load_split, load_table
from plumbline.store.bundle import load_bundle
from plumbline.tables import NEVER, Column, Schema, SplitIndex
from plumbline.training import memory

pytestmark = pytest.mark.usefixtures("one_thread")
ROWS, NETWORKS = 300, 3


def rows_of(task: Task) -> pl.DataFrame:
    """A signal, a number, copies of some rows, and `shop`: hundreds of values that say nothing."""
    rng = np.random.default_rng(0)
    signal = rng.normal(size=ROWS)
    target = signal + rng.normal(size=ROWS)
    columns: dict[str, Any] = {
        "signal": signal.round(3),
        "size": rng.lognormal(size=ROWS).round(3),
        "shop": [f"s{k}" for k in rng.integers(0, ROWS // 3, ROWS)],
        "y": np.where(target > 0, "yes", "no") if task == Task.BINARY else 100 + 10 * target,
    }
    frame = pl.DataFrame(columns)
    return pl.concat([frame, frame.head(40)])


def made(root: Path, task: Task = Task.BINARY, **settings: Any) -> tuple[Config, Paths]:
    """A checkout in which validation has run."""
    paths = Paths(root)
    paths.data.mkdir(parents=True)
    rows_of(task).write_csv(paths.data / "rows.csv")
    only = ", values: {only: ['no', 'yes']}" if task == Task.BINARY else ""
    target = "category" if task == Task.BINARY else "number"
    paths.expectations.write_text(
        "columns:\n  signal: {type: number}\n  size: {type: number}\n  shop: {type: category}\n"
        f"  y: {{type: {target}, role: target{only}}}\n"
    )
    data = {"name": "t", "path": "data/rows.csv", "target": "y", "task": str(task)}
    data |= {"positive": "yes"} if task == Task.BINARY else {}
    threshold = {"threshold": "f1"} if task == Task.BINARY else {}
    fit = {"bag": NETWORKS, "epochs": 4, "learning_rate": 0.01, "weight_decay": 0.0}
    sections: dict[str, Any] = {
        "seed": 1,
        "data": data,
        "normalize": {"columns": {"shop": {"encode": "target_mean"}}},
        "model": {"name": "mlp", "width": 16, "depth": 1, "dropout": 0.1},
        "tune": {"trials": 0},
        "train": {**fit, "learning_curve": [], **settings.pop("train", {})},
        "evaluate": {"bootstrap": 20, "baselines": ["linear"], **threshold},
        "runtime": {"threads": 1},
    }
    config = parse_config({**sections, **settings})
    write_table(config, paths)
    return config, paths


def fitted(root: Path, task: Task = Task.BINARY, **settings: Any) -> tuple[Config, Paths]:
    config, paths = made(root, task, **settings)
    for stage in (split, normalize, train):
        stage.run(config, paths)
    return config, paths


@pytest.fixture(scope="module", params=[Task.BINARY, Task.REGRESSION])
def bag(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Any:
    return fitted(tmp_path_factory.mktemp("bag"), request.param)


def held_out(paths: Paths, index: SplitIndex) -> Examples:
    both = Examples.concatenate([load_part(paths, p) for p in (Part.TRAIN, Part.VAL)])
    assert index.bag is not None
    return both.take(index.bag[both.rows] != NEVER)


def test_a_bag_through_the_graph(bag: tuple[Config, Paths]) -> None:
    """Split to export: decisions come from all held-out rows, and one graph says the same."""
    config, paths = bag
    task, index = load_spec(paths).task, load_split(paths)
    evaluate.run(config, paths), export.run(config, paths)
    bundle, test = load_bundle(paths.model), load_part(paths, Part.TEST)
    rows = held_out(paths, index)
    assert len(rows) > 0.9 * (index.part != Part.TEST).sum()
    assert index.bag is not None
    out_of_folds = out_of_fold(bundle.members(), rows.inputs, index.bag[rows.rows])
    decision = Decision.read(paths.decision)
    expected = decide(rows.y, out_of_folds, task, config.evaluate)
    assert decision.threshold == expected.threshold
    assert decision.temperature == expected.temperature
    assert read_json(paths.decision / "decision.json")["conformal"]["rows"] == len(rows)

    each = np.stack([member(test.inputs) for member in bundle.members()])
    whole = bundle.predictor()(test.inputs)
    assert np.allclose(whole, each.mean(0), atol=1e-4 * np.abs(whole).max())
    assert np.abs(each[0] - each[1]).max() > 1e-3
    graph = OnnxPredictor(read_graph(paths.onnx / artifacts.GRAPH))
    calibrated = decision.apply(whole) if task.has_classes else whole
    assert np.allclose(graph(test.inputs), calibrated, rtol=1e-4, atol=1e-4)

    # what was measured is what the graph answers
    evaluated = pl.read_parquet(paths.reports / artifacts.PREDICTIONS)
    names = [name for name in evaluated.columns if name.startswith("p_")] or ["predicted"]
    of_test = evaluated.filter(pl.col("part").cast(pl.String) == "test").select(names)
    assert np.array_equal(of_test.to_numpy(), graph(test.inputs))

    # by which drift compares: a single network's for every row, by turns for test rows
    turns = np.arange(len(test)) % NETWORKS
    single = each[turns, np.arange(len(test))]
    column = task.spec.column
    assert column is not None
    expected_one = decision.apply(single)[:, column]
    part = evaluated["part"].cast(pl.String)
    by_one = evaluated[BY_ONE].filter(part == "test").to_numpy()
    assert np.allclose(by_one, expected_one, rtol=1e-6)
    own = evaluated.filter(part == "val")
    assert own[BY_ONE].equals(own[names[column]].rename(BY_ONE))

    # a raw row is prepared as the rows of the file were
    table, _ = load_table(config, paths)
    transformer = load_transformer(read_json(paths.model / artifacts.PREPROCESSOR))
    again = transformer.transform(take_rows(table, np.array(test.rows)), np.array(test.rows))
    assert all(np.array_equal(again.inputs[k], test.inputs[k]) for k in test.inputs)
    assert len(artifacts.read(artifacts.BagSummary, paths.root).networks) == NETWORKS


def test_folds_hold_each_row_out_once_and_keep_copies_together(bag: tuple[Config, Paths]) -> None:
    _, paths = bag
    index, frame = load_split(paths), load_table(*bag)[0].frame.collect()
    assert index.bag is not None
    assert (index.bag[index.part == Part.TEST] == NEVER).all()
    copies = frame.with_columns(fold=pl.Series(index.bag), part=pl.Series(index.part))
    of_copy = copies.group_by("signal", "size", "shop").agg(pl.col("fold").n_unique())
    assert of_copy["fold"].max() == 1
    for k in range(NETWORKS):
        rows, out = index.bag_fold(k)
        assert len(np.intersect1d(rows, out)) == 0
        assert len(rows) + len(out) == (index.part != Part.TEST).sum()


def test_held_out_rows_leave_no_trace_in_what_a_network_is_fitted_to(tmp_path: Path) -> None:
    """A column that says nothing of a target that is pure chance: encoded by the target's mean it
    tells the target of rows that the encoding was fitted on, as one shared preparation would be."""
    config, paths = made(tmp_path)
    rng = np.random.default_rng(3)
    frame = pl.DataFrame(
        {
            "signal": rng.normal(size=ROWS),
            "size": rng.normal(size=ROWS),
            "shop": [f"s{k}" for k in rng.integers(0, ROWS // 3, ROWS)],
            "y": rng.permutation(["no", "yes"] * (ROWS // 2)),
        }
    )
    frame.write_csv(paths.data / "rows.csv")
    write_table(config, paths)
    for stage in (split, normalize, train):
        stage.run(config, paths)
    index, rows = load_split(paths), held_out(paths, load_split(paths))
    assert index.bag is not None
    folds, members = index.bag[rows.rows], load_bundle(paths.model).members()

    def auc(prediction: Any) -> float:
        return score("roc_auc", rows.y, prediction, Task.BINARY)

    assert auc(out_of_fold(members, rows.inputs, folds)) < 0.6
    table, schema = load_table(config, paths)
    numbers = np.array(rows.rows)
    shared = TableTransformer(schema, config.normalize)
    shared.fit(take_rows(table, np.sort(numbers)), 0, np.sort(numbers))
    leaking = shared.transform(take_rows(table, np.sort(numbers)), np.sort(numbers))
    column = leaking.inputs["num"][:, leaking_column(shared)]
    y = leaking.y.astype(bool)
    assert column[y].mean() - column[~y].mean() > 0.5


def leaking_column(transformer: TableTransformer) -> int:
    (tensor,) = transformer.spec_.of_kind("numbers")
    return tensor.features.index("shop:target")


def test_what_a_network_is_given_does_not_depend_on_its_held_out_rows(tmp_path: Path) -> None:
    """The rows held out from the first network are changed: its preparation stays to the byte,
    and the others' does not."""
    config, paths = made(tmp_path)
    split.run(config, paths), normalize.run(config, paths)
    before = read_json(paths.prepared / artifacts.PREPROCESSOR)["networks"]
    changed = load_table(config, paths)[0].frame.collect()
    _, out = load_split(paths).bag_fold(0)
    hit = pl.Series(np.isin(np.arange(len(changed)), out))
    changed.with_columns(
        size=pl.when(hit).then(1e9).otherwise("size"),
        shop=pl.when(hit).then(pl.lit("s1")).otherwise("shop"),
    ).write_csv(paths.data / "rows.csv")
    write_table(config, paths)
    normalize.run(config, paths)
    after = read_json(paths.prepared / artifacts.PREPROCESSOR)["networks"]
    assert after[0] == before[0]
    assert after[1] != before[1]


def test_a_killed_fit_ends_in_the_same_bytes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config, paths = fitted(tmp_path)
    first, fit, fits = outputs(paths), networks.fit_fresh, []

    def killed(*given: Any, **more: Any) -> Any:
        fits.append(1)
        if len(fits) < NETWORKS:
            return fit(*given, **more)

        def stop(epoch: int, row: dict[str, float]) -> None:
            if epoch == 2:
                raise KeyboardInterrupt

        return fit(*given, **{**more, "on_epoch": stop})

    monkeypatch.setattr(networks, "fit_fresh", killed)
    with pytest.raises(KeyboardInterrupt):
        train.run(config, paths)
    monkeypatch.setattr(networks, "fit_fresh", fit)
    train.run(config, paths)
    assert outputs(paths) == first


@pytest.mark.parametrize(
    ("settings", "reason"),
    [
        ({"split": {"method": "time"}, "time": "size"}, "split in time"),
        ({"train": {"bag": 20}, "split": {"folds": 2}, "few": True}, "too few separate rows"),
    ],
)
def test_where_a_bag_would_not_be_honest_the_model_is_a_single_network(
    tmp_path: Path, settings: dict[str, Any], reason: str
) -> None:
    time, few = settings.pop("time", None), settings.pop("few", False)
    config, paths = made(tmp_path, Task.REGRESSION, **settings)
    if time:
        config = config.replace({"data.time": time})
    if few:
        frame = rows_of(Task.REGRESSION).head(24)
        frame.with_columns(signal=pl.int_range(24) % 8, size=1.0, shop=pl.lit("a")).write_csv(
            paths.data / "rows.csv"
        )
        write_table(config, paths)
    report = split.run(config, paths)
    assert load_split(paths).bag is None
    assert reason in dict(report.rows)["bag"]
    assert reason in read_json(paths.reports / artifacts.SPLIT)["bag"]["single"]


def test_networks_side_by_side_are_those_of_one_after_the_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """With as many threads each; where the process of one dies, its network is fitted here; and
    where memory is short, all are fitted here, with the threads that they would have had."""

    def fit(threads: int) -> dict[str, bytes]:
        train.run(config.replace({"runtime.threads": threads}), paths)
        return {name: content for name, content in outputs(paths).items() if "model" in name}

    config, paths = made(tmp_path)
    split.run(config, paths), normalize.run(config, paths)
    alone = fit(1)
    assert "network 2 of 3" in capfd.readouterr().err
    own = networks.fit_fresh

    def begins_when(ready: Callable[[], bool]) -> Callable[..., Any]:
        """The fits of this process; the other has had its turn before."""

        def fit(*given: Any, **more: Any) -> Any:
            until = time.monotonic() + 60
            while not ready():
                assert time.monotonic() < until
                time.sleep(0.01)
            return own(*given, **more)

        return fit

    checkpoints = paths.state / "checkpoints"
    one_is_fitted = begins_when(lambda: any(checkpoints.rglob("state.safetensors")))
    monkeypatch.setattr(networks, "fit_fresh", one_is_fitted)
    assert fit(2) == alone
    assert "network 2 of 3" not in capfd.readouterr().err
    monkeypatch.setattr(networks, "fit_fresh", begins_when(lambda: not active_children()))
    monkeypatch.setattr(networks, "fit_beside", killed)
    assert fit(2) == alone
    assert "a process beside this one ended early" in capfd.readouterr().err
    threads: list[int] = []
    monkeypatch.setattr(memory, "fitting_processes", lambda: 1)

    def counted(*given: Any, **more: Any) -> Any:
        threads.append(torch.get_num_threads())
        return own(*given, **more)

    monkeypatch.setattr(networks, "fit_fresh", counted)
    assert fit(2) == alone and set(threads) == {1}
    words = capfd.readouterr().err
    assert "networks are fitted one after the other, not 2: " in words and "network 2 of 3" in words


def test_a_fit_starts_from_the_first_network_of_a_bag(tmp_path: Path) -> None:
    _, bag = fitted(tmp_path / "bag")
    model = {"name": "mlp", "width": 16, "depth": 1, "dropout": 0.1, "start_from": str(bag.model)}
    own = {"model": model, "train": {"freeze": {"backbone": "all"}}}
    _, paths = fitted(tmp_path / "own", **own, normalize={"from_start": ["scalars"]})
    of_bag = read_json(bag.prepared / "preprocessor.json")["networks"][0]
    own_state = read_json(paths.prepared / "preprocessor.json")
    assert own_state["preparers"]["scalars"] == of_bag["preparers"]["scalars"]
    assert load_spec(paths).networks == 0
    start = artifacts.read(artifacts.TrainingSummary, paths.root).start
    assert start is not None and not start["left"]
    theirs, ours = (load_file(p / "weights.safetensors") for p in (bag.model, paths.model))
    kept = [name for name in ours if name.startswith("hidden.")]
    assert kept
    for name in kept:
        assert np.array_equal(ours[name], theirs[f"members.0.network.{name}"])


def killed(*given: Any) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


@pytest.mark.parametrize(
    ("kind", "rows", "expected"),
    [
        (ColumnType.NUMBER, 300, 5),
        (ColumnType.NUMBER, 2_000_000, 5),
        (ColumnType.NUMBER, 2_000_001, 1),
        (ColumnType.IMAGE, 1000, 5),
        (ColumnType.IMAGE, 1001, 1),
    ],
)
def test_auto_makes_a_bag_where_cells_or_images_are_few(
    kind: ColumnType, rows: int, expected: int
) -> None:
    columns = (
        Column(name="x", type=kind),
        Column(name="y", type=ColumnType.CATEGORY, role=Role.TARGET),
    )
    schema = Schema(columns=columns, task=Task.BINARY)
    part = np.array([Part.TEST] * 100 + [Part.TRAIN] * (rows - 9) + [Part.VAL] * 9, np.uint8)
    assert networks_of("auto", part, schema) == expected
    assert networks_of(3, part, schema) == 3


@pytest.mark.parametrize("networks", [1, NETWORKS])
def test_a_target_far_from_zero_keeps_its_digits(tmp_path: Path, networks: int) -> None:
    """Seconds since 1970, say, whose differences float32 does not hold: each row's target is what
    the table says, and predictions are those of the same target near zero."""
    tables = []
    for name, offset in (("near", 0), ("far", 1_700_000_000)):
        config, paths = made(tmp_path / name, Task.REGRESSION, train={"bag": networks})
        frame = rows_of(Task.REGRESSION).with_columns(y=pl.col("y").round(0) + offset)
        frame.write_csv(paths.data / "rows.csv")
        write_table(config, paths)
        for stage in (split, normalize, train, evaluate, export):
            stage.run(config, paths)
        y = load_part(paths, Part.TEST)
        assert np.array_equal(y.y, frame["y"].to_numpy()[y.rows])
        predictions = pl.read_parquet(next(paths.root.rglob("predictions.parquet")))
        tables.append(predictions.with_columns(pl.col("actual", "predicted") - offset))
    near, far = tables
    assert np.allclose(near["actual"], far["actual"], atol=1e-6)
    assert np.allclose(near["predicted"], far["predicted"], atol=0.01)
