"""Every resampler keeps the contract of `plumbline.preprocessing.balance`."""

from __future__ import annotations

from typing import get_args

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from imblearn.over_sampling import SMOTE
from numpy.testing import assert_allclose, assert_array_equal

from plumbline.config.data import BalanceConfig, Sampler
from plumbline.errors import ParameterError
from plumbline.kinds import Task
from plumbline.preprocessing.balance import RESAMPLERS, SYNTHETIC, resample
from plumbline.tables import Arrays, InputSpec

ACTIVE = [name for name in RESAMPLERS if name != "none"]


def make(
    counts: tuple[int, ...], *, numbers: int = 3, cards: tuple[int, ...] = (4, 3), seed: int = 0
) -> tuple[Arrays, InputSpec]:
    """Rows of as many classes as there are counts; the last number is 0 or 1."""
    rng = np.random.default_rng(seed)
    y = rng.permutation(np.repeat(np.arange(len(counts)), counts))
    n = len(y)
    num = rng.normal(size=(n, numbers)).astype(np.float32) + y[:, None]
    if numbers:
        num[:, -1] = rng.random(n) < 0.3
    cat = np.column_stack([rng.integers(0, k, n) for k in cards] or [np.empty((n, 0))])
    names = tuple(f"n{i}" for i in range(numbers))
    codes = tuple(f"c{i}" for i in range(len(cards)))
    spec = InputSpec(
        task=Task.BINARY if len(counts) == 2 else Task.MULTICLASS,
        num_names=names,
        num_sources=names,
        cat_names=codes,
        cat_sources=codes,
        cardinalities=cards,
        classes=tuple("abcdefgh"[: len(counts)]),
    )
    weight = rng.random(n).astype(np.float32)
    return Arrays(
        num=num.astype(np.float32),
        cat=cat.astype(np.int64),
        y=y,
        rows=np.arange(100, 100 + n),
        weight=weight,
    ), spec


def config(method: str, **values: float) -> BalanceConfig:
    return BalanceConfig(method=method, **values)  # type: ignore[arg-type]


def as_bytes(arrays: Arrays) -> list[bytes]:
    return [getattr(arrays, name).tobytes() for name in ("num", "cat", "y", "rows", "weight")]


def test_choices_and_parameters_agree() -> None:
    assert set(RESAMPLERS) == set(get_args(Sampler))


@pytest.mark.parametrize("cards", [(4, 3), ()])
@pytest.mark.parametrize("numbers", [3, 0])
@pytest.mark.parametrize("name", ACTIVE)
def test_every_class_counts_the_same(name: str, numbers: int, cards: tuple[int, ...]) -> None:
    if not numbers and not cards:
        cards = (7,)
    arrays, spec = make((60, 25, 9), numbers=numbers, cards=cards)
    out = resample(arrays, spec, config(name), seed=0)
    wanted = 9 if name == "undersample" else 60
    assert_array_equal(np.bincount(out.y), [wanted] * 3)
    assert out.num.dtype == np.float32 and out.cat.dtype == np.int64
    assert out.num.shape[1] == numbers and out.cat.shape[1] == len(cards)
    assert out.weight.dtype == np.float32 and out.rows.dtype == arrays.rows.dtype
    assert np.isfinite(out.num).all()
    assert (out.cat >= 0).all() and (out.cat < np.array([*cards] or [1])).all()


@pytest.mark.parametrize("name", ACTIVE)
def test_real_rows_stay_whole(name: str) -> None:
    """A row that is there has the target, weight and features it came with."""
    arrays, spec = make((60, 25, 9))
    out = resample(arrays, spec, config(name), seed=0)
    real = out.rows != SYNTHETIC
    own = out.rows[real] - 100
    for field in ("num", "cat", "y", "weight"):
        assert_array_equal(getattr(out, field)[real], getattr(arrays, field)[own])
    if name == "undersample":
        assert len(set(out.rows)) == len(out)
    else:
        assert set(out.rows[real]) == set(arrays.rows)
    assert real.all() == (name != "smote")


