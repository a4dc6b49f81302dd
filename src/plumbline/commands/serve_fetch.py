"""`python -m plumbline.commands.serve_fetch ADDRESS ROOT FOLDER`: copies a version's files into a
folder of its own under FOLDER, and prints which version it is as a line of JSON.

A process of its own, so that the service never holds MLflow in memory.
"""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path

from plumbline import telemetry
from plumbline.errors import DataError, StorageError, UserError
from plumbline.files import new_dir, read_json, sha256, write_json

KEPT = 5  # versions
HASHES = "copied.json"  # of the files of a copy
FILES = ("model.onnx", "MLmodel", "input_example.json", "extra_files")


def fetch(address: str, root: Path, folder: Path) -> dict[str, str]:
    """Copy the version's files, unless they are there undamaged; gives `version` and `folder`.

    Raises:
        UserError: there is no such version, its files are gone, or the registry does not answer.
    """
    from plumbline.store.named import version_named
    from plumbline.store.registry import files_of
    from plumbline.store.tracking import existing_store

    store = existing_store(root)
    version = version_named(store, address, where="--model")
    own = folder / f"{version.number}-{version.run_id[:12]}"
    if not is_whole(own):
        source = files_of(store, version)
        if source is None:
            raise DataError(
                "MLflow has the files of this version no more",
                where=f"{version.model}/{version.number}",
                hint="name another version with --model, or run `plumbline register`",
            )
        with new_dir(own) as temporary:
            for name in FILES:
                if (source / name).is_dir():
                    shutil.copytree(source / name, temporary / name)
                elif (source / name).exists():
                    shutil.copy(source / name, temporary)
            write_json(temporary / HASHES, hashes(temporary))
    own.touch()
    for old in sorted(folder.glob("[0-9]*-*"), key=lambda one: -one.stat().st_mtime)[KEPT:]:
        shutil.rmtree(old, ignore_errors=True)
    return {"version": f"{version.model}/{version.number}", "folder": str(own)}


def is_whole(copy: Path) -> bool:
    """Whether a copy is as it was made."""
    try:
        return bool(read_json(copy / HASHES) == hashes(copy))
    except (OSError, ValueError):
        return False


def hashes(folder: Path) -> dict[str, str]:
    """SHA-256 of each file of a copy, but of the list of them."""
    files = (file for file in sorted(folder.rglob("*")) if file.is_file() and file.name != HASHES)
    return {file.relative_to(folder).as_posix(): sha256(file) for file in files}


def main(arguments: Sequence[str]) -> int:
    """Print what was fetched, or why nothing was."""
    telemetry.turn_off()
    address, root, folder = arguments
    try:
        print(json.dumps(fetch(address, Path(root), Path(folder))))
    except UserError as error:
        storage = isinstance(error, StorageError)
        print(json.dumps({"error": str(error), "storage": storage}))
        return error.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
