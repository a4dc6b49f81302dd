"""repro: `dvc repro`, whose end is the stage's own exit code and the results."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from plumbline.errors import StorageError
from plumbline.outcome import VARIABLE, read_outcome
from plumbline.results import summary


def repro(root: Path, stages: Sequence[str], *, force: bool) -> int:
    """Run DVC in `root`, its output to the terminal; returns the exit code of the stage that
    failed, and shows the results if all are there.

    Raises:
        StorageError: DVC itself failed (a lock, dvc.yaml); it has said why.
    """
    here = Path(sys.executable).parent
    path = f"{here}{os.pathsep}{os.environ.get('PATH', os.defpath)}"
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "outcome.json"
        done = subprocess.run(
            [here / "dvc", "repro", *(["--force"] if force else []), *stages],
            cwd=root,
            env={**os.environ, "PATH": path, VARIABLE: str(file)},
            check=False,
        )
        ended = read_outcome(file)
    if done.returncode == 0:
        if not stages:
            print(f"\n{summary(root)}")
        return 0
    if ended is not None and ended.code:
        return ended.code
    raise StorageError("DVC could not run the stages", hint="its message above says why")
