"""The register stage on a small checkout: idempotent, mended after a kill, gated."""

from __future__ import annotations

import contextlib
import json
import re
import shutil
import sqlite3
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import mlflow
import numpy as np
import onnx
import pandas as pd
import polars as pl
import pytest
from mlflow.exceptions import MlflowException
from mlflow.tracking import MlflowClient
from numpy.testing import assert_allclose
from onnx import TensorProto, helper, numpy_helper
from tests import records
from tests.made import tensor, write_table

from plumbline import artifacts
from plumbline.config import Config, Paths
from plumbline.config.load import parse_config
from plumbline.errors import GateError, StorageError
from plumbline.export.onnx_graph import contract
from plumbline.files import sha256, write_json, write_text
from plumbline.inference.onnx_predictor import OnnxPredictor
from plumbline.kinds import Part
from plumbline.stages import normalize, promotion, register
from plumbline.stages.inputs import load_part, load_spec
from plumbline.store import moved, registry, tracking
from plumbline.store.moved import SCHEMA

pytestmark = [
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),  # of mlflow's own imports
    pytest.mark.filterwarnings("ignore::ResourceWarning"),  # mlflow leaves its SQLite pool open
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]
ROWS = 400
EXPECTATIONS = """
columns:
  x1: {type: number}
  x2: {type: number}
  region: {type: category}
  label: {type: category, role: target, values: {only: ["no", "yes"], severity: critical}}
"""


