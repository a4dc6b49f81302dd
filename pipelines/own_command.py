"""plumbline's own commands, as the flows run them: in a process, its output line by line, tried
again where a registry, a disk or a lock was away."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

from prefect.client.schemas.objects import State

from pipelines.dvc_cli import listen
from plumbline.outcome import VARIABLE, read_outcome

SAYS = "plumbline: "  # how a message of the command begins


@dataclass(frozen=True, kw_only=True)
class Ended:
    """How a command ended: its exit code (see `plumbline.errors`), its last message, and whether
    storage, a lock or a server was in its way."""

    code: int
    message: str
    storage: bool = False


class RefusedError(Exception):
    """A command of plumbline ended with something to fix: registry, data or parameters."""

    def __init__(self, ended: Ended) -> None:
        super().__init__(ended.message)
        self.ended = ended


def is_retryable(_task: Any, _run: Any, state: State[Any]) -> bool:
    """Try again where a registry, a disk or a lock was away; not after a mistake or a gate."""
    error = state.result(raise_on_failure=False)
    return isinstance(error, RefusedError) and error.ended.storage


RETRY_SECONDS = [10.0, 60.0, 300.0]
RETRIES: Mapping[str, Any] = MappingProxyType(  # of a task
    {
        "retries": len(RETRY_SECONDS),
        "retry_delay_seconds": RETRY_SECONDS,
        "retry_condition_fn": is_retryable,
    }
)


def run_command(arguments: Sequence[str], root: Path, say: Callable[[str], None]) -> Ended:
    """Run a command in a checkout; what it prints goes to `say`. The flow's end ends it too
    (`dvc_cli.stop_all`)."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "outcome.json"
        process = subprocess.Popen(
            [sys.executable, "-m", "plumbline", *arguments],
            cwd=root,
            env={**os.environ, "PYTHONUNBUFFERED": "1", VARIABLE: str(file)},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        lines = listen(process, say)
        outcome = read_outcome(file)
    own = [line.removeprefix(SAYS) for line in lines if line.startswith(SAYS)]
    message = (own or lines or [f"ended with {process.returncode}"])[-1]
    storage = outcome is not None and outcome.storage
    return Ended(code=process.returncode, message=message, storage=storage)
