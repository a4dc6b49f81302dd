"""validate: what it writes, what stops, and what only warns."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from plumbline.config import Config, Paths
from plumbline.config.data import FormatConfig
from plumbline.config.load import parse_config
from plumbline.data.rows import open_rows
from plumbline.errors import GateError
from plumbline.files import read_json
from plumbline.kinds import CellKind
from plumbline.stages import validate
from plumbline.tables import Schema

# of Great Expectations' own imports
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::UserWarning")
N = 60
EXPECTATIONS = """columns:
  age: {{type: integer, range: {{min: 0, max: 99, severity: {severity}}}}}
  city: {{type: category}}
  y: {{type: category, role: target, values: {{only: ["no", "yes"]}}}}
"""


def checkout(root: Path, ages: list[int], *, severity: str = "critical", **settings: Any) -> Any:
    """The data, what is expected of them, parameters."""
    paths = Paths(root)
    paths.data.mkdir(parents=True)
    paths.expectations.write_text(EXPECTATIONS.format(severity=severity))
    city, y = ["Rome", "Oslo", "Bern"] * (N // 3), ["no", "yes"] * (N // 2)
    pl.DataFrame({"age": ages, "city": city, "y": y}).write_csv(paths.data / "rows.csv")
    data = {"name": "t", "path": "data/rows.csv", "target": "y", "task": "binary"}
    raw = {"seed": 0, "data": {**data, "positive": "yes"}, "validate": settings}
    config: Config = parse_config({**raw, "tune": {"trials": 0}})
    return config, paths


def written(paths: Paths) -> tuple[dict[str, Any], pl.DataFrame]:
    folder = paths.reports / "validation"
    result: dict[str, Any] = read_json(folder / "result.json")
    return result, pl.read_parquet(folder / "failing_rows.parquet")


def test_data_as_expected(tmp_path: Path) -> None:
    config, paths = checkout(tmp_path, [20 + k % 50 for k in range(N)])
    report = validate.run(config, paths)
    result, failing = written(paths)
    assert (result["success"], result["rows"], result["failed"]) == (True, N, [])
    assert result["evaluated"] > 2 and failing.is_empty()
    assert dict(report.rows)["rows"] == "60"
    columns = read_json(paths.reports / "validation" / "columns.json")
    assert all(name in str(columns) for name in ("age", "city"))
    assert (paths.reports / "validation" / "index.html").stat().st_size


def test_what_the_cells_of_a_parquet_file_are_goes_along_with_the_rows(tmp_path: Path) -> None:
    """A version then takes such cells in new rows: numbers for a category that was made of them."""
    config, paths = checkout(tmp_path, [20 + k % 50 for k in range(N)])
    rows = pl.read_csv(paths.data / "rows.csv").with_columns(
        age=pl.duration(seconds=pl.col("age")), city=pl.col("city").str.len_chars()
    )
    for own, native in (
        (rows, {"age": CellKind.DURATION, "city": CellKind.NUMBER, "y": None}),
        (pl.read_csv(paths.data / "rows.csv"), {"age": None, "city": None, "y": None}),
    ):
        own.write_parquet(paths.data / "rows.parquet")
        form = FormatConfig(type="parquet")
        data = replace(config.data, path="data/rows.parquet", format=form)
        validate.run(replace(config, data=data), paths)
        _, schema = open_rows(paths.table, max_memory_mb=512)
        assert {c.name: c.native for c in schema.columns} == native
        assert Schema.from_json(schema.to_json()) == schema


def test_a_critical_failure_stops_and_names_column_row_and_value(tmp_path: Path) -> None:
    config, paths = checkout(tmp_path, [150 if k == 7 else 30 + k % 9 for k in range(N)])
    with pytest.raises(GateError, match=r"column 'age'.*first in row 7: '?150") as stopped:
        validate.run(config, paths)
    assert stopped.value.exit_code == 3
    result, failing = written(paths)  # what was found is there, though the gate stops
    (failed,) = result["failed"]
    assert not result["success"]
    assert (failed["column"], failed["severity"]) == ("age", "critical")
    assert failed["unexpected_count"] == 1
    assert failing["row"].to_list() == [7]


@pytest.mark.parametrize("strict", [False, True])
def test_a_warning_stops_only_where_asked(tmp_path: Path, strict: bool) -> None:
    ages = [150 if k == 7 else 30 + k % 9 for k in range(N)]
    config, paths = checkout(tmp_path, ages, severity="warning", fail_on_warning=strict)
    if strict:
        with pytest.raises(GateError, match="column 'age'"):
            validate.run(config, paths)
    else:
        report = validate.run(config, paths)
        assert [text for name, text in report.rows if name == "warning" and "age" in text]
    result, _ = written(paths)
    assert result["success"] is not strict
    assert result["failed"][0]["severity"] == "warning"


def test_as_many_failing_rows_are_listed_as_asked(tmp_path: Path) -> None:
    config, paths = checkout(tmp_path, [200 + k for k in range(N)], max_failing_rows=4)
    with pytest.raises(GateError):
        validate.run(config, paths)
    result, failing = written(paths)
    assert result["failed"][0]["unexpected_count"] == N
    assert failing["row"].to_list() == [0, 1, 2, 3]


def test_a_cell_that_is_not_of_its_type_comes_with_the_key_that_reads_it(tmp_path: Path) -> None:
    config, paths = checkout(tmp_path, [30 + k % 9 for k in range(N)])
    file = paths.data / "rows.csv"
    file.write_text(file.read_text().replace("\n31,", "\nN.A.,", 1))
    with pytest.raises(GateError, match=r"columns\.age\.format; missing: \[\.\.\.\]"):
        validate.run(config, paths)
