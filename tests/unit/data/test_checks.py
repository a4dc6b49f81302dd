"""Every expectation on every type of column works, or is refused before a row is read."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import polars as pl
import pytest
import yaml

from plumbline.config.data import DataConfig
from plumbline.data.checks import failing_rows, run_checks
from plumbline.data.column_checks import checks_of
from plumbline.data.load import load_expectations
from plumbline.data.source import open_source
from plumbline.data.table_checks import check_table
from plumbline.errors import ParameterError
from plumbline.kinds import ColumnType, Task

# of Great Expectations' own imports
pytestmark = pytest.mark.filterwarnings("ignore:module 'sre_:DeprecationWarning")

# (cells, what the expectation allows) per type; the last cell is another one than the others
CELLS: dict[str, list[str]] = {
    "number": ["1.5", "2.5", "0.5"],
    "integer": ["2", "3", "1"],
    "boolean": ["yes", "yes", "no"],
    "date": ["2024-01-02", "2024-01-03", "2024-01-01"],
    "category": ["b", "c", "a"],
    "text": ["beta", "gamma", "alpha"],
}
CONFIG = DataConfig(name="x", path="a.csv", target="y", task=Task.REGRESSION)


def wanted(kind: str) -> dict[str, dict[str, Any]]:
    """Expectations that the last cell fails."""
    good = CELLS[kind][:2]
    return {
        "missing": {"max": 0.0},
        "range": {"min": 1.2},
        "values": {"only": sorted(set(good))},
        "pattern": {"regex": "^(?:" + "|".join(good).replace(".", r"\.") + ")$"},
        "unique": {},
        "increasing": {},
    }


def write(folder: Path, columns: dict[str, Any], rules: list[Any] | None = None) -> Path:
    target = {"type": "number", "role": "target"}
    path = folder / "expectations.yaml"
    path.write_text(yaml.safe_dump({"columns": {**columns, "y": target}, "rules": rules or []}))
    return path


def outcomes(folder: Path, columns: dict[str, Any], frame: pl.DataFrame) -> dict[str, Any]:
    frame.with_columns(y=pl.lit("1.5")).write_csv(folder / "a.csv")
    expectations = load_expectations(write(folder, columns), CONFIG)
    source = open_source(CONFIG, expectations.schema, folder)
    result = run_checks(checks_of(expectations, source), source, max_memory_mb=64)
    rows = failing_rows([o for o in result if not o.success], source, 100)
    by_column: dict[str, Any] = {}
    for outcome in result:
        by_column.setdefault(outcome.column, []).append(outcome)
    listed = rows.group_by("column").agg(pl.col("row").unique().sort())
    return {"outcomes": by_column, "rows": dict(listed.iter_rows())}


def test_every_expectation_on_every_type(tmp_path: Path) -> None:
    columns, cells, refused = {}, {}, []
    for kind in CELLS:
        for key, value in wanted(kind).items():
            own = {"type": kind, key: value}
            try:
                load_expectations(write(tmp_path, {"x": own}), CONFIG)
            except ParameterError as error:
                refused.append((kind, key))
                assert f"columns.x.{key}" in str(error)
                continue
            name = f"{kind} {key}"
            columns[name] = own
            last = {"missing": "", "unique": CELLS[kind][1]}.get(key, CELLS[kind][2])
            cells[name] = [*CELLS[kind][:2], last]
    assert set(refused) == {(k, "range") for k in ("boolean", "date", "category", "text")}
    result = outcomes(tmp_path, columns, pl.DataFrame(cells))
    for name in columns:
        failed = [o for o in result["outcomes"][name] if not o.success]
        kind, key = name.split()
        if (kind, key) == ("boolean", "unique"):
            assert failed
            continue
        assert len(failed) == 1, name
        wrong = [1, 2] if key == "unique" else [2]
        assert result["rows"][name] == wrong, name


def test_a_cell_that_is_not_of_its_type_is_found_with_its_format(tmp_path: Path) -> None:
    columns = {
        "x": {"type": "number", "format": {"decimal": ","}, "pattern": {"regex": "^[0-9]"}},
        "d": {"type": "date", "format": {"date": "%d/%m/%Y"}, "pattern": {"regex": "2024$"}},
    }
    frame = pl.DataFrame({"x": ["1,5", "1.5", "-"], "d": ["31/12/2024", "12/31/2024", "x"]})
    result = outcomes(tmp_path, columns, frame)
    text = {o.problem for own in result["outcomes"].values() for o in own if not o.success}
    assert "are not a number, decimal: ','" in text
    assert "are not a date, date: '%d/%m/%Y'" in text
    assert result["rows"] == {"x": [1, 2], "d": [1, 2]}


@pytest.mark.parametrize(
    ("own", "words"),
    [
        ({"type": "date", "format": {"date": "%H:%M"}}, "pattern of a date"),
        ({"type": "date", "format": {"date": "%Q"}}, "pattern of a date"),
        ({"type": "date", "format": {"date": "day"}}, "pattern of a date"),
        ({"type": "number", "format": {"date": "%Y"}}, "no effect"),
        ({"type": "text", "format": {"decimal": ","}}, "no effect"),
        ({"type": "number", "format": {"decimal": "."}, "range": {"min": "a"}}, "range"),
        ({"type": "number", "format": {"decimal": ";"}}, "format"),
        ({"type": "number", "format": {"decimal": ",", "thousands": ","}}, "same character"),
        ({"type": "number", "format": {"comma": True}}, "comma"),
        ({"type": "text", "pattern": {"regex": "(?=a)"}}, "regular expression"),
        ({"type": "text", "pattern": {"regex": "("}}, "regular expression"),
        ({"type": "number", "values": {"only": ["many"]}}, "not a number"),
        ({"type": "text", "values": {"only": [True]}}, "quotes"),
        ({"type": "text", "role": "weight"}, "weight"),
    ],
)
def test_what_cannot_be_asked_is_refused(tmp_path: Path, own: Any, words: str) -> None:
    with pytest.raises(ParameterError, match=words) as refused:
        load_expectations(write(tmp_path, {"x": own}), CONFIG)
    assert "columns.x" in str(refused.value)


def test_rules_compare_like_with_like(tmp_path: Path) -> None:
    kinds = [str(k) for k in ColumnType]
    columns = {k: {"type": k} for k in kinds} | {f"{k}2": {"type": k} for k in kinds}
    for left in kinds:
        for right in kinds:
            rule = [{"left": left, "right": f"{right}2"}]
            numbers, texts = {"number", "integer"}, {"category", "text"}
            if left == right or {left, right} in (numbers, texts):
                load_expectations(write(tmp_path, columns, rule), CONFIG)
            else:
                with pytest.raises(ParameterError, match="cannot be compared"):
                    load_expectations(write(tmp_path, columns, rule), CONFIG)


def test_numbers_listed_as_values_are_their_texts(tmp_path: Path) -> None:
    own = {"type": "integer", "values": {"only": [1, 2]}}
    loaded = load_expectations(write(tmp_path, {"x": own}), CONFIG)
    assert loaded.columns["x"].values is not None
    assert loaded.columns["x"].values.only == ["1", "2"]


def test_an_id_that_params_name_must_be_one(tmp_path: Path) -> None:
    path = write(tmp_path, {"x": {"type": "integer"}, "z": {"type": "integer", "role": "id"}})
    with pytest.raises(ParameterError, match=r"role id disagrees.*x \(data.id\)"):
        load_expectations(path, dataclasses.replace(CONFIG, id="x"))
    load_expectations(path, dataclasses.replace(CONFIG, id="z"))
    load_expectations(path, CONFIG)


def test_columns_named_as_our_own(tmp_path: Path) -> None:
    """No name of ours stands in the way of the data's."""
    own = {"type": "integer", "unique": {}}
    names = ["__row__", "row", "__unreadable_0__", "a is a whole number", "a is unique", "a"]
    names += ["value", "literal", "len", "reason", "a'b", "a\nb", "$a", "{a}", "🎯"]
    frame = pl.DataFrame({name: ["1", "2", "x"] for name in names})
    result = outcomes(tmp_path, dict.fromkeys(names, own), frame)
    for name in names:
        assert result["rows"][name] == [2], name


