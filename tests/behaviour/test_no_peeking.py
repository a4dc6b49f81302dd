"""Nothing is learned from rows that are held out: they are changed beyond recognition, and
everything fitted stays the same to the byte.

The rows changed hold values a billion times larger, categories that no other row has, gaps and
other targets. What validation rows do steer, on purpose, is said by the last tests: which epoch's
weights are kept, and the decisions in decision.json. The leakage checks of the split stage look
at every row on purpose too, and are not held to this.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, get_args

import numpy as np
import polars as pl
import pytest
import torch
from tests.made import write_table

from plumbline.config import Config, Paths
from plumbline.config.data import ColumnConfig
from plumbline.config.evaluation import BaselineName
from plumbline.config.load import parse_config
from plumbline.evaluation.explanation import Case
from plumbline.examples import Examples
from plumbline.files import read_json, write_json
from plumbline.kinds import TASKS, ColumnType, IntArray, Part, Role, Task
from plumbline.manifest import MANIFEST
from plumbline.preprocessing.balance import RESAMPLERS, resample
from plumbline.preprocessing.encode import ENCODERS
from plumbline.preprocessing.frames import take_rows
from plumbline.preprocessing.impute import IMPUTERS
from plumbline.preprocessing.scale import SCALERS
from plumbline.preprocessing.transform import TableTransformer
from plumbline.stages import evaluate, explain, normalize, train
from plumbline.stages.inputs import load_part, load_table
from plumbline.tables import MOST_ROWS_AT_ONCE, Column, Schema, Table
from plumbline.training.cross_validation import prepare_fold

ROWS, FOLDS = 400, 3
CLASSES = {Task.BINARY: ["no", "yes"], Task.MULTICLASS: ["a", "b", "c"], Task.REGRESSION: []}
SCALES = [*SCALERS, "auto"]
NUMBERS = {f"{scale}_{impute}": (scale, impute) for scale in SCALES for impute in IMPUTERS}
CUT = {"clip": 20.0}  # the loss of wild validation rows stays a number
World = Callable[..., tuple[Config, Paths]]


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def rows_of(task: Task) -> pl.DataFrame:
    """A column for each scaler with each imputer, one for each encoder, and the other types."""
    rng = np.random.default_rng(0)
    n = ROWS
    columns: dict[str, Any] = {}
    for j, name in enumerate(NUMBERS):
        values = rng.normal(5, 2, n) if j % 2 else rng.lognormal(1, 1, n).round(1)
        columns[name] = np.where(rng.random(n) < 0.1, np.nan, values)
    for name in ENCODERS:
        value = rng.choice(["red", "green", "blue", "grey"], n, p=[0.5, 0.3, 0.15, 0.05])
        columns[name] = [
            None if gap else v for gap, v in zip(rng.random(n) < 0.1, value, strict=True)
        ]
    columns["note"] = [f"note {k}" for k in rng.integers(0, 90, n)]
    columns["few"] = rng.integers(0, 6, n)
    columns["flag"] = rng.random(n) < 0.4
    columns["when"] = [f"2024-{m:02d}-{d:02d}" for m, d in rng.integers(1, 13, (n, 2))]
    columns["weight"] = rng.random(n).round(3)
    z = columns["zscore_mean"] + rng.normal(0, 1, n)
    z = np.where(np.isnan(z), 5, z) + 2 * (columns["flag"])
    labels = CLASSES[task]
    edges = np.quantile(z, np.arange(1, len(labels)) / len(labels)) if labels else []
    columns["y"] = np.array(labels)[np.digitize(z, edges)] if labels else 100 + 10 * z
    return pl.DataFrame(columns).fill_nan(None)


def poisoned(frame: pl.DataFrame, task: Task, rows: IntArray) -> pl.DataFrame:
    """The frame with every cell of these rows changed: a third of them missing."""
    rng = np.random.default_rng(1)
    hit = np.zeros(len(frame), dtype=bool)
    hit[rows] = True
    changed = []
    for column in frame.get_columns():
        n, name = len(column), column.name
        gone = rng.random(n) < 1 / 3
        values: list[Any]
        if name == "y" and CLASSES[task]:
            order = CLASSES[task]
            values = [order[(order.index(v) + 1) % len(order)] for v in column]
        elif name == "y":
            values = (column * -1e3).to_list()
        elif name == "weight":
            values = [1e3] * n
        elif name == "when":
            values = [None if g else "2099-12-31" for g in gone]
        elif column.dtype == pl.String:
            values = [None if g else "x" * (3 + i % 40) + str(i) for i, g in enumerate(gone)]
        elif column.dtype == pl.Boolean:
            values = [None if g else not v for g, v in zip(gone, column, strict=True)]
        else:
            sign = rng.choice([-1e9, 1e9], n)
            size = (sign * np.arange(1, n + 1)).astype(int).tolist()
            values = [None if g else s for g, s in zip(gone, size, strict=True)]
        new = pl.Series(name, values, dtype=column.dtype, strict=False)
        changed.append(pl.select(pl.when(pl.Series(hit)).then(new).otherwise(column)).to_series())
    return pl.DataFrame([c.alias(n) for c, n in zip(changed, frame.columns, strict=True)])


def split_of() -> pl.DataFrame:
    """Parts in shares of 60, 20 and 20; folds among the training rows."""
    rng = np.random.default_rng(2)
    part = rng.permutation(np.repeat([Part.TRAIN, Part.VAL, Part.TEST], [ROWS * 3 // 5, 80, 80]))
    fold = rng.integers(0, FOLDS, ROWS)
    columns = {"row": np.arange(ROWS, dtype=np.uint32), "part": part.astype(np.uint8)}
    for k in range(FOLDS):
        inside = np.where(fold == k, Part.VAL, Part.TRAIN)
        columns[f"fold_{k}"] = np.where(part == Part.TRAIN, inside, Part.UNUSED).astype(np.uint8)
    return pl.DataFrame(columns)


def rows_in(part: Part) -> IntArray:
    return np.flatnonzero(split_of()["part"].to_numpy() == part)


@pytest.fixture
def world(tmp_path: Path) -> World:
    """A function that makes a checkout in which the split has run; some rows poisoned."""
    made = 0

    def make(
        task: Task, hit: IntArray | None = None, *, form: str = "csv", **settings: Any
    ) -> tuple[Config, Paths]:
        nonlocal made
        made += 1
        root = tmp_path / str(made)
        paths = Paths(root)
        paths.data.mkdir(parents=True)
        frame = rows_of(task)
        frame = frame if hit is None else poisoned(frame, task, hit)
        if form == "csv":
            frame.write_csv(paths.data / "rows.csv")
        else:
            frame.write_parquet(paths.data / "rows.parquet", row_group_size=70)
        paths.expectations.write_text(_expectations(frame, task))
        paths.split.mkdir(parents=True)
        split_of().write_parquet(paths.split / "index.parquet")
        config = _config(task, form, **settings)
        # SMOTE draws between numbers and categories alone, and refuses texts
        smote = config.normalize.balance.method == "smote"
        write_json(paths.split / "dropped.json", {"note": "a text"} if smote else {})
        write_table(config, paths)
        return config, paths

    return make


def _expectations(frame: pl.DataFrame, task: Task) -> str:
    kinds = {pl.Float64: "number", pl.Int64: "integer", pl.Boolean: "boolean"}
    own = {"note": "text", "when": "date"}
    lines = ["columns:"]
    for name, dtype in frame.schema.items():
        kind = own.get(name, kinds.get(type(dtype), "category"))
        role = {"y": ", role: target", "weight": ", role: weight"}.get(name, "")
        if name == "y" and CLASSES[task]:
            role += f", values: {{only: [{', '.join(repr(c) for c in CLASSES[task])}]}}"
        lines.append(f"  {name}: {{type: {kind}{role}}}")
    return "\n".join(lines) + "\n"


def _config(task: Task, form: str, **settings: Any) -> Config:
    columns: dict[str, Any] = {n: {"scale": s, "impute": i} for n, (s, i) in NUMBERS.items()}
    columns |= {name: {"encode": name} for name in ENCODERS}
    data = {"name": "t", "path": f"data/rows.{form}", "target": "y", "task": str(task)}
    data |= {"format": {"type": form}}
    data |= {"positive": "yes"} if task == Task.BINARY else {}
    sections = {"normalize": {"columns": columns}, "tune": {"trials": 0}, "seed": 0, "data": data}
    sections["train"] = {"epochs": 3, "patience": 0, "learning_rate": 0.01}
    sections["runtime"] = {"threads": 1}
    sections["train"] |= {"weight_decay": 0.0, "learning_curve": []}
    sections["model"] = {"width": 16, "depth": 1}
    for name, values in settings.items():
        sections[name] = {**sections.get(name, {}), **values}  # type: ignore[dict-item]
    return parse_config(sections)


def content(folder: Path, *names: str) -> dict[str, bytes]:
    """The bytes of every file below, or of those named; not the list of their hashes."""
    files = sorted(p for p in folder.rglob("*") if p.is_file() and p.name != MANIFEST)
    result = {p.relative_to(folder).as_posix(): p.read_bytes() for p in files}
    return {n: b for n, b in result.items() if not names or n.split("/")[0] in names}


def as_bytes(examples: Examples) -> list[bytes]:
    beside = (examples.y, examples.rows, examples.weight)
    return [array.tobytes() for array in (*examples.inputs.values(), *beside)]


# -- normalize: every scaler, imputer and encoder, in one table


@pytest.mark.parametrize("form", ["csv", "parquet"])
@pytest.mark.parametrize("task", list(TASKS))
def test_normalize(task: Task, form: str, world: World) -> None:
    """Prepared training rows, their description and the fitted state stay the same."""
    held = np.concatenate([rows_in(Part.VAL), rows_in(Part.TEST)])
    prepared = []
    for hit in (None, held):
        config, paths = world(task, hit, form=form)
        normalize.run(config, paths)
        prepared.append(content(paths.prepared))
    before, after = prepared
    state = read_json(paths.prepared / "preprocessor.json")
    assert {
        (n["scale"]["method"]) for n in state["preparers"]["scalars"]["numbers"] if n["scale"]
    } == set(SCALERS)
    assert {c["encode"] for c in state["preparers"]["scalars"]["categories"]} == set(ENCODERS)
    learned = [n for n in before if not n.startswith(("val/", "test/"))]
    assert len(learned) == 8
    for name in learned:
        assert before[name] == after[name], name
    for part in ("val", "test"):
        num = f"{part}/inputs/num.npy"
        assert before[num] != after[num], "the rows were changed"
        assert before[f"{part}/rows.npy"] == after[f"{part}/rows.npy"]


@pytest.mark.parametrize("part", [Part.VAL, Part.TEST])
def test_one_part_does_not_see_the_other(part: Part, world: World) -> None:
    """Test rows are prepared alike whatever the validation rows hold, and the other way round."""
    other = "test" if part is Part.VAL else "val"
    prepared = []
    for hit in (None, rows_in(part)):
        config, paths = world(Task.BINARY, hit)
        normalize.run(config, paths)
        prepared.append(content(paths.prepared, other, "train", "preprocessor.json", "spec.json"))
    assert prepared[0] == prepared[1]


def test_training_rows_are_seen(world: World) -> None:
    """The proof can fail: one changed training row is in the state."""
    prepared = []
    for hit in (None, rows_in(Part.TRAIN)[7:8]):
        config, paths = world(Task.BINARY, hit)
        normalize.run(config, paths)
        prepared.append(content(paths.prepared, "preprocessor.json"))
    assert prepared[0] != prepared[1]


def test_many_batches(tmp_path: Path) -> None:
    """More rows than a batch holds: changed rows must not move the batches' borders, whose sums
    would differ in the last bit. Long texts shift every block that a reader of CSV cuts."""
    n = 3 * MOST_ROWS_AT_ONCE
    rng = np.random.default_rng(0)
    keep = np.flatnonzero(rng.random(n) < 0.6)
    held = np.setdiff1d(np.arange(n), keep)
    x, c = rng.lognormal(0, 2, n), rng.integers(0, 50, n).astype(str).astype(object)
    schema = Schema(
        columns=(
            Column(name="x", type=ColumnType.NUMBER),
            Column(name="c", type=ColumnType.CATEGORY),
            Column(name="y", type=ColumnType.NUMBER, role=Role.TARGET),
        ),
        task=Task.REGRESSION,
    )
    config = _config(Task.REGRESSION, "csv").normalize
    config = replace(config, encode="target_mean", columns={"x": ColumnConfig(scale="zscore")})
    states = []
    for name in ("before", "after"):
        pl.DataFrame({"x": x, "c": c.tolist(), "y": x}).write_csv(tmp_path / name)
        typed = {"x": pl.Float64, "c": pl.String, "y": pl.Float64}
        table = Table(frame=pl.scan_csv(tmp_path / name, schema=typed), rows=n)  # type: ignore[arg-type]
        fitted = TableTransformer(schema, config).fit(take_rows(table, keep), seed=0)
        states.append(fitted.to_json())
        x, c = x.copy(), c.copy()
        x[held] = 1e9
        c[held] = ["z" * int(k) for k in rng.integers(1, 200, len(held))]
    assert states[0] == states[1]


# -- tune: every fold


@pytest.mark.parametrize("task", list(TASKS))
def test_every_fold(task: Task, world: World) -> None:
    """What a fold fits is the same whatever the rows that it is scored on and the test rows
    hold; and so is every resampling of it."""
    fold_of = split_of()
    for k in range(FOLDS):
        fold = fold_of[f"fold_{k}"].to_numpy()
        fitted, scored = np.flatnonzero(fold == Part.TRAIN), np.flatnonzero(fold == Part.VAL)
        outside = np.setdiff1d(np.arange(ROWS), fitted)
        prepared = []
        for hit in (None, outside):
            config, paths = world(task, hit, tune={"trials": 0, "max_rows": 100})
            table, schema = load_table(config, paths)
            made = prepare_fold(table, schema, config, fitted, scored, k)
            prepared.append((made.train, made.val, made.spec))
        (train_a, val_a, spec_a), (train_b, val_b, spec_b) = prepared
        assert len(train_a) == 100
        assert as_bytes(train_a) == as_bytes(train_b)
        assert spec_a == spec_b
        assert as_bytes(val_a) != as_bytes(val_b)
        for method in RESAMPLERS if task.has_classes else ():
            how = replace(config.normalize.balance, method=method)
            kinds = ("numbers", "categories") if method == "smote" else {t.kind for t in spec_a}
            spec = replace(spec_a, tensors=tuple(t for t in spec_a if t.kind in kinds))
            some = [
                replace(rows, inputs={name: rows.inputs[name] for name in spec.names})
                for rows in (train_a, train_b)
            ]
            balanced = [resample(rows, spec, how, 0) for rows in some]
            assert as_bytes(balanced[0]) == as_bytes(balanced[1])


# -- train, evaluate, explain


def run_to_train(world: World, task: Task, hit: IntArray | None, **settings: Any) -> Any:
    config, paths = world(task, hit, **settings)
    normalize.run(config, paths)
    train.run(config, paths)
    return config, paths


@pytest.mark.filterwarnings("ignore:The .*-th feature has just two bin edges")  # a 0/1 column
@pytest.mark.parametrize(
    ("task", "settings"),
    [
        (Task.BINARY, {"normalize": {"balance": {"method": "smote"}}}),
        (
            Task.REGRESSION,
            {
                "model": {"number_embedding": "piecewise_linear"},
                "train": {"target_transform": "quantile", "patience": 2},
            },
        ),
        (Task.MULTICLASS, {"train": {"class_weights": "balanced", "schedule": "plateau"}}),
    ],
)
def test_the_model_does_not_see_test_rows(
    task: Task, settings: dict[str, Any], world: World
) -> None:
    """Weights, bin edges, the target's transform, curves and early stopping."""
    made = []
    for hit in (None, rows_in(Part.TEST)):
        _, paths = run_to_train(world, task, hit, **settings)
        made.append((content(paths.model), content(paths.reports / "training")))
    assert set(made[0][0]) == {"model.json", "preprocessor.json", "weights.safetensors"}
    assert made[0] == made[1]


