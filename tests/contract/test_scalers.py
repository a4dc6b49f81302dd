"""Every scaler keeps the contract of `plumbline.preprocessing.scale`."""

from __future__ import annotations

import json
from typing import get_args

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.preprocessing import MinMaxScaler, PowerTransformer, RobustScaler, StandardScaler
from sklearn.preprocessing import QuantileTransformer as Quantiles

from plumbline.config.data import Scaler
from plumbline.errors import ParameterError
from plumbline.kinds import DoubleArray
from plumbline.preprocessing import scale
from plumbline.preprocessing.scale import SCALERS, ColumnScaler, fit_scaler, inverse_scale
from plumbline.preprocessing.summary import FLOAT32_MAX, NumberSummaries, NumberSummary

NAMES = list(SCALERS)
PEERS = {
    "zscore": StandardScaler(),
    "minmax": MinMaxScaler(),
    "robust": RobustScaler(),
    "yeo_johnson": PowerTransformer(),
}

rng = np.random.default_rng(0)
SHAPES: dict[str, DoubleArray] = {
    "normal": rng.normal(50, 3, 500),
    "lognormal": rng.lognormal(3, 1.5, 500),
    "negative": -rng.lognormal(3, 1.5, 500),
    "mostly zero": np.where(rng.random(500) < 0.9, 0.0, rng.normal(100, 30, 500)),
    "two values": np.repeat([0.0, 1.0], [480, 20]),
    "whole": rng.integers(0, 30, 500).astype(float),
    "tiny": rng.normal(0, 1e-12, 500),
    "huge": rng.normal(0, 1e36, 500),
    "offset": 1e9 + rng.normal(0, 1, 500),
    "heavy tails": rng.standard_cauchy(500) * 1e6,
    "two rows": np.array([1.0, 2.0]),
}
FLAT = ("mostly zero", "two values")  # their quartiles agree


def summarize(values: DoubleArray) -> NumberSummary:
    summaries = NumberSummaries(1, seed=0)
    summaries.add(np.asarray(values, dtype=np.float64)[:, None])
    return summaries.finish()[0]


def apply(values: DoubleArray, *states: dict[str, object]) -> DoubleArray:
    x = np.tile(np.asarray(values, dtype=np.float64)[:, None], (1, len(states)))
    return ColumnScaler(list(states))(x)


def test_choices_and_parameters_agree() -> None:
    assert {*SCALERS, "auto"} == set(get_args(Scaler))


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("name", [*NAMES, "auto"])
def test_finite_monotone_and_readable(name: str, shape: str) -> None:
    values = np.sort(SHAPES[shape])
    state = fit_scaler(name, summarize(values))
    scaled = apply(values, state)[:, 0]
    assert np.isfinite(scaled).all()
    assert (np.diff(scaled) >= 0).all()
    assert scaled[0] < scaled[-1]
    again = json.loads(json.dumps(state, allow_nan=False))
    assert again == state
    assert apply(values, again).tobytes() == apply(values, state).tobytes()


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("name", [*NAMES, "auto"])
def test_the_inverse_brings_the_values_back(name: str, shape: str) -> None:
    values = SHAPES[shape]
    state = fit_scaler(name, summarize(values))
    back = inverse_scale(apply(values, state)[:, 0], state)
    if state["method"] == "quantile" and len(np.unique(values)) > 100:
        # the ends stand for half a step of the stored quantiles: what lies there comes back as it
        assert_allclose(np.sort(back)[5:-5], np.sort(values)[5:-5], rtol=1e-9)
        return
    size = np.abs(values).max()
    assert_allclose(back, values, rtol=1e-9, atol=1e-9 * size)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("name", PEERS)
def test_the_same_numbers_as_the_peer(name: str, shape: str) -> None:
    values = SHAPES[shape]
    ours = apply(values, fit_scaler(name, summarize(values)))[:, 0]
    theirs = PEERS[name].fit_transform(values[:, None])[:, 0]
    if name == "robust" and shape in FLAT:  # the deviation, where the peer divides by 1
        theirs = (values - np.median(values)) / values.std()
    if name == "yeo_johnson" and shape in ("offset", "tiny"):  # any power is as good as another
        assert np.corrcoef(ours, theirs)[0, 1] > 0.999
        return
    tolerance = 1e-4 if name == "yeo_johnson" else 1e-6  # of the search for the power
    assert_allclose(ours, theirs, rtol=tolerance, atol=tolerance)


