from __future__ import annotations

import errno
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from plumbline import cli
from plumbline.config import Config, Paths
from plumbline.errors import DataError, GateError
from plumbline.files import exclusive
from plumbline.stages import Report


@pytest.fixture
def stage(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Callable[[BaseException | None], int]:
    """Run `plumbline split` in a folder with the sample's parameters; the stage does as told."""
    (tmp_path / "params.yaml").write_text((root / "params.yaml").read_text())
    monkeypatch.chdir(tmp_path)

    def invoke(error: BaseException | None) -> int:
        def run(config: Config, paths: Paths) -> Report:
            if error is not None:
                raise error
            return Report(rows=[("rows", "569")], look=[tmp_path / "reports" / "index.html"])

        def load(name: str) -> Any:
            return run

        monkeypatch.setattr(cli, "load_stage", load)
        return cli.main(["split"])

    return invoke


def test_results_and_where_to_look(
    stage: Callable[..., int], capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    assert stage(None) == 0
    out = capsys.readouterr().out
    assert "rows  569" in out
    assert "→ reports/index.html" in out
    assert (tmp_path / ".plumbline" / "timings" / "split.json").exists()


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (DataError("no such column", file="a.csv"), 2),
        (GateError("Leak.", report="reports/leakage.json"), 3),
        (OSError(errno.ENOSPC, "No space left on device", "a.npy"), 2),
        (RuntimeError("could not write: No space left on device (os error 28)"), 2),
    ],
)
def test_errors_are_one_message_and_a_code(
    stage: Callable[..., int],
    capsys: pytest.CaptureFixture[str],
    error: BaseException,
    code: int,
) -> None:
    assert stage(error) == code
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.startswith("plumbline: ")
    assert captured.err.count("\n") == 1


def test_a_wrapped_full_disk_is_recognised(
    stage: Callable[..., int], capsys: pytest.CaptureFixture[str]
) -> None:
    wrapped = RuntimeError("write failed")
    wrapped.__cause__ = OSError(errno.ENOSPC, "No space left on device")
    assert stage(wrapped) == 2
    assert "free space" in capsys.readouterr().err.lower()


def test_a_defect_of_ours_keeps_its_traceback(stage: Callable[..., int]) -> None:
    with pytest.raises(ZeroDivisionError):
        stage(ZeroDivisionError())


def test_one_stage_runs_once_at_a_time(
    stage: Callable[..., int], capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    with exclusive(tmp_path / ".plumbline" / "locks" / "split", "it"):
        assert stage(None) == 2
    assert "already running" in capsys.readouterr().err
    assert stage(None) == 0


def test_wrong_arguments_leave_with_two_and_no_traceback() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "plumbline", "trian"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 2
    assert "invalid choice: 'trian'" in done.stderr
    assert "Traceback" not in done.stderr
