"""Every imputer keeps the contract of `plumbline.preprocessing.impute`."""

from __future__ import annotations

from typing import get_args

import numpy as np
import polars as pl
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.impute import SimpleImputer
from tests.made import tensor

from plumbline.config.data import ColumnConfig, Imputer, NormalizeConfig
from plumbline.kinds import ColumnType, DoubleArray, Role, Task
from plumbline.preprocessing.impute import IMPUTERS
from plumbline.preprocessing.summary import NumberSummaries
from plumbline.preprocessing.transform import TableTransformer
from plumbline.tables import Column, Schema

PEERS = {"mean": "mean", "median": "median", "mode": "most_frequent", "constant": "constant"}
SCHEMA = Schema(
    columns=(
        Column(name="x", type=ColumnType.NUMBER),
        Column(name="y", type=ColumnType.NUMBER, role=Role.TARGET),
    ),
    task=Task.REGRESSION,
)
rng = np.random.default_rng(0)
COLUMNS: dict[str, DoubleArray] = {
    "normal": rng.normal(5, 2, 101),
    "even": rng.normal(5, 2, 100),
    "ties": np.array([3.0, 3.0, 1.0, 1.0, 2.0]),  # the least of the most frequent
    "one value": np.array([7.0]),
    "skewed": rng.lognormal(2, 2, 300),
}


def frame(x: DoubleArray) -> pl.LazyFrame:
    return pl.LazyFrame({"x": x, "y": np.zeros(len(x))})


def test_choices_and_parameters_agree() -> None:
    assert set(IMPUTERS) == set(get_args(Imputer))


@pytest.mark.parametrize("column", COLUMNS)
@pytest.mark.parametrize("name", IMPUTERS)
def test_the_same_number_as_the_peer(name: str, column: str) -> None:
    values = COLUMNS[column]
    with_gaps = np.concatenate([values, [np.nan, np.inf, -np.inf]])  # infinite counts as missing
    summaries = NumberSummaries(1, seed=0)
    summaries.add(with_gaps[:, None])
    peer = SimpleImputer(strategy=PEERS[name], fill_value=-1.5).fit(values[:, None])
    ours = IMPUTERS[name](summaries.finish()[0], -1.5)
    assert_allclose(ours, peer.statistics_[0], rtol=1e-12)


@pytest.mark.parametrize("scale", ["zscore", "minmax", "none"])
@pytest.mark.parametrize("name", IMPUTERS)
def test_gaps_take_the_value_and_are_marked(name: str, scale: str) -> None:
    """Imputed before scaling, so a gap and the value itself give the same number."""
    config = NormalizeConfig(
        linear_channel="none",
        scale=scale,  # type: ignore[arg-type]
        impute=name,  # type: ignore[arg-type]
        impute_constant=2.0,
        numbers_as_categories=False,
    )
    train = np.array([1.0, 2.0, 2.0, 7.0, np.nan])
    fitted = TableTransformer(SCHEMA, config).fit(frame(train), seed=0)
    fill = fitted.preparers_["scalars"].numbers_[0].fill
    assert fill == {"mean": 3.0, "median": 2.0, "mode": 2.0, "constant": 2.0}[name]
    query = np.array([fill, np.nan, np.inf, -np.inf])
    out = fitted.transform(frame(query), np.arange(4))
    assert tensor(fitted.spec_, "num").features == ("x", "x=missing")
    assert len(np.unique(out.inputs["num"][:, 0])) == 1
    assert_array_equal(out.inputs["num"][:, 1], [0, 1, 1, 1])


def test_a_column_without_gaps_has_no_indicator_and_still_takes_gaps() -> None:
    fitted = TableTransformer(SCHEMA, NormalizeConfig(linear_channel="none")).fit(
        frame(np.arange(9.0)), seed=0
    )
    assert tensor(fitted.spec_, "num").features == ("x",)
    out = fitted.transform(frame(np.array([4.0, np.nan])), np.arange(2))
    assert out.inputs["num"][0, 0] == out.inputs["num"][1, 0]


def test_the_indicator_can_be_left_out_for_one_column() -> None:
    config = NormalizeConfig(linear_channel="none", columns={"x": ColumnConfig(indicator=False)})
    fitted = TableTransformer(SCHEMA, config).fit(frame(np.array([1.0, 2, 5, np.nan])), seed=0)
    assert tensor(fitted.spec_, "num").features == ("x",)
