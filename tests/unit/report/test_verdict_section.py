"""The verdict section: headline, figure and table say the same thing as the comparison."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.unit.report.sample import config

from plumbline.report.about import about
from plumbline.report.blocks import Figures, Grid, Note, Section
from plumbline.report.read import Reports
from plumbline.report.sections.verdict import registry_notes, verdict
from plumbline.words import metric_differences

METRIC = {"binary": "roc_auc", "regression": "rmse"}


def section(folder: Path, task: str, **gaps: tuple[float, float, float]) -> Section:
    """The section where the deep model differs by (low, difference, high) from baselines that are
    given from the best to the worst."""
    metric, sign = METRIC[task], 1 if task == "binary" else -1
    baselines: dict[str, Any] = {}
    scores: dict[str, Any] = {}
    mine = 0.9 if task == "binary" else 20_000.0
    for name, (low, difference, high) in gaps.items():
        kind = "within noise" if low <= 0 <= high else "better" if sign * low > 0 else "worse"
        baselines[name] = {
            "verdict": kind,
            "score": mine - difference,
            "difference": difference,
            "ci95": [low, high],
            "error_reduction": 0.02,
            "small": abs(difference) < 0.005,
        }
        scores[name] = {metric: mine - difference}
    kinds = [b["verdict"] for b in baselines.values()]
    predictions = {
        "metric": metric,
        "outperforms_baselines": all(k == "better" for k in kinds),
        "baselines": baselines,
    }
    (folder / "evaluation").mkdir(parents=True, exist_ok=True)
    (folder / "evaluation" / "verdict.json").write_text(json.dumps(predictions))
    (folder / "metrics.json").write_text(json.dumps({"test": {metric: mine}, "baselines": scores}))
    reports = Reports(folder)
    return verdict(reports, about(config(task), reports))


@pytest.mark.parametrize(
    ("task", "gap", "shown"),
    [
        ("binary", (-0.1, -0.05, -0.01), True),
        ("binary", (-0.1, -0.05, 0.01), True),
        ("binary", (-0.01, 0.05, 0.1), False),  # by chance, perhaps, but ahead
        ("binary", (0.1, 0.2, 0.3), False),
        ("regression", (-30.0, 5.0, 40.0), True),
        ("regression", (-40.0, -5.0, 30.0), False),
    ],
)
def test_a_short_fit_is_named_where_a_baseline_is_ahead(
    tmp_path: Path, task: str, gap: tuple[float, float, float], shown: bool
) -> None:
    (tmp_path / "training").mkdir()
    few = {"verdict": {"few_steps": "The fit was short: set train.patience: 0."}}
    (tmp_path / "training" / "summary.json").write_text(json.dumps(few))
    blocks = section(tmp_path, task, linear=gap).parts[0].blocks
    notes = [b.text for b in blocks if isinstance(b, Note)]
    assert notes == (["The fit was short: set train.patience: 0."] if shown else [])


def figure(made: Section) -> ElementTree.Element:
    (figures,) = (b for b in made.parts[0].blocks if isinstance(b, Figures))
    return ElementTree.fromstring(str(figures.figures[0].svg))


@pytest.mark.parametrize(
    ("task", "gaps", "title"),
    [
        (
            "binary",
            {"gradient_boosting": (0.0004, 0.0021, 0.0038), "linear": (0.02, 0.025, 0.03)},
            "The deep model outperforms every baseline: 0.0021 ROC AUC better than gradient "
            "boosting (95% interval 0.0004 to 0.0038), a gain that is small in practice.",
        ),
        (
            "binary",
            {"linear": (-0.0043, -0.0012, 0.0021), "majority": (0.39, 0.4, 0.41)},
            "The deep model is not significantly better than a simpler baseline: difference in ROC "
            "AUC to the linear model −0.001 (95% interval −0.004 to +0.002).",
        ),
        (  # not to be taken for a ROC AUC of 0
            "binary",
            {"linear": (-0.032, 0.0, 0.03), "majority": (0.39, 0.4, 0.41)},
            "The deep model is not significantly better than a simpler baseline: difference in ROC "
            "AUC to the linear model 0.000 (95% interval −0.032 to +0.030).",
        ),
        (
            "binary",
            {"linear": (-0.03, -0.02, -0.01), "gradient_boosting": (-0.01, 0.001, 0.02)},
            "The deep model is significantly worse than a simpler baseline: 0.020 ROC AUC worse "
            "than the linear model (95% interval 0.010 to 0.030).",
        ),
        (
            "regression",
            {"gradient_boosting": (-1410.0, -812.0, -210.0)},
            "The deep model outperforms every baseline: 812 RMSE better than gradient boosting "
            "(95% interval 210 to 1,410).",
        ),
    ],
)
def test_the_headline_gives_the_size_of_the_difference(
    tmp_path: Path, task: str, gaps: dict[str, Any], title: str
) -> None:
    assert section(tmp_path, task, **gaps).title == title


@pytest.mark.parametrize("task", ["binary", "regression"])
def test_the_figure_shows_the_differences_that_decide(tmp_path: Path, task: str) -> None:
    gaps = {"linear": (-0.001, 0.002, 0.005), "majority": (0.39, 0.4, 0.41)}
    if task == "regression":
        gaps = {name: (-high, -mid, -low) for name, (low, mid, high) in gaps.items()}
    root = figure(section(tmp_path, task, **gaps))
    texts = [e.text or "" for e in root]
    assert "linear model" in texts and "constant" in texts
    assert any("0.002" in t for t in texts) and any("0.40" in t for t in texts)
    # the better side is named: more is better for ROC AUC, less for RMSE
    sides = [t for t in texts if t.startswith("← ") or t.endswith(" →")]
    better = ["← baseline better", "deep model better →"]
    worse = ["← deep model better", "baseline better →"]
    assert sides == (better if task == "binary" else worse)
    whiskers = [e for e in root.findall("line") if e.get("class") == "whisker s0"]
    zero = next(e for e in root.findall("line") if e.get("class") == "axis")
    ends = [float((whiskers[0].get(k) or "").strip("%")) for k in ("x1", "x2")]
    middle = float((zero.get("x1") or "").strip("%"))
    assert ends[0] < middle < ends[1]  # not significant: the whisker crosses the line at zero


def test_the_best_baseline_is_never_off_the_axis(tmp_path: Path) -> None:
    far = {"linear": (-0.4, -0.3, -0.2), "gradient_boosting": (0.001, 0.002, 0.003)}
    root = figure(section(tmp_path, "binary", **far))
    assert len(root.findall("circle")) == 2


def test_the_table_has_scores_differences_and_verdicts(tmp_path: Path) -> None:
    made = section(tmp_path, "binary", linear=(-0.001, 0.002, 0.005), majority=(0.39, 0.4, 0.41))
    (table,) = (b for b in made.parts[0].blocks if isinstance(b, Grid))
    first = [c.status.word if c.status else c.text for c in table.rows[0]]
    assert first == [
        "linear model",
        "not significant",
        "0.898",
        "+0.002",
        "−0.001 to +0.005",
        "2.0%",
    ]


@settings(deadline=None)
@given(
    st.sampled_from(["roc_auc", "rmse", "r2"]),
    st.tuples(*[st.floats(1e-6, 1e12)] * 3).map(sorted),
    st.booleans(),
)
def test_a_significant_difference_never_reads_as_zero(
    metric: str, ends: list[float], negative: bool
) -> None:
    values = [-v for v in ends] if negative else ends
    for text in metric_differences(metric, values):
        assert re.search(r"[1-9]", text) and text[0] == ("−" if negative else "+")


@pytest.mark.parametrize(
    ("decision", "moves", "word", "text"),
    [
        (
            "hold",
            [("promote", "1", "2")],
            "champion by hand",
            "Champion since 2026-11-27 06:12 UTC",
        ),
        ("promote", [("gate", "1", "2")], "promoted", None),
        (
            "promote",
            [("gate", "1", "2"), ("rollback", "2", "1")],
            "no longer champion",
            "Champion until 2026-11-27 06:12 UTC, plumbline rollback (Ann): why",
        ),
        ("hold", [("gate", None, "1")], "held back", None),
        ("hold", [("by hand", "1", None)], "held back", None),
    ],
)
def test_what_a_person_decided_is_beside_what_the_gate_did(
    tmp_path: Path, decision: str, moves: list[tuple[str, str, str]], word: str, text: str | None
) -> None:
    move = {"when": "2026-11-27T06:12:22+00:00", "who": "Ann", "why": "why"}
    history = [{**move, "how": how, "before": one, "after": other} for how, one, other in moves]
    content = {"version": "2", "decision": decision, "reasons": [], "history": history}
    (tmp_path / "register.json").write_text(json.dumps(content))
    (note, *_) = registry_notes(Reports(tmp_path))
    assert isinstance(note, Note)
    assert note.status.word == word
    assert text is None or note.text.startswith(text)


@pytest.mark.parametrize(
    ("gap", "state"), [((0.01, 0.02, 0.03), "good"), ((-0.3, -0.2, -0.1), "warn")]
)
def test_a_first_version_that_a_baseline_beats_is_no_green_champion(
    tmp_path: Path, gap: tuple[float, float, float], state: str
) -> None:
    section(tmp_path, "binary", linear=gap)
    content = {"version": "1", "decision": "first", "reasons": [], "history": []}
    (tmp_path / "register.json").write_text(json.dumps(content))
    (note, *_) = registry_notes(Reports(tmp_path))
    assert isinstance(note, Note)
    assert note.status.state == state
    assert ("a simpler baseline is significantly better" in note.text) == (state == "warn")
