"""The head of the page: who made the model, when, on what; and a gate that stopped the run."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tests.unit.report.sample import config, write_sample

from plumbline.report.page import render
from plumbline.report.read import Reports
from plumbline.stopped import Stopped

FIT = {
    "user": "ada",
    "fitted_at": "2026-03-01 09:30 UTC",
    "fit_seconds": "95",
    "device": "cpu",
    "processor": "Xeon <b>9</b>",
    "threads": "2",
    "libraries": "python==3.11.9 torch==2.13.0 numpy==2.4.6",
}


def page(
    folder: Path, stopped: Stopped | None = None, passed: Sequence[str] = (), **lineage: Any
) -> str:
    reports = write_sample(folder)
    register = json.loads((reports / "register.json").read_text())
    register["lineage"] |= lineage
    (reports / "register.json").write_text(json.dumps(register))
    return render(config(), Reports(reports), stopped, passed)


def test_who_when_how_long_with_what_and_how_to_rebuild(tmp_path: Path) -> None:
    text = page(tmp_path, **FIT, rebuildable="yes")
    head = text[text.index("<header>") : text.index('<section id="verdict"')]
    for shown in (
        "sample 3",
        "ada",
        "2026-03-01 09:30 UTC",
        "1 min 35 s",
        "Xeon &lt;b&gt;9&lt;/b&gt;, 2 threads",
        "python 3.11.9, torch 2.13.0",
        "plumbline reproduce sample/3",
        "9b1c7e1f0a3d",
    ):
        assert f">{shown}<" in head, shown
    assert "note warn" not in head


def test_what_cannot_be_rebuilt_says_so_at_the_head(tmp_path: Path) -> None:
    text = page(tmp_path, rebuildable="no: not committed: params.yaml")
    head = text[text.index("<header>") : text.index('<section id="verdict"')]
    assert "note warn" in head and "Not committed: params.yaml." in head
    assert "fitted by" not in head  # not known


def test_a_gate_that_stopped_the_run_comes_before_the_earlier_verdict(tmp_path: Path) -> None:
    message = "validation: column 'age' <script>."
    stopped = Stopped(stage="validate", message=message, at="2026-03-02 10:00 UTC")
    text = page(tmp_path, stopped)
    notice = text.index('id="stopped"')
    assert notice < text.index('class="origin"') < text.index('id="verdict"')
    assert "column &#39;age&#39; &lt;script&gt;." in text and "2026-03-02 10:00 UTC" in text
    assert "Earlier run: " in text[text.index('id="h-verdict"') :][:400]
    assert 'id="stopped"' not in page(tmp_path / "other")


def test_of_a_run_that_a_leak_stopped_no_other_split_is_shown(tmp_path: Path) -> None:
    stopped = Stopped(stage="split", message="target leakage", at="2026-03-02 10:00 UTC")
    text = page(tmp_path, stopped, ["validate"])
    why = "The run was stopped before rows were dealt to parts."
    assert why in text[text.index('<section id="split"') :][:2000]
    assert why not in page(tmp_path / "other")


def test_of_a_run_that_a_late_gate_stopped_the_figures_are_its_own(tmp_path: Path) -> None:
    """When `register` refuses, all stages before it have written: the verdict below is of a model
    that is not the version at the head."""
    stopped = Stopped(stage="register", message="run `dvc push`", at="2026-03-02 10:00 UTC")
    passed = ("validate", "split", "train", "evaluate", "export")
    text = page(tmp_path, stopped, passed)
    assert (
        "Of the stopped run is what validate, split, train, evaluate, export and register" in text
    )
    assert "Stopped run: " in text[text.index('id="h-verdict"') :][:400]
    assert "Earlier run" not in text and "run <code>dvc push</code>" in text
    assert "<dt>registered before</dt>" in text and "<dt>version</dt>" not in text
    early = page(tmp_path / "early", Stopped(stage="split", message="leak", at=""), ("validate",))
    assert "Earlier run: " in early[early.index('id="h-verdict"') :][:400]