@pytest.fixture(scope="session")
def empty_store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An MLflow database without runs; making one takes seconds."""
    root = tmp_path_factory.mktemp("store")
    tracking.open_store(root)
    return root / "mlflow" / "mlflow.db"


@pytest.fixture
def paths(tmp_path: Path, empty_store: Path, monkeypatch: pytest.MonkeyPatch) -> Paths:
    """A checkout with data, split and prepared arrays, and reports of all earlier stages."""
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    paths = Paths(tmp_path / "checkout")
    (paths.root / "mlflow").mkdir(parents=True)
    shutil.copy(empty_store, paths.root / "mlflow" / "mlflow.db")
    rng = np.random.default_rng(0)
    y = rng.integers(0, 2, ROWS)
    frame = pl.DataFrame(
        {
            "x1": 2.0 * y + rng.normal(size=ROWS),
            "x2": 0.5 * y + rng.normal(size=ROWS),
            "region": rng.choice(["north", "south"], ROWS),
            "label": np.where(y == 1, "yes", "no"),
        }
    )
    paths.data.mkdir()
    frame.write_csv(paths.data / "t.csv")
    write_text(paths.expectations, EXPECTATIONS)
    write_text(paths.params, "seed: 0\n")
    part = np.repeat(np.array([Part.TRAIN, Part.VAL, Part.TEST], dtype=np.uint8), [150, 50, 200])
    index = pl.DataFrame({"row": np.arange(ROWS, dtype=np.uint32), "part": part, "fold_0": part})
    paths.split.mkdir(parents=True)
    index.write_parquet(paths.split / "index.parquet")
    write_json(paths.split / "dropped.json", {})
    write_json(paths.split / "summary.json", {"method": "holdout", "parts": {}})
    write_reports(paths)
    train(paths, make_config(), skill=0.0)
    return paths


def make_config(**register_section: Any) -> Config:
    data = {"name": "toy", "path": "data/t.csv", "target": "label", "task": "binary"}
    raw: dict[str, Any] = {"seed": 0, "data": {**data, "positive": "yes"}}
    raw["normalize"] = {"scale": "zscore", "numbers_as_categories": False}
    raw["tune"] = {"trials": 0}
    # most tests are of the decision; those of the server ask it
    return parse_config({**raw, "register": {"ask_server": False, **register_section}})


def write_reports(paths: Paths) -> None:
    scores = {"roc_auc": 0.9, "accuracy": 0.8}
    metrics = records.metrics(
        **dict.fromkeys(("train", "val", "test"), scores),
        test_ci95={"roc_auc": [0.8, 1.0]},
        baselines={"majority": {"roc_auc": 0.5}},
    )
    artifacts.write(metrics, paths.reports)
    artifacts.write(records.leakage(), paths.reports)
    write_json(paths.reports / "validation" / "result.json", {"success": True})
    write_json(paths.reports / "split" / "summary.json", {})
    write_json(paths.reports / "parity.json", {"passed": True})
    artifacts.write(records.tuning("roc_auc", {}), paths.reports / "tuning")
    write_text(
        paths.reports / "tuning" / "trials.csv",
        "number,state,value,train.learning_rate,fold_0\n0,complete,0.9,0.01,0.9\n1,pruned,,0.1,\n",
    )
    artifacts.write(records.architecture(), paths.reports / "training")
    artifacts.write(records.training(), paths.reports / "training")
    write_text(paths.reports / "training" / "curves.csv", "epoch,train_loss\n1,0.5\n2,0.25\n")
    evaluation = paths.reports / "evaluation"
    artifacts.write(records.comparison("roc_auc", "It is better than all."), evaluation)
    one = {"column": "region", "rows": 100, "score": 0.9, "worse": False}
    slices = [{**one, "value": "north"}, {**one, "value": "south"}]
    artifacts.write(records.slices("roc_auc", *slices), evaluation)
    write_json(paths.reports / "explain" / "importance.json", {})
    artifacts.write(records.drift({}), paths.reports / "drift")
    decision = {"temperature": 1.0, "threshold": None, "metric": "roc_auc", "conformal": None}
    write_json(paths.decision / "decision.json", decision)


def train(paths: Paths, config: Config, *, skill: float) -> None:
    """Prepare the rows; as the model, a logistic regression on x1 (skill 1) or x2 (skill 0)."""
    write_table(config, paths)
    normalize.run(config, paths)
    spec = load_spec(paths)
    num = tensor(spec, "num")
    names = list(num.features)
    weight = np.zeros((len(names), 2), dtype=np.float32)
    weight[names.index("x1"), 1], weight[names.index("x2"), 1] = skill, 1 - skill
    graph = helper.make_graph(
        [
            helper.make_node("MatMul", ["num", "w"], ["z"]),
            helper.make_node("Softmax", ["z"], ["prediction"], axis=-1),
        ],
        "toy",
        [
            helper.make_tensor_value_info(
                own.name,
                helper.np_dtype_to_tensor_dtype(np.dtype(own.dtype)),
                ["rows", *own.shape],
            )
            for own in spec
        ],
        [helper.make_tensor_value_info("prediction", TensorProto.FLOAT, ["rows", 2])],
        [numpy_helper.from_array(weight, "w")],
    )
    opset = [helper.make_opsetid("", 18)]
    model = helper.make_model(graph, opset_imports=opset, ir_version=10)
    for folder in (paths.onnx, paths.model):
        folder.mkdir(parents=True, exist_ok=True)
    onnx.save(model, paths.onnx / "model.onnx")
    metadata = contract(
        spec, temperature=1.0, opset=18, sha256=sha256(paths.onnx / "model.onnx"), sources={}
    )
    write_json(paths.onnx / "contract.json", metadata)
    shutil.copy(paths.prepared / "preprocessor.json", paths.model)
    write_json(paths.model / "model.json", {"skill": skill})
    test = load_part(paths, Part.TEST)
    p = OnnxPredictor((paths.onnx / "model.onnx").read_bytes())(test.inputs)
    evaluated = {"row": pl.Series(test.rows, dtype=pl.UInt32), "p_no": p[:, 0], "p_yes": p[:, 1]}
    pl.DataFrame(evaluated).write_parquet(paths.reports / artifacts.PREDICTIONS)


def result(paths: Paths) -> dict[str, Any]:
    outcome: dict[str, Any] = json.loads((paths.reports / "register.json").read_text())
    assert outcome == json.loads((paths.root / "mlflow" / "registered.json").read_text())
    return outcome


def client(paths: Paths) -> MlflowClient:
    return tracking.open_store(paths.root).client


def runs(paths: Paths) -> list[Any]:
    """The runs that are no child runs."""
    outcome = client(paths).search_runs(["1"])
    return [run for run in outcome if "mlflow.parentRunId" not in run.data.tags]


def aliases(paths: Paths) -> dict[str, str]:
    outcome = client(paths).get_registered_model("toy").aliases
    return {name: str(number) for name, number in outcome.items()}


def test_the_first_version_is_champion_and_holds_everything(paths: Paths) -> None:
    report = register.run(make_config(), paths)
    outcome = result(paths)
    assert outcome["decision"] == "first" and outcome["version"] == "1"
    assert ("decision", "first") in report.rows
    (move,) = outcome["history"]
    assert (move["how"], move["before"], move["after"]) == ("gate", None, "1")
    assert move["why"] == "there was no champion"
    assert aliases(paths) == {"champion": "1"}
    store = client(paths)
    run = store.get_run(outcome["run_id"])
    assert run.info.status == "FINISHED"
    assert run.data.metrics["test/roc_auc"] == 0.9
    assert run.data.metrics["test_ci95_low/roc_auc"] == 0.8
    assert run.data.params["normalize.scale"] == "zscore"
    assert not [name for name in run.data.params if name.startswith("register.card")]
    assert run.data.tags["plumbline.git_commit"] == "unknown"
    curve = store.get_metric_history(outcome["run_id"], "training/train_loss")
    assert [(point.step, point.value) for point in curve] == [(1, 0.5), (2, 0.25)]
    (data,) = run.inputs.dataset_inputs
    assert data.dataset.name == "toy"
    kept = {item.path for item in store.list_artifacts(outcome["run_id"])}
    assert kept == {"reports", "bundle", "params.yaml", "expectations.yaml"}
    children = [run for run in store.search_runs(["1"]) if "mlflow.parentRunId" in run.data.tags]
    scores = {run.info.run_name: run.data.metrics for run in children}
    assert scores.keys() == {"trial 0", "trial 1", "baseline: constant"}
    assert scores["baseline: constant"] == {"test/roc_auc": 0.5}
    card = store.get_model_version("toy", "1").description
    assert card.splitlines()[0] == "It is better than all."
    row = "| **ROC AUC** | 0.900 | 0.800 to 1.000 | 0.500 |"
    assert row in card.replace("&ensp;", "")


@pytest.mark.parametrize("words", [1000, 1900])
def test_a_description_is_no_longer_than_databases_hold(paths: Paths, words: int) -> None:
    config = make_config(card={"intended_use": "only this " * (words // 2)})
    register.run(config, paths)
    store, run_id = client(paths), result(paths)["run_id"]
    shown = store.get_model_version("toy", "1").description
    assert shown.startswith("It is better than all.") and "only this only this" in shown
    whole = Path(store.download_artifacts(run_id, "reports/card.md", str(paths.root))).read_text()
    assert len(whole) > 5000 and whole.count("only this") == words // 2
    assert 2500 < len(shown) <= 5000 and "The rest is in `reports/card.md`" in shown
    before = shown.partition("\n\nThe rest is in")[0]
    assert whole.startswith(before)


def test_a_reviewer_reads_the_run_in_mlflow(paths: Paths) -> None:
    register.run(make_config(), paths)
    store, run_id = client(paths), result(paths)["run_id"]
    run = store.get_run(run_id)
    assert run.info.run_name == "v1 · 0.900 ROC AUC · mlp"
    note = run.data.tags["mlflow.note.content"]
    assert note.startswith("It is better than all.")
    assert "champion, as the first version" in note and "there was no champion" in note
    assert not [name for name in run.data.metrics if "baseline" in name]
    version = store.get_model_version("toy", "1")
    for tags in (run.data.tags, version.tags):
        assert tags["decision"] == "champion, as the first version"
    kept = {item.path for item in store.list_artifacts(run_id, "reports")}
    wanted = {"index.html", "leakage.json", "split", "validation", "evaluation", "drift"}
    assert wanted <= {path.removeprefix("reports/") for path in kept}
    page = Path(store.download_artifacts(run_id, "reports/index.html", str(paths.root)))
    assert "first version" in page.read_text(encoding="utf-8")


def test_a_version_that_cannot_be_rebuilt_says_so(paths: Paths) -> None:
    report = register.run(make_config(), paths)
    why = "no: there is no git commit"
    assert any(label == "warning" and why in text for label, text in report.rows)
    assert result(paths)["lineage"]["rebuildable"] == why
    version = client(paths).get_model_version("toy", "1")
    assert version.tags["plumbline.rebuildable"] == why
    assert "there is no git commit" in version.description


def test_what_was_committed_and_pushed_since_is_noted(
    paths: Paths, monkeypatch: pytest.MonkeyPatch
) -> None:
    register.run(make_config(), paths)
    monkeypatch.setattr("plumbline.store.rebuildable.rebuildable", lambda root, data: "yes")
    register.run(make_config(), paths)  # no DVC here that could say that nothing changed
    assert result(paths)["lineage"]["rebuildable"].startswith("no")
    monkeypatch.setattr(register, "are_unchanged", lambda root, stages: True)
    register.run(make_config(), paths)
    assert result(paths)["lineage"]["rebuildable"] == "yes"
    version = client(paths).get_model_version("toy", "1")
    assert version.tags["plumbline.rebuildable"] == "yes"
    assert "there is no git commit" not in version.description


def test_where_it_must_be_clean_nothing_is_registered(paths: Paths) -> None:
    with pytest.raises(GateError, match="there is no git commit"):
        register.run(make_config(require_clean=True), paths)
    assert runs(paths) == []
    assert client(paths).search_registered_models() == []
    assert not (paths.reports / "register.json").exists()


@pytest.fixture
def version(paths: Paths) -> Any:
    """The champion as MLflow loads it; cells of x2 are missing in training rows."""
    frame = pl.read_csv(paths.data / "t.csv").with_row_index()
    gaps = pl.when(pl.col("index") % 7 > 0).then("x2").alias("x2")
    frame.with_columns(gaps).drop("index").write_csv(paths.data / "t.csv")
    train(paths, make_config(), skill=1.0)
    register.run(make_config(), paths)
    tracking.open_store(paths.root)
    return mlflow.pyfunc.load_model("models:/toy@champion")


def test_a_version_that_answers_raw_rows_otherwise_is_not_registered(paths: Paths) -> None:
    place = paths.reports / artifacts.PREDICTIONS
    pl.read_parquet(place).with_columns(pl.col("p_yes") + 1e-5).write_parquet(place)
    with pytest.raises(GateError, match="answers a raw row with p_yes = "):
        register.run(make_config(), paths)
    assert not client(paths).search_registered_models()


def test_the_version_takes_the_users_own_rows(paths: Paths, version: Any) -> None:
    table = pl.read_parquet(paths.table / "rows.parquet")
    test = load_part(paths, Part.TEST)
    wanted = OnnxPredictor((paths.onnx / "model.onnx").read_bytes())(test.inputs)
    rows = table[test.rows.tolist()].to_pandas().set_index(test.rows + 1000)
    predicted = version.predict(rows)
    assert_allclose(predicted[["p_no", "p_yes"]], wanted, atol=1e-6)
    assert (predicted["predicted"] == np.array(["no", "yes"])[wanted.argmax(axis=1)]).all()
    assert predicted.index.equals(rows.index)
    # whole numbers, text as in the file, missing cells, and a column that may be left out
    other = [{"region": "south", "x1": 3}, {"region": None, "x1": "-3"}]
    assert list(version.predict(other)["predicted"]) == ["yes", "no"]
    inputs = version.metadata.get_input_schema().inputs
    assert {one.name: (one.type.name, one.required) for one in inputs} == {
        "x1": ("double", True),
        "x2": ("double", False),
        "region": ("string", True),
    }
    columns = ["x1", "x2", "region"]
    assert version.input_example == table.select(columns)[test.rows[:2].tolist()].to_dicts()
    # the graph itself still takes prepared tensors
    graph = mlflow.onnx.load_model("models:/toy@champion")
    assert [one.name for one in graph.graph.input] == ["num", "cat"]


def test_what_is_no_row_is_refused_by_name(version: Any) -> None:
    row = {"x1": 0.5, "x2": 0.5, "region": "north"}
    refused: list[tuple[dict[str, Any], str]] = [
        ({"x2": 0.5, "region": "north"}, "column 'x1': no such column"),
        ({**row, "extra": 1}, "column 'extra': is not a column of the training data"),
        ({"x1": 0.5, "x_2": 0.5, "region": "north"}, "column 'x_2': is not a column"),
        ({**row, "x1": "many"}, "column 'x1', row 0: is not a number"),
        ({**row, "region": b"north"}, "column 'region', row 0: holds cells of type Binary"),
        ({**row, "region": 3}, "column 'region', row 0: holds cells of type Int64 (wanted text"),
        ({**row, "x1": True}, "column 'x1', row 0: holds cells of type Boolean (wanted a number"),
    ]
    for given, message in refused:
        for data in ([given], pd.DataFrame([given])):
            with pytest.raises(MlflowException, match=re.escape(message)):
                version.predict(data)
    for nothing in ([], {}):
        with pytest.raises(MlflowException, match="there are no rows"):
            version.predict(nothing)
    predicted = version.predict([{**row, "extra": 1}], params={"extra": "ignore"})
    assert len(predicted) == 1


def test_again_changes_nothing(paths: Paths) -> None:
    register.run(make_config(), paths)
    before = result(paths)
    (paths.reports / "register.json").unlink()
    register.run(make_config(), paths)
    assert result(paths) == before
    assert len(runs(paths)) == 1
    assert len(client(paths).search_model_versions("name='toy'")) == 1


def test_pictures_drawn_anew_are_the_same_model(paths: Paths) -> None:
    register.run(make_config(), paths)
    write_text(paths.reports / "drift" / "index.html", "drawn at noon")
    register.run(make_config(), paths)
    assert result(paths)["version"] == "1"


class Killed(BaseException):
    """Stands for SIGKILL: nothing catches it."""


@pytest.mark.parametrize(
    ("module", "name"),
    [
        (tracking, "fill_run"),
        (registry, "log_model"),
        (registry, "add_version"),
        (registry, "write_decision"),
        (registry, "set_alias"),
        (registry, "set_model_tag"),
        (registry, "settle"),
    ],
)
def test_killed_anywhere_the_next_run_completes(
    paths: Paths, monkeypatch: pytest.MonkeyPatch, module: Any, name: str
) -> None:
    def killed(*_: Any, **__: Any) -> None:
        raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(module, name, killed)
        with pytest.raises(Killed):
            register.run(make_config(), paths)
    assert not (paths.reports / "register.json").exists()
    register.run(make_config(), paths)
    assert result(paths)["decision"] == "first"
    assert [(m["how"], m["after"]) for m in result(paths)["history"]] == [("gate", "1")]
    assert aliases(paths) == {"champion": "1"}
    assert [run.info.status for run in runs(paths)] == ["FINISHED"]
    assert len(client(paths).search_model_versions("name='toy'")) == 1


@pytest.mark.parametrize(
    "call", ["log_artifact", "create_model_version", "set_registered_model_alias"]
)
def test_a_registry_that_goes_away_half_way_is_completed_by_the_next_run(
    paths: Paths, monkeypatch: pytest.MonkeyPatch, call: str
) -> None:
    def away(*_: Any, **__: Any) -> None:
        raise MlflowException("Connection refused")

    with monkeypatch.context() as patch:
        patch.setattr(MlflowClient, call, away)
        with pytest.raises(StorageError, match="MLflow refused or did not answer"):
            register.run(make_config(), paths)
    assert not (paths.reports / "register.json").exists()
    register.run(make_config(), paths)
    assert result(paths)["decision"] == "first"
    assert aliases(paths) == {"champion": "1"}
    assert [run.info.status for run in runs(paths)] == ["FINISHED"]
    assert len(client(paths).search_model_versions("name='toy'")) == 1


def test_killed_while_filling_leaves_no_half_run(
    paths: Paths, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = tracking._log

    def log_then_die(*arguments: Any, **entries: Any) -> None:
        log(*arguments, **entries)
        if not entries.get("tags"):  # the first child run
            raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(tracking, "_log", log_then_die)
        with pytest.raises(Killed):
            register.run(make_config(), paths)
    register.run(make_config(), paths)
    assert len(runs(paths)) == 1
    assert len(client(paths).search_runs(["1"])) == 4  # and a baseline and two trials


def test_another_machine_registers_from_files_alone(
    paths: Paths, empty_store: Path, tmp_path: Path
) -> None:
    register.run(make_config(), paths)
    ignore = shutil.ignore_patterns("mlflow", "register.json")
    other = Paths(Path(shutil.copytree(paths.root, tmp_path / "other", ignore=ignore)))
    (other.root / "mlflow").mkdir()
    shutil.copy(empty_store, other.root / "mlflow" / "mlflow.db")
    register.run(make_config(), other)
    assert result(other)["decision"] == "first"
    assert result(other)["run_id"] != result(paths)["run_id"]


def test_a_better_model_becomes_champion_though_prepared_otherwise(paths: Paths) -> None:
    register.run(make_config(), paths)
    config = make_config()
    other = config.replace({"normalize.scale": "minmax"})
    train(paths, other, skill=1.0)
    register.run(other, paths)
    outcome = result(paths)
    assert (outcome["decision"], outcome["version"]) == ("promote", "2")
    assert outcome["reasons"][0] == "champion is version 1"
    assert "the gain is significant" in outcome["reasons"]
    assert "no slice loses significantly, and more than 5% (2 compared)" in outcome["reasons"]
    assert aliases(paths) == {"champion": "2", "challenger": "1"}
    register.run(other, paths)
    assert result(paths) == outcome


def test_a_version_with_which_the_server_does_not_answer_is_not_champion(
    paths: Paths, monkeypatch: pytest.MonkeyPatch
) -> None:
    asks = make_config(ask_server=True)
    register.run(make_config(), paths)
    train(paths, asks, skill=1.0)
    with monkeypatch.context() as broken:
        broken.setenv("PYTHONHOME", str(paths.root))  # no Python starts
        with pytest.raises(GateError, match="toy version 2 does not become champion"):
            register.run(asks, paths)
    assert aliases(paths) == {"champion": "1"}
    tags = client(paths).get_model_version("toy", "2").tags
    assert tags["decision"] == "not promoted: the server does not answer with it"
    report = register.run(asks, paths)  # asked again
    assert any(name == "server" and "answers with it" in words for name, words in report.rows)
    assert result(paths)["decision"] == "promote" and aliases(paths) == {
        "champion": "2",
        "challenger": "1",
    }


def test_the_champion_is_scored_as_it_was_trained(paths: Paths) -> None:
    """The same model under another scaling of its inputs is no gain and no loss."""
    train(paths, make_config(), skill=1.0)
    register.run(make_config(), paths)
    other = make_config().replace({"normalize.scale": "minmax"})
    train(paths, other, skill=1.0)
    register.run(other, paths)
    outcome = result(paths)
    assert outcome["decision"] == "hold"
    assert any(
        "changes by 0.000 (95% interval 0.000 to 0.000" in reason for reason in outcome["reasons"]
    )


def test_a_worse_model_is_held_as_challenger(paths: Paths) -> None:
    train(paths, make_config(), skill=1.0)
    register.run(make_config(), paths)
    train(paths, make_config(), skill=0.0)
    register.run(make_config(), paths)
    assert result(paths)["decision"] == "hold"
    assert aliases(paths) == {"champion": "1", "challenger": "2"}


def test_review_never_moves_the_champion(paths: Paths) -> None:
    register.run(make_config(), paths)
    train(paths, make_config(), skill=1.0)
    register.run(make_config(promote="review"), paths)
    assert result(paths)["decision"] == "review"
    assert aliases(paths) == {"champion": "1", "challenger": "2"}
    register.run(make_config(), paths)  # other rules: asked again
    assert result(paths)["decision"] == "promote"
    assert aliases(paths) == {"champion": "2", "challenger": "1"}


def test_a_person_s_choice_is_left_alone(paths: Paths) -> None:
    register.run(make_config(), paths)
    train(paths, make_config(), skill=1.0)
    register.run(make_config(promote="review"), paths)
    client(paths).set_registered_model_alias("toy", "champion", "2")
    register.run(make_config(promote="review"), paths)
    assert aliases(paths)["champion"] == "2"
    note = client(paths).get_run(result(paths)["run_id"]).data.tags["mlflow.note.content"]
    assert note.index("by hand in MLflow") < note.index("Decision: a person decides")


def drop_a_column(paths: Paths) -> None:
    file = paths.data / "t.csv"
    pl.read_csv(file).drop("region").write_csv(file)
    lines = EXPECTATIONS.splitlines()
    write_text(paths.expectations, "\n".join(line for line in lines if "region" not in line))
    artifacts.write(records.slices("roc_auc"), paths.reports / "evaluation")


def lose_its_files(paths: Paths) -> None:
    shutil.rmtree(paths.root / "mlflow" / "artifacts" / "models")


def damage_its_graph(paths: Paths) -> None:
    (file,) = (paths.root / "mlflow" / "artifacts" / "models").rglob("model.onnx")
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    file.write_bytes(content)


@pytest.mark.parametrize("change", [lose_its_files, damage_its_graph])
def test_a_version_whose_files_are_gone_is_made_again(
    paths: Paths, change: Callable[[Paths], None]
) -> None:
    register.run(make_config(), paths)
    change(paths)
    for _ in range(2):  # and once only
        register.run(make_config(), paths)
        outcome = result(paths)
        assert (outcome["version"], outcome["decision"]) == ("2", "promote")
        assert "takes the place of version 1, the same model" in outcome["reasons"][0]
        assert aliases(paths) == {"champion": "2", "challenger": "1"}
    assert mlflow.pyfunc.load_model("models:/toy@champion") is not None


@pytest.mark.parametrize("change", [drop_a_column, lose_its_files, damage_its_graph])
def test_a_champion_that_cannot_be_scored_is_for_a_person(
    paths: Paths, change: Callable[[Paths], None]
) -> None:
    register.run(make_config(), paths)
    change(paths)
    train(paths, make_config(), skill=1.0)
    register.run(make_config(), paths)
    outcome = result(paths)
    assert outcome["decision"] == "review"
    assert "version 1, cannot be scored on these rows" in outcome["reasons"][0]
    assert aliases(paths)["champion"] == "1"


def answer_other_classes(paths: Paths) -> None:
    (file,) = (paths.root / "mlflow" / "artifacts" / "models").rglob("contract.json")
    write_json(file, {**json.loads(file.read_text()), "classes": ["no", "perhaps", "yes"]})


def test_a_champion_of_other_classes_is_for_a_person(paths: Paths) -> None:
    register.run(make_config(), paths)
    answer_other_classes(paths)
    train(paths, make_config(), skill=1.0)
    register.run(make_config(), paths)
    outcome = result(paths)
    assert outcome["decision"] == "review"
    assert "it answers another question (binary no, perhaps, yes)" in outcome["reasons"][0]


def test_a_deleted_champion_is_not_replaced_without_a_comparison(paths: Paths) -> None:
    register.run(make_config(), paths)
    client(paths).delete_model_version("toy", "1")
    train(paths, make_config(), skill=1.0)
    report = register.run(make_config(), paths)
    outcome = result(paths)
    assert (outcome["decision"], outcome["version"]) == ("review", "2")
    assert "version 1 no longer is" in outcome["reasons"][0]
    assert any(label == "noticed" for label, _ in report.rows)
    assert aliases(paths) == {"challenger": "2"}
    moves_made = [(move["how"], move["after"]) for move in outcome["history"]]
    assert moves_made == [("gate", "1"), ("by hand", None)]


def test_two_challengers_at_once_are_compared_with_each_other(
    paths: Paths, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While one is compared with version 1, another process makes version 2 the champion."""
    register.run(make_config(), paths)
    train(paths, make_config(), skill=1.0)
    register.run(make_config(promote="review"), paths)
    train(paths, make_config(), skill=0.5)
    compare = promotion._compare

    def slowly(*arguments: Any) -> Any:
        answer = compare(*arguments)
        client(paths).set_registered_model_alias("toy", "champion", "2")
        return answer

    monkeypatch.setattr(promotion, "_compare", slowly)
    register.run(make_config(), paths)
    outcome = result(paths)
    assert outcome["reasons"][0] == "champion is version 2"
    assert (outcome["version"], outcome["decision"]) == ("3", "hold")
    assert aliases(paths) == {"champion": "2", "challenger": "3"}


