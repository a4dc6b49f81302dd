from __future__ import annotations

import errno
import json
import os
import subprocess
import sys
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from plumbline import cli
from plumbline.config import Config, Paths
from plumbline.errors import DataError, GateError, PlumblineWarning
from plumbline.files import exclusive
from plumbline.outcome import VARIABLE
from plumbline.stages import STAGES, Report


@pytest.fixture
def stage(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Callable[[BaseException | None], int]:
    """Run `plumbline split` in a folder with the sample's parameters; the stage does as told."""
    (tmp_path / "params.yaml").write_text((root / "params.yaml").read_text())
    monkeypatch.chdir(tmp_path)

    def invoke(error: BaseException | None) -> int:
        def run(config: Config, paths: Paths) -> Report:
            if isinstance(error, Warning):
                warnings.warn(error, stacklevel=1)
            elif error is not None:
                raise error
            return Report(rows=[("rows", "569")], outputs=[tmp_path / "reports" / "index.html"])

        def load(name: str) -> Any:
            return run

        monkeypatch.setattr("plumbline.commands.stage.load_stage", load)
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
        (KeyboardInterrupt(), 130),
        (SystemExit(143), 143),  # SIGTERM, in a command that ends what it has started
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


def test_a_wrapped_full_disk_is_recognized(
    stage: Callable[..., int], capsys: pytest.CaptureFixture[str]
) -> None:
    wrapped = RuntimeError("write failed")
    wrapped.__cause__ = OSError(errno.ENOSPC, "No space left on device")
    assert stage(wrapped) == 2
    assert "Free disk space or fix permissions and rerun" in capsys.readouterr().err


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


@pytest.mark.parametrize("launched", [False, True])
def test_rank_alone_is_no_group(
    stage: Callable[..., int],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    launched: bool,
) -> None:
    """A scheduler's RANK must not take lock and results away; torch's launcher says more."""
    monkeypatch.setenv("RANK", "0")
    monkeypatch.delenv("TORCHELASTIC_RUN_ID", raising=False)
    if launched:
        monkeypatch.setenv("TORCHELASTIC_RUN_ID", "none")
    with exclusive(tmp_path / ".plumbline" / "locks" / "split", "it"):
        assert stage(None) == (0 if launched else 2)
    assert ("already running" in capsys.readouterr().err) is not launched


@pytest.mark.parametrize(
    ("warning", "answer"),
    [
        (PlumblineWarning("units stay equal"), "plumbline: warning: units stay equal\n"),
        (UserWarning("a library's own"), ""),
        (DeprecationWarning("a library's own"), ""),
    ],
)
def test_our_warnings_are_one_line_and_those_of_libraries_none(
    stage: Callable[..., int],
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    warning: Warning,
    answer: str,
) -> None:
    monkeypatch.setattr(warnings, "showwarning", warnings.showwarning)  # put back afterwards
    assert stage(warning) == 0
    assert capsys.readouterr().err == answer


@pytest.mark.parametrize(
    ("error", "code", "message"),
    [
        (None, 0, ""),
        (DataError("no such column", file="a.csv"), 2, "a.csv: no such column"),
        (GateError("Leak.", report="r.json"), 3, "Leak. See r.json."),
        (ZeroDivisionError("by zero"), 1, "ZeroDivisionError: by zero"),
    ],
)
def test_whoever_started_the_stage_through_dvc_learns_how_it_ended(
    stage: Callable[..., int],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    error: BaseException | None,
    code: int,
    message: str,
) -> None:
    monkeypatch.setenv(VARIABLE, str(tmp_path / "outcome.json"))
    try:
        assert stage(error) == code
    except ZeroDivisionError:
        assert code == 1
    left = json.loads((tmp_path / "outcome.json").read_text())
    assert left == {"stage": "split", "code": code, "message": message, "storage": False}


def test_a_killed_stage_has_left_its_name(tmp_path: Path, root: Path) -> None:
    (tmp_path / "params.yaml").write_text((root / "params.yaml").read_text())
    code = (
        "import os, signal\nfrom plumbline import cli\nfrom plumbline.commands import stage\n"
        "stage.load_stage = lambda name: lambda *_: os.kill(os.getpid(), signal.SIGKILL)\n"
        "cli.main(['tune'])"
    )
    environment = {**os.environ, VARIABLE: str(tmp_path / "outcome.json")}
    subprocess.run([sys.executable, "-c", code], cwd=tmp_path, env=environment, check=False)
    left = json.loads((tmp_path / "outcome.json").read_text())
    assert left["code"] == 1 and "'tune' was killed" in left["message"]


def test_help_shows_a_newcomer_where_to_start(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as left:
        cli.main(["--help"])
    text = capsys.readouterr().out
    assert left.value.code == 0
    assert "plumbline init --data customers.csv --target churned" in text
    listed = [line.split()[0] for line in text.splitlines() if line.startswith("  ")]
    places = [listed.index(name) for name in ("init", "repro", "show", "ingest", *STAGES)]
    assert places == sorted(places)
    assert max(map(len, text.splitlines())) <= 80


@pytest.mark.parametrize("name", ["init", "repro", "show", "ingest", *STAGES])
def test_every_command_has_an_example(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        cli.main([name, "--help"])
    text = capsys.readouterr().out
    assert text.startswith(f"usage: plumbline {name}")
    assert f"\n  plumbline {name}" in text.rpartition("\nexample")[2]


def test_no_command_is_help_and_two(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main([]) == 2
    assert "start here" in capsys.readouterr().err


def test_the_version(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as left:
        cli.main(["--version"])
    assert left.value.code == 0
    assert capsys.readouterr().out.startswith("plumbline 0.")


def test_a_reader_that_has_seen_enough_is_no_error(tmp_path: Path) -> None:
    code = (
        "import sys\nfrom plumbline import cli\n"
        "cli._show = lambda _: [print('x' * 10_000, flush=True) for _ in range(100)] and None\n"
        "sys.exit(cli.main(['show']))"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    assert process.stdout is not None and process.stderr is not None
    process.stdout.read(1)
    process.stdout.close()
    assert process.stderr.read() == b""
    process.stderr.close()
    assert process.wait() == 0


def test_wrong_arguments_leave_with_two_and_no_traceback() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "plumbline", "trian"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 2
    assert "invalid choice: 'trian'" in done.stderr
    assert "Traceback" not in done.stderr
