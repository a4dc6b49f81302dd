"""The transformer on columns that are odd: what is kept, what is dropped, what is refused."""

from __future__ import annotations

import datetime as dt
from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal
from tests.made import tensor

from plumbline.config.data import ColumnConfig, NormalizeConfig
from plumbline.errors import DataError, ParameterError
from plumbline.kinds import ColumnType, Role, Task
from plumbline.preprocessing.encode import find_numbers
from plumbline.preprocessing.few_rows import RowTransformer
from plumbline.preprocessing.transform import TableTransformer
from plumbline.tables import Column, Schema

NUMBER, INTEGER, BOOLEAN = ColumnType.NUMBER, ColumnType.INTEGER, ColumnType.BOOLEAN
CATEGORY, TEXT, DATE = ColumnType.CATEGORY, ColumnType.TEXT, ColumnType.DATE
PLAIN = NormalizeConfig(numbers_as_categories=False, linear_channel="none")


def schema(*classes: str, **kinds: ColumnType) -> Schema:
    columns = [Column(name=name, type=kind) for name, kind in kinds.items()]
    kind = CATEGORY if classes else NUMBER
    columns.append(Column(name="y", type=kind, role=Role.TARGET))
    tasks = {0: Task.REGRESSION, 2: Task.BINARY}
    task = tasks.get(len(classes), Task.MULTICLASS)
    return Schema(columns=tuple(columns), task=task, classes=classes)


def fit(
    config: NormalizeConfig, kind: ColumnType, values: Any, dtype: Any = None
) -> TableTransformer:
    """Fitted on one column, `x`, of a regression."""
    return TableTransformer(schema(x=kind), config).fit(rows(values, dtype), seed=0)


def rows(values: Any, dtype: Any = None) -> pl.LazyFrame:
    return pl.LazyFrame({"x": pl.Series(values, dtype=dtype), "y": np.zeros(len(values))})


def ask(made: TableTransformer, values: Any, dtype: Any = None) -> Any:
    return made.transform(rows(values, dtype), np.arange(len(values)))


# -- numbers that are embedded as categories too


def test_few_values_are_embedded_and_stay_a_number() -> None:
    """Integer-valued floats included; a value not seen in training has code 0."""
    made = fit(NormalizeConfig(), NUMBER, [1.0] * 30 + [2.0] * 20 + [5.0] * 10)
    num, cat = made.spec_.tensors
    assert (num.features, cat.features) == (("x", "x:linear"), ("x",))
    assert cat.cardinalities == (4,)
    query = ask(made, [1.0, 2.0, 5.0, 3.0, 2.0000001, np.nan, np.inf, -1e300])
    assert_array_equal(query.inputs["cat"][:, 0], [1, 2, 3, 0, 0, 0, 0, 0])
    assert len(np.unique(query.inputs["num"][:4, 0])) == 4


def test_a_computed_number_is_the_category_that_a_file_wrote() -> None:
    """0.1 + 0.2 is 0.3, and so is 0.3 of float32: of a frame and of one row alike."""
    written = [0.1, 0.3, 0.7, 1234567.1, 3.0]
    computed = [1 - 0.9, 0.1 + 0.2, 0.8 - 0.1, 1234567 + 0.1, (0.1 + 0.2) * 10]
    narrow = [float(np.float32(value)) for value in written]
    assert sum(a == b for a, b in zip(written, computed, strict=True)) < 3
    made = fit(NormalizeConfig(), NUMBER, [v for k, v in enumerate(written) for _ in range(40 - k)])
    for values in (written, computed, narrow):
        codes = ask(made, values * 10).inputs["cat"][:5, 0]
        assert_array_equal(codes, [1, 2, 3, 4, 5])
        one = [RowTransformer(made)({"x": value})["cat"][0, 0] for value in values]
        assert_array_equal(one, codes)
    others = [0.100001, 0.3 + 1e-12, 3.00001, 1234568.1, 1e-300, -0.3]
    assert not ask(made, others).inputs["cat"].any()
    of_float32 = fit(NormalizeConfig(), NUMBER, [v for v in narrow for _ in range(20)])
    assert len(set(ask(of_float32, written).inputs["cat"][:, 0]) - {0}) == 5


