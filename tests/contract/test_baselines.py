"""Every baseline keeps the contract of `plumbline.evaluation.baselines`."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, get_args

import numpy as np
import pytest
from numpy.testing import assert_array_equal

from plumbline.config.judge import BaselineName
from plumbline.errors import ParameterError
from plumbline.evaluation.baselines import BASELINES, fit_baseline
from plumbline.evaluation.metrics import score
from plumbline.kinds import Task
from plumbline.tables import Arrays, InputSpec

FITTED = ["linear", "gradient_boosting"]


def make(
    task: Task, n: int = 300, numbers: int = 3, cards: tuple[int, ...] = (4, 3), seed: int = 0
) -> tuple[Arrays, InputSpec]:
    """Rows whose target follows the first number and the first category."""
    rng = np.random.default_rng(seed)
    num = rng.normal(size=(n, numbers)).astype(np.float32)
    cat = np.column_stack([rng.integers(0, c, n) for c in cards] or [np.empty((n, 0))])
    z = (num[:, 0] if numbers else 0) + (cat[:, 0] % 3 if cards else 0)
    y: Any = {
        Task.BINARY: lambda: (z > np.median(z)).astype(np.int64),
        Task.MULTICLASS: lambda: np.digitize(z, np.quantile(z, [0.3, 0.6])).astype(np.int64),
        Task.REGRESSION: lambda: (1000 + 50 * z).astype(np.float32),
    }[task]()
    classes = {Task.BINARY: ("no", "yes"), Task.MULTICLASS: ("a", "b", "c")}.get(task, ())
    spec = InputSpec(
        task=task,
        num_names=tuple(f"n{i}" for i in range(numbers)),
        cat_names=tuple(f"c{i}" for i in range(len(cards))),
        num_sources=tuple(f"n{i}" for i in range(numbers)),
        cat_sources=tuple(f"c{i}" for i in range(len(cards))),
        cardinalities=cards,
        classes=classes,
    )
    return (
        Arrays(
            num=num,
            cat=cat.astype(np.int64),
            y=y,
            rows=np.arange(n),
            weight=np.ones(n, dtype=np.float32),
        ),
        spec,
    )


def test_choices_and_parameters_agree() -> None:
    assert list(BASELINES) == list(get_args(BaselineName))


@pytest.mark.parametrize("name", list(BASELINES))
@pytest.mark.parametrize("task", list(Task))
@pytest.mark.parametrize(("numbers", "cards"), [(3, (4, 3)), (2, ()), (0, (4,))])
def test_shapes(name: str, task: Task, numbers: int, cards: tuple[int, ...]) -> None:
    train, spec = make(task, numbers=numbers, cards=cards)
    predict = fit_baseline(name, train, spec, seed=0)
    for n in (10, 1):
        out = predict(train.take(slice(0, n)))
        assert out.shape == (n, spec.n_outputs)
        assert out.dtype == np.float64 and np.isfinite(out).all()
        if task.is_classification:
            np.testing.assert_allclose(out.sum(axis=1), 1)
            assert (out >= 0).all()


@pytest.mark.parametrize("name", list(BASELINES))
@pytest.mark.parametrize("task", list(Task))
def test_the_same_seed_gives_the_same_bytes(name: str, task: Task) -> None:
    train, spec = make(task)
    first, again = (fit_baseline(name, train, spec, seed=3)(train) for _ in range(2))
    assert first.tobytes() == again.tobytes()


@pytest.mark.parametrize("name", FITTED)
@pytest.mark.parametrize("task", list(Task))
def test_it_learns_what_can_be_learnt(name: str, task: Task) -> None:
    train, spec = make(task, n=1000)
    test, _ = make(task, n=1000, seed=1)
    metric = "rmse" if task is Task.REGRESSION else "accuracy"
    fitted, guessed = (
        score(metric, test.y, fit_baseline(b, train, spec, 0)(test), task)
        for b in (name, "majority")
    )
    if task is Task.REGRESSION:
        assert fitted < 0.3 * guessed
    else:
        assert fitted > 0.85 > guessed


@pytest.mark.parametrize("name", list(BASELINES))
def test_a_class_absent_from_training_has_probability_nought(name: str) -> None:
    train, spec = make(Task.MULTICLASS)
    train = train.take(train.y != 1)
    out = fit_baseline(name, train, spec, 0)(train)
    assert out.shape == (len(train), 3)
    assert (out[:, 1] == 0).all() and (out[:, [0, 2]] > 0).all()


@pytest.mark.parametrize("name", list(BASELINES))
def test_one_class_only_is_always_predicted(name: str) -> None:
    train, spec = make(Task.BINARY)
    train = train.take(train.y == 1)
    assert_array_equal(fit_baseline(name, train, spec, 0)(train), [[0.0, 1.0]] * len(train))


@pytest.mark.parametrize("name", list(BASELINES))
def test_a_constant_target_is_predicted(name: str) -> None:
    train, spec = make(Task.REGRESSION)
    train = replace(train, y=np.full(len(train), 7.0, dtype=np.float32))
    np.testing.assert_allclose(fit_baseline(name, train, spec, 0)(train), 7.0)


@pytest.mark.parametrize("name", list(BASELINES))
@pytest.mark.parametrize("task", list(Task))
def test_a_weight_counts_as_rows(name: str, task: Task) -> None:
    """Rows of weight 0 might as well not be there (trees: 20 rows per leaf are real ones)."""
    train, spec = make(task, n=600)
    keep = np.arange(600) % 2 == 0
    weighted = replace(train, weight=keep.astype(np.float32))
    out = fit_baseline(name, weighted, spec, 0)(train)
    other = replace(weighted, y=np.where(keep, train.y, train.y[::-1]).astype(train.y.dtype))
    changed = fit_baseline(name, other, spec, 0)(train)
    np.testing.assert_allclose(out, changed, rtol=1e-6)


@pytest.mark.parametrize("name", FITTED)
def test_a_code_unseen_in_training_is_scored(name: str) -> None:
    train, spec = make(Task.BINARY, cards=(6, 3))
    seen = train.take(train.cat[:, 0] < 5)
    out = fit_baseline(name, seen, spec, 0)(train)
    np.testing.assert_allclose(out.sum(axis=1), 1)


@pytest.mark.parametrize("name", FITTED)
def test_a_category_of_many_values_is_no_trouble(name: str) -> None:
    """More codes than scikit-learn's trees take; the frequent ones still tell."""
    rng = np.random.default_rng(0)
    train, spec = make(Task.BINARY, n=4000, numbers=1, cards=(900,))
    cat = np.minimum(rng.geometric(0.02, 4000), 899)[:, None]
    y = (cat[:, 0] % 2).astype(np.int64)
    train = replace(train, cat=cat.astype(np.int64), y=y)
    found = score("accuracy", y, fit_baseline(name, train, spec, 0)(train), Task.BINARY)
    assert found > 0.9


