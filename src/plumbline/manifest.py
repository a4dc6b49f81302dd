"""What a stage hands to others: folders that name the hash of each file, checked when read."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from plumbline.errors import DataError
from plumbline.files import new_dir, read_json, sha256, write_json

MANIFEST = "manifest.json"


@contextlib.contextmanager
def sealed_dir(path: Path, *, beside: Sequence[Path] = ()) -> Iterator[Path]:
    """`files.new_dir` whose folder gets a manifest: the SHA-256 of each file in it.

    Args:
        path: the folder, which is replaced whole.
        beside: files outside, written before, that belong to the same output.
    """
    with new_dir(path) as folder:
        yield folder
        inside = sorted(file for file in folder.rglob("*") if file.is_file())
        write_json(
            folder / MANIFEST,
            {
                "files": {file.relative_to(folder).as_posix(): sha256(file) for file in inside},
                "beside": {file.name: sha256(file) for file in beside},
            },
        )


def check_dir(root: Path, name: str, hint: str) -> None:
    """Hold the files of the folder `root/name` against its manifest.

    Args:
        hint: how to make the folder again.

    Raises:
        DataError: a file is missing or is not the one that was written; names it.
    """
    for file, saved in _manifest(root, name, hint)["files"].items():
        _check(root, f"{name}/{file}", str(saved), hint)


def check_beside(root: Path, name: str, folder: str | None, hint: str) -> None:
    """Hold the file `root/name` against the manifest of the folder that was written after it.

    Raises:
        DataError: as `check_dir`.
    """
    listed = _manifest(root, folder, hint)["beside"] if folder else {}
    _check(root, name, listed.get(Path(name).name), hint)


def _manifest(root: Path, name: str, hint: str) -> dict[str, dict[str, Any]]:
    if not (root / name).is_dir():
        raise DataError("is not there", file=name, hint=hint)
    place = f"{name}/{MANIFEST}"
    try:
        entries = read_json(root / place)
        return {part: dict(entries[part]) for part in ("files", "beside")}
    except FileNotFoundError:
        raise DataError("is not there", file=place, hint=hint) from None
    except (ValueError, KeyError, TypeError):
        raise DataError(
            "is not the list of files that was written", file=place, hint=hint
        ) from None


def _check(root: Path, name: str, saved: str | None, hint: str) -> None:
    if not (root / name).is_file():
        raise DataError("is not there", file=name, hint=hint)
    if saved is None:
        return
    digest = sha256(root / name)
    if digest != saved:
        raise DataError(
            "is not the file that was written",
            file=name,
            wanted=f"SHA-256 {saved[:12]}…",
            got=f"{digest[:12]}…",
            hint=hint,
        )