@given(st.lists(st.integers(-(2**53), 2**53), min_size=1, max_size=9, unique=True), st.data())
def test_codes_that_are_whole_numbers_are_compared_as_such(codes: Any, data: Any) -> None:
    known = np.array(sorted(codes), dtype=float)
    near = data.draw(st.sampled_from(codes)) + data.draw(st.integers(-2, 2))
    (place,) = find_numbers(np.array([float(near)]), known)
    assert known[place] == near if near in codes else place == -1


@given(
    st.lists(st.decimals(-1000, 1000, places=3), min_size=1, max_size=9, unique=True),
    st.decimals(-1000, 1000, places=3),
)
def test_the_sum_of_two_numbers_is_the_number_that_it_is(written: Any, added: Any) -> None:
    known = np.array(sorted(float(value) for value in written))
    for value in filter(None, written):  # what is left of zero has no digits to compare
        for other in (float(value), float(np.float32(float(value)))):
            (place,) = find_numbers(np.array([other]), known)
            assert place >= 0 and known[place] == float(value)
    total = np.array([float(value) for value in written]) + float(added)
    exact = [float(value + added) for value in written]
    (hit,) = find_numbers(total[:1], np.array(sorted(set(exact))))
    small = abs(exact[0]) < abs(float(added)) / 4  # where digits cancel, the rounding is larger
    assert small or sorted(set(exact))[hit] == exact[0]


def test_zero_of_either_sign_is_one_value() -> None:
    made = fit(NormalizeConfig(), NUMBER, [0.0, -0.0] * 10 + [1.0] * 12 + [2.0] * 11)
    assert tensor(made.spec_, "cat").cardinalities == (4,)
    assert_array_equal(ask(made, [0.0, -0.0]).inputs["cat"][:, 0], [1, 1])


def test_a_repeated_value_among_many_is_enough() -> None:
    """92 % zeros, say: the values that come twice have codes of their own, the rest share 0."""
    rng = np.random.default_rng(0)
    twice = np.repeat(rng.normal(100, 10, 20), 2)
    values = np.concatenate([np.zeros(600), twice, rng.normal(100, 10, 200)])
    made = fit(NormalizeConfig(), NUMBER, values)
    assert tensor(made.spec_, "cat").cardinalities == (22,)
    assert_array_equal(ask(made, [0.0, 123.456]).inputs["cat"][:, 0], [1, 0])
    fewer = NormalizeConfig(as_category_mode_share=0.9)
    assert tensor(fit(fewer, NUMBER, values).spec_, "cat").features == ()


@pytest.mark.parametrize(
    ("values", "why"),
    [
        (np.random.default_rng(0).normal(size=500), "all different"),
        (np.repeat([0.0, 1.0], 50), "two values: the number says it all"),
        (np.tile(np.arange(30.0), 3), "30 values, each three times only"),
        (np.tile(np.arange(101.0), 20), "more than as_category_max_values"),
    ],
)
def test_numbers_that_stay_numbers(values: Any, why: str) -> None:
    assert tensor(fit(NormalizeConfig(), NUMBER, values).spec_, "cat").features == (), why


def test_a_column_can_be_made_a_category_or_kept_from_it() -> None:
    values = np.tile(np.arange(30.0), 3)
    own = {"x": ColumnConfig(as_category=True, max_categories=7)}
    made = fit(NormalizeConfig(columns=own), NUMBER, values)
    assert tensor(made.spec_, "cat").cardinalities == (8,)
    own = {"x": ColumnConfig(as_category=False)}
    made = fit(NormalizeConfig(columns=own), NUMBER, values[values < 4])
    assert tensor(made.spec_, "cat").features == ()