def test_what_a_person_rolled_back_stays_so(paths: Paths) -> None:
    register.run(make_config(), paths)
    train(paths, make_config(), skill=1.0)
    register.run(make_config(), paths)
    assert aliases(paths) == {"champion": "2", "challenger": "1"}
    client(paths).set_registered_model_alias("toy", "champion", "1")
    for config in (make_config(), make_config(significance=0.04)):  # and not by other rules
        register.run(config, paths)
        assert aliases(paths)["champion"] == "1"
    assert [move["how"] for move in result(paths)["history"]] == ["gate", "gate", "by hand"]


def test_a_smaller_or_faster_version_is_measured(paths: Paths) -> None:
    train(paths, make_config(), skill=1.0)
    register.run(make_config(), paths)
    train(paths, make_config(), skill=0.0)
    for benefit in ("size", "latency"):
        register.run(make_config(benefit=benefit, min_benefit=0.9), paths)
        outcome = result(paths)
        assert outcome["decision"] == "hold"
        assert any(" against " in reason for reason in outcome["reasons"])


def test_the_newest_rows_alone_can_decide(paths: Paths) -> None:
    """Rows that came last are at the end of the data; the test part is rows 200 to 399."""
    register.run(make_config(recent_rows=150), paths)
    train(paths, make_config(), skill=1.0)
    register.run(make_config(recent_rows=150), paths)
    reasons = result(paths)["reasons"]
    assert any("among the last 150 rows" in reason for reason in reasons)
    assert any("on 150 test rows" in reason for reason in reasons)