def test_trees_read_a_number_once() -> None:
    """The category made from a number adds nothing to trees: they do not see it."""
    train, spec = make(Task.BINARY, numbers=1, cards=(5,))
    both = replace(spec, cat_sources=("n0",))
    predict = fit_baseline("gradient_boosting", train, both, 0)
    shuffled = replace(train, cat=train.cat[::-1].copy())
    assert_array_equal(predict(train), predict(shuffled))
    linear = fit_baseline("linear", train, both, 0)
    assert not np.array_equal(linear(train), linear(shuffled))


@pytest.mark.parametrize("task", [Task.MULTICLASS, Task.REGRESSION])
def test_trees_stop_early_on_many_rows(task: Task, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also where a class has a single row, which cannot be on both sides."""
    monkeypatch.setattr("plumbline.evaluation.baselines.EARLY_STOPPING_ROWS", 200)
    monkeypatch.setattr("plumbline.evaluation.baselines.THREADS", 1)  # quick on a busy machine
    train, spec = make(task)
    first, again = (fit_baseline("gradient_boosting", train, spec, 0)(train) for _ in range(2))
    assert first.tobytes() == again.tobytes()
    if task is Task.MULTICLASS:
        lonely = train.take((train.y != 1) | (np.cumsum(train.y == 1) == 1))
        assert np.isfinite(fit_baseline("gradient_boosting", lonely, spec, 0)(lonely)).all()


@pytest.mark.parametrize("name", FITTED)
def test_classes_of_a_few_rows_do_not_spoil_the_others(name: str) -> None:
    rng, n, classes = np.random.default_rng(0), 8000, 12
    share = np.r_[0.57, 0.22, 0.19, np.geomspace(1e-2, 2e-4, classes - 3)]
    y = rng.choice(classes, n, p=share / share.sum())
    rows, spec = make(Task.MULTICLASS, n, numbers=4, cards=())
    rows.num[:, 0] = y + rng.normal(scale=0.05, size=n)
    rows = replace(rows, y=y.astype(np.int64))
    spec = replace(spec, classes=tuple(f"c{i}" for i in range(classes)))
    train, held = rows.take(slice(0, n // 2)), rows.take(slice(n // 2, n))
    found = fit_baseline(name, train, spec, 0)(held)
    assert score("accuracy", held.y, found, Task.MULTICLASS) > (0.95 if name != "linear" else 0.7)


def test_an_unknown_name_is_refused() -> None:
    train, spec = make(Task.BINARY)
    with pytest.raises(ParameterError, match=r"evaluate.baselines.*Did you mean 'linear'"):
        fit_baseline("linaer", train, spec, 0)


@pytest.mark.parametrize("task", [Task.BINARY, Task.REGRESSION])
def test_the_linear_peer_is_not_held_back_by_its_penalty(
    task: Task, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nearly as many columns as rows: a weak penalty would fit the noise."""
    train, spec = make(task, n=150, numbers=100, cards=())
    test, _ = make(task, n=1000, numbers=100, cards=(), seed=1)
    rng = np.random.default_rng(2)
    noisy = train.y[rng.permutation(150)]
    train = replace(train, y=np.where(rng.random(150) < 0.3, noisy, train.y).astype(train.y.dtype))
    metric = "rmse" if task is Task.REGRESSION else "log_loss"
    chosen = score(metric, test.y, fit_baseline("linear", train, spec, 0)(test), task)
    monkeypatch.setattr("plumbline.evaluation.baselines.PENALTIES", (0.1,))
    weak = score(metric, test.y, fit_baseline("linear", train, spec, 0)(test), task)
    assert chosen < 0.97 * weak


@pytest.mark.parametrize("name", list(BASELINES))
def test_a_handful_of_rows(name: str) -> None:
    train, spec = make(Task.REGRESSION, n=3)
    assert np.isfinite(fit_baseline(name, train, spec, 0)(train)).all()
    assert np.isfinite(fit_baseline(name, train.take(slice(0, 1)), spec, 0)(train)).all()
