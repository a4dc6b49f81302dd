"""What decides a target exactly, and what is only strong."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from plumbline.leakage.exact import (
    edges_are_full,
    is_bands,
    is_code,
    is_copy,
    is_gap,
    is_step,
)


@settings(max_examples=60, deadline=None)
@given(
    seed=st.integers(0, 10**6),
    rows=st.integers(40, 3000),
    apart=st.floats(1, 30),
    classes=st.integers(2, 4),
)
def test_kinds_told_apart_by_one_measurement_are_no_step(
    seed: int, rows: int, apart: float, classes: int
) -> None:
    """Though it makes no error: rows thin out towards the edge, as measurements do."""
    rng = np.random.default_rng(seed)
    kind = rng.integers(0, classes, rows)
    assert not is_step(apart * kind + rng.normal(size=rows), kind)


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 10**6), rows=st.integers(1000, 3000), cuts=st.integers(1, 3))
def test_a_number_cut_into_classes_is_a_step(seed: int, rows: int, cuts: int) -> None:
    rng = np.random.default_rng(seed)
    x = rng.normal(size=rows)
    number = np.digitize(x, np.quantile(x, np.linspace(0, 1, cuts + 2)[1:-1]))
    assert is_step(x, number)
    assert not is_step(x + 0.05 * rng.normal(size=rows), number)


def test_a_flower_told_apart_without_an_error_is_neither_step_nor_code() -> None:
    from sklearn.datasets import load_iris

    x, kind = load_iris(return_X_y=True)
    setosa = (kind == 0).astype(int)
    for column in x.T:
        codes = np.unique(column, return_inverse=True)[1]
        assert not is_step(column, setosa)
        assert not is_code(codes, setosa)
        assert not is_code(codes, kind)


def test_codes_decide_every_class_or_none() -> None:
    rng = np.random.default_rng(1)
    codes = rng.integers(0, 9, 900)
    assert is_code(codes, codes % 3)
    assert not is_code(codes, np.where(codes < 6, 0, rng.integers(0, 2, 900)))
    assert not is_code(np.arange(900), codes % 3)  # names of rows
    rare = np.zeros(900, dtype=np.int64)
    rare[:5] = 1
    assert not is_code(rare, rare)  # five rows agree by chance


def test_a_gap_is_the_class_exactly() -> None:
    rng = np.random.default_rng(2)
    of_class = rng.random(600) < 0.3
    assert is_gap(of_class, of_class)
    assert is_gap(~of_class, of_class)
    assert not is_gap(of_class & (rng.random(600) < 0.9), of_class)


@pytest.mark.parametrize("rows", [120, 2000])
def test_a_function_of_the_target_is_a_copy_and_its_past_is_not(rows: int) -> None:
    rng = np.random.default_rng(rows)
    y = rng.lognormal(size=rows)
    assert is_copy(np.log(y), y)
    assert is_copy(-np.sqrt(y), y)
    assert is_copy(np.round(y, 2), y)
    assert not is_copy(y * (1 + 0.02 * rng.normal(size=rows)), y)
    walk = np.cumsum(np.cumsum(rng.normal(size=rows + 1)))
    assert not is_copy(walk[:-1], walk[1:])
    year = np.arange(rows, dtype=float)
    assert not is_copy(year, np.cumsum(y))  # what grows with time is no copy of it


def test_bands_share_no_target() -> None:
    rng = np.random.default_rng(3)
    y = rng.normal(size=900)
    band = np.digitize(y, [-1, -0.3, 0.2, 0.9]) + 1
    assert is_bands(band, y)
    assert not is_bands(band, y + 0.1 * rng.normal(size=900))
    assert not is_bands((y > 0) + 1, y)  # two groups may be apart honestly


def test_values_of_a_rounded_measurement_are_no_code_and_those_of_a_rating_are() -> None:
    rng = np.random.default_rng(4)
    kind = rng.integers(0, 2, 1200)
    length = np.round(40 + 12 * kind + rng.normal(size=1200))
    assert is_code(np.unique(length, return_inverse=True)[1], kind)
    assert not edges_are_full(length, kind)
    rating = rng.integers(1, 6, 1200)
    assert edges_are_full(rating.astype(float), (rating > 2).astype(int))
    assert edges_are_full(10.0 * kind, kind)
