"""Data versions: what DVC is asked by commands."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import yaml

from plumbline.errors import StorageError
from plumbline.files import read_json

PUSH_SECONDS = 3600


def add_data(root: Path) -> None:
    """Make what lies under data/ a version: `dvc add data`.

    Raises:
        StorageError: DVC refused; its words are in the message.
    """
    done = subprocess.run(
        [sys.executable, "-m", "dvc", "add", "data"],
        cwd=root,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise StorageError(
            f"`dvc add data` failed: {' '.join(done.stderr.split())[-300:]}",
            file="data",
            hint="fix that, then run `dvc add data`; everything else is written",
        )


def push_data(root: Path) -> str:
    """Send the version of the data to DVC's default remote; says that it is there, or why not."""
    command = [sys.executable, "-m", "dvc", "push", "--quiet", "data.dvc"]
    try:
        done = subprocess.run(
            command, cwd=root, capture_output=True, text=True, check=False, timeout=PUSH_SECONDS
        )
    except subprocess.TimeoutExpired:
        return f"no: `dvc push data.dvc` was not done within {PUSH_SECONDS:,} s"
    if done.returncode:
        return f"no: `dvc push data.dvc` failed: {' '.join(done.stderr.split())[-300:]}"
    return "to DVC's remote"


def cached_files(root: Path) -> dict[str, str]:
    """The files of the tracked version of data/ whose bytes lie in DVC's local cache, by MD5."""
    cache = root / ".dvc" / "cache" / "files" / "md5"
    try:
        (out,) = yaml.safe_load((root / "data.dvc").read_text(encoding="utf-8"))["outs"]
        listing = read_json(cache / out["md5"][:2] / out["md5"][2:])
        entries = {e["relpath"]: e["md5"] for e in listing}
    except (OSError, ValueError, KeyError, TypeError):
        return {}
    return {name: md5 for name, md5 in entries.items() if (cache / md5[:2] / md5[2:]).exists()}
