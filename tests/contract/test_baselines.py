"""Every baseline keeps the contract of `plumbline.evaluation.baselines`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any, get_args

import numpy as np
import polars as pl
import pytest
from benchmarks.honest import LOADERS, bundled
from benchmarks.planted import Data
from numpy.testing import assert_array_equal
from sklearn.compose import make_column_transformer
from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

from plumbline.config.evaluation import BaselineName
from plumbline.errors import ParameterError
from plumbline.evaluation.baselines import BASELINES, fit_baseline
from plumbline.evaluation.metrics import score
from plumbline.examples import InputSpec, TargetSpec
from plumbline.kinds import TASKS, ColumnType, DoubleArray, Role, Task
from plumbline.preprocessing.plain import MISSING, OTHER, PlainReader, PlainRows
from plumbline.tables import Column, Schema

CLASSES = {Task.BINARY: ("no", "yes"), Task.MULTICLASS: ("a", "b", "c"), Task.REGRESSION: ()}
NAMES = list(get_args(BaselineName))
FITTED = ["linear", "gradient_boosting"]


def make(
    task: Task, n: int = 300, numbers: int = 3, cards: tuple[int, ...] = (4, 3), seed: int = 0
) -> tuple[PlainRows, InputSpec]:
    """Rows whose target follows the first number and the first category."""
    rng = np.random.default_rng(seed)
    num = rng.normal(size=(n, numbers))
    cat = np.column_stack([rng.integers(0, c, n) for c in cards] or [np.empty((n, 0))])
    z = (num[:, 0] if numbers else rng.normal(size=n)) + (cat[:, 0] % 3 if cards else 0)
    y: Any = {
        Task.BINARY: lambda: (z > np.median(z)).astype(np.int64),
        Task.MULTICLASS: lambda: np.digitize(z, np.quantile(z, [0.3, 0.6])).astype(np.int64),
        Task.REGRESSION: lambda: (1000 + 50 * z).astype(np.float32),
    }[task]()
    rows = PlainRows(
        num=num,
        cat=cat.astype(np.int64),
        text=np.empty((n, 0), dtype=np.object_),
        pixels=np.empty((n, 0), dtype=np.float32),
        y=y,
        weight=np.ones(n, dtype=np.float32),
    )
    return rows, spec_of(
        task, {Task.BINARY: ("no", "yes"), Task.MULTICLASS: ("a", "b", "c")}.get(task, ())
    )


def spec_of(task: Task, classes: tuple[str, ...]) -> InputSpec:
    """Of the network's inputs a baseline sees nothing: only the task and the classes count."""
    return InputSpec(tensors=(), target=TargetSpec(task=task, classes=classes))


def test_choices_and_parameters_agree() -> None:
    for baselines in BASELINES.values():
        assert list(baselines) == NAMES


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("task", list(TASKS))
@pytest.mark.parametrize(("numbers", "cards"), [(3, (4, 3)), (2, ()), (0, (4,))])
def test_shapes(name: str, task: Task, numbers: int, cards: tuple[int, ...]) -> None:
    train, spec = make(task, numbers=numbers, cards=cards)
    predict = fit_baseline(name, train, spec, seed=0)
    for n in (10, 1):
        out = predict(train.take(slice(0, n)))
        assert out.shape == (n, spec.n_outputs)
        assert out.dtype == np.float64 and np.isfinite(out).all()
        if task.has_classes:
            np.testing.assert_allclose(out.sum(axis=1), 1)
            assert (out >= 0).all()


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("task", list(TASKS))
def test_the_same_seed_gives_the_same_bytes(name: str, task: Task) -> None:
    train, spec = make(task)
    first, again = (fit_baseline(name, train, spec, seed=3)(train) for _ in range(2))
    assert first.tobytes() == again.tobytes()


