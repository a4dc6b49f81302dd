"""Atomic writes: after a crash a file or folder is the old one or the new one, never between."""

from __future__ import annotations

import contextlib
import copy
import fcntl
import functools
import hashlib
import json
import os
import re
import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, Any

import yaml

from plumbline.errors import StorageError

# a list of numbers, as `json.dumps` lays it out; no line breaks within a JSON string
NUMBERS = re.compile(r"\[\n\s+(-?\d[^\[\]{}\"a-df-zA-DF-Z]*)\n\s*\]")
_checks: list[Callable[[Path], None]] = []


@contextlib.contextmanager
def before_replacing(check: Callable[[Path], None]) -> Iterator[None]:
    """While the block runs, `check` is called with each path that is about to be replaced; where
    it raises, the path stays as it is."""
    _checks.append(check)
    try:
        yield
    finally:
        _checks.remove(check)


def _check_writable(path: Path) -> None:
    for check in _checks:
        check(path)


@contextlib.contextmanager
def new_file(path: Path) -> Iterator[Path]:
    """Yield a temporary path beside `path`; it replaces `path` when the block ends well."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(prefix=f".{path.name}.", suffix=".tmp", dir=path.parent)
    os.close(handle)
    temporary = Path(name)
    try:
        yield temporary
        with temporary.open("rb") as written:
            os.fsync(written.fileno())
        _check_writable(path)
        temporary.chmod(0o644)
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


@contextlib.contextmanager
def new_dir(path: Path) -> Iterator[Path]:
    """Yield a temporary folder beside `path`; it replaces `path` whole when the block ends well.

    The name is taken by two renames; a process killed between them leaves the old folder
    as `.NAME.old`, which the next call puts back before it begins.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    old = path.parent / f".{path.name}.old"
    if old.exists() and not path.exists():
        old.rename(path)
    temporary = Path(tempfile.mkdtemp(prefix=f".{path.name}.", suffix=".tmp", dir=path.parent))
    temporary.chmod(0o755)
    try:
        yield temporary
        _check_writable(path)
        shutil.rmtree(old, ignore_errors=True)
        if path.exists():
            path.rename(old)
        temporary.rename(path)
        shutil.rmtree(old, ignore_errors=True)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


@contextlib.contextmanager
def scratch(path: Path) -> Iterator[Path]:
    """An empty folder inside `path` for the while of the block; what a killed process left there
    goes first.

    Each has a name of its own: what the killed process had started may still write under its name.
    The caller holds a lock, by which nobody else uses `path` now.
    """
    shutil.rmtree(path, ignore_errors=True)
    path.mkdir(parents=True, exist_ok=True)
    folder = Path(tempfile.mkdtemp(dir=path))
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        with contextlib.suppress(OSError):
            path.rmdir()


def remove_stale(path: Path) -> None:
    """Remove what killed processes left of `new_file` and `new_dir` for a path.

    The caller holds a lock by which nobody writes the path now. The old folder of a process that
    was killed between its two renames is no litter: it is put back.
    """
    old = path.parent / f".{path.name}.old"
    if old.exists() and not path.exists():
        old.rename(path)
    pattern = re.compile(rf"\.{re.escape(path.name)}\.\w{{8}}\.tmp")
    for other in list(path.parent.iterdir()) if path.parent.is_dir() else []:
        if other == old or pattern.fullmatch(other.name):
            if other.is_dir() and not other.is_symlink():
                shutil.rmtree(other, ignore_errors=True)
            else:
                other.unlink(missing_ok=True)


@contextlib.contextmanager
def exclusive(path: Path, what: str) -> Iterator[None]:
    """Hold a lock file while the block runs; the system frees it when the process dies.

    Raises:
        StorageError: another process holds it.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a+") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise StorageError(
                f"{what} is already running (process {_holder(file)})",
                file=path,
                hint="wait until it has ended, then run again",
            ) from None
        file.truncate(0)
        file.write(str(os.getpid()))
        file.flush()
        yield


@contextlib.contextmanager
def shared(path: Path, waiting: Callable[[str], None]) -> Iterator[None]:
    """Hold a lock file together with others that share it; wait for whom holds it exclusively.

    Args:
        waiting: told the process that is waited for, if there is one.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a+") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            waiting(_holder(file))
            fcntl.flock(file, fcntl.LOCK_SH)
        yield


def is_locked(path: Path) -> str | None:
    """The process that holds a lock file exclusively; None where nobody does."""
    if not path.exists():
        return None
    with path.open("a+") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return _holder(file)
    return None


def _holder(file: IO[str]) -> str:
    file.seek(0)
    return file.read().strip() or "unknown"


def write_bytes(path: Path, content: bytes) -> None:
    """Write a file, whole or not at all."""
    with new_file(path) as temporary:
        temporary.write_bytes(content)


def write_text(path: Path, content: str) -> None:
    """Write UTF-8 text, whole or not at all."""
    write_bytes(path, content.encode("utf-8"))


def write_json(path: Path, content: Any) -> None:
    """Write JSON, keys in the order given, NaN refused, a line feed at the end.

    A list of numbers takes one line: there may be thousands of them, and what stands around them
    can be read then.
    """
    text = json.dumps(content, indent=2, ensure_ascii=False, allow_nan=False)
    text = NUMBERS.sub(lambda numbers: f"[{' '.join(numbers.group(1).split())}]", text)
    write_text(path, text + "\n")


def read_json(path: Path) -> Any:
    """Parse a JSON file."""
    return json.loads(path.read_text(encoding="utf-8"))


def read_yaml(path: Path) -> Any:
    """Parse a YAML file; one whose text was parsed before is not parsed again: each stage reads
    params.yaml and dvc.yaml several times, for what they say by then."""
    return copy.deepcopy(_parse_yaml(path.read_text(encoding="utf-8")))


@functools.lru_cache(maxsize=4)
def _parse_yaml(text: str) -> Any:
    return yaml.safe_load(text)


def sha256(path: Path) -> str:
    """SHA-256 of a file, hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
