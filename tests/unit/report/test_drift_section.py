"""The drift section says what chance gives, and does not call that drift."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from tests.unit.report.sample import config

from plumbline import artifacts
from plumbline.evaluation.drift import ColumnDrift, chance
from plumbline.report.about import about
from plumbline.report.blocks import Grid, Metadata, Section, Text
from plumbline.report.read import Reports
from plumbline.report.sections.drift import drift


def section(folder: Path, below: int, count: int = 30, method: str = "K-S p_value") -> Section:
    """The section where so many of the columns lie below their threshold."""
    result = {
        f"c{i}": ColumnDrift(
            method=method,
            score=0.01 if i < below else 0.6,
            threshold=0.05,
            drifted=i < below,
            missing=(0.0, 0.125),
        )
        for i in range(count)
    }
    by_chance = chance(result.values())
    content: dict[str, Any] = {
        "dataset_drift": below > count / 2,
        "drifted_share": below / count,
        "chance": by_chance and by_chance.to_json(),
        "rows": {"reference": 342, "current": 114},
        "columns": {name: one.to_json() for name, one in result.items()},
    }
    (folder / "drift").mkdir()
    (folder / "drift" / "result.json").write_text(json.dumps(content))
    reports = Reports(folder)
    return drift(reports, about(config(), reports))


def texts(made: Section) -> str:
    return " ".join(b.text for p in made.parts for b in p.blocks if isinstance(b, Text))


@pytest.mark.parametrize(
    ("below", "status", "says"),
    [
        (0, "no drift", "It found 0: no more than chance explains."),
        (2, "no drift", "It found 2: no more than chance explains."),
        (9, "9 columns drifted", "It found 9: more than chance explains."),
        (20, "drifted", "It found 20: more than chance explains."),
    ],
)
def test_what_was_found_stands_beside_what_chance_gives(
    tmp_path: Path, below: int, status: str, says: str
) -> None:
    made = section(tmp_path, below)
    assert made.status is not None and made.status.word == status
    assert "30 columns were compared by a test at p < 0.05, which calls about 1.5 of 30" in texts(
        made
    )
    assert says in texts(made)


def test_distances_speak_for_themselves(tmp_path: Path) -> None:
    made = section(tmp_path, 1, method="Wasserstein distance (normed)")
    assert "chance" not in texts(made)
    assert made.status is not None and made.status.word == "1 column drifted"


def test_the_rule_and_the_missing_are_told(tmp_path: Path) -> None:
    (part,) = section(tmp_path, 2).parts
    metadata = dict(next(b for b in part.blocks if isinstance(b, Metadata)).items)
    assert metadata["limit for the data set"] == "50% of columns"
    assert metadata["training rows"] == "342" and metadata["test rows"] == "114"
    (table, _) = (b for b in part.blocks if isinstance(b, Grid))
    assert table.rows[0][-1].text == "0.0% → 12.5%"


def test_a_table_that_is_cut_says_how_many_it_shows(tmp_path: Path) -> None:
    (part,) = section(tmp_path, 60, count=100).parts
    cut = next(b for b in part.blocks if isinstance(b, Grid))
    assert len(cut.rows) == 40 and cut.more.startswith("The first 40 of 60;")


@pytest.mark.parametrize("bagged", [True, False])
def test_whose_predictions_of_a_bag_are_compared_is_said(tmp_path: Path, bagged: bool) -> None:
    (tmp_path / "drift").mkdir()
    (tmp_path / "training").mkdir()
    prediction = {"method": "K-S p_value", "score": 0.01, "threshold": 0.05, "drifted": True}
    (tmp_path / "drift" / "result.json").write_text(json.dumps({"prediction": prediction}))
    if bagged:
        (tmp_path / artifacts.BAG).write_text(json.dumps({"networks": []}))
    reports = Reports(tmp_path)
    assert (
        "of single networks on both sides" in texts(drift(reports, about(config(), reports)))
    ) == bagged