@pytest.mark.parametrize("name", FITTED)
@pytest.mark.parametrize("task", list(TASKS))
def test_it_learns_what_can_be_learned(name: str, task: Task) -> None:
    train, spec = make(task, n=1000)
    test, _ = make(task, n=1000, seed=1)
    metric = "rmse" if task == Task.REGRESSION else "accuracy"
    fitted, guessed = (
        score(metric, test.y, fit_baseline(b, train, spec, 0)(test), task)
        for b in (name, "majority")
    )
    if task == Task.REGRESSION:
        assert fitted < 0.3 * guessed
    else:
        assert fitted > 0.85 > guessed


@pytest.mark.parametrize("name", NAMES)
def test_a_class_absent_from_training_has_probability_nought(name: str) -> None:
    train, spec = make(Task.MULTICLASS)
    train = train.take(train.y != 1)
    out = fit_baseline(name, train, spec, 0)(train)
    assert out.shape == (len(train), 3)
    assert (out[:, 1] == 0).all() and (out[:, [0, 2]] > 0).all()


@pytest.mark.parametrize("name", NAMES)
def test_one_class_only_is_always_predicted(name: str) -> None:
    train, spec = make(Task.BINARY)
    train = train.take(train.y == 1)
    assert_array_equal(fit_baseline(name, train, spec, 0)(train), [[0.0, 1.0]] * len(train))


@pytest.mark.parametrize("name", NAMES)
def test_a_constant_target_is_predicted(name: str) -> None:
    train, spec = make(Task.REGRESSION)
    train = replace(train, y=np.full(len(train), 7.0, dtype=np.float32))
    np.testing.assert_allclose(fit_baseline(name, train, spec, 0)(train), 7.0)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("task", list(TASKS))
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
    values = train.take(train.cat[:, 0] < 5)
    out = fit_baseline(name, values, spec, 0)(train)
    np.testing.assert_allclose(out.sum(axis=1), 1)


@pytest.mark.parametrize("name", FITTED)
def test_a_category_of_many_values_is_no_trouble(name: str) -> None:
    """More codes than scikit-learn's trees take; the frequent ones still tell."""
    rng = np.random.default_rng(0)
    train, spec = make(Task.BINARY, n=4000, numbers=1, cards=(900,))
    cat = np.minimum(rng.geometric(0.02, 4000), 899)[:, None]
    y = (cat[:, 0] % 2).astype(np.int64)
    train = replace(train, cat=cat.astype(np.int64), y=y)
    result = score("accuracy", y, fit_baseline(name, train, spec, 0)(train), Task.BINARY)
    assert result > 0.9


