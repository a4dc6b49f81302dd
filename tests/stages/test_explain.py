"""explain: four files that agree with each other and with the model."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import polars as pl
import pytest

from plumbline.config.judge import ExplainConfig
from plumbline.errors import DataError
from plumbline.evaluation.calibration import apply_temperature
from plumbline.files import read_json
from plumbline.kinds import Part, Task
from plumbline.stages.explain import run
from plumbline.stages.inputs import load_part
from plumbline.store.bundle import load_bundle

COLUMNS = {"n0", "n1", "n2", "n3", "when", "row", "c1", "c2"}


@pytest.mark.parametrize("task", list(Task))
def test_what_is_written_agrees(finished: Any, task: Task) -> None:
    config, paths = finished(task)
    report = run(config, paths)
    folder = paths.reports / "explain"
    frame = pl.read_parquet(folder / "shap.parquet")
    assert len(frame) == 20
    # a column of the data is called row, so the row number gives way
    assert frame.columns[:3] == ["_row", "base", "prediction"]
    assert set(frame.columns[3:]) == COLUMNS

    # values and base add up to what is served
    test, bundle = load_part(paths, Part.TEST), load_bundle(paths.model)
    served = bundle.predict(test.num, test.cat)
    chosen = np.ones(len(test), dtype=int) if task is Task.BINARY else served.argmax(1)
    if task.is_classification:
        served = apply_temperature(served, 1.5)
    by_row = dict(zip(test.rows.tolist(), served[np.arange(len(test)), chosen], strict=True))
    wanted = [by_row[row] for row in frame["_row"]]
    np.testing.assert_allclose(frame["prediction"], wanted)
    added = frame.select(pl.sum_horizontal("base", *COLUMNS)).to_series()
    np.testing.assert_allclose(added, wanted, atol=1e-9)

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
    assert all((row["class"] is None) == (task is Task.REGRESSION) for row in lime["rows"])
    faithful = read_json(folder / "faithfulness.json")
    assert set(faithful) == {"shap", *importance["methods"]}
    assert faithful["shap"]["rows"] == 10 and faithful["lime"]["rows"] == 2
    assert faithful["shap"]["area"] > faithful["shap"]["reversed"]
    first = next(iter(importance["columns"]))
    assert dict(report.rows)[first].startswith("SHAP ")


def test_attention_is_told_where_the_model_has_it(finished: Any) -> None:
    config, paths = finished(model="ft_transformer")
    run(config, paths)
    importance = read_json(paths.reports / "explain" / "importance.json")
    assert set(importance["methods"]["attention"]) == COLUMNS
    assert "attention" in read_json(paths.reports / "explain" / "faithfulness.json")


def test_twice_the_same_bytes(finished: Any) -> None:
    config, paths = finished()
    run(config, paths)
    folder = paths.reports / "explain"
    first = {p.name: p.read_bytes() for p in folder.iterdir()}
    assert set(first) == {"importance.json", "shap.parquet", "lime.json", "faithfulness.json"}
    run(config, paths)
    assert {p.name: p.read_bytes() for p in folder.iterdir()} == first
    run(replace(config, seed=8), paths)
    assert (folder / "importance.json").read_bytes() != first["importance.json"]


def test_few_rows_and_no_lime(finished: Any) -> None:
    config, paths = finished(test=1, train=2)
    run(replace(config, explain=ExplainConfig(lime_rows=0)), paths)
    folder = paths.reports / "explain"
    assert read_json(folder / "lime.json")["rows"] == []
    assert read_json(folder / "faithfulness.json")["shap"]["verdict"] == "too few rows to tell"


def test_no_test_row_is_refused(finished: Any) -> None:
    config, paths = finished(test=0)
    with pytest.raises(DataError, match="no test row"):
        run(config, paths)
