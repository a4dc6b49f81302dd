"""Laws of the fitted transformer, over random tables and settings."""

from __future__ import annotations

import datetime as dt
import json
from typing import Any, get_args

import numpy as np
import polars as pl
import pytest
from hypothesis import HealthCheck, given, reject, settings
from hypothesis import strategies as st
from numpy.testing import assert_array_equal
from tests.made import block, tensor

from plumbline.config.data import (
    ColumnConfig,
    Dates,
    Encoder,
    FormatConfig,
    Imputer,
    LinearChannel,
    NormalizeConfig,
    Scaler,
    TextConfig,
    Tokenizer,
)
from plumbline.data.read import conform, scan
from plumbline.errors import DataError
from plumbline.examples import Examples, InputSpec
from plumbline.kinds import TASKS, ColumnType, Role, Task
from plumbline.preprocessing.few_rows import RowTransformer
from plumbline.preprocessing.transform import TableTransformer
from plumbline.tables import Column, Schema

CLASSES = {Task.BINARY: ("no", "yes"), Task.MULTICLASS: ("a", "b", "c"), Task.REGRESSION: ()}
CELLS: dict[ColumnType, st.SearchStrategy[Any]] = {
    ColumnType.NUMBER: st.one_of(
        st.floats(-1e9, 1e9),
        st.sampled_from([0.0, -0.0, 1.0, 1e300, -1e300, np.inf, -np.inf, np.nan, 1e-300, None]),
    ),
    ColumnType.INTEGER: st.one_of(st.integers(-3, 3), st.integers(-(2**62), 2**62), st.none()),
    ColumnType.BOOLEAN: st.one_of(st.booleans(), st.none()),
    ColumnType.CATEGORY: st.one_of(st.sampled_from(["a", "b", "B", "ä", "a b", "1"]), st.none()),
    ColumnType.TEXT: st.one_of(
        st.sampled_from(["one two", "two \u05e9\u05dc\u05d5\u05dd 😀", "[PAD] [UNK]", "中文 one"]),
        st.text(st.characters(exclude_categories=["Cs"]), max_size=20).map(str.strip),
        st.none(),
    ),
    ColumnType.DATE: st.one_of(
        st.datetimes(dt.datetime(1700, 1, 1), dt.datetime(2200, 1, 1)), st.none()
    ),
}
quick = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])


@st.composite
def tables(draw: Any) -> tuple[Schema, NormalizeConfig, pl.DataFrame, pl.DataFrame]:
    """A schema, settings, training rows and other rows."""
    task = draw(st.sampled_from(list(TASKS)))
    kinds = draw(st.lists(st.sampled_from(list(CELLS)), min_size=1, max_size=5))
    columns = [Column(name=f"{kind}_{j}", type=kind) for j, kind in enumerate(kinds)]
    kind = ColumnType.CATEGORY if CLASSES[task] else ColumnType.NUMBER
    target = Column(name="y", type=kind, role=Role.TARGET)
    labels = st.sampled_from(CLASSES[task]) if CLASSES[task] else st.floats(-1e6, 1e6)
    frames = []
    for size in (draw(st.integers(1, 30)), draw(st.integers(1, 8))):
        data = {
            c.name: draw(st.lists(CELLS[c.type], min_size=size, max_size=size)) for c in columns
        }
        data["y"] = draw(st.lists(labels, min_size=size, max_size=size))
        frames.append(pl.DataFrame(data, schema={c.name: c.dtype for c in [*columns, target]}))
    own = {
        c.name: ColumnConfig(scale=draw(st.sampled_from(get_args(Scaler))))
        for c in columns
        if c.type is ColumnType.NUMBER
    }
    config = NormalizeConfig(
        scale=draw(st.sampled_from(get_args(Scaler))),
        linear_channel=draw(st.sampled_from(get_args(LinearChannel))),
        impute=draw(st.sampled_from(get_args(Imputer))),
        encode=draw(st.sampled_from(get_args(Encoder))),
        dates=draw(st.sampled_from([d for d in get_args(Dates) if d != "drop"])),
        clip=draw(st.sampled_from([None, 3.0])),
        indicator=draw(st.booleans()),
        min_count=draw(st.sampled_from([1, 2])),
        numbers_as_categories=draw(st.booleans()),
        text=TextConfig(
            tokenizer=draw(st.sampled_from(get_args(Tokenizer))), lowercase=draw(st.booleans())
        ),
        columns=own,
    )
    return Schema(columns=(*columns, target), task=task, classes=CLASSES[task]), config, *frames


def fitted(
    schema: Schema, config: NormalizeConfig, train: pl.DataFrame
) -> tuple[TableTransformer, Examples]:
    """Only tables in which some column says anything."""
    made = TableTransformer(schema, config)
    try:
        return made, made.fit_transform(train.lazy(), np.arange(len(train)), seed=3)
    except DataError as error:
        assert "no feature is left" in str(error)
        reject()