@pytest.mark.parametrize("task", [Task.MULTICLASS, Task.REGRESSION])
def test_trees_stop_early_on_many_rows(task: Task, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also where a class has a single row, which cannot be on both sides."""
    monkeypatch.setattr("plumbline.evaluation.baselines.EARLY_STOPPING_ROWS", 200)
    monkeypatch.setattr("plumbline.evaluation.baselines.THREADS", 1)  # quick on a busy machine
    train, spec = make(task)
    first, again = (fit_baseline("gradient_boosting", train, spec, 0)(train) for _ in range(2))
    assert first.tobytes() == again.tobytes()
    if task == Task.MULTICLASS:
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
    spec = spec_of(Task.MULTICLASS, tuple(f"c{i}" for i in range(classes)))
    train, held = rows.take(slice(0, n // 2)), rows.take(slice(n // 2, n))
    result = fit_baseline(name, train, spec, 0)(held)
    assert score("accuracy", held.y, result, Task.MULTICLASS) > (0.95 if name != "linear" else 0.7)


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
    metric = "rmse" if task == Task.REGRESSION else "log_loss"
    selected = score(metric, test.y, fit_baseline("linear", train, spec, 0)(test), task)
    monkeypatch.setattr("plumbline.evaluation.baselines.PENALTIES", (1.0, 0.1))
    weak = score(metric, test.y, fit_baseline("linear", train, spec, 0)(test), task)
    assert selected < 0.97 * weak


@pytest.mark.parametrize("task", [Task.BINARY, Task.REGRESSION])
def test_images_that_say_nothing_do_not_take_the_other_columns_away(task: Task) -> None:
    """Under one penalty with thousands of pixels of deviation 1 the numbers would count for
    nothing."""
    train, spec = make(task, n=300)
    test, _ = make(task, n=1000, seed=1)
    rng = np.random.default_rng(2)
    noise = rng.integers(0, 256, (1300, 2352)).astype(np.float32)
    noise[:, :100] = 7  # the same in all images
    pictured = [replace(r, pixels=p) for r, p in ((train, noise[:300]), (test, noise[300:]))]
    predicted = fit_baseline("linear", pictured[0], spec, 0)(pictured[1])
    if task == Task.REGRESSION:
        assert score("r2", test.y, predicted, task) > 0.99
    else:
        assert score("log_loss", test.y, predicted, task) < 0.15


@pytest.mark.parametrize("name", NAMES)
def test_a_handful_of_rows(name: str) -> None:
    train, spec = make(Task.REGRESSION, n=3)
    assert np.isfinite(fit_baseline(name, train, spec, 0)(train)).all()
    assert np.isfinite(fit_baseline(name, train.take(slice(0, 1)), spec, 0)(train)).all()


# -- beside scikit-learn's plain pipelines, written here without any of the code under test

ROWS = 1200  # of each real table, at most
REAL = ("adult", "ames", "covtype", "creditcard", "bike_sharing", "weather", "ett")


def sums(kind: str) -> Data:
    """A target that is a sum of skewed columns, which a warped view of them hides."""
    rng = np.random.default_rng(3)
    parts = {
        "lognormal": lambda: rng.lognormal(sigma=1.2, size=(1500, 5)),
        "zeros": lambda: rng.lognormal(size=(1500, 5)) * (rng.random((1500, 5)) < 0.3),
        "two-sided": lambda: rng.standard_t(2, size=(1500, 5)),
    }[kind]()
    target = parts.sum(axis=1) + rng.normal(scale=0.5, size=1500)
    names = [f"part_{j}" for j in range(5)]
    frame = pl.DataFrame(parts, schema=names).with_columns(total=pl.Series(target))
    return Data(name=f"sum of {kind}", frame=frame, target="total", task=Task.REGRESSION)


def table(name: str) -> Data:
    result = next((data for data in bundled() if data.name == name), None)
    if result is None and name in LOADERS:
        result = LOADERS[name](name)
    return result or sums(name)


def typed(data: Data) -> tuple[pl.DataFrame, Any, Schema]:
    """Features, targets and schema of at most `ROWS` rows of a table."""
    frame = data.frame
    if len(frame) > ROWS:
        frame = frame.sample(ROWS, seed=0)
    kinds = {
        name: ColumnType.DATE
        if dtype.is_temporal()
        else ColumnType.CATEGORY
        if dtype == pl.String
        else ColumnType.NUMBER
        for name, dtype in frame.schema.items()
    }
    columns = [
        Column(name=n, type=k, role=Role.TARGET if n == data.target else Role.FEATURE)
        for n, k in kinds.items()
    ]
    y = frame[data.target]
    classes: tuple[str, ...] = ()
    if data.task.has_classes:
        classes = tuple(y.cast(pl.String).unique().sort())
        y = y.cast(pl.String).cast(pl.Enum(classes)).to_physical().cast(pl.Int64)
    schema = Schema(columns=tuple(columns), task=data.task, classes=classes)
    features = frame.drop(data.target).with_columns(
        pl.col(n).cast(pl.Float64)
        for n, k in kinds.items()
        if k is ColumnType.NUMBER and n != data.target
    )
    return features, y.to_numpy(), schema


def plain_linear(schema: Schema) -> Any:
    names: dict[ColumnType, list[str]] = {kind: [] for kind in ColumnType}
    for column in schema.features:
        names[column.type].append(column.name)
    numbers = [*names[ColumnType.NUMBER], *names[ColumnType.DATE]]
    return make_pipeline(
        make_column_transformer(
            (make_pipeline(SimpleImputer(strategy="median"), StandardScaler()), numbers),
            (OneHotEncoder(handle_unknown="ignore"), names[ColumnType.CATEGORY]),
        ),
        LogisticRegression(max_iter=1000) if schema.task.has_classes else Ridge(),
    )


def plain_trees(schema: Schema) -> Any:
    if schema.task.has_classes:
        return HistGradientBoostingClassifier(categorical_features="from_dtype", random_state=0)
    return HistGradientBoostingRegressor(categorical_features="from_dtype", random_state=0)


PLAIN: dict[str, Callable[[Schema], Any]] = {
    "linear": plain_linear,
    "gradient_boosting": plain_trees,
}


def losses(y: Any, prediction: DoubleArray, task: Task) -> DoubleArray:
    """(n,) log losses, or squared errors."""
    if not task.has_classes:
        return np.square(y - prediction[:, 0])
    return -np.log(np.clip(prediction[np.arange(len(y)), y], 1e-12, 1))


@pytest.mark.parametrize("name", FITTED)
@pytest.mark.parametrize(
    "of",
    [
        "breast_cancer",
        "wine",
        "iris",
        "digits",
        "diabetes",
        "lognormal",
        "zeros",
        "two-sided",
        *REAL,
    ],
)
def test_a_baseline_is_no_weaker_than_what_people_fit(
    name: str, of: str, request: pytest.FixtureRequest
) -> None:
    """Within noise: the mean of the rows' differences is at most three standard errors up."""
    if of in REAL:
        request.getfixturevalue("real_data")
    features, y, schema = typed(table(of))
    order = np.random.default_rng(0).permutation(len(y))
    train, test = order[: len(y) * 7 // 10], order[len(y) * 7 // 10 :]
    reader = PlainReader(schema, features[train])
    weight = np.ones(len(y), dtype=np.float32)
    rows, held = (reader.read(features[part], y[part], weight[part]) for part in (train, test))
    spec = spec_of(schema.task, schema.classes)
    ours = losses(y[test], fit_baseline(name, rows, spec, 0)(held), schema.task)

    frame = features.to_pandas()
    for column in schema.features:
        if column.type is ColumnType.DATE:
            frame[column.name] = frame[column.name].astype("int64") / 8.64e13
        elif column.type is ColumnType.CATEGORY:
            frame[column.name] = frame[column.name].astype("category")
    model = PLAIN[name](schema).fit(frame.iloc[train], y[train])
    if schema.task.has_classes:
        predicted = model.predict_proba(frame.iloc[test])
    else:
        predicted = model.predict(frame.iloc[test])[:, None]
    gap = ours - losses(y[test], predicted, schema.task)
    assert gap.mean() <= 3 * gap.std() / np.sqrt(len(gap)), (ours.mean(), gap.mean())


def test_what_a_baseline_reads_of_odd_columns() -> None:
    """Columns empty, constant, infinite, of dates and of unseen or absent values."""
    schema = Schema(
        columns=(
            Column(name="empty", type=ColumnType.NUMBER),
            Column(name="one", type=ColumnType.INTEGER),
            Column(name="wild", type=ColumnType.NUMBER),
            Column(name="flag", type=ColumnType.BOOLEAN),
            Column(name="day", type=ColumnType.DATE),
            Column(name="color", type=ColumnType.CATEGORY),
            Column(name="note", type=ColumnType.TEXT),
            Column(name="y", type=ColumnType.NUMBER, role=Role.TARGET),
        ),
        task=Task.REGRESSION,
    )
    n = 40
    rng = np.random.default_rng(0)
    frame = pl.DataFrame(
        {
            "empty": pl.Series([None] * n, dtype=pl.Float64),
            "one": [1] * n,
            "wild": [np.inf, 1e300, -1e300, None, *rng.normal(size=n - 4)],
            "flag": [None, *([True, False] * n)[: n - 1]],
            "day": pl.datetime_range(
                pl.datetime(2024, 2, 28),
                pl.datetime(2024, 2, 28) + pl.duration(days=n - 1),
                "1d",
                eager=True,
            ),
            "color": [None, "rare", *(["red", "red", "blue"] * n)[: n - 2]],
            "note": [f"text {i}" for i in range(n)],
        }
    )
    y = np.arange(n, dtype=np.float32)
    weight = np.ones(n, dtype=np.float32)
    reader = PlainReader(schema, frame[:30])
    rows = reader.read(frame, y, weight)
    assert rows.num.shape == (n, 3 + 6) and rows.cat.shape == (n, 1)
    assert np.isnan(rows.num[[0, 3], 1]).all() and np.isfinite(rows.num[1:3, 1]).all()
    assert rows.num[:3, 2].tolist()[1:] == [1.0, 0.0] and np.isnan(rows.num[0, 2])
    assert rows.num[:3, 4].tolist() == [2024.0] * 3  # the year
    assert rows.num[:3, 6].tolist() == [28.0, 29.0, 1.0]  # 2024 has a 29 February
    assert rows.cat[:4, 0].tolist() == [MISSING, 4, 2, 2]
    new = reader.read(frame.with_columns(color=pl.lit("green")), y, weight)
    assert (new.cat == OTHER).all()
    for name in NAMES:
        predict = fit_baseline(name, rows.take(slice(0, 30)), spec_of(Task.REGRESSION, ()), 0)
        assert np.isfinite(predict(rows)).all() and np.isfinite(predict(new)).all(), name


@pytest.mark.parametrize("name", NAMES)
def test_without_a_column_the_majority_is_predicted(name: str) -> None:
    train, spec = make(Task.BINARY, numbers=0, cards=())
    share = np.bincount(train.y) / len(train)
    np.testing.assert_allclose(fit_baseline(name, train, spec, 0)(train), [share] * len(train))


WORDS = ["the", "box", "was", "late"]


def with_texts(rows: PlainRows, task: Task) -> PlainRows:
    """A word of the text tells the target, in nine rows of ten; some texts are missing."""
    rng = np.random.default_rng(0)
    level = (rows.y > np.median(rows.y)).astype(int) if task == Task.REGRESSION else rows.y
    tell = np.where(rng.random(len(rows)) < 0.9, level, 0)
    texts = [" ".join([*rng.permutation(WORDS), f"grade{t}"]) for t in tell]
    text = np.array([[t, None] for t in texts], dtype=np.object_)
    text[::50, 0] = None
    return replace(rows, text=text)


@pytest.mark.parametrize("name", FITTED)
@pytest.mark.parametrize("task", [Task.BINARY, Task.MULTICLASS, Task.REGRESSION])
@pytest.mark.parametrize("alone", [False, True])
def test_texts_count(name: str, task: Task, alone: bool) -> None:
    """Alone, and beside columns that say nothing."""
    rows, spec = make(task)
    shuffled = replace(rows, num=rows.num[::-1].copy(), cat=rows.cat[::-1].copy())
    rows = with_texts(shuffled, task)
    if alone:
        rows = replace(rows, num=rows.num[:, :0], cat=rows.cat[:, :0])
    train, held = rows.take(slice(0, 200)), rows.take(slice(200, None))
    predict = fit_baseline(name, train, spec, 0)
    predicted = predict(held)
    floor = fit_baseline("majority", train, spec, 0)(held)
    if task == Task.REGRESSION:
        errors = [np.abs(held.y - p[:, 0]).mean() for p in (predicted, floor)]
        assert errors[0] < 0.8 * errors[1]
    else:
        own = [p[np.arange(len(held)), held.y].mean() for p in (predicted, floor)]
        assert own[0] > own[1] + 0.1
    assert_array_equal(fit_baseline(name, train, spec, 0)(held), predicted)


@pytest.mark.parametrize("name", FITTED)
def test_texts_that_say_nothing_are_left_out(name: str) -> None:
    rows, spec = make(Task.BINARY)
    empty = replace(rows, text=np.array([[None]] * len(rows), dtype=np.object_))
    assert_array_equal(
        fit_baseline(name, empty, spec, 0)(empty), fit_baseline(name, rows, spec, 0)(rows)
    )
    alone = replace(empty, num=rows.num[:, :0], cat=rows.cat[:, :0])
    assert fit_baseline(name, alone, spec, 0)(alone).shape == (300, 2)
