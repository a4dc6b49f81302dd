"""The training section: figures say what the verdict says, whatever it is."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any, get_args

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.unit.report.sample import config, write_sample

from plumbline.report.about import about
from plumbline.report.blocks import Figures, Text
from plumbline.report.page import TEMPLATES, render
from plumbline.report.read import Reports
from plumbline.report.sections.training import LOSS_CAPTIONS, ROWS_CAPTIONS, training
from plumbline.training.diagnosis import GAIN, Diagnosis, Fit, More, Point, curve_json, diagnose

CONSTANT = 0.7
# every verdict on the fit, by losses as shares of a constant's
FITS: dict[Fit, dict[str, Any]] = {
    "nothing learned": {"train": 0.99, "val": 1.0},
    "over-fitting": {"train": 0.2, "val": 0.53},
    "under-fitting": {
        "train": 0.49,
        "val": 0.5,
        "history": list(np.linspace(1.0, 0.5, 10)),
        "best_epoch": 10,
        "stopped_early": False,
    },
    "balanced": {"train": 0.5, "val": 0.53},
}
# and on more rows: loss on half of them, less that on all, and its standard deviation over rows
MORE: dict[More, tuple[float, float]] = {
    "would help": (0.1, 0.1),
    "would not help": (0.0, 0.01),
    "unknown": (0.01, 0.5),
}


def predictions(given: dict[str, Any], gain: float, spread: float) -> tuple[Diagnosis, list[Any]]:
    noise = np.random.default_rng(0).normal(0, 1, 200)
    noise = (noise - noise.mean()) / noise.std()
    all_rows = np.full(200, CONSTANT * given["val"])
    fewer = all_rows + CONSTANT * (gain + spread * noise)
    curve = [Point(rows=500, losses=fewer), Point(rows=1000, losses=all_rows)]
    history = given.get("history", [1.0, 0.8, *[given["val"]] * 8])
    verdict = diagnose(
        history=[{"val_loss": CONSTANT * loss} for loss in history],
        monitored=[CONSTANT * loss for loss in history],
        best_epoch=given.get("best_epoch", 5),
        stopped_early=given.get("stopped_early", True),
        steps=100,
        train_loss=CONSTANT * given["train"],
        constant_loss=CONSTANT,
        train_constant_loss=CONSTANT,
        curve=curve,
    )
    return verdict, curve_json(curve)


def shown(folder: Path, verdict: Diagnosis, points: list[Any]) -> tuple[list[str], list[str]]:
    """Paragraphs, and captions of the figures: loss per epoch, loss over rows."""
    folder = folder / "training"
    folder.mkdir(exist_ok=True)
    summary = {"best_epoch": 2, "verdict": verdict.to_json(), "learning_curve": points}
    (folder / "summary.json").write_text(json.dumps(summary))
    (folder / "curves.csv").write_text("epoch,train_loss,val_loss\n1,0.7,0.6\n2,0.5,0.5\n")
    reports = Reports(folder.parent)
    (part,) = training(reports, about(config(), reports)).parts
    figures = [f for b in part.blocks if isinstance(b, Figures) for f in b.figures]
    return [b.text for b in part.blocks if isinstance(b, Text)], [f.caption for f in figures]


@pytest.mark.parametrize("more", list(MORE))
@pytest.mark.parametrize("fit", list(FITS))
def test_every_verdict_has_the_captions_that_go_with_it(
    tmp_path: Path, fit: Fit, more: More
) -> None:
    verdict, points = predictions(FITS[fit], *MORE[more])
    assert (verdict.fit, verdict.more_rows) == (fit, more)
    texts, (losses, rows) = shown(tmp_path, verdict, points)
    assert texts == verdict.text
    assert losses.endswith(LOSS_CAPTIONS[fit]) and rows.endswith(ROWS_CAPTIONS[more])
    # no caption says more, or less, than the sentence above it
    for phrase, kind in (
        ("ore rows would help:", "would help"),
        ("ore rows would not help:", "would not help"),
        ("ore rows would help is within noise:", "unknown"),
    ):
        assert (phrase in texts[1]) is (kind == more)
        assert (phrase.replace(":", ".") in rows) is (kind == more)


def test_the_sweep_is_drawn_with_the_rate_that_it_proposes(tmp_path: Path) -> None:
    verdict, points = predictions(FITS["balanced"], 0.02, 0.1)
    folder = tmp_path / "training"
    folder.mkdir()
    (folder / "learning_rate.csv").write_text("learning_rate,loss\n1e-4,0.7\n1e-3,0.6\n0.1,2\n")
    _, captions = shown(tmp_path, verdict, points)
    assert len(captions) == 3 and captions[2].startswith("The learning-rate finder")
    file = folder / "summary.json"
    summary = json.loads(file.read_text()) | {"proposed_learning_rate": 0.001}
    file.write_text(json.dumps(summary))
    reports = Reports(tmp_path)
    (part,) = training(reports, about(config(), reports)).parts
    drawn = [f.svg for b in part.blocks if isinstance(b, Figures) for f in b.figures][2]
    assert "proposed: 0.001" in drawn


def test_no_verdict_is_without_a_caption() -> None:
    assert set(FITS) == set(LOSS_CAPTIONS) == set(get_args(Fit))
    assert set(MORE) == set(ROWS_CAPTIONS) == set(get_args(More))


@settings(deadline=None)
@given(st.floats(-0.2, 0.2), st.floats(0, 1.0))
def test_the_band_that_is_drawn_is_what_the_caption_says(gain: float, spread: float) -> None:
    verdict, (half, whole) = predictions(FITS["balanced"], gain, spread)
    low, high = (half[k] - whole["val_loss"] for k in ("low", "high"))
    worth = GAIN * CONSTANT
    if verdict.more_rows == "would help":
        assert low > 0 and (low + high) / 2 > worth
    elif verdict.more_rows == "would not help":
        assert high < worth
    else:
        assert low <= worth <= high


def test_the_curve_has_a_band_and_the_level_of_all_rows(tmp_path: Path) -> None:
    verdict, points = predictions(FITS["balanced"], 0.02, 0.1)
    shown(tmp_path, verdict, points)
    reports = Reports(tmp_path)
    (part,) = training(reports, about(config(), reports)).parts
    figures = [f for b in part.blocks if isinstance(b, Figures) for f in b.figures]
    drawn = str(figures[1].svg)
    assert 'class="band s1"' in drawn and "fit on all rows" in drawn
    style = (TEMPLATES / "page.css").read_text(encoding="utf-8")
    for cls in re.findall(r'class="line (s\d)"', drawn):
        assert f".line.{cls}" in style  # a line without a color is not seen
    for point in points:  # older reports have no intervals
        del point["low"], point["high"]
    texts, captions = shown(tmp_path, verdict, points)
    assert len(captions) == 2 and texts == verdict.text


def test_a_start_network_is_named_with_what_was_taken_and_what_was_not(tmp_path: Path) -> None:
    start = {
        "source": "reviews version 7",
        "sha256": "ab" * 32,
        "leak": "it was fitted on the same data with another split",
        "taken": {"input.encoders.text_0.lookup.table.weight": "12 of 30 rows"},
        "left": {"head.weight": "answers other classes there"},
        "freeze": {"text": 3, "backbone": "all"},
        "rates": {"text": 0.1},
        "fitted": ["text"],
    }
    folder = tmp_path / "training"
    folder.mkdir()
    (folder / "summary.json").write_text(json.dumps({"best_epoch": 1, "start": start}))
    (folder / "curves.csv").write_text("epoch,train_loss,val_loss\n1,0.7,0.6\n")
    reports = Reports(tmp_path)
    text = str(training(reports, about(config(), reports)).parts)
    for wanted in (
        "reviews version 7",
        "1 of 2",
        "text: the first 3 epochs, backbone: all epochs",
        "text: 0.1",
        "12 of 30 rows",
        "answers other classes there",
        "It was fitted on the same data with another split.",
    ):
        assert wanted in text, wanted


@pytest.mark.parametrize("single", [None, "the rows are split in time"])
def test_a_bag_is_shown_with_its_networks_or_with_why_there_is_none(
    tmp_path: Path, single: str | None
) -> None:
    for name in ("training", "split"):
        (tmp_path / name).mkdir()
    files: dict[str, Any] = {
        "training/summary.json": {"best_epoch": 1, "monitor": "rmse"},
        "split/summary.json": {"bag": {"networks": 1 if single else 2, "single": single}},
    }
    if single is None:
        one = {"rows": 80, "held_out": 40, "epochs": 30, "best_epoch": 14, "best_score": 2.5}
        files["training/bag.json"] = {"networks": [one, {**one, "best_epoch": 21}]}
    for name, content in files.items():
        (tmp_path / name).write_text(json.dumps(content))
    (tmp_path / "training/curves.csv").write_text("epoch,train_loss,val_loss\n1,0.7,0.6\n")
    reports = Reports(tmp_path)
    (part,) = training(reports, about(config("regression"), reports)).parts
    text = str(part)
    if single is not None:
        assert f"The model is a single network: {single}." in text
        return
    assert "a bag of 2 networks" in text and "training/bag.json" in str(part.files)
    assert "14 of 30" in text and "21 of 30" in text and "2.5" in text


@pytest.mark.parametrize("networks", [1, 5])
def test_of_a_bag_figures_and_parts_say_what_they_are_of(tmp_path: Path, networks: int) -> None:
    folder = write_sample(tmp_path, "binary")
    summary = folder / "split" / "summary.json"
    told = json.loads(summary.read_text())
    if networks > 1:
        told["bag"] = {"networks": networks, "single": None, "auto": True}
    summary.write_text(json.dumps(told))
    page = re.sub(r"<[^>]+>", "", render(config("binary"), Reports(folder)))
    assert ("a bag of 5 networks that are built alike; shown and" in page) == (networks > 1)
    assert ("fitted on the training rows; early stopping" in page) == (networks == 1)
    assert ("each network is fitted on all folds but one" in page) == (networks > 1)
