"""Every encoder keeps the contract of `plumbline.preprocessing.encode`."""

from __future__ import annotations

from typing import Any, get_args

import numpy as np
import polars as pl
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.preprocessing import OneHotEncoder
from tests.made import block, tensor

from plumbline.config.data import Encoder, NormalizeConfig
from plumbline.examples import Examples
from plumbline.kinds import TASKS, ColumnType, Role, Task
from plumbline.preprocessing.encode import ENCODERS, CodeSums, EncoderInput
from plumbline.preprocessing.transform import TableTransformer
from plumbline.tables import Column, Schema

CLASSES = {Task.BINARY: ("no", "yes"), Task.MULTICLASS: ("a", "b", "c"), Task.REGRESSION: ()}
TABLED = [name for name in ENCODERS if name != "ordinal"]


def schema(task: Task) -> Schema:
    kind = ColumnType.CATEGORY if CLASSES[task] else ColumnType.NUMBER
    return Schema(
        columns=(
            Column(name="c", type=ColumnType.CATEGORY),
            Column(name="y", type=kind, role=Role.TARGET),
        ),
        task=task,
        classes=CLASSES[task],
    )


def rows(task: Task, n: int = 400, seed: int = 0) -> pl.DataFrame:
    """A category of four values and gaps, and a target that follows it."""
    rng = np.random.default_rng(seed)
    c = rng.choice(["red", "green", "blue", "a b=c"], n, p=[0.5, 0.3, 0.15, 0.05])
    z = (c == "red") + rng.normal(size=n)
    labels = CLASSES[task]
    y: Any = np.array(labels)[np.digitize(z, np.arange(1, len(labels)) / 2)] if labels else 100 * z
    values = [None if gap else v for gap, v in zip(rng.random(n) < 0.1, c, strict=True)]
    return pl.DataFrame({"c": values, "y": y})


def fit(name: str, task: Task, frame: pl.DataFrame, **settings: Any) -> tuple[Any, Examples]:
    config = NormalizeConfig(encode=name, **settings)  # type: ignore[arg-type]
    made = TableTransformer(schema(task), config)
    examples = made.fit_transform(frame.lazy(), np.arange(len(frame)), seed=0)
    return made, examples


def ask(made: TableTransformer, values: list[str | None]) -> Examples:
    frame = pl.LazyFrame({"c": values}, schema={"c": pl.String})
    return made.transform(frame, np.arange(len(values)))


def same(a: Examples, b: Examples) -> None:
    assert {k: v.tobytes() for k, v in a.inputs.items()} == {
        k: v.tobytes() for k, v in b.inputs.items()
    }


def test_choices_and_parameters_agree() -> None:
    assert set(ENCODERS) == set(get_args(Encoder))


@pytest.mark.parametrize("codes", [2, 5, 40])
@pytest.mark.parametrize("name", ENCODERS)
def test_a_table_has_a_row_per_code(name: str, codes: int) -> None:
    rng = np.random.default_rng(codes)
    count = rng.integers(1, 9, codes)
    sums = CodeSums(count=count[None], target=rng.random((1, codes, 2)))
    table = ENCODERS[name](EncoderInput(count=count, sums=sums, smoothing=1.0))
    if name == "ordinal":
        assert table is None
    else:
        assert table is not None
        assert table.shape[0] == codes and table.ndim == 2 and np.isfinite(table).all()


@pytest.mark.parametrize("task", list(TASKS))
@pytest.mark.parametrize("name", ENCODERS)
def test_shapes_names_and_sources(name: str, task: Task) -> None:
    made, examples = fit(name, task, rows(task))
    spec = made.spec_
    assert tuple(examples.inputs) == spec.names
    for own in spec:
        assert examples.inputs[own.name].shape == (400, *own.shape) == (400, len(own.features))
        assert examples.inputs[own.name].dtype == own.dtype
        assert own.sources == ("c",) * len(own.features)
        assert len(set(own.features)) == len(own.features)
    assert [own.dtype for own in spec] == [{"ordinal": "int64"}.get(name, "float32")]
    width = {
        "ordinal": 0,
        "onehot": 4,
        "frequency": 1,
        "target_mean": max(len(spec.classes) - 1, 1),
    }
    assert len(tensor(spec, "num").features) == width[name]
    assert tensor(spec, "cat").cardinalities == ((5,) if name == "ordinal" else ())
    assert np.isfinite(block(examples, "num")).all()


@pytest.mark.parametrize("task", list(TASKS))
@pytest.mark.parametrize("name", ENCODERS)
def test_unknown_and_missing_share_a_slot(name: str, task: Task) -> None:
    made, _ = fit(name, task, rows(task))
    out = ask(made, [None, "never seen", "", "RED", "red"])
    (array,) = out.inputs.values()
    assert_array_equal(array[:4], np.repeat(array[:1], 4, axis=0))
    assert not np.array_equal(array[4], array[0])


