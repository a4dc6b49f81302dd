"""The explanations say what they are about, how much was computed, and show the rows."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from tests.unit.report.sample import config, write_sample

from plumbline.report.about import about
from plumbline.report.blocks import Figures, Grid, Metadata, Subsection
from plumbline.report.read import Reports
from plumbline.report.sections.explanations import explanations, explanations_status

OUTPUT = {
    "binary": "the probability of malignant",
    "multiclass": "the probability of the class predicted for the row",
    "regression": "the predicted diagnosis",
}
UNIT = {"binary": "probability", "multiclass": "probability", "regression": "diagnosis"}


def parts(folder: Path, task: str) -> list[Subsection]:
    reports = Reports(folder)
    return list(explanations(reports, about(config(task), reports)).parts)


def change(folder: Path, name: str, **values: Any) -> None:
    file = folder / "explain" / name
    content = json.loads(file.read_text())
    content.update(values)
    file.write_text(json.dumps(content))


def metadata(part: Subsection) -> dict[str, Any]:
    return dict(next(b for b in part.blocks if isinstance(b, Metadata)).items)


def figures(part: Subsection) -> list[Any]:
    return [f for b in part.blocks if isinstance(b, Figures) for f in b.figures]


@pytest.mark.parametrize("task", list(OUTPUT))
def test_every_caption_names_what_is_explained(tmp_path: Path, task: str) -> None:
    over, one, *_ = parts(write_sample(tmp_path, task), task)
    bars, swarm = figures(over)
    assert f"moves {OUTPUT[task]}, up or down" in bars.caption
    assert f"right of zero the row's value raised {OUTPUT[task]}" in swarm.caption
    assert f"added to {OUTPUT[task]}" in over.read and f"raises {OUTPUT[task]}" in one.read
    for drawn in (bars, swarm, *figures(one)):
        assert f"({UNIT[task]})</text>" in str(drawn.svg)


def test_what_the_budget_cut_is_said(tmp_path: Path) -> None:
    folder = write_sample(tmp_path)
    cut = {"requested": 100, "used": 12, "limited_by": "computing budget"}
    all_rows = {"requested": 200, "used": 114, "limited_by": "only 114 test rows"}
    change(
        folder,
        "importance.json",
        budget={"background": cut, "rows": all_rows, "faithfulness_rows": {**cut, "used": 20}},
    )
    result = metadata(parts(folder, "binary")[0])
    assert result["background rows"] == "12 of 100"
    assert result["test rows"] == "114 of 200"
    assert result["rows of the deletion test"] == "20 of 100"
    told = str(parts(folder, "binary")[0].blocks)
    assert "test rows (only 114 test rows)" in told
    assert "background rows, rows of the deletion test (computing budget)" in told
    change(folder, "importance.json", budget=None)
    assert "Fewer than params.yaml asks for" not in str(parts(folder, "binary")[0].blocks)
    assert metadata(parts(folder, "binary")[0])["background rows"] == "100"


RANDOM = "no better than a random ranking"
MISLEADING = "misleading: worse than a random ranking"


@pytest.mark.parametrize(
    ("verdicts", "state", "word"),
    [
        ({"shap": "faithful", "lime": "faithful"}, "good", "faithful"),
        ({"shap": "faithful", "lime": "too few rows to tell"}, "good", "faithful"),
        ({"lime": "too few rows to tell"}, "info", "too few rows to tell"),
        ({"shap": RANDOM}, "warn", "no better than random"),
        (
            {"shap": "faithful", "lime": RANDOM, "saliency": "faithful"},
            "warn",
            "no better than random in 1 of 3 tests",
        ),
        (
            {"shap": "faithful", "lime": "too few rows to tell", "saliency": MISLEADING},
            "warn",
            "misleading in 1 of 2 tests",
        ),
        ({"shap": MISLEADING, "lime": "faithful"}, "bad", "misleading in 1 of 2 tests"),
        ({"shap": RANDOM, "lime": MISLEADING}, "warn", "not faithful in 2 of 2 tests"),
    ],
)
def test_the_badge_says_how_many_tests_say_what(
    tmp_path: Path, verdicts: dict[str, str], state: str, word: str
) -> None:
    folder = write_sample(tmp_path)
    tests = {method: {"rows": 20, "verdict": verdict} for method, verdict in verdicts.items()}
    (folder / "explain" / "faithfulness.json").write_text(json.dumps(tests))
    for cells in ("words.json", "patches.json"):
        (folder / "explain" / cells).unlink(missing_ok=True)
    status = explanations_status(Reports(folder))
    assert status is not None and (status.state, status.word) == (state, word)


@pytest.mark.parametrize("task", list(OUTPUT))
def test_a_single_row_shows_values_truth_and_reason(tmp_path: Path, task: str) -> None:
    folder = write_sample(tmp_path, task, columns=["a very long name of a column", "b", "c"])
    row = {
        "row": 212,
        "reason": "the largest underestimate",
        "actual": 215_000.0 if task == "regression" else "fir",
        "predicted": 198_300.0 if task == "regression" else "pine",
        "class": None if task == "regression" else "pine",
        "prediction": 198_300.0 if task == "regression" else 0.97,
        "r2": 0.71,
        "agreement_with_shap": 0.93,
        "weights": {"a very long name of a column": 0.4, "b": -0.1, "c": 0.05},
        "values": {"a very long name of a column": 0.147, "b": "RL", "c": None},
    }
    change(folder, "lime.json", rows=[row])
    _, part, *_ = parts(folder, task)
    (figure,) = figures(part)
    assert figure.caption.startswith("Row 212, the largest underestimate. Actual ")
    if task == "regression":
        assert "Actual 215,000, predicted 198,300. R²" in figure.caption
    else:
        assert "Actual fir, predicted pine, probability of pine 0.970. R²" in figure.caption
    drawn = str(figure.svg)
    assert "… = 0.147" in drawn and ">b = RL<" in drawn and ">c = missing<" in drawn
    (table,) = (b for b in part.blocks if isinstance(b, Grid))
    assert [[c.text for c in r[:2]] for r in table.rows] == [
        ["a very long name of a column", "0.147"],
        ["b", "RL"],
        ["c", "missing"],
    ]


def test_rows_of_older_reports_are_shown_without(tmp_path: Path) -> None:
    folder = write_sample(tmp_path)
    row = {"row": 3, "class": "malignant", "prediction": 0.97, "r2": 0.5, "weights": {"a": 1.0}}
    change(folder, "lime.json", rows=[row])
    (figure,) = figures(parts(folder, "binary")[1])
    assert figure.caption.startswith("Row 3. Probability of malignant 0.970. R²")


@pytest.mark.parametrize("value", [0.000123456, 0.12345678, 1234.5678, "a long category of words"])
def test_a_value_beside_a_bar_is_not_cut_twice(tmp_path: Path, value: float | str) -> None:
    """The label is made to fit: numbers are whole, the name of the column gives way."""
    folder = write_sample(tmp_path)
    column = "a_very_long_name_of_a_column"
    row = {"row": 3, "r2": 0.5, "prediction": 0.5, "weights": {column: -0.0345}}
    change(folder, "lime.json", rows=[{**row, "values": {column: value}}])
    (figure,) = figures(parts(folder, "binary")[1])
    (label,) = (t for t in re.findall(r">([^<>]*)</text>", str(figure.svg)) if " = " in t)
    name, shown = label.split(" = ")
    assert name.startswith("a_very") and shown
    if isinstance(value, float):
        assert float(shown.replace(",", "")) == pytest.approx(value, rel=0.005)


@pytest.mark.parametrize(
    ("probability", "shown"),
    [(6.04e-9, "below 0.001"), (0.4823, "0.482"), (0.99999, "above 0.999")],
)
def test_a_probability_is_written_as_one(tmp_path: Path, probability: float, shown: str) -> None:
    folder = write_sample(tmp_path)
    row = {"row": 3, "class": "malignant", "prediction": probability, "r2": 0.5}
    change(folder, "lime.json", rows=[{**row, "weights": {"a": 1.0}}])
    (figure,) = figures(parts(folder, "binary")[1])
    assert f"Probability of malignant {shown}. " in figure.caption


def test_a_single_column_is_said_to_have_no_ranking(tmp_path: Path) -> None:
    write_sample(tmp_path)
    change(tmp_path, "importance.json", columns={"age": 0.4})
    for file in ("faithfulness.json", "words.json", "patches.json"):
        (tmp_path / "explain" / file).write_text("{}")
    faithfulness = parts(tmp_path, "binary")[2]
    assert [getattr(block, "text", "") for block in faithfulness.blocks] == [
        "There is one column: no ranking of columns that could be tested."
    ]


def test_of_a_single_text_or_image_its_parts_are_shown_alone(tmp_path: Path) -> None:
    write_sample(tmp_path)
    assert len(parts(tmp_path, "binary")) == 5
    change(tmp_path, "importance.json", columns={"photo": 0.4})
    titles = [part.title for part in parts(tmp_path, "binary")]
    assert titles == ["Texts, word by word", "Images, patch by patch"]
