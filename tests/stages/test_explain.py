"""explain: four files that agree with each other and with the model."""

from __future__ import annotations

import math
from dataclasses import replace
from datetime import datetime, timedelta

import numpy as np
import polars as pl
import pytest
from tests.stages.conftest import Finished

from plumbline.config.evaluation import ExplainConfig
from plumbline.errors import DataError
from plumbline.evaluation import explanation_budget
from plumbline.files import read_json, write_json
from plumbline.inference.decision import apply_temperature
from plumbline.kinds import TASKS, Part, Task
from plumbline.stages import explain
from plumbline.stages.explain import run
from plumbline.stages.inputs import load_part
from plumbline.store.bundle import load_bundle
from plumbline.tables import Table

COUNT = 190
COLUMNS = {"n0", "n1", "n2", "n3", "when", "row", "c1", "c2"}


@pytest.fixture(autouse=True)
def table(monkeypatch: pytest.MonkeyPatch) -> pl.DataFrame:
    """The data as they are in the file: a cell says which row it is of."""
    frame = pl.DataFrame(
        {
            "n0": [None if i % 3 == 0 else i + 0.5 for i in range(COUNT)],
            "n1": [math.nan] * COUNT,
            "n2": range(COUNT),
            "n3": [0.0] * COUNT,
            "when": [datetime(2024, 1, 1) + timedelta(hours=i) for i in range(COUNT)],
            "row": [f"r{i}" for i in range(COUNT)],
            "c1": [None] * COUNT,
            "c2": [i % 2 == 0 for i in range(COUNT)],
        },
        schema_overrides={"c1": pl.String},
    )
    monkeypatch.setattr(
        explain, "load_table", lambda config, paths: (Table(frame=frame.lazy(), rows=COUNT), None)
    )
    return frame


@pytest.mark.parametrize("task", list(TASKS))
def test_what_is_written_agrees(evaluated: Finished, task: Task) -> None:
    config, paths = evaluated(task)
    report = run(config, paths)
    folder = paths.reports / "explain"
    frame = pl.read_parquet(folder / "shap.parquet")
    assert len(frame) == 20
    # a column of the data is called row, so the row number gives way
    assert frame.columns[:3] == ["_row", "base", "prediction"]
    assert set(frame.columns[3:]) == COLUMNS

    # values and base add up to what is served
    test, bundle = load_part(paths, Part.TEST), load_bundle(paths.model)
    served = bundle.predictor()(test.inputs)
    selected = np.ones(len(test), dtype=int) if task == Task.BINARY else served.argmax(1)
    if task.has_classes:
        served = apply_temperature(served, 1.5)
    by_row = dict(zip(test.rows.tolist(), served[np.arange(len(test)), selected], strict=True))
    wanted = [by_row[row] for row in frame["_row"]]
    np.testing.assert_allclose(frame["prediction"], wanted, rtol=1e-5)  # of the graph
    added = frame.select(pl.sum_horizontal("base", *COLUMNS)).to_series()
    np.testing.assert_allclose(added, frame["prediction"], atol=1e-9)

    importance = read_json(folder / "importance.json")
    assert set(importance["columns"]) == COLUMNS
    assert list(importance["columns"].values()) == sorted(
        importance["columns"].values(), reverse=True
    )
    for name, value in importance["columns"].items():
        assert value == pytest.approx(frame[name].abs().mean())
    assert set(importance["methods"]) == {"integrated_gradients", "saliency", "lime"}
    lime = read_json(folder / "lime.json")
    assert len(lime["rows"]) == 2 and set(lime["rows"][0]["weights"]) == COLUMNS
    assert {row["row"] for row in lime["rows"]} <= set(frame["_row"])
    assert all((row["class"] is None) == (task == Task.REGRESSION) for row in lime["rows"])
    faithful = read_json(folder / "faithfulness.json")
    assert set(faithful) == {"shap", *importance["methods"]}
    assert faithful["shap"]["rows"] == 10 and faithful["lime"]["rows"] == 2
    assert faithful["shap"]["area"] > faithful["shap"]["reversed"]
    first = next(iter(importance["columns"]))
    assert dict(report.rows)[first].startswith("SHAP ")


