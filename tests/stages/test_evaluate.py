"""What evaluate writes, for every task and for parts in which hardly anything can be measured."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
import torch
from tests.made import write_table
from torch import Tensor

from plumbline.config import Config, Paths
from plumbline.config.load import parse_config
from plumbline.config.model import ModelConfig, TrainConfig
from plumbline.errors import ParameterError
from plumbline.evaluation.metrics import score
from plumbline.files import read_json, write_json
from plumbline.inference.decision import apply_temperature
from plumbline.inference.out_of_distribution import FLAG, SCORE
from plumbline.kinds import TASKS, Part, Task
from plumbline.models import build_model
from plumbline.models.target import TargetTransform
from plumbline.stages import evaluate, normalize
from plumbline.stages.inputs import load_part, load_spec
from plumbline.store.bundle import load_bundle, save_bundle
from plumbline.training.loop import fit
from plumbline.words import metric_label

HEADERS = {
    "roc": ["false_positive_rate", "true_positive_rate", "threshold"],
    "pr": ["recall", "precision", "threshold"],
    "baseline_roc": ["model", "false_positive_rate", "true_positive_rate", "threshold"],
    "baseline_pr": ["model", "recall", "precision", "threshold"],
    "calibration": ["predicted", "observed", "low", "high", "rows"],
    "confusion": ["actual", "predicted", "count"],
}
BASELINES = {"majority", "linear", "gradient_boosting"}
MODEL = ModelConfig(name="mlp", number_embedding="none", width=16, depth=1, dropout=0.0)


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """Threads cost more than they give on so few rows, most of all on a busy machine."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def make(
    root: Path,
    task: Task,
    n: int = 600,
    *,
    classes: int = 3,
    part: Any = None,
    target: Any = None,
    **settings: Any,
) -> tuple[Config, Paths]:
    """A checkout in which everything before evaluate has run; `part` (n,) and `target` (n,)
    in place of a random split and of a target that follows the features."""
    rng = np.random.default_rng(0)
    x, noise, color = rng.normal(size=n), rng.normal(size=n), rng.choice(["red", "blue"], n)
    z = 2 * x + 1.5 * (color == "red") + 0.5 * rng.normal(size=n)
    labels = {Task.BINARY: ["good", "bad"]}.get(task, [f"c{i:02d}" for i in range(classes)])
    if target is None and task == Task.REGRESSION:
        target = 100 + 10 * z
    elif target is None:
        edges = np.quantile(z, np.arange(1, len(labels)) / len(labels))
        target = np.array(labels)[np.searchsorted(edges, z)]
    frame = pl.DataFrame({"x": x, "noise": noise, "color": color, "y": target})
    (root / "data").mkdir()
    frame.write_csv(root / "data" / "rows.csv")
    only = "" if task == Task.REGRESSION else f", values: {{only: [{', '.join(labels)}]}}"
    kind = "number" if task == Task.REGRESSION else "category"
    (root / "expectations.yaml").write_text(
        "columns:\n  x: {type: number}\n  noise: {type: number}\n  color: {type: category}\n"
        f"  y: {{type: {kind}, role: target{only}}}\n"
    )
    data = {"name": "t", "path": "data/rows.csv", "target": "y", "task": str(task)}
    data |= {"positive": "bad"} if task == Task.BINARY else {}
    config = parse_config(
        {
            "seed": 0,
            "data": data,
            "tune": {"trials": 0},
            "evaluate": {"bootstrap": 100, **settings},
        }
    )
    paths = Paths(root)
    if part is None:
        part = rng.permutation(np.repeat([Part.TRAIN, Part.VAL, Part.TEST], n // 3))
    paths.split.mkdir(parents=True)
    fold = np.full(n, Part.TRAIN, dtype=np.uint8)
    pl.DataFrame(
        {
            "row": np.arange(n, dtype=np.uint32),
            "part": np.asarray(part, dtype=np.uint8),
            "fold_0": fold,
        }
    ).write_parquet(paths.split / "index.parquet")
    write_json(paths.split / "dropped.json", {})
    write_table(config, paths)
    normalize.run(config, paths)
    train_model(paths, task)
    return config, paths


def train_model(paths: Paths, task: Task) -> None:
    train, val = load_part(paths, Part.TRAIN), load_part(paths, Part.VAL)
    target = None if task.has_classes else TargetTransform.fit(train.y, "auto")
    settings = TrainConfig(epochs=20, learning_rate=0.02, batch_size=32)
    model = build_model(MODEL, load_spec(paths), seed=0)
    fitted = fit(model, train, val, task, settings, seed=0, target=target)
    paths.model.mkdir()
    save_model(paths, fitted.weights, target)


def save_model(paths: Paths, weights: dict[str, Tensor], target: TargetTransform | None) -> None:
    save_bundle(
        paths.model,
        weights=weights,
        config=MODEL,
        spec=load_spec(paths),
        learned={},
        target=target,
        preprocessor={},
        metadata={},
    )


def read(paths: Paths) -> dict[str, Any]:
    folder = paths.reports / "evaluation"
    with_header = {}
    for name in HEADERS:
        with (folder / f"{name}.csv").open() as file:
            with_header[name] = list(csv.reader(file))
    return {
        "metrics": read_json(paths.reports / "metrics.json"),
        "decision": read_json(paths.decision / "decision.json"),
        "verdict": read_json(folder / "verdict.json"),
        "slices": read_json(folder / "slices.json"),
        "predictions": pl.read_parquet(folder / "predictions.parquet"),
        **with_header,
    }


@pytest.mark.parametrize("task", list(TASKS))
def test_every_file_is_written_as_the_contract_says(task: Task, tmp_path: Path) -> None:
    config, paths = make(tmp_path, task)
    report = evaluate.run(config, paths)
    result = read(paths)
    metrics = result["metrics"]
    assert set(metrics) == {"train", "val", "test", "test_ci95", "baselines"}
    for part in ("train", "val", "test", "test_ci95"):
        assert set(metrics[part]) == set(task.spec.metrics), part
    assert set(metrics["baselines"]) == BASELINES
    for name, (low, high) in metrics["test_ci95"].items():
        assert low <= metrics["test"][name] <= high
    assert set(result["decision"]) == {"temperature", "threshold", "metric", "conformal"}
    assert set(result["verdict"]["baselines"]) == BASELINES
    conformal = result["verdict"]["conformal"]
    assert set(conformal) == {"promised", "coverage", "mean_size"}
    assert conformal["coverage"] == pytest.approx(0.9, abs=0.08)
    for name, header in HEADERS.items():
        assert result[name][0] == header
        assert (len(result[name]) == 1) == (task == Task.REGRESSION)
    if task.has_classes:
        for name in ("baseline_roc", "baseline_pr"):
            assert {line[0] for line in result[name][1:]} == BASELINES
    assert {s["column"] for s in result["slices"]["slices"]} == {"x", "noise", "color"}
    rows = dict(report.rows)
    assert set(rows) == {*map(metric_label, task.spec.metrics), "verdict"}
    assert "linear" in rows["accuracy" if task.has_classes else "RMSE"]

    assert all(path.exists() for path in report.outputs)


@pytest.mark.parametrize("task", list(TASKS))
def test_predictions_are_what_the_metrics_are_of(task: Task, tmp_path: Path) -> None:
    config, paths = make(tmp_path, task, threshold="f1" if task == Task.BINARY else "none")
    evaluate.run(config, paths)
    result, spec = read(paths), load_spec(paths)
    predictions = result["predictions"]
    assert set(predictions["part"].unique()) == {"val", "test"}
    frame = predictions.filter(pl.col("part") == "test")
    assert frame["row"].to_list() == load_part(paths, Part.TEST).rows.tolist()
    truth = pl.read_csv(tmp_path / "data" / "rows.csv")["y"][frame["row"].to_list()]
    if task == Task.REGRESSION:
        np.testing.assert_allclose(frame["actual"], truth, rtol=1e-5)
        y, p = frame["actual"].to_numpy(), frame["predicted"].to_numpy()[:, None]
        assert (frame["low"] < frame["predicted"]).all() and (
            frame["predicted"] < frame["high"]
        ).all()
    else:
        assert frame["actual"].to_list() == truth.to_list()
        y = np.array([spec.classes.index(label) for label in frame["actual"]])
        p = frame.select([f"p_{name}" for name in spec.classes]).to_numpy()
        broadcast = frame["predicted"] == frame["actual"]
        assert broadcast.mean() == pytest.approx(result["metrics"]["test"]["accuracy"])
    for name in ("log_loss", "roc_auc") if task.has_classes else ("rmse", "r2"):
        expected = result["metrics"]["test"][name]
        assert score(name, y, p, task) == pytest.approx(expected, rel=1e-5)
    for name in BASELINES:
        hits = frame[name] == frame["actual"]
        if task.has_classes:
            assert hits.mean() == pytest.approx(result["metrics"]["baselines"][name]["accuracy"])


def test_decisions_come_from_validation_rows_alone(tmp_path: Path) -> None:
    config, paths = make(tmp_path, Task.BINARY, threshold="f1")
    evaluate.run(config, paths)
    before = read(paths)["decision"]
    folder = paths.prepared / "test"
    y = np.load(folder / "y.npy")
    np.save(folder / "y.npy", 1 - y)
    evaluate.run(config, paths)
    after = read(paths)
    assert after["decision"] == before
    assert after["metrics"]["test"]["accuracy"] < 0.5
    val = load_part(paths, Part.VAL)
    raw = load_bundle(paths.model).predictor()(val.inputs)
    calibrated = apply_temperature(raw, before["temperature"])
    assert before["temperature"] != 1
    assert score("log_loss", val.y, calibrated, Task.BINARY) <= score(
        "log_loss", val.y, raw, Task.BINARY
    )


def test_baselines_never_see_validation_or_test_targets(tmp_path: Path) -> None:
    config, paths = make(tmp_path, Task.REGRESSION)
    evaluate.run(config, paths)
    columns = sorted(BASELINES)
    before = read(paths)["predictions"].select(columns)
    for part in ("val", "test"):
        y = np.load(paths.prepared / part / "y.npy")
        np.save(paths.prepared / part / "y.npy", y[::-1].copy())
    evaluate.run(config, paths)
    assert read(paths)["predictions"].select(columns).equals(before)


@pytest.mark.parametrize("task", list(TASKS))
def test_rows_are_scored_for_how_unlike_training_rows_they_are(task: Task, tmp_path: Path) -> None:
    config, paths = make(tmp_path, task, out_of_distribution={"share": 0.05})
    evaluate.run(config, paths)
    state = (paths.decision / "out_of_distribution.json").read_bytes()
    scored = read(paths)["predictions"]
    assert scored[SCORE].is_finite().all()
    val, test = (scored.filter(pl.col("part") == part) for part in ("val", "test"))
    assert val[FLAG].sum() == 10 and 0 < test[FLAG].mean() < 0.15
    result = read_json(paths.reports / "evaluation" / "out_of_distribution.json")
    assert result["flagged"] == {"val": 0.05, "test": test[FLAG].mean()}
    assert 0.4 < result["shuffled_roc_auc"] < 0.6  # the columns of this table are independent
    worst = test.sort(SCORE, descending=True)
    assert [row["score"] for row in result["rows"]] == worst[SCORE][:10].to_list()
    assert result["rows"][0]["row"] == worst["row"][0]

    # of test rows that lie elsewhere nothing is learned, of validation rows the threshold alone
    move(paths, Part.TEST)
    evaluate.run(config, paths)
    assert (paths.decision / "out_of_distribution.json").read_bytes() == state
    moved = read(paths)["predictions"].filter(pl.col("part") == "test")
    assert moved[FLAG].mean() > 0.9
    row = read_json(paths.reports / "evaluation" / "out_of_distribution.json")["rows"][0]
    assert row["column"] == "x" and row["reason"] == "above the range"
    move(paths, Part.VAL)
    evaluate.run(config, paths)
    before, after = json.loads(state), read_json(paths.decision / "out_of_distribution.json")
    assert after.pop("threshold") > before.pop("threshold")
    assert after == before


def move(paths: Paths, part: Part) -> None:
    """Add 50 to `x` in all rows of a part."""
    rows = load_part(paths, part).rows
    table = paths.table / "rows.parquet"
    frame = pl.read_parquet(table).with_row_index("row")
    is_own = pl.col("row").is_in(rows.tolist())
    frame.with_columns(x=pl.col("x") + 50 * is_own.cast(pl.Float64)).drop("row").write_parquet(
        table
    )
    place = paths.prepared / part.name.lower() / "inputs" / "num.npy"
    numbers = np.load(place)
    numbers[:, 0] += 50
    np.save(place, numbers)


def test_scores_may_be_left_out(tmp_path: Path) -> None:
    config, paths = make(tmp_path, Task.BINARY, out_of_distribution={"method": "off"})
    evaluate.run(config, paths)
    assert not {SCORE, FLAG} & set(read(paths)["predictions"].columns)
    assert not (paths.decision / "out_of_distribution.json").exists()
    result = read_json(paths.reports / "evaluation" / "out_of_distribution.json")
    assert result["method"] == "off"


def test_the_same_seed_gives_the_same_bytes(tmp_path: Path) -> None:
    config, paths = make(tmp_path, Task.MULTICLASS)
    folders = (paths.decision, paths.reports)
    runs = []
    for _ in range(2):
        evaluate.run(config, paths)
        files = sorted(f for folder in folders for f in folder.rglob("*") if f.is_file())
        runs.append({f.relative_to(tmp_path): f.read_bytes() for f in files})
    assert len(runs[0]) == 18
    assert runs[0] == runs[1]


@pytest.mark.parametrize("task", list(TASKS))
def test_dvc_shows_the_metric_that_counts_beside_the_best_baseline(
    tmp_path: Path, task: Task
) -> None:
    config, paths = make(tmp_path, task)
    evaluate.run(config, paths)
    shown = json.loads((paths.reports / "summary.json").read_text())
    metrics = json.loads((paths.reports / "metrics.json").read_text())
    metric = json.loads((paths.decision / "decision.json").read_text())["metric"]
    assert list(shown) == [metric, "low", "high", "best_baseline"]
    assert shown[metric] == metrics["test"][metric]
    assert [shown["low"], shown["high"]] == metrics["test_ci95"][metric]
    baselines = sorted(scores[metric] for scores in metrics["baselines"].values())
    assert shown["best_baseline"] == baselines[0 if task == Task.REGRESSION else -1]


def test_a_model_that_learned_nothing_is_worse_than_a_baseline(tmp_path: Path) -> None:
    config, paths = make(tmp_path, Task.BINARY)
    evaluate.run(config, paths)
    good = read(paths)["verdict"]
    assert good["baselines"]["majority"]["verdict"] == "better"
    save_model(paths, build_model(MODEL, load_spec(paths), seed=5).state_dict(), None)
    evaluate.run(config, paths)
    bad = read(paths)["verdict"]
    assert (
        bad["outperforms_baselines"] is False and bad["baselines"]["linear"]["verdict"] == "worse"
    )
    assert "is significantly worse than simpler baselines" in bad["text"]


def parts(n: int, val: int, test: int) -> Any:
    part = np.full(n, Part.TRAIN)
    part[:val], part[val : val + test] = Part.VAL, Part.TEST
    return part


def test_parts_of_two_rows(tmp_path: Path) -> None:
    for task in TASKS:
        root = tmp_path / task
        root.mkdir()
        config, paths = make(root, task, 100, part=parts(100, 2, 2))
        evaluate.run(config, paths)
        result = read(paths)
        assert result["slices"]["slices"] == []
        assert len(result["predictions"]) == 4
        if task == Task.REGRESSION:
            assert result["decision"]["conformal"]["half_width"] is None
            assert result["predictions"]["low"].null_count() == 4
            assert set(result["verdict"]["conformal"]) == {"promised"}
        else:
            assert result["decision"]["conformal"]["minimum_probability"] == 0


def test_one_class_only_in_the_test_part(tmp_path: Path) -> None:
    n = 300
    rng = np.random.default_rng(0)
    target = np.where(rng.random(n) < 0.5, "bad", "good")
    part = parts(n, 60, 60)
    target[part == Part.TEST] = "good"
    config, paths = make(tmp_path, Task.BINARY, n, part=part, target=target)
    evaluate.run(config, paths)
    result = read(paths)
    assert "roc_auc" not in result["metrics"]["test"]
    assert "accuracy" in result["metrics"]["test"] and "roc_auc" in result["metrics"]["val"]
    assert len(result["roc"]) == 1
    assert result["verdict"]["outperforms_baselines"] is None
    assert {b["verdict"] for b in result["verdict"]["baselines"].values()} == {"unknown"}


def test_a_class_that_training_rows_lack(tmp_path: Path) -> None:
    """And one that only they have."""
    n = 300
    target = np.random.default_rng(0).choice(["c00", "c01"], n)
    part = parts(n, 60, 60)
    target[np.flatnonzero(part == Part.TEST)[:5]] = "c02"
    config, paths = make(tmp_path, Task.MULTICLASS, n, part=part, target=target)
    evaluate.run(config, paths)
    metrics = read(paths)["metrics"]
    for scores in (metrics["test"], *metrics["baselines"].values()):
        assert set(scores) == set(Task.MULTICLASS.spec.metrics)


def test_23_classes(tmp_path: Path) -> None:
    config, paths = make(tmp_path, Task.MULTICLASS, 690, classes=23)
    evaluate.run(config, paths)
    result = read(paths)
    assert sum(name.startswith("p_") for name in result["predictions"].columns) == 23
    assert result["metrics"]["test"]["accuracy"] > 2 / 23
    assert result["decision"]["metric"] == "accuracy"


def test_a_constant_target(tmp_path: Path) -> None:
    config, paths = make(tmp_path, Task.REGRESSION, 300, target=np.full(300, 7.0))
    evaluate.run(config, paths)
    metrics = read(paths)["metrics"]
    assert "r2" not in metrics["test"]
    assert metrics["test"]["rmse"] < 1
    assert metrics["baselines"]["majority"]["rmse"] == pytest.approx(0, abs=1e-6)


def test_settings_are_followed(tmp_path: Path) -> None:
    config, paths = make(
        tmp_path,
        Task.BINARY,
        calibrate=False,
        baselines=["majority"],
        slices=["color"],
        metric="f1",
        coverage=0.8,
        threshold="cost",
        costs={"fp": 1.0, "fn": 20.0},
    )
    evaluate.run(config, paths)
    result = read(paths)
    assert result["decision"]["temperature"] == 1
    assert 0 < result["decision"]["threshold"] < 0.5
    assert result["decision"]["metric"] == result["verdict"]["metric"] == "f1"
    assert result["verdict"]["conformal"]["promised"] == 0.8
    assert set(result["metrics"]["baselines"]) == {"majority"}
    assert {s["column"] for s in result["slices"]["slices"]} == {"color"}


@pytest.mark.parametrize(
    ("settings", "key"),
    [
        ({"slices": ["colr"]}, "evaluate.slices"),
        ({"metric": "rmse"}, "evaluate.metric"),
        ({"threshold": "log_loss"}, "evaluate.threshold"),
    ],
)
def test_a_wrong_setting_is_refused_and_leaves_what_was_there(
    settings: dict[str, Any], key: str, tmp_path: Path
) -> None:
    config, paths = make(tmp_path, Task.BINARY, 90, **settings)
    write_json(paths.decision / "decision.json", {"kept": True})
    with pytest.raises(ParameterError, match=key.replace(".", r"\.")):
        evaluate.run(config, paths)
    assert read_json(paths.decision / "decision.json") == {"kept": True}
    assert not (paths.reports / "metrics.json").exists()