@pytest.mark.parametrize("task", list(TASKS))
@pytest.mark.parametrize("name", ENCODERS)
def test_the_same_seed_gives_the_same_bytes_and_state(name: str, task: Task) -> None:
    first, again = (fit(name, task, rows(task)) for _ in range(2))
    assert first[0].to_json() == again[0].to_json()
    same(first[1], again[1])
    loaded = TableTransformer.from_json(first[0].to_json())
    values = ["red", "green", None, "new"]
    same(ask(loaded, values), ask(first[0], values))


@pytest.mark.parametrize("name", ENCODERS)
def test_rare_values_share_the_unknown_slot(name: str) -> None:
    frame = rows(Task.BINARY)
    for settings, kept in (({"max_categories": 2}, 2), ({"min_count": 40}, 3)):
        made, _ = fit(name, Task.BINARY, frame, **settings)
        assert made.preparers_["scalars"].categories_[0].values == ("red", "green", "blue")[:kept]
        out = ask(made, ["a b=c", None])
        for array in out.inputs.values():
            assert_array_equal(array[0], array[1])


def test_ordinal_codes_count_from_the_most_frequent() -> None:
    made, examples = fit("ordinal", Task.BINARY, rows(Task.BINARY))
    assert made.preparers_["scalars"].categories_[0].values == ("red", "green", "blue", "a b=c")
    counts = np.bincount(examples.inputs["cat"][:, 0])[1:]
    assert (np.diff(counts) <= 0).all()
    assert_array_equal(ask(made, ["red", "a b=c", None]).inputs["cat"][:, 0], [1, 4, 0])


def test_onehot_is_that_of_the_peer() -> None:
    frame = rows(Task.BINARY)
    made, examples = fit("onehot", Task.BINARY, frame)
    order = list(made.preparers_["scalars"].categories_[0].values)
    peer = OneHotEncoder(categories=[order], handle_unknown="ignore", sparse_output=False)
    theirs = peer.fit_transform(np.array(frame["c"].fill_null("?").to_list())[:, None])
    assert_array_equal(examples.inputs["num"], theirs)
    assert tensor(made.spec_, "num").features == ("c=red", "c=green", "c=blue", "c=a b=c")


def test_onehot_of_many_values_becomes_ordinal() -> None:
    made, _ = fit("onehot", Task.BINARY, rows(Task.BINARY), onehot_max=3)
    assert tensor(made.spec_, "num").features == ()
    assert tensor(made.spec_, "cat").cardinalities == (5,)


def test_frequency_orders_by_share_and_the_unknown_is_least() -> None:
    made, examples = fit("frequency", Task.BINARY, rows(Task.BINARY))
    out = ask(made, ["red", "green", "blue", "a b=c", "new"]).inputs["num"][:, 0]
    assert (np.diff(out) < 0).all()
    assert_allclose(
        [examples.inputs["num"].mean(), examples.inputs["num"].std()], [0, 1], atol=1e-6
    )


@pytest.mark.parametrize("task", list(TASKS))
def test_target_means_follow_the_formula(task: Task) -> None:
    """(sum + smoothing · overall mean) / (count + smoothing), per class, standardized."""
    frame = rows(task)
    made, _ = fit("target_mean", task, frame, target_mean_smoothing=5.0)
    labels = CLASSES[task]
    y = (
        np.stack([(frame["y"] == c).to_numpy() for c in labels[1:]], axis=1).astype(float)
        if labels
        else frame["y"].to_numpy()[:, None]
    )
    values = ["red", "green", "blue", "a b=c", None]
    c = np.array([values.index(v) for v in frame["c"]])
    expected = np.stack(
        [(y[c == k].sum(0) + 5 * y.mean(0)) / ((c == k).sum() + 5) for k in range(5)]
    )
    share = np.bincount(c) / len(c)
    mean = share @ expected
    spread = np.sqrt(share @ (expected - mean) ** 2)
    assert_allclose(
        ask(made, values).inputs["num"], (expected - mean) / spread, rtol=1e-5, atol=1e-6
    )


@pytest.mark.parametrize("name", TABLED)
def test_one_value_with_gaps_is_still_a_feature(name: str) -> None:
    frame = rows(Task.BINARY).with_columns(
        pl.when(pl.col("c") == "red").then(pl.lit("x")).otherwise(None).alias("c")
    )
    made, examples = fit(name, Task.BINARY, frame)
    assert examples.inputs["num"].shape == (400, 1) and np.isfinite(examples.inputs["num"]).all()
    assert len(np.unique(ask(made, ["x", None]).inputs["num"])) == 2