@pytest.mark.parametrize("task", list(TASKS))
def test_single_rows_come_with_values_truth_and_reason(evaluated: Finished, task: Task) -> None:
    config, paths = evaluated(task)
    config = replace(config, explain=replace(config.explain, lime_rows=6))
    run(config, paths)
    folder = paths.reports / "explain"
    result = read_json(folder / "lime.json")["rows"]
    assert len(result) == 6 and len({row["row"] for row in result}) == 6
    shap = pl.read_parquet(folder / "shap.parquet")
    test = load_part(paths, Part.TEST)
    truth = dict(zip(test.rows.tolist(), test.y.tolist(), strict=True))
    classes = ("no", "yes") if task == Task.BINARY else ("a", "b", "c")
    for row in result:
        i = row["row"]
        assert row["values"] == {
            "n0": None if i % 3 == 0 else i + 0.5,
            "n1": None,
            "n2": i,
            "n3": 0.0,
            "when": str(datetime(2024, 1, 1) + timedelta(hours=i)),
            "row": f"r{i}",
            "c1": None,
            "c2": i % 2 == 0,
        }
        explained = shap.filter(pl.col("_row") == i)["prediction"].item()
        assert row["prediction"] == pytest.approx(explained)
        if task == Task.REGRESSION:
            assert row["actual"] == pytest.approx(truth[i])
            assert row["predicted"] == pytest.approx(row["prediction"])
        else:
            assert row["actual"] == classes[truth[i]]
    reasons = [row["reason"] for row in result]
    if task == Task.REGRESSION:
        errors = {
            row["reason"].split(" of the ")[0]: row["actual"] - row["predicted"] for row in result
        }
        assert errors["the largest overestimate"] == min(errors.values())
        assert errors["the largest underestimate"] == max(errors.values())
    else:
        wrong = next(row for row in result if row["reason"].startswith("the mistake"))
        right = next(row for row in result if row["reason"].startswith("the correct"))
        assert wrong["actual"] != wrong["predicted"] and right["actual"] == right["predicted"]
    assert reasons[-1] == "drawn at random"


def test_a_threshold_decides_what_a_row_is_predicted_as(evaluated: Finished) -> None:
    config, paths = evaluated()
    write_json(paths.decision / "decision.json", {"temperature": 1.5, "threshold": 1e-6})
    run(config, paths)
    result = read_json(paths.reports / "explain" / "lime.json")["rows"]
    assert {row["predicted"] for row in result} == {"yes"}


def test_what_was_used_stands_beside_what_was_asked_for(
    evaluated: Finished, monkeypatch: pytest.MonkeyPatch
) -> None:
    config, paths = evaluated()
    config = replace(config, explain=replace(config.explain, rows=70, background=500))
    report = run(config, paths)
    budget = read_json(paths.reports / "explain" / "importance.json")["budget"]
    assert budget["rows"] == {"requested": 70, "used": 40, "limited_by": "only 40 test rows"}
    assert budget["background"] == {
        "requested": 500,
        "used": 120,
        "limited_by": "only 120 training rows",
    }
    assert budget["lime_rows"] == {"requested": 2, "used": 2, "limited_by": None}
    assert dict(report.rows)["test rows"] == "40 of 70 (only 40 test rows)"
    monkeypatch.setattr(explanation_budget, "BUDGET", 1.0)
    report = run(config, paths)
    importance = read_json(paths.reports / "explain" / "importance.json")
    assert importance["background"] == explanation_budget.FEWEST
    assert importance["budget"]["background"]["limited_by"] == "computing budget"
    assert dict(report.rows)["background rows"] == "10 of 500 (computing budget)"
    assert importance["budget"]["faithfulness_rows"]["used"] == 10


def test_attention_is_told_where_the_model_has_it(evaluated: Finished) -> None:
    config, paths = evaluated(model="ft_transformer")
    run(config, paths)
    importance = read_json(paths.reports / "explain" / "importance.json")
    assert set(importance["methods"]["attention"]) == COLUMNS
    assert "attention" in read_json(paths.reports / "explain" / "faithfulness.json")


def test_twice_the_same_bytes(evaluated: Finished) -> None:
    config, paths = evaluated()
    run(config, paths)
    folder = paths.reports / "explain"
    first = {p.name: p.read_bytes() for p in folder.iterdir()}
    wanted = {"importance", "shap", "lime", "faithfulness", "words", "patches", "manifest"}
    assert {name.split(".")[0] for name in first} == wanted
    run(config, paths)
    assert {p.name: p.read_bytes() for p in folder.iterdir()} == first
    run(replace(config, seed=8), paths)
    assert (folder / "importance.json").read_bytes() != first["importance.json"]


def test_few_rows_and_no_lime(evaluated: Finished) -> None:
    config, paths = evaluated(test=1, train=2)
    run(replace(config, explain=ExplainConfig(lime_rows=0)), paths)
    folder = paths.reports / "explain"
    assert read_json(folder / "lime.json")["rows"] == []
    assert read_json(folder / "faithfulness.json")["shap"]["verdict"] == "too few rows to tell"


def test_no_test_row_is_refused(evaluated: Finished) -> None:
    config, paths = evaluated(test=0)
    with pytest.raises(DataError, match="no test row"):
        run(config, paths)
