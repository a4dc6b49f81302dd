"""dvc.lock and the files of the sample's remote belong together: `dvc pull` needs both."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import yaml

REMOTE = "infra/dvc-remote/files/md5"
LARGEST = 10_000_000  # bytes: what is committed stays in the repository for good


def stored(root: Path, md5: str) -> Path:
    return root / REMOTE / md5[:2] / md5[2:]


def declared(root: Path) -> set[str]:
    """Paths of the outputs that DVC caches."""
    stages = yaml.safe_load((root / "dvc.yaml").read_text())["stages"].values()
    outs = [out for stage in stages for out in stage.get("outs", []) + stage.get("metrics", [])]
    options = [next(iter(out.items())) if isinstance(out, dict) else (out, {}) for out in outs]
    return {path for path, how in options if how.get("cache", True)}


def named(root: Path, lock: str) -> dict[str, str]:
    """Outputs that dvc.lock and data.dvc name: path and hash."""
    stages = yaml.safe_load(lock)["stages"].values()
    outs = [out for stage in stages for out in stage["outs"]]
    outs += yaml.safe_load((root / "data.dvc").read_text())["outs"]
    return {out["path"]: out["md5"] for out in outs}


def test_each_output_is_in_the_lock_and_its_files_are_in_the_sample_s_remote(
    root: Path, committed_lock: str
) -> None:
    """Fails when dvc.yaml gains an output: `make sample` renews both."""
    lock, cached = named(root, committed_lock), declared(root) | {"data"}
    assert cached <= set(lock), "run `make sample` and commit what it adds"
    wanted = {lock[path] for path in cached}
    for folder in [md5 for md5 in wanted if md5.endswith(".dir")]:
        wanted |= {file["md5"] for file in json.loads(stored(root, folder).read_text())}
    files = {path for path in (root / REMOTE).rglob("*") if path.is_file()}
    assert files == {stored(root, md5) for md5 in wanted}
    for file in files:
        content = hashlib.md5(file.read_bytes(), usedforsecurity=False).hexdigest()
        assert content == (file.parent.name + file.name).removesuffix(".dir"), file
    assert sum(file.stat().st_size for file in files) < LARGEST
