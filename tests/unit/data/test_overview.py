"""What is in the data, column by column, against counts made by hand."""

from __future__ import annotations

from pathlib import Path

import pytest

from plumbline.config.load import parse_config
from plumbline.data.load import load_expectations
from plumbline.data.overview import overview
from plumbline.data.source import open_source

ROWS = [
    ("1", "a", "2024-01-01", "10"),
    ("2", "b", "2024-01-03", "20"),
    ("", "a", "2024-01-02", "30"),
    ("4", "", "2024-01-09", "40"),
]
EXPECTATIONS = """
rows: {min: 1}
columns:
  size: {type: number}
  kind: {type: category}
  day: {type: date}
  y: {type: TYPE, role: target}
"""


@pytest.mark.parametrize("task", ["regression", "multiclass"])
@pytest.mark.parametrize("cells", [1, 2**25])  # one column per pass, and all
def test_types_gaps_values_and_the_target(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, task: str, cells: int
) -> None:
    monkeypatch.setattr("plumbline.data.overview.CELLS_PER_PASS", cells)
    lines = ["size,kind,day,y", *(",".join(row) for row in ROWS)]
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "d.csv").write_text("\n".join(lines) + "\n")
    kind = "number" if task == "regression" else "category"
    text = EXPECTATIONS.replace("TYPE", kind)
    if kind == "category":
        text = text.replace("target}", "target, values: {only: ['10', '20', '30', '40']}}")
    (tmp_path / "expectations.yaml").write_text(text)
    data = {"name": "d", "path": "data/d.csv", "target": "y", "task": task}
    config = parse_config({"seed": 0, "data": data, "tune": {"trials": 0, "space": {}}})
    expectations = load_expectations(tmp_path / "expectations.yaml", config.data)
    result = overview(open_source(config.data, expectations.schema, tmp_path), expectations)
    size, word, day, target = result["columns"]
    assert result["rows"] == 4 and result["test_file_rows"] == 0
    assert size == {
        "name": "size",
        "type": "number",
        "role": "feature",
        "missing": 1,
        "min": 1.0,
        "median": 2.0,
        "max": 4.0,
    }
    assert word["missing"] == 1 and word["distinct"] == 2
    assert word["values"] == [{"value": "a", "rows": 2}, {"value": "b", "rows": 1}]
    assert day["min"].startswith("2024-01-01") and day["max"].startswith("2024-01-09")
    if task == "regression":
        histogram = result["target"]["histogram"]
        assert (histogram["low"], histogram["high"]) == (10.0, 40.0)
        assert sum(histogram["counts"]) == 4 and histogram["counts"][0] == 1
        assert histogram["counts"][-1] == 1 and histogram["counts"][10] == 1
    else:
        assert {v["value"]: v["rows"] for v in target["values"]} == dict.fromkeys(
            ("10", "20", "30", "40"), 1
        )