def test_normal_scores_are_those_of_the_peer() -> None:
    values = SHAPES["lognormal"]
    peer = Quantiles(n_quantiles=500, output_distribution="normal")
    ours = apply(values, fit_scaler("quantile", summarize(values)))[:, 0]
    theirs = peer.fit_transform(values[:, None])[:, 0]
    inner = np.abs(theirs) < 2.5
    assert inner.mean() > 0.97
    assert_allclose(ours[inner], theirs[inner], atol=1e-6)


@pytest.mark.parametrize("name", NAMES)
def test_the_formula(name: str) -> None:
    """What the page of the documentation says, on values that can be worked out by hand."""
    values = np.array([-1.0, 0.0, 1.0, 3.0, 7.0])
    state = fit_scaler(name, summarize(values))
    scaled = apply(values, state)[:, 0]
    if name == "zscore":
        expected = (values - 2) / values.std()
    elif name == "minmax":
        expected = (values + 1) / 8
    elif name == "robust":
        expected = (values - 1) / 3
    elif name == "soft_clip":
        z = (values - 1) / values.std()
        expected = z / np.sqrt(1 + (z / 10) ** 2)
    elif name == "log":
        curve = np.log1p(values + 1)
        expected = (curve - curve.mean()) / curve.std()
    elif name == "quantile":
        # 0.1 … 0.9: half a step from the ends
        assert_allclose(scaled[2], 0.0, atol=1e-12)
        assert_allclose(scaled[0], -scaled[4])
        return
    elif name == "yeo_johnson":
        assert abs(scaled.mean()) < 1e-9
        assert abs(scaled.std() - 1) < 1e-9
        return
    else:
        expected = values
    assert_allclose(scaled, expected)


@pytest.mark.parametrize("name", NAMES)
def test_values_never_seen_stay_finite_and_in_order(name: str) -> None:
    """Far below, far above: a test row may hold anything."""
    for values in SHAPES.values():
        state = fit_scaler(name, summarize(values))
        far = np.array([-FLOAT32_MAX, -1e9, values.min(), values.max(), FLOAT32_MAX])
        far.sort()
        scaled = apply(far, state)[:, 0]
        assert not np.isnan(scaled).any()
        assert (np.diff(scaled) >= 0).all()


@pytest.mark.parametrize("name", NAMES)
def test_degenerate_columns_do_no_harm(name: str) -> None:
    """A constant, a single row: finite, and the scale is never nought."""
    for values in ([5.0], [5.0] * 10, [0.0, 0.0], [1e300, 1e300], [-1e-300]):
        state = fit_scaler(name, summarize(np.array(values)))
        assert np.isfinite(apply(np.clip(values, -FLOAT32_MAX, FLOAT32_MAX), state)).all()


numbers = st.floats(-1e30, 1e30, allow_subnormal=False)
columns = st.lists(st.lists(numbers, min_size=3, max_size=3), min_size=2, max_size=40)


@pytest.mark.parametrize("name", NAMES)
@settings(max_examples=60, deadline=None)
@given(rows=columns)
def test_one_row_is_the_same_row_of_many(name: str, rows: list[list[float]]) -> None:
    """To the byte: vectorised arithmetic must not depend on what stands beside a value."""
    x = np.array(rows)
    states = [fit_scaler(name, summarize(x[:, j])) for j in range(3)]
    scaler = ColumnScaler(states)
    together = scaler(x.copy())
    for i in range(len(x)):
        assert scaler(x[i : i + 1].copy()).tobytes() == together[i].tobytes()


@pytest.mark.parametrize("name", [*NAMES, "auto"])
@settings(max_examples=60, deadline=None)
@given(values=st.lists(numbers, min_size=1, max_size=60))
def test_laws(name: str, values: list[float]) -> None:
    """Finite and monotone on whatever it learned from; the inverse undoes it where it can."""
    x = np.array(sorted(values))
    state = fit_scaler(name, summarize(x))
    scaled = apply(x, state)[:, 0]
    assert np.isfinite(scaled).all()
    assert (np.diff(scaled) >= -1e-9 * np.maximum(1, np.abs(scaled[1:]))).all()
    assert json.loads(json.dumps(state, allow_nan=False)) == state
    if state["method"] in ("zscore", "minmax", "robust", "none"):
        size = max(np.abs(x).max(), 1e-290)
        assert_allclose(inverse_scale(scaled, state) / size, x / size, atol=1e-9)


