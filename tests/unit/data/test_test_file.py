"""A test file may spell classes otherwise than the data, and brings no columns and no classes."""

from __future__ import annotations

from itertools import permutations
from pathlib import Path

import polars as pl
import pytest

from plumbline import cli
from plumbline.cells import typed
from plumbline.config.data import FormatConfig
from plumbline.data.infer import Inferred, Wishes, infer
from plumbline.errors import DataError
from plumbline.kinds import Role, Task

SPELLINGS = [
    ("0", "1"),
    ("0.0", "1.0"),
    ("no", "yes"),
    ("No", "Yes"),
    ("false", "true"),
    ("F", "T"),
]


def frame(words: tuple[str, ...], rows: int, **columns: list[object]) -> pl.LazyFrame:
    base = {"x": [str(i % 7) for i in range(rows)], "y": [words[i % 2] for i in range(rows)]}
    named = base | {name: [str(v) for v in values] for name, values in columns.items()}
    return pl.LazyFrame(named, schema=dict.fromkeys(named, pl.String))


def inferred(data: pl.LazyFrame, test: pl.LazyFrame | None = None, **wishes: object) -> Inferred:
    own = Wishes(target="y", **wishes)  # type: ignore[arg-type]
    return infer(data, FormatConfig(), own, file="a.csv", test=test, test_file="t.csv")


@pytest.mark.parametrize(("data", "test"), list(permutations(SPELLINGS, 2)))
def test_classes_of_two_truth_values_are_read_in_any_spelling(
    data: tuple[str, str], test: tuple[str, str]
) -> None:
    rows = frame(test, 10)
    result = inferred(frame(data, 60), rows)
    target = result.expectations.schema.column("y")
    assert set(target.labels) == set(data)
    read = rows.select(typed(target, pl.String())).collect()["y"].to_list()
    assert read == [data[i % 2] for i in range(10)]
    assert f"'{test[1]}' is '{data[1]}'" in result.notes["y"]
    assert result.profiles["y"].distinct == 2


@pytest.mark.parametrize("data", [*SPELLINGS, ("a", "b")])
def test_a_class_of_the_test_file_alone_is_named_as_a_class(data: tuple[str, str]) -> None:
    with pytest.raises(DataError, match="class 'maybe' is not in the data"):
        inferred(frame(data, 60), frame((data[0], "maybe"), 10))


def test_a_regression_on_truth_values_takes_numbers_alone() -> None:
    with pytest.raises(DataError, match="not written as in the data"):
        inferred(frame(("0", "1"), 60), frame(("no", "yes"), 10), task=Task.REGRESSION)


def test_a_row_without_a_target_is_counted_in_its_own_file() -> None:
    result = inferred(frame(("a", "b"), 60), frame(("a", ""), 2))
    assert "in the test file missing in 1 row, which are left out (row 1," in result.notes["y"]


def test_a_test_file_without_any_target_is_refused() -> None:
    with pytest.raises(DataError, match=r"t\.csv.*no row of the test file has a target.*predict"):
        inferred(frame(("a", "b"), 60), frame(("", ""), 2))


@pytest.mark.parametrize("name", ["__index_level_0__", "Unnamed: 0", "nr"])
def test_an_index_of_both_files_is_no_feature(name: str) -> None:
    shuffled = [i * 7 % 60 for i in range(60)] if name != "nr" else list(range(60))
    data = frame(("a", "b"), 60, **{name: shuffled})
    test = frame(("a", "b"), 20, **{name: list(range(20))})
    for other in (None, test):
        result = inferred(data, other)
        assert result.expectations.columns[name].role is Role.ID
        assert "not a feature" in result.notes[name]


def test_an_integer_of_its_own_in_every_row_may_be_a_feature() -> None:
    data = frame(("a", "b"), 60, salary=[i * 7 % 61 for i in range(60)])
    assert inferred(data).expectations.columns["salary"].role is Role.FEATURE


@pytest.mark.parametrize("header", ["", "Unnamed: 0"])
def test_what_init_renames_and_leaves_out_is_said(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    root: Path,
    header: str,
) -> None:
    for name in ("params.yaml", "expectations.yaml"):
        (tmp_path / name).write_text((root / name).read_text())
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("plumbline.commands.init.add_data", lambda root: None)
    monkeypatch.setattr("plumbline.commands.init.cached_files", lambda root: {})
    body = [f"{i * 7 % 60},{i % 7},{i % 5},{'ab'[i % 2]}\n" for i in range(60)]
    Path("a.csv").write_text(f"{header},x,x,y\n" + "".join(body))
    lines = [line.replace("\n", ",1,2\n") for line in body[:20]]
    Path("t.csv").write_text(f"{header},x,x,y,more,{header}\n" + "".join(lines))
    assert cli.main(["init", "--data", "a.csv", "--target", "y", "--test", "t.csv"]) == 0
    output = capsys.readouterr().out
    assert "a.csv: 1 column with a repeated name is called x_2" in output
    assert "t.csv: left out, because the data have no such column: more, " in output
    assert ("a.csv: 1 column without a name is called column_0" in output) is (header == "")
    assert output.count("a row index without a name: not a feature") == 1