@pytest.mark.parametrize("name", RESAMPLERS)
def test_the_same_seed_gives_the_same_bytes(name: str) -> None:
    arrays, spec = make((40, 15))
    first, again, other = (resample(arrays, spec, config(name), seed=s) for s in (1, 1, 2))
    assert as_bytes(first) == as_bytes(again)
    assert (as_bytes(first) == as_bytes(other)) == (name == "none")
    assert as_bytes(make((40, 15))[0]) == as_bytes(arrays), "what was given is left as it was"


@pytest.mark.parametrize("name", ACTIVE)
@settings(max_examples=40, deadline=None)
@given(
    counts=st.lists(st.integers(1, 40), min_size=2, max_size=4),
    ratio=st.floats(0.05, 1.0),
    seed=st.integers(0, 2**63),
)
def test_the_ratio_holds(name: str, counts: list[int], ratio: float, seed: int) -> None:
    """Rare classes are raised to the ratio of the largest, or large ones cut to it; none moves
    the other way, and a class of a single row is no trouble."""
    arrays, spec = make(tuple(counts), cards=(3,), numbers=2)
    got = np.bincount(resample(arrays, spec, config(name, ratio=ratio), seed).y)
    before = np.array(counts)
    if name == "undersample":
        assert_array_equal(got, np.minimum(before, round(before.min() / ratio)))
    else:
        assert_array_equal(got, np.maximum(before, round(ratio * before.max())))


@pytest.mark.parametrize("name", RESAMPLERS)
def test_balanced_classes_are_left_alone(name: str) -> None:
    arrays, spec = make((20, 20, 20))
    out = resample(arrays, spec, config(name), seed=0)
    assert_array_equal(np.sort(out.rows), arrays.rows)


def test_oversampling_repeats_every_row_equally_often() -> None:
    arrays, spec = make((50, 12))
    out = resample(arrays, spec, config("oversample"), seed=0)
    times = np.unique(out.rows[out.y == 1], return_counts=True)[1]
    assert len(times) == 12 and set(times) == {4, 5}


def test_smote_draws_between_neighbours_of_the_class() -> None:
    arrays, spec = make((80, 20), cards=())
    out = resample(arrays, spec, config("smote"), seed=0)
    made = out.take(out.rows == SYNTHETIC)
    own = arrays.num[arrays.y == 1]
    assert len(made) == 60 and (made.y == 1).all()
    assert (made.num >= own.min(axis=0)).all() and (made.num <= own.max(axis=0)).all()
    assert len(np.unique(made.num[:, 0])) > 50, "new values, not copies"
    assert (made.weight == 1).all()


def test_smote_on_numbers_is_that_of_imbalanced_learn() -> None:
    arrays, spec = make((80, 20), cards=(), numbers=2)
    num = arrays.num + np.random.default_rng(0).normal(size=arrays.num.shape).astype(np.float32)
    arrays = Arrays(**{**vars(arrays), "num": num})
    theirs, _ = SMOTE(random_state=3, k_neighbors=4).fit_resample(num.astype(float), arrays.y)
    out = resample(arrays, spec, config("smote", neighbors=4), seed=3)
    made = out.num[out.rows == SYNTHETIC]
    assert_allclose(np.sort(made[:, 0]), np.sort(theirs[100:, 0]), rtol=1e-6)


def test_smote_nc_keeps_flags_and_codes() -> None:
    """An indicator stays 0 or 1, and a code is one that its class has."""
    arrays, spec = make((80, 20), cards=(30, 3))
    out = resample(arrays, spec, config("smote"), seed=0)
    made = out.take(out.rows == SYNTHETIC)
    assert set(np.unique(made.num[:, -1])) <= {0.0, 1.0}
    for j in range(2):
        assert set(made.cat[:, j]) <= set(arrays.cat[arrays.y == 1, j])


def test_regression_is_refused() -> None:
    arrays, spec = make((10, 10))
    spec = InputSpec(**{**vars(spec), "task": Task.REGRESSION, "classes": ()})
    with pytest.raises(ParameterError, match=r"normalize.balance.method.*resampling needs classes"):
        resample(arrays, spec, config("smote"), seed=0)
    assert resample(arrays, spec, config("none"), seed=0) is arrays