def test_another_split_is_told(paths: Paths) -> None:
    register.run(make_config(), paths)
    index = pl.read_parquet(paths.split / "index.parquet")
    index.with_columns(part=pl.col("part").reverse()).write_parquet(paths.split / "index.parquet")
    train(paths, make_config(), skill=1.0)
    register.run(make_config(), paths)
    assert any("may have seen some of these rows" in r for r in result(paths)["reasons"])


def test_a_copied_checkout_keeps_to_itself(paths: Paths, tmp_path: Path) -> None:
    register.run(make_config(), paths)
    before = sorted((paths.root / "mlflow" / "artifacts").rglob("*"))
    copy = Paths(Path(shutil.copytree(paths.root, tmp_path / "copy")))
    train(copy, make_config(), skill=1.0)
    register.run(make_config(), copy)
    assert result(copy)["decision"] == "promote"
    assert sorted((paths.root / "mlflow" / "artifacts").rglob("*")) == before
    uri = client(copy).get_run(result(copy)["run_id"]).info.artifact_uri
    assert uri.startswith((copy.root / "mlflow" / "artifacts").as_uri())


def test_no_path_of_the_original_is_left_in_a_copied_store(paths: Paths, tmp_path: Path) -> None:
    """Whatever table MLflow keeps it in: a newer schema may have one that is not known yet."""
    register.run(make_config(), paths)
    copy = Paths(Path(shutil.copytree(paths.root, tmp_path / "copy")))
    register.run(make_config(), copy)
    with contextlib.closing(sqlite3.connect(copy.root / "mlflow" / "mlflow.db")) as database:
        assert database.execute("SELECT version_num FROM alembic_version").fetchone() == (SCHEMA,)
        dump = "\n".join(database.iterdump())
    assert (copy.root / "mlflow" / "artifacts").as_uri() in dump
    assert f"{paths.root}/mlflow" not in dump


