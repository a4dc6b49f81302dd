"""drift: training against test rows of real tables, predictions and target beside them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from tests.made import made_examples, made_spec, unpacked

from plumbline.config import Config, Paths
from plumbline.config.data import DataConfig
from plumbline.config.evaluation import DriftConfig
from plumbline.evaluation.reference import BY_ONE, Reference
from plumbline.files import read_json
from plumbline.kinds import TASKS, ColumnType, Part, Role, Task
from plumbline.stages import drift
from plumbline.tables import Column, Schema, SplitIndex, Table

COUNT = 300
NAMES = ("number", "word", "moved", "empty", "prediction", "when", "flag")


def frame(task: Task) -> pl.DataFrame:
    rng = np.random.default_rng(0)
    part = np.repeat([0, 1, 2], COUNT // 3)
    target: Any = {
        Task.BINARY: [("no", "yes")[i % 2] for i in range(COUNT)],
        Task.MULTICLASS: [("a", "b", "c")[i % 3] for i in range(COUNT)],
        Task.REGRESSION: rng.normal(size=COUNT).tolist(),
    }[task]
    return pl.DataFrame(
        {
            "number": rng.normal(size=COUNT),
            "word": [("u", "v", "w")[i % 3] for i in range(COUNT)],
            "moved": rng.normal(size=COUNT) + 5 * (part == 2),
            "empty": pl.Series([None] * COUNT, dtype=pl.Float64),
            "prediction": np.arange(COUNT) % 25.0,  # the name that ours would have
            "when": pl.Series(range(COUNT)).cast(pl.Datetime("us")),
            "flag": [i % 2 == 0 for i in range(COUNT)],
            "y": target,
        }
    )


def schema(task: Task) -> Schema:
    types = [
        ColumnType.NUMBER,
        ColumnType.CATEGORY,
        ColumnType.NUMBER,
        ColumnType.NUMBER,
        ColumnType.NUMBER,
        ColumnType.DATE,
        ColumnType.BOOLEAN,
    ]
    features = [Column(name=n, type=t) for n, t in zip(NAMES, types, strict=True)]
    kind = ColumnType.CATEGORY if task.has_classes else ColumnType.NUMBER
    classes = {Task.BINARY: ("no", "yes"), Task.MULTICLASS: ("a", "b", "c"), Task.REGRESSION: ()}
    return Schema(
        columns=(*features, Column(name="y", type=kind, role=Role.TARGET)),
        task=task,
        classes=classes[task],
    )


@pytest.fixture
def made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """A function that lays out a task's table, split and predictions."""

    def make(task: Task = Task.BINARY) -> tuple[Config, Paths]:
        rows = frame(task)
        table = Table(frame=rows.lazy(), rows=COUNT)
        part = np.repeat([Part.TRAIN, Part.VAL, Part.TEST], COUNT // 3).astype(np.uint8)
        split = SplitIndex(part=part, folds=np.zeros((COUNT, 0), dtype=np.uint8))
        monkeypatch.setattr(drift, "load_table", lambda config, paths: (table, schema(task)))
        monkeypatch.setattr(drift, "load_split", lambda paths: split)
        paths = Paths(tmp_path)
        folder = paths.reports / "evaluation"
        folder.mkdir(parents=True)
        rng = np.random.default_rng(1)
        half = COUNT // 3
        answer = {
            "row": np.arange(half, COUNT),
            "part": ["val"] * half + ["test"] * half,
            "actual": rows["y"][half:],
            "predicted": rows["y"][half:],
        }
        for name in schema(task).classes:
            answer[f"p_{name}"] = rng.random(2 * half) / 2 + np.repeat([0.0, 0.5], half)
        pl.DataFrame(answer).write_parquet(folder / "predictions.parquet")
        data = DataConfig(name="made", path="data/made.csv", task=task, target="y")
        return Config(seed=0, data=data), paths

    return make


@pytest.mark.parametrize("task", list(TASKS))
def test_what_is_written(made: Any, task: Task) -> None:
    config, paths = made(task)
    report = drift.run(config, paths)
    result = read_json(paths.reports / "drift" / "result.json")
    assert list(result["columns"]) == list(NAMES)
    drifted = {name for name, column in result["columns"].items() if column["drifted"]}
    assert drifted == {"moved", "when"}
    assert result["drifted_share"] == pytest.approx(2 / 7) and result["dataset_drift"] is False
    assert result["rows"] == {"reference": 100, "current": 100}
    assert set(result["columns"]["moved"]) == {"method", "score", "threshold", "drifted", "missing"}
    assert result["columns"]["empty"]["method"] is None
    assert result["target"]["drifted"] is False
    # the probabilities of val and test rows were made apart, their classes were not
    assert result["prediction"]["drifted"] is (task == Task.BINARY)
    words = dict(report.rows)
    # all but the empty column are compared by a test
    assert result["chance"] == {
        "tested": 6,
        "drifted": 2,
        "threshold": 0.05,
        "expected": pytest.approx(0.3),
        "at_most": 1,
        "exceeded": True,
    }
    text = "2 of 7 drifted: more than chance (0.3 expected at p < 0.05)"
    assert words["columns"] == text and words["moved"].startswith("drifted: K-S p-value ")
    assert "_prediction" in words  # a feature has the name
    page = (paths.reports / "drift" / "index.html").read_text(encoding="utf-8")
    scripts = unpacked(page)
    assert "moved" in scripts
    for outside in ('src="http', "<link", "fonts.googleapis"):
        assert outside not in page + scripts  # it opens without a network


def test_the_share_decides_on_the_data_set(made: Any) -> None:
    config, paths = made()
    drift.run(replace(config, drift=DriftConfig(share=0.2)), paths)
    assert read_json(paths.reports / "drift" / "result.json")["dataset_drift"] is True


def test_sampled_rows_and_twice_the_same_bytes(made: Any) -> None:
    config, paths = made()
    config = replace(config, drift=DriftConfig(max_rows=60))
    folder = paths.reports / "drift"
    drift.run(config, paths)
    first = {p.name: p.read_bytes() for p in folder.iterdir()}
    assert read_json(folder / "result.json")["rows"] == {"reference": 60, "current": 60}
    drift.run(config, paths)
    assert {p.name: p.read_bytes() for p in folder.iterdir()} == first


def test_a_text_is_one_column_and_says_what_changed(
    made: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    config, paths = made()
    rng = np.random.default_rng(3)
    words = np.array(["parcel", "came", "late", "and", "the", "box", "was", "wet"])
    texts = [" ".join(rng.choice(words, rng.integers(3, 20))) for _ in range(COUNT)]
    shouted = [t.upper() if i >= 2 * COUNT // 3 else t for i, t in enumerate(texts)]
    rows = pl.DataFrame({"calm": texts, "loud": shouted, "y": frame(Task.BINARY)["y"]})
    columns = [Column(name=n, type=ColumnType.TEXT) for n in ("calm", "loud")]
    target = schema(Task.BINARY).columns[-1]
    of = replace(schema(Task.BINARY), columns=(*columns, target))
    table = Table(frame=rows.lazy(), rows=COUNT)
    spec = made_spec(texts=2)
    spec = replace(
        spec,
        tensors=tuple(
            replace(t, sources=(name,) * 6)
            for t, name in zip(spec.of_kind("text"), ("calm", "loud"), strict=True)
        ),
    )
    monkeypatch.setattr(drift, "load_table", lambda config, paths: (table, of))
    monkeypatch.setattr(drift, "load_spec", lambda paths: spec)
    monkeypatch.setattr(drift, "load_part", lambda paths, part: made_examples(spec, 100, part))
    drift.run(config, paths)
    result = read_json(paths.reports / "drift" / "result.json")["columns"]
    assert list(result) == ["calm", "loud"]
    assert result["loud"]["drifted"] and not result["calm"]["drifted"]
    parts = {name for name, part in result["loud"]["descriptors"].items() if part["drifted"]}
    assert parts == {"share of uppercase letters"}
    assert "share of unknown tokens" in result["calm"]["descriptors"]


@pytest.mark.parametrize("task", list(TASKS))
def test_predictions_of_a_bag_are_compared_network_with_network(made: Any, task: Task) -> None:
    """Test rows' means are spread less than what single networks say of validation rows: that is
    no drift. A version is watched by means alone, as it answers."""
    config, paths = made(task)
    file = paths.reports / "evaluation" / "predictions.parquet"
    frame = pl.read_parquet(file)
    half = len(frame) // 2
    one = np.tile(frame["predicted"].to_numpy()[:half], 2)
    if task == Task.BINARY:
        one = np.tile(np.linspace(0, 1, half), 2)
    frame.with_columns(pl.Series(BY_ONE, one)).write_parquet(file)
    drift.run(config, paths)
    result = read_json(paths.reports / "drift" / "result.json")
    assert result["prediction"]["drifted"] is False
    kept = Reference.read(paths.reports / "drift").held_out
    assert len(kept) == half and BY_ONE not in kept.columns
    means = frame.filter(pl.col("part") == "test")
    names = [name for name in kept.columns if name != "actual"]
    assert kept.select(names).sort(names).equals(means.select(names).sort(names))