def same(a: Examples, b: Examples) -> None:
    assert a.inputs.keys() == b.inputs.keys()
    for name, array in a.inputs.items():
        assert array.tobytes() == b.inputs[name].tobytes(), name
    for name in ("y", "rows", "weight"):
        assert getattr(a, name).tobytes() == getattr(b, name).tobytes(), name


@quick
@given(tables())
def test_tensors_are_finite_and_as_described(given_table: Any) -> None:
    schema, config, train, other = given_table
    made, examples = fitted(schema, config, train)
    spec = made.spec_
    for part, frame in (
        (examples, train),
        (made.transform(other.lazy(), np.arange(len(other))), other),
    ):
        assert tuple(part.inputs) == spec.names
        for own in spec:
            array = part.inputs[own.name]
            assert array.shape == (len(frame), len(own.features)) == (len(frame), *own.shape)
            assert array.dtype == own.dtype and np.isfinite(array).all()
            if own.cardinalities:
                assert (array >= 0).all() and (array < np.array(own.cardinalities)).all()
            if own.kind == "text":
                assert (array >= 0).all() and (array < own.details["tokens"]).all()
        assert len(part) == len(part.rows) == len(part.weight) == len(frame)
    names = {c.name for c in schema.features}
    used = {source for own in spec for source in own.sources}
    assert used <= names
    num, cat = tensor(spec, "num"), tensor(spec, "cat")
    assert len(num.features) == len(num.sources) == len(set(num.features))
    assert set(num.plain) <= set(num.features)
    assert config.linear_channel != "none" or not num.plain
    assert len(cat.features) == len(cat.sources) == len(cat.cardinalities)
    assert {name.split(".")[0] for name in made.dropped_} >= names - used


@quick
@given(tables())
def test_the_state_loads_anywhere(given_table: Any) -> None:
    """Through JSON text: the same arrays to the byte, the same description, the same state."""
    schema, config, train, other = given_table
    made, _ = fitted(schema, config, train)
    text = json.dumps(made.to_json(), allow_nan=False)
    again = TableTransformer.from_json(json.loads(text))
    assert json.dumps(again.to_json(), allow_nan=False) == text
    assert InputSpec.from_json(json.loads(json.dumps(again.spec_.to_json()))) == made.spec_
    for frame in (train, other):
        rows = np.arange(len(frame))
        same(made.transform(frame.lazy(), rows), again.transform(frame.lazy(), rows))


@quick
@given(tables())
def test_one_row_is_the_same_row_of_a_file(
    tmp_path_factory: pytest.TempPathFactory, given_table: Any
) -> None:
    """As a client sends it, in a file of one row, and among others: the same to the byte."""
    schema, config, train, other = given_table
    made, _ = fitted(schema, config, train)
    both = pl.concat([train, other])
    file = tmp_path_factory.mktemp("rows") / "rows.parquet"

    def in_file(frame: pl.DataFrame) -> pl.LazyFrame:
        frame.write_parquet(file)
        return conform(scan(file, FormatConfig(type="parquet")), schema, file.name)

    together = made.transform(in_file(both), np.arange(len(both)))
    for i, values in enumerate(both.iter_rows(named=True)):
        one = RowTransformer(made)(values)
        assert one.keys() == together.inputs.keys()
        for name, array in together.inputs.items():
            assert one[name].tobytes() == array[i].tobytes()
    for i in (0, len(both) - 1):
        alone = made.transform(in_file(both[i : i + 1]), np.array([i]))
        same(alone, together.take(slice(i, i + 1)))


@quick
@given(tables())
def test_the_same_rows_and_seed_give_the_same_bytes(given_table: Any) -> None:
    schema, config, train, _ = given_table
    made, examples = fitted(schema, config, train)
    again, others = fitted(schema, config, train)
    assert made.to_json() == again.to_json()
    same(examples, others)


@quick
@given(tables())
def test_only_target_means_treat_training_rows_otherwise(given_table: Any) -> None:
    schema, config, train, _ = given_table
    made, examples = fitted(schema, config, train)
    plain = made.transform(train.lazy(), np.arange(len(train)))
    num = tensor(made.spec_, "num")
    means = [name.split(":")[0] for name in num.features if ":target" in name]
    columns = [j for j, s in enumerate(num.sources) if s not in means]
    assert_array_equal(block(examples, "num")[:, columns], block(plain, "num")[:, columns])
    assert_array_equal(block(examples, "cat"), block(plain, "cat"))
    assert bool(means) == (
        config.encode == "target_mean"
        and "scalars" in made.preparers_
        and bool(made.preparers_["scalars"].categories_)
    )