@pytest.mark.parametrize("name", NAMES)
def test_few_rows_are_the_same_rows_of_many(name: str) -> None:
    """To the byte, also at the ends and at the very values that were learned from."""
    states = [fit_scaler(name, summarize(values)) for values in SHAPES.values()]
    columns = [
        np.concatenate(
            [[-FLOAT32_MAX, FLOAT32_MAX, 0.0], v[:30], [v.min(), v.max()], v[:30] * 1.01]
        )
        for v in (np.resize(values, 60) for values in SHAPES.values())
    ]
    x = np.column_stack(columns)
    many = ColumnScaler(states)(x.copy())
    for start in range(0, len(x), 7):
        few = ColumnScaler(states)(x[start : start + 7].copy())
        assert few.tobytes() == many[start : start + 7].tobytes()


def test_a_scaler_of_many_columns_is_a_scaler_of_each() -> None:
    names = [*NAMES, *NAMES]
    x = rng.lognormal(1, 1, (200, len(names)))
    states = [fit_scaler(n, summarize(x[:, j])) for j, n in enumerate(names)]
    together = ColumnScaler(states)(x.copy())
    for j, state in enumerate(states):
        assert_array_equal(apply(x[:, j], state)[:, 0], together[:, j])


@pytest.mark.parametrize(
    ("shape", "expected"),
    [
        ("normal", "zscore"),
        ("two values", "zscore"),
        ("lognormal", "log"),
        ("negative", "quantile"),
        ("heavy tails", "quantile"),
        ("mostly zero", "quantile"),
        ("whole", "zscore"),
    ],
)
def test_auto_follows_the_shape(shape: str, expected: str) -> None:
    assert fit_scaler("auto", summarize(SHAPES[shape]))["method"] == expected


def test_yeo_johnson_makes_skewed_values_symmetric() -> None:
    for shape in ("lognormal", "negative"):
        values = SHAPES[shape]
        scaled = apply(values, fit_scaler("yeo_johnson", summarize(values)))[:, 0]
        assert abs(scale.skewness(scaled)) < 0.3 < abs(scale.skewness(values))


@pytest.mark.parametrize("name", NAMES)
def test_a_scale_next_to_nothing_is_cut_without_a_warning(name: str) -> None:
    """Values of 1e-300 make scales that float64 cannot divide a plain number by."""
    values = np.array([0.0, 1e-300, 2e-300, 5e-300])
    scaled = apply(np.array([0.0, 4e7]), fit_scaler(name, summarize(values)))[:, 0]
    assert not np.isnan(scaled).any() and scaled[0] <= scaled[1]


def test_robust_takes_the_deviation_where_the_quartiles_agree() -> None:
    for values in ([0.0] * 8 + [1.0, 9.0], [0.0] * 6 + [1e-300, 2e-300, 3e-300, 9.0]):
        state = fit_scaler("robust", summarize(np.array(values)))
        assert state["center"] == 0 and state["scale"] == np.std(values)


def test_an_unknown_name_is_refused() -> None:
    with pytest.raises(ParameterError, match="zcore"):
        fit_scaler("zcore", summarize(SHAPES["normal"]))


@pytest.mark.parametrize("rows", [60, 5000])
def test_values_that_differ_by_rounding_are_one(rows: int) -> None:
    """3.6 % read from text and 3.6 / 100 computed: one bit is no quantile."""
    tenths = np.random.default_rng(0).integers(1, 400, rows) / 10
    values = np.where(np.arange(rows) % 2 == 0, tenths / 100, np.round(tenths / 100, 6))
    state = fit_scaler("quantile", summarize(values))
    computed, read = (apply(x, state)[:, 0] for x in (tenths / 100, np.round(tenths / 100, 6)))
    np.testing.assert_allclose(computed, read, rtol=0, atol=1e-9)


def test_whole_numbers_next_to_each_other_stay_apart() -> None:
    values = 1e15 + np.arange(50.0)
    state = fit_scaler("quantile", summarize(values))
    assert len(np.unique(apply(values, state)[:, 0])) == 50