def test_a_check_that_could_not_be_run_does_not_pass(tmp_path: Path) -> None:
    """A warning inside the library is an error here; it says so in a nested place."""
    own = {"x": {"type": "text", "pattern": {"regex": "^(b|c)$"}}}
    with pytest.raises(RuntimeError, match="match groups"):
        outcomes(tmp_path, own, pl.DataFrame({"x": ["b", "c", "a"]}))


def test_a_class_that_only_the_test_file_has_is_critical(tmp_path: Path) -> None:
    target = {"type": "category", "role": "target", "values": {"only": ["a", "b", "c"]}}
    (tmp_path / "expectations.yaml").write_text(yaml.safe_dump({"columns": {"y": target}}))
    pl.DataFrame({"y": ["a", "b"] * 9, "x": ["1"] * 18}).write_csv(tmp_path / "a.csv")
    pl.DataFrame({"y": ["a", "c"] * 9, "x": ["1"] * 18}).write_csv(tmp_path / "t.csv")
    config = dataclasses.replace(CONFIG, task=Task.MULTICLASS, test_path="t.csv")
    expectations = load_expectations(tmp_path / "expectations.yaml", config)
    source = open_source(config, expectations.schema, tmp_path)
    (failed,) = [o for o in check_table(expectations, source) if o.severity == "critical"][1:]
    assert not failed.success and "class 'c' is in the test file alone" in failed.problem
