"""DVC in processes: one stage at a time, its output line by line, its failure understood."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
from collections import deque
from collections.abc import Callable
from enum import StrEnum
from pathlib import Path
from typing import Any

import yaml

from plumbline.outcome import VARIABLE, read_outcome

KEPT_LINES = 40
GRACE = 10.0  # seconds from SIGTERM to SIGKILL
HERE = Path(__file__).resolve().parents[1]
_running: set[subprocess.Popen[bytes]] = set()
_guard = threading.Lock()


class Outcome(StrEnum):
    """What DVC did for a stage."""

    RAN = "ran"
    UNCHANGED = "nothing changed"


class CommandError(Exception):
    """A DVC command failed.

    Attributes:
        code: exit code of the stage (2 the user's mistake, 3 a gate, see `plumbline.errors`);
            None where DVC itself failed.
        retryable: whether to try again: a lock, or storage that did not answer.
    """

    def __init__(self, message: str, *, code: int | None, retryable: bool) -> None:
        super().__init__(message)
        self.code, self.retryable = code, retryable


def repro(name: str, root: Path, say: Callable[[str], None], *, force: bool = False) -> Outcome:
    """Run one stage (or record one .dvc file) through DVC, whatever other processes do.

    DVC frees its repository lock while the stage's command runs, so independent stages
    overlap; for the moments in which it needs the lock, it waits.

    Raises:
        CommandError: the stage or DVC failed.
    """
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "outcome.json"
        try:
            _dvc(["repro", name, *(["force"] if force else [])], root, say, outcome=file)
        except CommandError as error:
            ended = read_outcome(file)
            if ended is not None and ended.code:
                raise CommandError(ended.message, code=ended.code, retryable=False) from None
            raise error
        return Outcome.UNCHANGED if read_outcome(file) is None else Outcome.RAN


def pull(name: str, root: Path, say: Callable[[str], None]) -> None:
    """Fetch what a .dvc file points to from the default remote.

    Raises:
        CommandError: the remote has it not, or did not answer.
    """
    try:
        _dvc(["pull", name], root, say)
    except CommandError as error:
        raise CommandError(str(error), code=None, retryable=True) from None


def present(name: str, root: Path) -> bool:
    """Whether what a .dvc file points to lies in the checkout, as it should be or changed."""
    pointer = root / name
    outs = yaml.safe_load(pointer.read_text(encoding="utf-8"))["outs"]
    return all((pointer.parent / out["path"]).exists() for out in outs)


def status(root: Path) -> dict[str, Any]:
    """What differs from dvc.lock and the .dvc files, by stage or file; empty if nothing does.

    Raises:
        CommandError: DVC failed.
    """
    changes: dict[str, Any] = _dvc(["status"], root, lambda line: None)
    return changes


def stop_all() -> None:
    """End every command that still runs, with all that it started."""
    with _guard:
        running = list(_running)
    for process in running:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGTERM)
    for process in running:
        try:
            process.wait(GRACE)
        except subprocess.TimeoutExpired:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)


def _dvc(
    question: list[str], root: Path, say: Callable[[str], None], outcome: Path | None = None
) -> Any:
    """Ask DVC of this environment (`pipelines.dvc_child`); every line it prints goes to `say`."""
    python = Path(sys.executable)
    environment = {
        **os.environ,
        "PATH": f"{python.parent}{os.pathsep}{os.environ.get('PATH', os.defpath)}",
        "PYTHONPATH": os.pathsep.join(filter(None, [str(HERE), os.environ.get("PYTHONPATH")])),
        "PYTHONUNBUFFERED": "1",
        **({VARIABLE: str(outcome)} if outcome else {}),
    }
    with tempfile.TemporaryDirectory() as folder:
        answer = Path(folder) / "answer.json"
        process = subprocess.Popen(
            [python, "-m", "pipelines.dvc_child", answer, *question],
            cwd=root,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,  # so that it can be ended with all that it started
        )
        lines = listen(process, say)
        reply = json.loads(answer.read_text(encoding="utf-8")) if answer.exists() else None
    if process.returncode == 0:
        return reply
    tail = "\n".join(lines)
    if reply is None:
        message = f"dvc {' '.join(question)} ended with {process.returncode}:\n{tail}"
        raise CommandError(message, code=None, retryable=False)
    message = f"{reply['error']}\n{tail}" if tail else reply["error"]
    raise CommandError(message, code=None, retryable=reply["retryable"])


def listen(process: subprocess.Popen[bytes], say: Callable[[str], None]) -> list[str]:
    """Hand on what a process prints until it ends; gives the last lines."""
    with _guard:
        _running.add(process)
    lines: deque[str] = deque(maxlen=KEPT_LINES)
    try:
        assert process.stdout is not None
        with process.stdout:
            for raw in process.stdout:
                text = raw.decode("utf-8", errors="replace").rstrip()
                line = text.rpartition("\r")[2]  # of a progress bar only its last state
                if line:
                    lines.append(line)
                    say(line)
        process.wait()
    finally:
        with _guard:
            _running.discard(process)
    return list(lines)
