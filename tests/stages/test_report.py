"""The report stage writes one page, whole, from whatever is there."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from tests.unit.report.sample import config, write_sample

from plumbline.config import Paths
from plumbline.stages.report import run
from plumbline.stopped import Stopped, note_stopped


def test_a_page_from_full_reports(tmp_path: Path) -> None:
    paths = Paths(tmp_path)
    write_sample(paths.reports)
    report = run(config(), paths)
    page = paths.reports / "index.html"
    text = page.read_text(encoding="utf-8")
    assert report.outputs == [page]
    assert text.startswith("<!DOCTYPE html>") and text.rstrip().endswith("</html>")
    assert dict(report.rows)["verdict"] in text
    assert str(tmp_path) not in text


def test_a_page_without_any_report(tmp_path: Path) -> None:
    run(config(), Paths(tmp_path))
    assert "is not there" in (tmp_path / "reports" / "index.html").read_text(encoding="utf-8")


def test_the_notice_of_a_gate_stays_until_dvc_runs_the_stage(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    paths = Paths(tmp_path)
    stopped = Stopped(stage="split", message="leakage: a column", at="2026-03-01 09:30 UTC")
    note_stopped(paths.state, stopped)
    monkeypatch.delenv("DVC_STAGE", raising=False)
    run(config(), paths)
    page = paths.reports / "index.html"
    assert "leakage: a column" in page.read_text(encoding="utf-8")
    monkeypatch.setenv("DVC_STAGE", "report")
    run(config(), paths)
    assert "leakage: a column" not in page.read_text(encoding="utf-8")


def test_again_and_elsewhere_the_same_bytes(tmp_path: Path) -> None:
    here, there = Paths(tmp_path / "here"), Paths(tmp_path / "there")
    write_sample(here.reports)
    shutil.copytree(here.root, there.root)
    for paths in (here, here, there):
        run(config(), paths)
    pages = [(p.reports / "index.html").read_bytes() for p in (here, there)]
    assert pages[0] == pages[1]


def test_it_is_light() -> None:
    code = "import sys, plumbline.stages.report; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    heavy = {"torch", "matplotlib", "pandas", "sklearn", "mlflow", "evidently", "scipy"}
    assert not heavy & set(done.stdout.split())