@pytest.mark.parametrize("task", [Task.BINARY, Task.REGRESSION])
def test_decisions_baselines_and_background_do_not_see_test_rows(
    task: Task, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Temperature, threshold, conformal quantile; every baseline's predictions of validation
    rows; the rows that explanations compare with."""
    values: list[Case] = []

    def stop(case: Case, **_: Any) -> None:
        values.append(case)
        raise InterruptedError

    monkeypatch.setattr(explain, "explain", stop)
    made = []
    for hit in (None, rows_in(Part.TEST)):
        config, paths = run_to_train(world, task, hit, evaluate={"bootstrap": 50, "slices": []})
        evaluate.run(config, paths)
        table = pl.read_parquet(paths.reports / "evaluation" / "predictions.parquet")
        made.append((content(paths.decision), table.filter(pl.col("part") == "val")))
        assert set(get_args(BaselineName)) <= set(table.columns)
        with pytest.raises(InterruptedError):
            explain.run(config, paths)
    assert made[0][0] == made[1][0]
    assert made[0][1].equals(made[1][1])
    first, second = values
    for name, array in first.background.items():
        assert array.tobytes() == second.background[name].tobytes()
    assert first.rows["num"].tobytes() != second.rows["num"].tobytes()


@pytest.mark.parametrize("task", [Task.BINARY, Task.REGRESSION])
def test_what_validation_rows_steer(task: Task, world: World) -> None:
    """With `patience: 0` and a schedule other than plateau, the path of the weights does not
    depend on validation rows: training losses and learning rates of all epochs are the same.
    They only choose the epoch whose weights are kept. Baselines do not look at them at all."""
    made = []
    for hit in (None, rows_in(Part.VAL)):
        config, paths = run_to_train(
            world,
            task,
            hit,
            normalize=CUT,
            train={"epochs": 4, "schedule": "cosine"},
            evaluate={"bootstrap": 50},
        )
        curves = pl.read_csv(paths.reports / "training" / "curves.csv")
        path = curves.select("epoch", "learning_rate", "train_loss")
        evaluate.run(config, paths)
        table = pl.read_parquet(paths.reports / "evaluation" / "predictions.parquet")
        query = table.filter(pl.col("part") == "test").select("row", *get_args(BaselineName))
        model = read_json(paths.model / "model.json")
        fitted = {key: model[key] for key in ("spec", "learned", "target", "model")}
        made.append((path, query, fitted, curves["val_loss"].to_list()))
    assert made[0][0].equals(made[1][0])
    assert made[0][1].equals(made[1][1])
    assert made[0][2] == made[1][2]
    assert made[0][3] != made[1][3]


@pytest.mark.parametrize("task", list(TASKS))
def test_after_one_epoch_there_is_nothing_to_choose(task: Task, world: World) -> None:
    """A single epoch: the weights are the same to the byte whatever validation rows hold."""
    made, held = [], []
    for hit in (None, np.concatenate([rows_in(Part.VAL), rows_in(Part.TEST)])):
        _, paths = run_to_train(world, task, hit, normalize=CUT, train={"epochs": 1})
        made.append(content(paths.model))
        held.append(load_part(paths, Part.VAL).inputs["num"].tobytes())
    assert made[0] == made[1]
    assert held[0] != held[1], "the rows were changed"