def test_as_category_of_different_values_has_no_codes() -> None:
    own = {"x": ColumnConfig(as_category=True)}
    made = fit(NormalizeConfig(columns=own, linear_channel="none"), NUMBER, np.arange(50.0))
    assert tensor(made.spec_, "cat").features == () and tensor(made.spec_, "num").features == ("x",)


def test_whole_numbers_beyond_float64_stay_apart_as_far_as_they_can() -> None:
    made = fit(NormalizeConfig(), INTEGER, [2**60, 2**60 + 2**10, -5] * 20)
    assert tensor(made.spec_, "cat").cardinalities == (4,)
    assert np.isfinite(ask(made, [2**62, -(2**62)]).inputs["num"]).all()


# -- columns that say nothing


@pytest.mark.parametrize(
    ("kind", "values", "why"),
    [
        (NUMBER, [3.0] * 20, "one value"),
        (NUMBER, [None, np.nan, np.inf], "no value"),
        (INTEGER, [None] * 3, "no value"),
        (BOOLEAN, [True] * 9, "one value"),
        (CATEGORY, ["a"] * 9, "one value"),
        (CATEGORY, [None] * 9, "no value"),
        (TEXT, ["a", "b", "c"], "no word or sign occurs twice"),
        (TEXT, ["a b"] * 9, "one text"),
        (TEXT, [None] * 9, "no text"),
        (DATE, [dt.datetime(2024, 1, 1)] * 9, "one value"),
        (DATE, [None] * 9, "no value"),
    ],
)
def test_dropped_with_the_reason(kind: ColumnType, values: Any, why: str) -> None:
    columns = schema(x=kind, z=NUMBER)
    dtype = columns.column("x").dtype
    frame = rows(values, dtype).with_columns(z=pl.Series(np.arange(float(len(values)))))
    made = TableTransformer(columns, PLAIN).fit(frame, seed=0)
    assert tensor(made.spec_, "num").features == ("z",)
    assert {name.split(".")[0] for name in made.dropped_} == {"x"}
    assert all(text.startswith(why) for text in made.dropped_.values())
    assert made.transform(frame.select("z"), np.arange(len(values))).inputs["num"].shape == (
        len(values),
        1,
    )
    with pytest.raises(DataError, match=f"no feature is left.*got 'x.*{why}"):
        TableTransformer(schema(x=kind), PLAIN).fit(rows(values, dtype), seed=0)


@pytest.mark.parametrize(
    ("kind", "values"),
    [(NUMBER, [3.0, 3.0, None]), (BOOLEAN, [True, None]), (CATEGORY, ["a", None])],
)
def test_one_value_and_gaps_say_whether_it_is_there(kind: ColumnType, values: Any) -> None:
    made = fit(NormalizeConfig(), kind, values)
    query = ask(made, [values[0], None], made.schema.column("x").dtype)
    answer = np.concatenate(list(query.inputs.values()), axis=1)
    assert answer.shape == (2, 1)
    assert answer[0, 0] != answer[1, 0]


def test_very_many_different_values_cost_as_many_codes_as_allowed() -> None:
    values = [f"user {k}" for k in range(150_000)] * 2 + ["guest"] * 50 + ["admin"] * 20
    made = fit(NormalizeConfig(max_categories=10), CATEGORY, values)
    assert tensor(made.spec_, "cat").cardinalities == (11,)
    assert made.preparers_["scalars"].categories_[0].values[:2] == ("guest", "admin")
    query = ask(made, ["guest", "admin", "user 149999", "nobody"])
    assert_array_equal(query.inputs["cat"][:, 0], [1, 2, 0, 0])
    own = {"x": ColumnConfig(encode="frequency", max_categories=10)}
    query = ask(fit(NormalizeConfig(columns=own), CATEGORY, values), ["guest", "admin", "nobody"])
    assert (np.diff(query.inputs["num"][:, 0]) < 0).all()


