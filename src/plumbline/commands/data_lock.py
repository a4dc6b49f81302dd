"""The data are replaced only while nobody reads them: no stage, and no DVC on a stage's behalf."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

from plumbline.config import Paths
from plumbline.errors import StorageError
from plumbline.files import exclusive, is_locked, read_json, remove_stale
from plumbline.stages import STAGES

WAIT = "wait until it has ended, then run again; nothing was changed"


@contextlib.contextmanager
def replacing_data(paths: Paths, what: str) -> Iterator[None]:
    """Hold the data alone while the block runs; a stage that starts meanwhile waits.

    Args:
        what: the command, for messages.

    Raises:
        StorageError: a stage is running, DVC holds the data for one, or another command
            replaces them.
    """
    with contextlib.ExitStack() as held:
        try:
            held.enter_context(exclusive(paths.locks / "data", what))
        except StorageError:
            raise StorageError(
                f"{what} would replace the data, and {_reader(paths)}", file="data", hint=WAIT
            ) from None
        # DVC takes its lock before it starts a stage, and lets go after it has recorded the data
        process = _held_by_dvc(paths)
        if process is not None:
            raise StorageError(
                f"{what} would replace the data, and DVC works with them (process {process})",
                file="data",
                hint=WAIT,
            )
        for left in sorted(paths.data.glob(".*.tmp")):  # or it would become part of a version
            remove_stale(left.with_name(left.name[1:].rsplit(".", 2)[0]))
        yield


def _reader(paths: Paths) -> str:
    for name in STAGES:
        process = is_locked(paths.locks / name)
        if process is not None:
            return f"stage '{name}' reads them (process {process})"
    process = is_locked(paths.locks / "data")
    return f"another process works with them ({process or 'just ended'})"


def _held_by_dvc(paths: Paths) -> int | None:
    """A living process for which DVC's lock file names the data, or something in or above them."""
    try:
        lock = read_json(paths.root / ".dvc" / "tmp" / "rwlock")
        readers = [(path, info) for path, infos in lock.get("read", {}).items() for info in infos]
        holders = [*readers, *lock.get("write", {}).items()]
        processes = [(Path(path), int(info["pid"])) for path, info in holders if info]
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None
    data = paths.data.resolve()
    for place, process in processes:
        near = place == data or data in place.parents or place in data.parents
        if near and process != os.getpid() and _lives(process):
            return process
    return None


def _lives(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass
    return True
