"""repro: `dvc repro`, whose end is the stage's own exit code and the results."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from types import FrameType

import psutil  # type: ignore[import-untyped]

from plumbline.artifacts import StartSource
from plumbline.config import Paths, load_config
from plumbline.errors import StorageError, UserError
from plumbline.outcome import VARIABLE, Outcome, read_outcome
from plumbline.results import summary

PATIENCE = 10  # seconds until what was asked to end is ended


def repro(root: Path, stages: Sequence[str], *, force: bool) -> int:
    """Run DVC in `root`, its output to the terminal; returns the exit code of the stage that
    failed, and shows the results if all are there.

    Raises:
        StorageError: DVC itself failed (a lock, dvc.yaml); it has said why.
    """
    _say_what_moved(root)
    arguments = [*(["--force"] if force else []), *stages]
    with tempfile.TemporaryDirectory() as folder:
        ended = run_dvc(root, arguments, {}, Path(folder) / "outcome.json")
    if ended is not None and ended.code:
        return ended.code
    if not stages:
        print(f"\n{summary(root)}")
    return 0


def run_dvc(
    root: Path,
    arguments: Sequence[str],
    variables: Mapping[str, str],
    file: Path,
    *,
    command: Sequence[str] = ("repro",),
) -> Outcome | None:
    """Run `dvc repro` in a checkout, its output to the terminal; how the last stage ended, or None
    where none had to run.

    Args:
        variables: of the environment, beside those of this process.
        file: where stages leave how they ended.
        command: another one of DVC that runs stages.

    Raises:
        StorageError: DVC itself failed (a lock, dvc.yaml); it has said why.
    """
    here = Path(sys.executable).parent
    path = f"{here}{os.pathsep}{os.environ.get('PATH', os.defpath)}"
    with _ended_with_us():
        code = subprocess.call(
            [here / "dvc", *command, *arguments],
            cwd=root,
            env={**os.environ, "PATH": path, **variables, VARIABLE: str(file)},
        )
    ended = read_outcome(file)
    if code and (ended is None or not ended.code):
        raise StorageError("DVC could not run the stages", hint="its message above says why")
    return ended


def _say_what_moved(root: Path) -> None:
    """Say where an alias names another version, or a folder holds other weights, than the fit
    started from: DVC does not see it."""
    if not (root / StartSource.FILE).is_file():
        return
    try:
        config = load_config(Paths(root).params)
        if config.model.start_from is None:
            return
        from plumbline.stages.start_source import moved  # MLflow takes seconds to import

        now = moved(config, Paths(root))
    except UserError as error:  # the stages say what stops them; the fit that is there stays
        print(f"note: {error}", file=sys.stderr)
        return
    if now is not None:
        print(
            f"note: model.start_from, {config.model.start_from}, is {now} now; artifacts/start "
            "holds what it was. `dvc repro --force --single-item normalize` takes it anew",
            file=sys.stderr,
        )


@contextlib.contextmanager
def _ended_with_us() -> Iterator[None]:
    """While the block runs, a request to end (SIGTERM) ends DVC and its stage too: DVC alone would
    leave the stage running, and its lock held."""

    def end(number: int, frame: FrameType | None) -> None:
        below = psutil.Process().children(recursive=True)
        for process in below:
            with contextlib.suppress(psutil.NoSuchProcess):
                process.terminate()
        for process in psutil.wait_procs(below, timeout=PATIENCE)[1]:
            with contextlib.suppress(psutil.NoSuchProcess):
                process.kill()
        raise SystemExit(128 + number)

    before = signal.signal(signal.SIGTERM, end)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