def test_a_category_of_very_many_values_keeps_what_came_twice() -> None:
    values = ["a", "a", "c", "c", *(f"code {k}" for k in range(60))]
    made = fit(NormalizeConfig(), CATEGORY, values)
    assert made.preparers_["scalars"].categories_[0].values == ("a", "c")
    own = {"x": ColumnConfig(min_count=1)}
    made = fit(NormalizeConfig(columns=own), CATEGORY, values)
    assert len(made.preparers_["scalars"].categories_[0].values) == 62


# -- infinite, huge


@pytest.mark.parametrize("scale", ["zscore", "log", "quantile", "yeo_johnson", "none"])
def test_infinite_is_missing_and_huge_is_cut(scale: str) -> None:
    config = NormalizeConfig(scale=scale, numbers_as_categories=False)  # type: ignore[arg-type]
    made = fit(config, NUMBER, [1.0, 2.0, 4.0, np.inf, None])
    query = ask(made, [np.inf, -np.inf, None, 1e308, -1e308, 5e-324])
    assert np.isfinite(query.inputs["num"]).all()
    indicator = tensor(made.spec_, "num").features.index("x=missing")
    assert_array_equal(query.inputs["num"][:, indicator], [1, 1, 1, 0, 0, 0])
    assert_array_equal(query.inputs["num"][0], query.inputs["num"][2])


def test_clip_cuts_scaled_values_alone() -> None:
    own = {"x": ColumnConfig(clip=2.0, scale="zscore")}
    made = fit(NormalizeConfig(columns=own), NUMBER, np.arange(10.0))
    assert_array_equal(ask(made, [-1e9, 1e9]).inputs["num"][:, 0], [-2, 2])


# -- dates


def test_a_date_is_parts_circles_and_one_indicator() -> None:
    days = [dt.datetime(2024, 1 + k % 12, 1 + k % 28, k % 24) for k in range(50)]
    made = fit(PLAIN, DATE, [*days, None], pl.Datetime("us"))
    names = tensor(made.spec_, "num").features
    assert "x.days" in names and "x.hour_sin" in names and "x.year" not in names
    assert made.dropped_ == {"x.year": "one value in all training rows"}
    assert [n for n in names if n.endswith("=missing")] == ["x=missing"]
    assert set(tensor(made.spec_, "num").sources) == {"x"}
    for method, expected in (("parts", {"x.days"}), ("cyclic", {"x.yearday_cos"})):
        own = {"x": ColumnConfig(dates=method)}  # type: ignore[arg-type]
        made = fit(NormalizeConfig(columns=own), DATE, days, pl.Datetime("us"))
        names = tensor(made.spec_, "num").features
        assert expected <= set(names)
        assert not any(n.endswith(("_sin", "_cos")) for n in names) or method == "cyclic"


def test_points_on_circles_are_left_as_they_are() -> None:
    days = [dt.datetime(2024, 1, 1 + k) for k in range(28)]
    config = NormalizeConfig(scale="minmax", dates="cyclic", clip=0.5, numbers_as_categories=True)
    made = fit(config, DATE, days, pl.Datetime("us"))
    query = ask(made, days, pl.Datetime("us"))
    column = tensor(made.spec_, "num").features.index("x.weekday_sin")
    assert_allclose(
        query.inputs["num"][:, column], np.sin(2 * np.pi * (np.arange(28) % 7) / 7), atol=1e-6
    )
    assert tensor(made.spec_, "cat").features == ()


def test_dates_as_text_of_another_kind() -> None:
    made = fit(PLAIN, DATE, ["2024-01-01", "2024-03-05T12:00:00Z", None, "NA"], pl.String)
    frame = pl.LazyFrame({"x": [dt.date(2024, 1, 1), dt.date(2024, 3, 5)], "y": [0.0, 0.0]})
    typed = made.transform(frame, np.arange(2)).inputs["num"]
    assert_array_equal(typed, ask(made, ["2024-01-01", "2024-03-05"], pl.String).inputs["num"])
    with pytest.raises(DataError, match=r"column 'x', row 1.*wanted a date.*got 'someday'"):
        ask(made, ["2024-01-01", "someday"], pl.String)


