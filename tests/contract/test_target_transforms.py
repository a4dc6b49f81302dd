"""Every transform of a regression's target: there and back, as arrays and as a torch module."""

from __future__ import annotations

import json
import math
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import norm
from sklearn.preprocessing import QuantileTransformer

from plumbline.models.target import TARGET_TRANSFORMS, InverseTarget, TargetTransform

pytestmark = pytest.mark.usefixtures("one_thread")

RNG = np.random.default_rng(0)
TARGETS: dict[str, Any] = {
    "normal": RNG.normal(50, 10, 400),
    "skewed": np.exp(RNG.normal(3, 1.5, 400)),
    "negative": -np.exp(RNG.normal(1, 1, 400)),
    "many zeros": np.where(RNG.random(400) < 0.7, 0.0, RNG.random(400)),
    "huge": 1e12 + 1e9 * RNG.normal(size=400),
    "two values": RNG.integers(0, 2, 400).astype(float),
    "one row": np.array([3.5]),
    "constant": np.full(50, 7.0),
}
KINDS = list(TARGET_TRANSFORMS)


@pytest.mark.parametrize("target", list(TARGETS))
@pytest.mark.parametrize("kind", KINDS)
def test_there_and_back(kind: str, target: str) -> None:
    y = TARGETS[target]
    transform = TargetTransform.fit(y, kind)
    z = transform.forward(y)
    assert z.shape == y.shape and z.dtype == np.float64 and np.isfinite(z).all()
    # ends that quantiles of the training rows cut off are the ends of the training rows
    np.testing.assert_allclose(transform.inverse(z), y, rtol=1e-6, atol=1e-6 * np.ptp(y) + 1e-9)


@pytest.mark.parametrize("kind", sorted(set(KINDS) - {"none"}))
@pytest.mark.parametrize("target", ["normal", "skewed", "negative", "many zeros", "huge"])
def test_the_losss_units_are_standard(kind: str, target: str) -> None:
    z = TargetTransform.fit(TARGETS[target], kind).forward(TARGETS[target])
    assert z.mean() == pytest.approx(0, abs=1e-6) and z.std() == pytest.approx(1, rel=1e-6)


@pytest.mark.parametrize("kind", KINDS)
def test_order_is_kept(kind: str) -> None:
    transform = TargetTransform.fit(TARGETS["skewed"], kind)
    y = np.sort(TARGETS["skewed"])
    assert (np.diff(transform.forward(y)) > 0).all()


@pytest.mark.parametrize("target", list(TARGETS))
@pytest.mark.parametrize("kind", KINDS)
def test_state_goes_through_json(kind: str, target: str) -> None:
    transform = TargetTransform.fit(TARGETS[target], kind)
    assert TargetTransform.from_json(json.loads(json.dumps(transform.to_json()))) == transform


@pytest.mark.parametrize("target", sorted(set(TARGETS) - {"huge"}))
@pytest.mark.parametrize("kind", KINDS)
def test_the_module_that_is_exported_gives_the_same(kind: str, target: str) -> None:
    transform = TargetTransform.fit(TARGETS[target], kind)
    z = np.linspace(-4, 4, 101)
    result = InverseTarget(transform)(torch.from_numpy(z).float()[:, None])
    wanted = transform.inverse(z)[:, None]
    assert result.shape == (101, 1)
    np.testing.assert_allclose(result.numpy(), wanted, rtol=2e-5, atol=2e-5 * np.abs(wanted).max())


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("value", [-1e30, 1e30, 0.0])
def test_values_far_outside_the_training_rows_stay_numbers(kind: str, value: float) -> None:
    transform = TargetTransform.fit(TARGETS["skewed"], kind)
    there = transform.forward(np.array([value]))
    assert np.isfinite(there).all()
    back = transform.inverse(np.array([value]))
    assert np.isfinite(back).all()


def test_log_is_log1p_standardized() -> None:
    y = TARGETS["skewed"]
    logs = np.log1p(y)
    wanted = (logs - logs.mean()) / logs.std()
    np.testing.assert_allclose(TargetTransform.fit(y, "log").forward(y), wanted)


def test_quantile_is_that_of_scikit_learn_inside_the_ends() -> None:
    y = TARGETS["skewed"]
    reference = QuantileTransformer(
        n_quantiles=257, output_distribution="normal", subsample=None
    ).fit(y[:, None])
    transform = TargetTransform.fit(y, "quantile")
    wanted = reference.transform(y[:, None])[:, 0]
    result = transform.forward(y) * transform.scale_ + transform.mean_
    inside = np.abs(wanted) < norm.ppf(0.99)
    # interpolated between 257 quantiles, before the normal's inverse there and after it here
    np.testing.assert_allclose(result[inside], wanted[inside], atol=0.02)


def test_auto_is_standard() -> None:
    y = TARGETS["normal"]
    assert TargetTransform.fit(y, "auto") == TargetTransform.fit(y, "standard")


@settings(max_examples=50, deadline=None)
@given(
    y=st.lists(st.floats(-1e6, 1e6, allow_subnormal=False), min_size=1, max_size=40),
    kind=st.sampled_from(KINDS),
)
def test_any_training_targets_come_back(y: list[float], kind: str) -> None:
    values = np.array(y)
    transform = TargetTransform.fit(values, kind)
    back = transform.inverse(transform.forward(values))
    assert np.isfinite(back).all()
    tolerance = 1e-6 * max(np.ptp(values), math.ulp(1.0)) + 1e-9 * np.abs(values).max()
    if kind == "quantile":  # a grid of at most 257 of them: between them, not beyond them
        assert back.min() >= values.min() - tolerance and back.max() <= values.max() + tolerance
    else:
        np.testing.assert_allclose(back, values, rtol=1e-6, atol=tolerance + 1e-9)
