"""DVC as a command: one stage at a time, its output line by line, its failure understood."""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import subprocess
import sys
import threading
from collections import deque
from collections.abc import Callable, Sequence
from enum import StrEnum
from pathlib import Path
from typing import Any

import yaml

STAGE_EXIT = re.compile(r"failed to run: .*, exited with (-?\d+)$")
# how DVC says that another process is in the way; it passes
LOCKED = ("Unable to acquire lock", "is busy, it is being blocked by", "database is locked")
KEPT_LINES = 40
GRACE = 10.0  # seconds from SIGTERM to SIGKILL
_running: set[subprocess.Popen[bytes]] = set()
_guard = threading.Lock()


class Outcome(StrEnum):
    """What DVC did for a stage."""

    RAN = "ran"
    CACHED = "taken from DVC's cache"
    UNCHANGED = "nothing changed"


class CommandError(Exception):
    """A DVC command failed.

    Attributes:
        code: exit code of the stage's own command (2 the user's mistake, 3 a gate, see
            `plumbline.errors`); None where DVC itself failed.
        passing: whether to try again: a lock, or storage that did not answer.
    """

    def __init__(self, message: str, *, code: int | None, passing: bool) -> None:
        super().__init__(message)
        self.code, self.passing = code, passing


def repro(name: str, root: Path, say: Callable[[str], None], *, force: bool = False) -> Outcome:
    """Run one stage (or record one .dvc file) through DVC, whatever other processes do.

    DVC frees its repository lock while the stage's command runs, so independent stages
    overlap; for the moments in which it needs the lock, it waits.

    Raises:
        CommandError: the stage or DVC failed.
    """
    lines = _dvc(["repro", "--single-item", *(["--force"] if force else []), name], root, say)
    if any(line.startswith("Running stage ") for line in lines):
        return Outcome.RAN
    if any("is cached - skipping run" in line for line in lines):
        return Outcome.CACHED
    return Outcome.UNCHANGED


def pull(name: str, root: Path, say: Callable[[str], None]) -> None:
    """Fetch what a .dvc file points to from the default remote.

    Raises:
        CommandError: the remote has it not, or did not answer.
    """
    try:
        _dvc(["pull", name], root, say)
    except CommandError as error:
        raise CommandError(str(error), code=None, passing=True) from None


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
    lines = _dvc(["status", "--json"], root, lambda line: None)
    found: dict[str, Any] = json.loads(lines[-1] if lines else "{}")
    return found


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


def _dvc(arguments: Sequence[str], root: Path, say: Callable[[str], None]) -> list[str]:
    """Run DVC of this environment; every line goes to `say`, the last ones are returned."""
    here = Path(sys.executable).parent
    environment = {
        **os.environ,
        "PATH": f"{here}{os.pathsep}{os.environ.get('PATH', os.defpath)}",
        "PYTHONUNBUFFERED": "1",
    }
    process = subprocess.Popen(
        [here / "dvc", "--wait-for-lock", *arguments],
        cwd=root,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        start_new_session=True,  # so that it can be ended with all that it started
    )
    with _guard:
        _running.add(process)
    lines: deque[str] = deque(maxlen=10_000)
    try:
        assert process.stdout is not None
        with process.stdout:
            for raw in process.stdout:
                text = raw.decode("utf-8", errors="replace").rstrip()
                line = text.rpartition("\r")[2]  # of a progress bar only its last state
                if line:
                    lines.append(line)
                    say(line)
        code = process.wait()
    finally:
        with _guard:
            _running.discard(process)
    if code:
        raise _explain(arguments, list(lines), code)
    return list(lines)


def _explain(arguments: Sequence[str], lines: list[str], code: int) -> CommandError:
    """The stage's own message where it left one, else the end of what was said."""
    exits = [int(found[1]) for line in lines if (found := STAGE_EXIT.search(line))]
    own = [line.removeprefix("plumbline: ") for line in lines if line.startswith("plumbline: ")]
    if exits and own:
        return CommandError(own[-1], code=exits[-1], passing=False)
    tail = "\n".join(lines[-KEPT_LINES:])
    if exits:
        return CommandError(tail, code=exits[-1], passing=False)
    passing = any(words in tail for words in LOCKED)
    message = f"dvc {' '.join(arguments)} ended with {code}:\n{tail}"
    return CommandError(message, code=None, passing=passing)
