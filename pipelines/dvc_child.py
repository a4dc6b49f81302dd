"""One thing asked of DVC's Python API, in a process of its own: `python -m pipelines.dvc_child`.

DVC changes the working folder and keeps state per process, so stages side by side need a process
each. The answer is JSON in a file: nothing is read out of what DVC prints. What is used of DVC is
pinned by tests/pipelines/test_command.py.
"""

from __future__ import annotations

import json
import sqlite3
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from dvc.exceptions import DvcException
from dvc.lock import LockError
from dvc.repo import Repo

FAILED = 255  # as DVC's own command line


def main() -> int:
    """Answer one question; arguments: where the answer goes, the question, its argument."""
    answer, question, *arguments = sys.argv[1:]
    try:
        with Repo(_wait_for_lock=True) as repo:
            content = QUESTIONS[question](repo, *arguments)
    except (DvcException, OSError, sqlite3.Error) as error:
        causes = _causes(error)
        words = ": ".join(dict.fromkeys(str(cause) for cause in causes if str(cause)))
        retryable = any(
            isinstance(cause, (LockError, sqlite3.OperationalError)) for cause in causes
        )
        Path(answer).write_text(
            json.dumps({"error": words, "retryable": retryable}), encoding="utf-8"
        )
        return FAILED
    Path(answer).write_text(json.dumps(content), encoding="utf-8")
    return 0


def repro(repo: Repo, name: str, force: str = "") -> None:
    """Run one stage (or record one .dvc file) where it has changed."""
    repo.reproduce(targets=[name], single_item=True, force=bool(force))


def pull(repo: Repo, name: str) -> None:
    """Fetch what a .dvc file points to."""
    repo.pull(targets=[name])


def status(repo: Repo) -> Any:
    """What differs from dvc.lock and the .dvc files, by stage or file."""
    return repo.status()


def _causes(error: BaseException) -> list[BaseException]:
    causes: list[BaseException] = []
    cause: BaseException | None = error
    while cause is not None and cause not in causes:
        causes.append(cause)
        cause = cause.__cause__
    return causes


QUESTIONS: dict[str, Callable[..., Any]] = {"repro": repro, "pull": pull, "status": status}

if __name__ == "__main__":
    sys.exit(main())