# -- refusals


def test_numbers_as_text_are_read_or_refused() -> None:
    made = fit(PLAIN, NUMBER, ["1000", "2e-2", " 3 ", None, "NA"], pl.String)
    plain = fit(PLAIN, NUMBER, [1000.0, 0.02, 3.0, None, None])
    assert made.to_json() == plain.to_json()
    with pytest.raises(DataError, match=r"column 'x', row 2.*wanted a number, got '1,5'"):
        ask(made, ["1", "2", "1,5"], pl.String)
    with pytest.raises(DataError, match=r"column 'x': a value of another kind.*got 'dear'"):
        RowTransformer(made)({"x": "dear"})
    with pytest.raises(DataError, match=r"column 'x'.*wanted true or false, got 'perhaps'"):
        RowTransformer(fit(PLAIN, BOOLEAN, [True, False]))({"x": "perhaps"})


def test_an_absent_column_is_refused_in_a_file_and_missing_in_a_row() -> None:
    made = TableTransformer(schema(x=NUMBER, z=NUMBER), PLAIN)
    made.fit(rows([1.0, 2.0, None]).with_columns(z=pl.col("x") * 2), seed=0)
    with pytest.raises(DataError, match=r"column 'x': is absent, and 1 more.*got 'columns y'"):
        made.transform(pl.LazyFrame({"y": [0.0]}), np.arange(1))
    assert_array_equal(
        RowTransformer(made)({})["num"], RowTransformer(made)({"x": None, "z": None})["num"]
    )


@pytest.mark.parametrize(
    ("values", "got"), [(["no", "maybe"], "'maybe'"), (["no", None], "None"), ([None], "None")]
)
def test_a_wrong_class_is_refused_by_row(values: Any, got: str) -> None:
    columns = schema("no", "yes", x=NUMBER)
    frame = pl.LazyFrame({"x": [1.0, 2.0], "y": ["no", "yes"]})
    made = TableTransformer(columns, PLAIN).fit(frame, seed=0)
    wrong = pl.LazyFrame({"x": np.ones(len(values)), "y": pl.Series(values, dtype=pl.String)})
    row = 10 + len(values) - 1
    with pytest.raises(DataError, match=rf"column 'y', row {row}.*one of no, yes.*"):
        made.transform(wrong, 10 + np.arange(len(values)))


@pytest.mark.parametrize("value", [None, np.nan, np.inf, 1e39])
def test_a_wrong_value_of_the_target_is_refused_by_row(value: float | None) -> None:
    made = fit(PLAIN, NUMBER, [1.0, 2.0])
    frame = pl.LazyFrame({"x": [1.0, 2.0], "y": [0.0, value]})
    with pytest.raises(DataError, match=r"column 'y', row 1.*wanted a finite number"):
        made.transform(frame, np.arange(2))


def test_without_target_and_weight_there_is_none() -> None:
    values = np.arange(1200.0)  # three batches
    made = TableTransformer(schema(x=NUMBER), PLAIN, max_memory_mb=1).fit(rows(values), seed=0)
    numbers = 3 * np.arange(1200)
    examples = made.transform(pl.LazyFrame({"x": values}), numbers)
    assert len(examples.y) == 0
    assert_array_equal(examples.weight, np.ones(1200))
    assert_array_equal(examples.rows, numbers)
    assert_array_equal(examples.inputs["num"], made.transform(rows(values), numbers).inputs["num"])
    assert (np.diff(examples.inputs["num"][:, 0]) > 0).all()


def test_weights_are_read_and_checked() -> None:
    columns = Schema(
        columns=(*schema(x=NUMBER).columns, Column(name="w", type=NUMBER, role=Role.WEIGHT)),
        task=Task.REGRESSION,
    )
    frame = pl.DataFrame({"x": [1.0, 2.0], "y": [0.0, 1.0], "w": [0.0, 2.5]})
    made = TableTransformer(columns, PLAIN).fit(frame.lazy(), seed=0)
    assert_array_equal(made.transform(frame.lazy(), np.arange(2)).weight, np.float32([0, 2.5]))
    for wrong in (None, -1.0, np.inf, np.nan):
        bad = frame.with_columns(w=pl.Series([1.0, wrong]))
        with pytest.raises(DataError, match=r"column 'w', row 1"):
            made.transform(bad.lazy(), np.arange(2))


