"""What a model was made from: code by git, data by DVC, parameters and outputs by hash."""

from __future__ import annotations

import hashlib
import json
import re
import subprocess
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import yaml

from plumbline.data.rows import data_version, version_of
from plumbline.files import sha256
from plumbline.kinds import Part
from plumbline.manifest import MANIFEST

UNKNOWN = "unknown"
HASH = re.compile(r"[0-9a-f]{32,}(?:\.dir)?")
SHOWN_DIGITS = 12  # of a hash; the tags of a version have all
# pictures and pages are drawn from files that are hashed, by libraries that may stamp them
DRAWN = (".html", ".svg", ".png")
# stages that come after the lineage is written: their entries of dvc.lock are not there yet
LATER = ("register", "report")

# tags of a version: its split whole, its test rows, the rows that no network of it was fitted on
SPLIT, TEST_ROWS, VAL_ROWS = "plumbline.split", "plumbline.test_rows", "plumbline.val_rows"
BAGGED = "bag"  # VAL_ROWS of a bag, which has none: each network stops by a fold of its own

# what the commit must hold for a rebuild, beside the code
POINTER = "data.dvc"
NEEDED = ("params.yaml", "expectations.yaml", POINTER, "dvc.yaml")
OF_VERSION = ("md5", "size", "nfiles")  # what another version of the data changes in it
NAMES = (
    *("git_commit", "git_dirty", "data", "params", "dvc_lock", "model", "start"),
    *("weights", "metrics", "rebuildable"),
    *("user", "fitted_at", "fit_seconds", "device", "processor", "threads", "libraries"),
)


def lineage(root: Path, model: Path) -> dict[str, str]:
    """Hashes that name everything a model was made from; `unknown` where there is none.

    Args:
        root: the checkout.
        model: the folder of the bundle.

    Returns:
        `git_commit`; `git_dirty`, whether a rebuild from it would miss changes (see
        `uncommitted`); `data`, DVC's hash of the
        data that the rows were read from, which may have been replaced since; `params`, of the
        parsed params.yaml; `dvc_lock`, of the entries of dvc.lock before `register`; `model`, of
        the bundle's files. A caller adds `start`, the network that the fit started from.
    """
    commit = _git(root, "rev-parse", "HEAD")
    changed = uncommitted(root)
    return {
        "git_commit": commit or UNKNOWN,
        "git_dirty": UNKNOWN if changed is None else str(bool(changed)).lower(),
        "data": data_hash(root),
        "params": _hash(_yaml(root / "params.yaml")),
        "dvc_lock": _lock_hash(root / "dvc.lock"),
        "model": fingerprint(root, [model]),
    }


def uncommitted(root: Path) -> list[str] | None:
    """Files that differ from the commit, and those that a rebuild needs and git does not track.
    None without git, repository or commit.

    Aside are dvc.lock, which the run itself rewrites, and data.dvc where it names other bytes of
    the same data: a version keeps their hash, and a rebuild brings them by it.
    """
    changed = _git(root, "diff", "--name-only", "--relative", "HEAD", "--", ".", ":!dvc.lock")
    if changed is None:
        return None
    tracked = (_git(root, "ls-files", "--", *NEEDED) or "").splitlines()
    new = [name for name in NEEDED if (root / name).exists() and name not in tracked]
    code = _git(root, "ls-files", "--others", "--exclude-standard", "--", "src") or ""
    names = {*changed.splitlines(), *new, *code.splitlines()}
    if POINTER in names and _is_other_version(root):
        names.remove(POINTER)
    return sorted(names)


def _is_other_version(root: Path) -> bool:
    """Whether data.dvc names the data that the commit's names, in another version or the same."""
    committed = _git(root, "show", f"HEAD:./{POINTER}")
    if committed is None:
        return False
    try:
        then, now = (
            [{k: v for k, v in out.items() if k not in OF_VERSION} for out in content["outs"]]
            for content in (yaml.safe_load(committed), _yaml(root / POINTER))
        )
    except (yaml.YAMLError, KeyError, TypeError, AttributeError):
        return False
    return then == now


def data_hash(root: Path) -> str:
    """DVC's hash of the data that the rows in `artifacts/table` were read from."""
    noted = version_of(root / "artifacts" / "table", root / ".plumbline")
    return noted or data_version(root) or UNKNOWN


def split_hash(root: Path, index: Path) -> str:
    """Names which rows are in which part."""
    return fingerprint(root, [index])


def split_tags(root: Path, index: Path) -> dict[str, str]:
    """What a version keeps of the split that it was fitted on."""
    bagged = "bag" in pl.read_parquet_schema(index)
    return {
        SPLIT: split_hash(root, index),
        TEST_ROWS: rows_hash(index, Part.TEST),
        VAL_ROWS: BAGGED if bagged else rows_hash(index, Part.VAL),
    }


def rows_hash(index: Path, part: Part) -> str:
    """Names the rows of a part, whatever the folds."""
    inside = pl.read_parquet(index, columns=["part"])["part"].to_numpy() == part
    return hashlib.sha256(np.packbits(inside).tobytes()).hexdigest()


def same_test_rows(tags: Mapping[str, str], root: Path, index: Path) -> bool:
    """Whether a version was fitted beside the test rows of this split. Of versions that do not
    say, it is known only where the whole split is the same."""
    rows = tags.get(TEST_ROWS)
    if rows is None:
        return tags.get(SPLIT) == split_hash(root, index)
    return rows == rows_hash(index, Part.TEST)


def fingerprint(root: Path, paths: Iterable[Path]) -> str:
    """One hash of files, by path under `root` and content; folders whole, but for drawings and for
    manifests, which name them."""
    files = sorted(
        file
        for path in paths
        for file in (path.rglob("*") if path.is_dir() else [path])
        if file.is_file() and file.suffix not in DRAWN and file.name != MANIFEST
    )
    return _hash([(file.relative_to(root).as_posix(), sha256(file)) for file in files])


def short(value: str) -> str:
    """A text with each hash by its first digits."""
    return HASH.sub(lambda match: match.group()[:SHOWN_DIGITS], value)


def _lock_hash(path: Path) -> str:
    content = _yaml(path)
    if not isinstance(content, dict) or "stages" not in content:
        return UNKNOWN
    return _hash({name: s for name, s in content["stages"].items() if name not in LATER})


def _hash(content: Any) -> str:
    text = json.dumps(content, sort_keys=True, ensure_ascii=False, default=str)
    return hashlib.sha256(text.encode()).hexdigest()


def _yaml(path: Path) -> Any:
    try:
        return yaml.safe_load(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None


def _git(root: Path, *arguments: str) -> str | None:
    """What git says, or None without git, repository or commit."""
    try:
        done = subprocess.run(
            ["git", *arguments], cwd=root, capture_output=True, text=True, check=True
        )
    except (OSError, subprocess.CalledProcessError):
        return None
    return done.stdout.strip()
