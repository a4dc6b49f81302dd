"""plumbline's own commands, as the flows run them: in a process, its output line by line."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from pipelines.dvc_cli import listen

SAYS = "plumbline: "  # how a message of the command begins


@dataclass(frozen=True, kw_only=True)
class Ended:
    """How a command ended: its exit code (see `plumbline.errors`), and its last message."""

    code: int
    message: str


class RefusedError(Exception):
    """A command of plumbline ended with something to fix: registry, data or parameters."""

    def __init__(self, ended: Ended) -> None:
        super().__init__(ended.message)
        self.ended = ended


def run_command(arguments: Sequence[str], root: Path, say: Callable[[str], None]) -> Ended:
    """Run a command in a checkout; what it prints goes to `say`. The flow's end ends it too
    (`dvc_cli.stop_all`)."""
    process = subprocess.Popen(
        [sys.executable, "-m", "plumbline", *arguments],
        cwd=root,
        env={**os.environ, "PYTHONUNBUFFERED": "1"},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        start_new_session=True,
    )
    lines = listen(process, say)
    own = [line.removeprefix(SAYS) for line in lines if line.startswith(SAYS)]
    message = (own or lines or [f"ended with {process.returncode}"])[-1]
    return Ended(code=process.returncode, message=message)