def test_no_rows_to_transform() -> None:
    made = fit(PLAIN, NUMBER, [1.0, 2.0])
    examples = ask(made, [], pl.Float64)
    assert examples.inputs["num"].shape == (0, 1) and len(examples) == 0
    with pytest.raises(DataError, match="no feature is left"):
        fit(PLAIN, NUMBER, [], pl.Float64)


def test_the_state_of_another_format_is_refused() -> None:
    state = fit(PLAIN, NUMBER, [1.0, 2.0]).to_json()
    with pytest.raises(DataError, match=r"another format.*dvc repro normalize"):
        TableTransformer.from_json({**state, "format": 99})


# -- settings by column


def test_settings_by_column_are_checked() -> None:
    columns = schema(age=NUMBER, city=CATEGORY, when=DATE)
    for own, message in (
        ({"agee": {"scale": "log"}}, r"columns.agee: no such column.*did you mean 'age'"),
        ({"y": {"scale": "log"}}, r"columns.y: the column is not a feature"),
        ({"city": {"scale": "log"}}, r"columns.city.scale: has no effect.*type category"),
        ({"age": {"encode": "onehot"}}, r"columns.age.encode: has no effect.*type number"),
        ({"age": {"dates": "parts"}}, r"columns.age.dates: has no effect"),
    ):
        config = NormalizeConfig(columns={k: ColumnConfig(**v) for k, v in own.items()})  # type: ignore[arg-type]
        with pytest.raises(ParameterError, match=f"(?i){message}"):
            TableTransformer(columns, config)


def test_settings_of_a_column_that_the_split_dropped_are_passed_over() -> None:
    columns = Schema(
        columns=(
            Column(name="gone", type=NUMBER, role=Role.IGNORE),
            *schema(x=NUMBER).columns,
        ),
        task=Task.REGRESSION,
    )
    config = NormalizeConfig(columns={"gone": ColumnConfig(scale="log")})
    made = TableTransformer(columns, config).fit(rows([1.0, 2.0]), seed=0)
    assert tensor(made.spec_, "num").features == ("x",)


# -- target means


@pytest.mark.parametrize("n", [1, 3, 40])
def test_target_means_of_few_rows_and_an_absent_class(n: int) -> None:
    """Class c has no training row, class b none in most folds; fewer rows than folds."""
    columns = schema("a", "b", "c", x=CATEGORY)
    frame = pl.LazyFrame(
        {"x": ["u", "v"] * n, "y": ["a"] * (2 * n - 1) + ["b"]},
    )
    config = NormalizeConfig(encode="target_mean")
    made = TableTransformer(columns, config)
    examples = made.fit_transform(frame, np.arange(2 * n), seed=0)
    assert tensor(made.spec_, "num").features == ("x:target=b", "x:target=c")
    assert np.isfinite(examples.inputs["num"]).all()
    assert (examples.inputs["num"][:, 1] == 0).all(), "nothing is known of class c"