def test_a_copied_store_of_an_unknown_schema_is_refused_and_left_alone(
    paths: Paths, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    register.run(make_config(), paths)
    copy = Paths(Path(shutil.copytree(paths.root, tmp_path / "copy")))
    monkeypatch.setattr(moved, "SCHEMA", "000000000000")
    database = copy.root / "mlflow" / "mlflow.db"
    before = database.read_bytes()
    with pytest.raises(StorageError, match=r"moved or copied.*000000000000.*Move the folder"):
        register.run(make_config(), copy)
    assert database.read_bytes() == before
    register.run(make_config(), paths)  # a store that was not moved needs no schema


def test_a_held_lock_is_told(paths: Paths, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tracking, "LOCK_SECONDS", 0.2)
    database = sqlite3.connect(paths.root / "mlflow" / "mlflow.db", isolation_level=None)
    database.execute("BEGIN EXCLUSIVE")
    try:
        with pytest.raises(StorageError, match=r"another process writes .* Wait until"):
            register.run(make_config(), paths)
    finally:
        database.rollback()
        database.close()
    register.run(make_config(), paths)
    assert result(paths)["decision"] == "first"


def test_a_read_only_database_is_told(paths: Paths, monkeypatch: pytest.MonkeyPatch) -> None:
    place = paths.root / "mlflow" / "mlflow.db"
    connect = sqlite3.connect
    with contextlib.closing(connect(place)) as database:
        database.execute("CREATE TABLE t (x)")
    monkeypatch.setattr(  # chmod stops no root
        sqlite3, "connect", lambda path, **more: connect(f"file:{path}?mode=ro", uri=True, **more)
    )
    with pytest.raises(StorageError, match=r"mlflow\.db: MLflow's database is read-only.*chmod"):
        register.run(make_config(), paths)


@pytest.mark.parametrize(
    "uri", ["http://u:geheim@127.0.0.1:9", "postgresql://u:geheim@127.0.0.1:9/db"]
)
def test_a_store_that_is_away_is_told_without_its_password(
    paths: Paths, monkeypatch: pytest.MonkeyPatch, uri: str
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
    with pytest.raises(StorageError, match=r"127\.0\.0\.1:9") as caught:
        register.run(make_config(), paths)
    assert "geheim" not in str(caught.value)
    assert "MLFLOW_TRACKING_URI" in str(caught.value)


def test_no_secret_of_the_machine_comes_into_the_store(
    paths: Paths, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    secret = "Zqx7Wvk9"
    for name in ("AWS_SECRET_ACCESS_KEY", "MLFLOW_TRACKING_PASSWORD", "PGPASSWORD"):
        monkeypatch.setenv(name, secret)
    monkeypatch.setenv("PLUMBLINE_TUNE_STORAGE", f"postgresql://me:{secret}@localhost/db")
    monkeypatch.setenv("http_proxy", f"http://me:{secret}@127.0.0.1:9")
    address = f"https://me:{secret}@git.example.org/it.git"
    for command in (["init", "-q"], ["remote", "add", "origin", address]):
        subprocess.run(["git", *command], cwd=paths.root, check=True)
    (paths.root / ".dvc").mkdir()
    write_text(paths.root / ".dvc" / "config", f"['remote \"store\"']\n    url = {address}\n")
    answer = register.run(make_config(), paths)
    holding = [
        file
        for file in paths.root.rglob("*")
        if file.is_file() and secret.encode() in file.read_bytes()
    ]
    assert sorted(f.relative_to(paths.root).parts[0] for f in holding) == [".dvc", ".git"]
    assert secret not in str(answer) + "".join(capsys.readouterr())
