"""Every resampler keeps the contract of `plumbline.preprocessing.balance`."""

from __future__ import annotations

from dataclasses import replace
from typing import get_args

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from imblearn.over_sampling import SMOTE
from numpy.testing import assert_allclose, assert_array_equal
from tests.made import block, examples_of, spec_of

from plumbline.config.data import BalanceConfig, Sampler
from plumbline.errors import ParameterError
from plumbline.examples import Examples, InputSpec, TargetSpec
from plumbline.kinds import Task
from plumbline.preprocessing.balance import RESAMPLERS, SYNTHETIC, resample

ACTIVE = [name for name in RESAMPLERS if name != "none"]


def make(
    counts: tuple[int, ...], *, numbers: int = 3, cards: tuple[int, ...] = (4, 3), seed: int = 0
) -> tuple[Examples, InputSpec]:
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
    spec = spec_of(
        task=Task.BINARY if len(counts) == 2 else Task.MULTICLASS,
        num_names=names,
        cat_names=codes,
        cardinalities=cards,
        classes=tuple("abcdefgh"[: len(counts)]),
    )
    weight = rng.random(n).astype(np.float32)
    return examples_of(
        num=num.astype(np.float32),
        cat=cat.astype(np.int64),
        y=y,
        rows=np.arange(100, 100 + n),
        weight=weight,
    ), spec


def config(method: str, **values: float) -> BalanceConfig:
    return BalanceConfig(method=method, **values)  # type: ignore[arg-type]


def as_bytes(examples: Examples) -> list[bytes]:
    beside = (examples.y, examples.rows, examples.weight)
    return [array.tobytes() for array in (*examples.inputs.values(), *beside)]


def test_choices_and_parameters_agree() -> None:
    assert set(RESAMPLERS) == set(get_args(Sampler))


@pytest.mark.parametrize("cards", [(4, 3), ()])
@pytest.mark.parametrize("numbers", [3, 0])
@pytest.mark.parametrize("name", ACTIVE)
def test_every_class_counts_the_same(name: str, numbers: int, cards: tuple[int, ...]) -> None:
    if not numbers and not cards:
        cards = (7,)
    examples, spec = make((60, 25, 9), numbers=numbers, cards=cards)
    out = resample(examples, spec, config(name), seed=0)
    wanted = 9 if name == "undersample" else 60
    assert_array_equal(np.bincount(out.y), [wanted] * 3)
    assert tuple(out.inputs) == spec.names
    for tensor in spec:
        assert out.inputs[tensor.name].dtype == tensor.dtype
        assert out.inputs[tensor.name].shape == (len(out), *tensor.shape)
    assert out.weight.dtype == np.float32 and out.rows.dtype == examples.rows.dtype
    assert np.isfinite(block(out, "num")).all()
    cat = block(out, "cat")
    assert (cat >= 0).all() and (cat < np.array(cards)).all()


@pytest.mark.parametrize("name", ACTIVE)
def test_real_rows_stay_whole(name: str) -> None:
    """A row that is there has the target, weight and features it came with."""
    examples, spec = make((60, 25, 9))
    out = resample(examples, spec, config(name), seed=0)
    real = out.rows != SYNTHETIC
    own = out.rows[real] - 100
    assert as_bytes(replace(out.take(real), rows=own)) == as_bytes(
        replace(examples.take(own), rows=own)
    )
    if name == "undersample":
        assert len(set(out.rows)) == len(out)
    else:
        assert set(out.rows[real]) == set(examples.rows)
    assert real.all() == (name != "smote")


@pytest.mark.parametrize("name", RESAMPLERS)
def test_the_same_seed_gives_the_same_bytes(name: str) -> None:
    examples, spec = make((40, 15))
    first, again, other = (resample(examples, spec, config(name), seed=s) for s in (1, 1, 2))
    assert as_bytes(first) == as_bytes(again)
    assert (as_bytes(first) == as_bytes(other)) == (name == "none")
    assert as_bytes(make((40, 15))[0]) == as_bytes(examples), "what was given is left as it was"


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
    examples, spec = make(tuple(counts), cards=(3,), numbers=2)
    got = np.bincount(resample(examples, spec, config(name, ratio=ratio), seed).y)
    before = np.array(counts)
    if name == "undersample":
        assert_array_equal(got, np.minimum(before, round(before.min() / ratio)))
    else:
        assert_array_equal(got, np.maximum(before, round(ratio * before.max())))


@pytest.mark.parametrize("name", RESAMPLERS)
def test_balanced_classes_are_left_alone(name: str) -> None:
    examples, spec = make((20, 20, 20))
    out = resample(examples, spec, config(name), seed=0)
    assert_array_equal(np.sort(out.rows), examples.rows)


def test_oversampling_repeats_every_row_equally_often() -> None:
    examples, spec = make((50, 12))
    out = resample(examples, spec, config("oversample"), seed=0)
    times = np.unique(out.rows[out.y == 1], return_counts=True)[1]
    assert len(times) == 12 and set(times) == {4, 5}


def test_smote_draws_between_neighbors_of_the_class() -> None:
    examples, spec = make((80, 20), cards=())
    out = resample(examples, spec, config("smote"), seed=0)
    made = out.take(out.rows == SYNTHETIC)
    own = examples.inputs["num"][examples.y == 1]
    assert len(made) == 60 and (made.y == 1).all()
    num = made.inputs["num"]
    assert (num >= own.min(axis=0)).all() and (num <= own.max(axis=0)).all()
    assert len(np.unique(num[:, 0])) > 50, "new values, not copies"
    assert (made.weight == 1).all()


def test_smote_on_numbers_is_that_of_imbalanced_learn() -> None:
    examples, spec = make((80, 20), cards=(), numbers=2)
    num = examples.inputs["num"]
    num = num + np.random.default_rng(0).normal(size=num.shape).astype(np.float32)
    examples = replace(examples, inputs={"num": num})
    theirs, _ = SMOTE(random_state=3, k_neighbors=4).fit_resample(num.astype(float), examples.y)
    out = resample(examples, spec, config("smote", neighbors=4), seed=3)
    made = out.inputs["num"][out.rows == SYNTHETIC]
    assert_allclose(np.sort(made[:, 0]), np.sort(theirs[100:, 0]), rtol=1e-6)


def test_smote_nc_keeps_flags_and_codes() -> None:
    """An indicator stays 0 or 1, and a code is one that its class has."""
    examples, spec = make((80, 20), cards=(30, 3))
    out = resample(examples, spec, config("smote"), seed=0)
    made = out.take(out.rows == SYNTHETIC)
    assert set(np.unique(made.inputs["num"][:, -1])) <= {0.0, 1.0}
    for j in range(2):
        assert set(made.inputs["cat"][:, j]) <= set(examples.inputs["cat"][examples.y == 1, j])


def test_regression_is_refused() -> None:
    examples, spec = make((10, 10))
    spec = replace(spec, target=TargetSpec(task=Task.REGRESSION))
    with pytest.raises(ParameterError, match=r"normalize.balance.method.*resampling needs classes"):
        resample(examples, spec, config("smote"), seed=0)
    assert resample(examples, spec, config("none"), seed=0) is examples