def test_a_training_row_s_mean_does_not_hold_its_own_target() -> None:
    """With the target changed in one row, its own encoding is the same; another row's, of its
    value and in another fold, is not."""
    rng = np.random.default_rng(0)
    n = 60
    x = rng.choice(["u", "v", "w"], n)
    y = rng.normal(size=n)
    config = NormalizeConfig(encode="target_mean", target_mean_smoothing=1.0)
    columns = schema(x=CATEGORY)

    def means(target: Any) -> Any:
        made = TableTransformer(columns, config)
        frame = pl.LazyFrame({"x": x, "y": target})
        examples = made.fit_transform(frame, np.arange(n), seed=0)
        # undo the scaling, which is learned from all training rows
        sums = made.preparers_["scalars"]._training.sums[0]  # type: ignore[union-attr]
        count, total = sums.count.sum(0), sums.target.sum(0)
        raw = (total + total.sum() / n) / (count[:, None] + 1)
        share = count / n
        mean = share @ raw
        return examples.inputs["num"][:, 0] * np.sqrt(share @ (raw - mean) ** 2) + mean

    other = y.copy()
    other[17] += 1000
    before, after = means(y), means(other)
    assert_allclose(before[17], after[17], atol=1e-3)
    same_value = np.flatnonzero(x == x[17])
    assert (np.abs(after - before)[same_value] > 10).sum() > len(same_value) / 2


def test_a_column_without_signal_learns_nothing_from_its_own_target() -> None:
    """Many values, each seen a few times, and a random target: the plain mean would tell a
    training row its own answer."""
    rng = np.random.default_rng(0)
    n = 3000
    x = rng.integers(0, 1000, n).astype(str)
    y = rng.normal(size=n)
    frame = pl.LazyFrame({"x": x, "y": y})
    config = NormalizeConfig(encode="target_mean", target_mean_smoothing=0.1)
    made = TableTransformer(schema(x=CATEGORY), config)
    fitted = made.fit_transform(frame, np.arange(n), seed=0).inputs["num"][:, 0]
    plain = made.transform(frame, np.arange(n)).inputs["num"][:, 0]
    assert abs(np.corrcoef(fitted, y)[0, 1]) < 0.1 < 0.4 < np.corrcoef(plain, y)[0, 1]


@pytest.mark.parametrize(
    ("which", "channels"),
    [("none", ()), ("curved", ("skewed:linear",)), ("all", ("bell:linear", "skewed:linear"))],
)
def test_an_uncurved_number_goes_beside(which: str, channels: tuple[str, ...]) -> None:
    """Linear in the value for any but far outliers, whatever the scale does to the other one."""
    rng = np.random.default_rng(0)
    frame = pl.DataFrame(
        {
            "bell": rng.normal(size=400),
            "skewed": rng.lognormal(sigma=1.0, size=400),
            "flag": np.repeat([0.0, 1.0], [300, 100]),
            "y": rng.normal(size=400),
        }
    )
    schema = Schema(
        columns=tuple(
            Column(
                name=name,
                type=ColumnType.NUMBER,
                role=Role.TARGET if name == "y" else Role.FEATURE,
            )
            for name in frame.columns
        ),
        task=Task.REGRESSION,
    )
    made = TableTransformer(schema, NormalizeConfig(linear_channel=which))  # type: ignore[arg-type]
    examples = made.fit_transform(frame.lazy(), np.arange(400), seed=0)
    num = tensor(made.spec_, "num")
    assert num.plain == channels
    assert num.features == ("bell", "skewed", "flag", *channels)
    assert num.sources[3:] == tuple(name.split(":")[0] for name in channels)
    for name, source in zip(num.plain, num.sources[3:], strict=True):
        channel = examples.inputs["num"][:, num.features.index(name)]
        near = frame[source] < frame[source].mean() + 2 * frame[source].std()
        assert np.corrcoef(channel[near], frame[source].filter(near))[0, 1] > 0.999
        assert np.abs(channel).max() < 10
    if which == "curved":
        own = {"skewed": ColumnConfig(linear_channel="none")}
        off = TableTransformer(schema, NormalizeConfig(linear_channel=which, columns=own))
        off.fit(frame.lazy(), seed=0)
        assert tensor(off.spec_, "num").plain == ()


def test_the_state_of_what_is_not_fitted_is_refused() -> None:
    schema = Schema(
        columns=(Column(name="y", type=ColumnType.NUMBER, role=Role.TARGET),),
        task=Task.REGRESSION,
    )
    with pytest.raises(DataError, match=r"is not fitted.*Call fit first"):
        TableTransformer(schema, NormalizeConfig()).to_json()
