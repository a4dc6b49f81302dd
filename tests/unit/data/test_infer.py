"""Types, roles, task and expectations are inferred from all rows."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from plumbline.config.data import DataConfig, FormatConfig
from plumbline.data.expectations import ColumnExpectations, Expectations, Values
from plumbline.data.infer import Inferred, Wishes, infer
from plumbline.data.load import load_expectations
from plumbline.data.propose import propose, to_yaml
from plumbline.errors import DataError
from plumbline.kinds import ColumnType, Role, Task

N = 60


def frame(**columns: list[object]) -> pl.LazyFrame:
    base: dict[str, list[object]] = {"y": [["no", "yes"][i % 2] for i in range(N)]}
    named = {n: [None if v is None else str(v) for v in c] for n, c in (base | columns).items()}
    return pl.LazyFrame(named, schema=dict.fromkeys(named, pl.String))


def inferred(raw: pl.LazyFrame, target: str = "y", **wishes: object) -> Inferred:
    return infer(raw, FormatConfig(), Wishes(target=target, **wishes), file="a.csv")  # type: ignore[arg-type]


def kind(values: list[object]) -> ColumnType:
    return inferred(frame(x=values)).expectations.columns["x"].type


def test_types() -> None:
    assert kind([i % 7 for i in range(N)]) is ColumnType.INTEGER
    assert kind([i / 3 for i in range(N)]) is ColumnType.NUMBER
    assert kind([f"{i}.0" for i in range(N)]) is ColumnType.INTEGER
    assert kind(["red", "blue", "green"] * 20) is ColumnType.CATEGORY
    assert kind(["true", "false"] * 30) is ColumnType.BOOLEAN
    assert kind([f"2024-01-{1 + i % 28:02}" for i in range(N)]) is ColumnType.DATE
    assert kind([f"text number {i} of many" for i in range(N)]) is ColumnType.TEXT


def test_a_number_column_with_a_word_in_it_stays_one_and_says_so() -> None:
    result = inferred(frame(x=[*range(N - 1), "oops"]))
    assert result.expectations.columns["x"].type is ColumnType.NUMBER
    assert "1 cell is not a number" in result.notes["x"]


def test_roles() -> None:
    result = inferred(
        frame(
            nr=list(range(N)),
            customer_id=[1000 + i * 7 for i in range(N)],
            code=[f"{i:03} Main Street" for i in range(N)],
            empty=[None] * N,
            x=[i % 3 for i in range(N)],
        )
    ).expectations
    assert result.columns["nr"].role is Role.ID
    assert result.columns["customer_id"].role is Role.ID
    assert result.columns["code"].role is Role.ID
    assert result.columns["empty"].role is Role.IGNORE
    assert result.columns["x"].role is Role.FEATURE


def test_tasks() -> None:
    assert inferred(frame(x=list(range(N)))).expectations.task == Task.BINARY
    seven = frame(y=[i % 7 for i in range(70)], x=list(range(70)))
    assert inferred(seven).expectations.task == Task.MULTICLASS
    assert inferred(seven, task=Task.REGRESSION).expectations.task == Task.REGRESSION
    numbers = frame(y=[i * 1.5 for i in range(N)], x=[1, 2] * 30)
    assert inferred(numbers).expectations.task == Task.REGRESSION


def test_the_positive_class() -> None:
    assert inferred(frame(x=list(range(N)))).expectations.positive == "yes"
    rare = frame(y=["good"] * 50 + ["bad"] * 10, x=list(range(N)))
    assert inferred(rare).expectations.positive == "bad"
    assert inferred(rare, positive="good").expectations.schema.classes == ("bad", "good")
    with pytest.raises(DataError, match="Did you mean 'good'"):
        inferred(rare, positive="godd")


@pytest.mark.parametrize(
    ("positive", "negative"),
    [
        *(("ja", "nein"), ("Ja", "Nee"), ("sí", "no"), ("SI", "NO"), ("oui", "non"), ("+", "-")),
        *(("да", "нет"), ("はい", "いいえ"), ("1", "-1"), ("+1", "-1"), ("on", "off")),
        *(("present", "absent"), ("Abnormal", "Normal"), ("default", "paid"), ("Died", "Survived")),
    ],
)
def test_a_word_for_yes_is_positive_though_it_is_frequent(positive: str, negative: str) -> None:
    target = [positive] * 40 + [negative] * 20
    assert inferred(frame(y=target, x=list(range(N)))).expectations.positive == positive


@pytest.mark.parametrize(
    ("target", "words"),
    [
        (["a"] * N, "constant"),
        ([None] * N, "no values"),
        (["a"] * (N - 1) + ["b"], "class 'b' has one row"),
        ([f"free text {i}" for i in range(N)], "too many"),
    ],
)
def test_targets_that_cannot_be_learned(target: list[object], words: str) -> None:
    with pytest.raises(DataError, match=words):
        inferred(frame(y=target, x=list(range(N))))


def test_a_class_of_one_row_among_others_trains() -> None:
    result = inferred(frame(y=["a", "b"] * 29 + ["b", "c"], x=list(range(N))))
    assert set(result.expectations.schema.classes) == {"a", "b", "c"}
    assert "class 'c' has one row: it trains and is never tested" in result.notes["y"]
    several = inferred(frame(y=["a", "b"] * 29 + ["d", "c"], x=list(range(N))))
    assert "2 classes have one row each ('c', 'd'): they train" in several.notes["y"]


def test_whole_numbers_of_which_one_comes_once_are_numbers() -> None:
    """Counts have a tail, classes have none."""
    counts = [*[0, 1, 2] * 19, 0, 1, 9]
    result = inferred(frame(y=counts, x=list(range(N))))
    assert result.expectations.task == Task.REGRESSION
    assert "4 whole numbers, one of them in one row alone" in result.notes["y"]
    wished = inferred(frame(y=counts, x=list(range(N))), task=Task.MULTICLASS)
    assert set(wished.expectations.schema.classes) == {"0", "1", "2", "9"}


def test_whole_numbers_that_may_be_codes_are_said() -> None:
    n = 6000
    result = inferred(
        frame(
            y=["a", "b"] * (n // 2),
            commune=[i * 7 % 200 + 1 for i in range(n)],
            price=[i * 13 % 200 * 5 for i in range(n)],
            rooms=[i % 9 + 1 for i in range(n)],
        )
    )
    assert "normalize.columns.commune.as_category: true" in result.notes["commune"]
    assert not {"price", "rooms"} & {n for n, text in result.notes.items() if "codes" in text}


def test_a_year_is_a_feature_where_there_is_nothing_else() -> None:
    """As of the flow of a river by year."""
    result = inferred(frame(year=list(range(1871, 1871 + N)), nr=["a b"] * 30 + ["c d"] * 30))
    assert result.expectations.columns["year"].role is Role.ID
    alone = inferred(frame(year=list(range(1871, 1871 + N))))
    assert alone.expectations.columns["year"].role is Role.FEATURE
    assert "nothing else is there to learn from" in alone.notes["year"]


def test_a_misspelt_target_is_told_the_nearest() -> None:
    with pytest.raises(DataError, match="Did you mean 'diagnosis'"):
        inferred(frame(diagnosis=["a", "b"] * 30), target="diagnosys")


def test_expectations_hold_for_the_data_with_slack() -> None:
    result = inferred(
        frame(x=[i % 40 for i in range(N)], c=["u", "v"] * 30, g=[None, *range(1, N)])
    ).expectations
    assert result.columns["x"].range is not None
    assert result.columns["x"].range.min == 0
    assert result.columns["x"].range.max is not None and result.columns["x"].range.max > 40
    assert result.columns["c"].values is not None and result.columns["c"].values.only == ["u", "v"]
    assert result.columns["g"].missing is not None and result.columns["g"].missing.max >= 1 / N
    assert result.columns["y"].missing is not None and result.columns["y"].missing.max == 0


def test_opposites_become_a_rule_where_they_hold() -> None:
    result = inferred(frame(t_min=list(range(N)), t_max=list(range(1, N + 1)))).expectations
    assert [(r.left, r.right) for r in result.rules] == [("t_max", "t_min")]
    broken = inferred(frame(t_min=list(range(N)), t_max=[-1, *range(2, N + 1)])).expectations
    assert broken.rules == []


def test_codes_get_a_pattern() -> None:
    codes = [f"AB-{i:04}" for i in range(2000)]
    raw = frame(y=["a", "b"] * 1000, code=codes)
    pattern = inferred(raw).expectations.columns["code"].pattern
    assert pattern is not None and pattern.regex == r"^AB\-\d{4}$".replace("AB", "[A-Z]{2}")


def test_the_file_is_read_back_as_it_was_written(tmp_path: Path) -> None:
    nasty = {'na"me: x': list(range(N)), "列": ["甲", "乙"] * 30, "- #": [1.5, 2.5] * 30}
    result = inferred(frame(**nasty)).expectations
    path = tmp_path / "expectations.yaml"
    path.write_text(to_yaml(result))
    config = DataConfig(name="x", path="a.csv", target="y", task=Task.BINARY, positive="yes")
    assert load_expectations(path, config) == result


def test_a_proposal_changes_only_what_the_data_contradict() -> None:
    x = [i % 40 for i in range(N)]
    before = inferred(frame(x=x, c=["u", "v"] * 30, old=[1, 2] * 30)).expectations
    after = inferred(
        frame(x=[*x[1:], 5000], c=["u", "w"] * 30, new=["p", "q"] * 30), task=Task.BINARY
    )
    proposed = propose(before, after)
    assert set(proposed.columns) == {"y", "x", "c", "new"}
    assert proposed.columns["x"].range is not None and proposed.columns["x"].range.max is not None
    assert proposed.columns["x"].range.max > 5000
    assert proposed.columns["x"].range.min == 0
    assert proposed.columns["c"].values is not None
    assert proposed.columns["c"].values.only == ["u", "v", "w"]
    same = inferred(frame(x=x, c=["u", "v"] * 30, old=[1, 2] * 30))
    assert propose(before, same) == before


names = st.text(min_size=1, max_size=12).filter(
    lambda t: t == t.strip() and t != "y" and t[0] not in "^*\ue000"
)


@settings(max_examples=60, deadline=None)
@given(st.lists(names, min_size=1, max_size=4, unique=True), st.lists(names, max_size=4))
def test_any_name_and_value_is_read_back(
    tmp_path_factory: pytest.TempPathFactory, columns: list[str], values: list[str]
) -> None:
    """Quotes, line ends, emoji, what YAML would take for something else, and very long ones."""
    own = ColumnExpectations(type=ColumnType.CATEGORY, values=Values(only=values))
    target = ColumnExpectations(type=ColumnType.NUMBER, role=Role.TARGET)
    long = {name * 400: own for name in columns[:1]}
    result = Expectations(columns={**dict.fromkeys(columns, own), **long, "y": target})
    path = tmp_path_factory.mktemp("names") / "expectations.yaml"
    path.write_text(to_yaml(result), encoding="utf-8")
    config = DataConfig(name="x", path="a.csv", target="y", task=Task.REGRESSION)
    assert load_expectations(path, config) == result


@pytest.mark.parametrize("rows", range(1000, 1101, 25))
def test_about_as_many_different_numbers_as_a_category_may_have(rows: int) -> None:
    """The first count is an estimate; a column that needs an exact one for two reasons gets one."""
    number = np.random.default_rng(rows).normal(size=rows)
    frame = pl.DataFrame({"x": number, "y": [f"c{i % 2}" for i in range(rows)]})
    result = infer(frame.lazy(), FormatConfig(), Wishes(target="y"), file="rows.csv")
    assert result.expectations.schema.columns[0].type is ColumnType.NUMBER


SENTENCES = {
    "English": [f"The order {i} came late and the box was wet" for i in range(N)],
    "Chinese": [f"第{i}号订单迟到了" for i in range(N)],
    "Arabic": [f"وصل الطلب {i} متأخرا وكان الصندوق مبللا" for i in range(N)],
    "emoji": ["".join("😀😢🔥👍🎉🚚📦"[(i // 7**k + k) % 7] for k in range(6)) for i in range(N)],
}


@pytest.mark.parametrize("language", list(SENTENCES))
@pytest.mark.parametrize("repeated", [False, True])
def test_prose_is_a_feature_that_is_read_by_its_words(language: str, repeated: bool) -> None:
    """Whether each row has a text of its own or some come twice."""
    values = SENTENCES[language]
    values = [*values[:-5], *values[:5]] if repeated else values
    found = inferred(frame(x=values))
    column = found.expectations.columns["x"]
    assert (column.type, column.role) == (ColumnType.TEXT, Role.FEATURE)
    assert "read by its words" in found.notes["x"]


@pytest.mark.parametrize(
    "values",
    [
        [f"AB-{i:05}" for i in range(N)],
        [f"Mr. Aname{i} Lastname{i}" for i in range(N)],
        [f"550e8400-e29b-41d4-a716-4466554{i:05}" for i in range(N)],
        [f"https://example.com/a/b/c?page={i}" for i in range(N)],
        [f"1 2 3 4 5 6 7 {i}" for i in range(N)],
    ],
    ids=["codes", "names", "uuids", "addresses", "numbers"],
)
def test_codes_and_names_are_no_texts_beside_other_columns(values: list[str]) -> None:
    other = [i * 37 % 101 for i in range(N)]
    column = inferred(frame(x=values, other=other)).expectations.columns["x"]
    assert column.role is Role.ID
    repeated = [*values[:-5], *values[:5]]
    found = inferred(frame(x=repeated, other=other))
    column = found.expectations.columns["x"]
    assert (column.type, column.role) == (ColumnType.CATEGORY, Role.FEATURE)
    assert "type: text" in found.notes["x"]
    for alone in (values, repeated):
        found = inferred(frame(x=alone))
        column = found.expectations.columns["x"]
        assert (column.type, column.role) == (ColumnType.TEXT, Role.FEATURE)
        assert "nothing else is there" in found.notes["x"] and found.spelled == ("x",)


def test_ids_are_no_texts_though_nothing_else_is_there() -> None:
    column = inferred(frame(customer_id=[f"AB-{i:05}" for i in range(N)]))
    assert column.expectations.columns["customer_id"].role is Role.ID


@pytest.mark.parametrize("every", [1, 2])
def test_short_texts_whose_words_recur_are_read_by_their_words(every: int) -> None:
    """Titles of products, lines of a program: hardly any comes twice, and their words do."""
    colors, things = ["red", "blue", "dark green"], ["mug", "lamp", "table", "wall clock"]
    values = [
        f"{colors[i % 3]} {things[i % 4]} for {things[i % 7 % 4]} {i // every}" for i in range(N)
    ]
    found = inferred(frame(x=values, other=[i * 37 % 101 for i in range(N)]))
    column = found.expectations.columns["x"]
    assert (column.type, column.role) == (ColumnType.TEXT, Role.FEATURE)
