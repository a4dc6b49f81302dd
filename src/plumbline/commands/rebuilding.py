"""A checkout of its own in which a version is rebuilt: code by git, data by DVC, stages forced.

It is a clone that shares the objects of the user's repository and the files of DVC's cache: a
rebuild that is killed leaves nothing behind but a folder in `.plumbline/`, which the next removes.
"""

from __future__ import annotations

import configparser
import hashlib
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import yaml

from plumbline.commands.repro import run_dvc
from plumbline.errors import DataError, StorageError
from plumbline.files import write_text
from plumbline.outcome import Outcome
from plumbline.store.lineage import OF_VERSION
from plumbline.store.recorded import LAST


def find_commit(root: Path, commit: str) -> str:
    """The whole hash of a commit.

    Raises:
        DataError: the repository has it not.
    """
    done = _git(root, "rev-parse", "--verify", "--quiet", f"{commit}^{{commit}}")
    if done.returncode:
        raise DataError(
            f"the commit {commit} is not in this repository",
            file=".git",
            hint="fetch it (git fetch --all), or run this in the checkout that registered it",
        )
    return done.stdout.strip()


def check_out(root: Path, commit: str, place: Path) -> Path:
    """Clone the repository of `root` into an empty folder, at a commit; the checkout in it."""
    top = Path(_git(root, "rev-parse", "--show-toplevel").stdout.strip())
    for arguments in (
        ("clone", "--quiet", "--shared", "--no-checkout", str(top), str(place)),
        ("-C", str(place), "checkout", "--quiet", "--detach", commit),
    ):
        done = _git(top, *arguments)
        if done.returncode:
            raise StorageError(f"git refused: {' '.join(done.stderr.split())[-300:]}")
    checkout = place / root.resolve().relative_to(top.resolve())
    _share_cache(root, checkout)
    return checkout


def bring_data(root: Path, checkout: Path, version: str | None) -> None:
    """Put the data into a checkout, from DVC's cache or its remote.

    Args:
        root: the user's checkout.
        version: DVC's hash of the data; None: what data.dvc of the checkout says.

    Raises:
        DataError: neither cache nor remote has them.
    """
    pointer = checkout / "data.dvc"
    try:
        content = yaml.safe_load(pointer.read_text(encoding="utf-8"))
        (out,) = content["outs"]
    except (OSError, ValueError, KeyError, TypeError, yaml.YAMLError):
        raise DataError(
            "the commit has no data.dvc",
            file="data.dvc",
            hint="the data are not under DVC: run `dvc add data`, commit data.dvc, train again",
        ) from None
    if version is not None and out["md5"] != version:
        others = {k: v for k, v in out.items() if k not in OF_VERSION}
        content["outs"] = [{"md5": version, **others}]
        write_text(pointer, yaml.safe_dump(content, sort_keys=False))
    for action in ("checkout", "pull"):
        command = [sys.executable, "-m", "dvc", action, "--quiet", "data.dvc"]
        done = subprocess.run(command, cwd=checkout, capture_output=True, text=True, check=False)
        if done.returncode == 0:
            return
    why = " ".join(done.stderr.split())[-300:]  # empty where DVC has no remote
    raise DataError(
        "the data are neither in DVC's cache nor in its remote" + (f": {why}" if why else ""),
        file="data",
        hint="run `dvc push data.dvc` where they are, and name the same remote here",
    )


def run_stages(checkout: Path, variables: dict[str, str]) -> Outcome | None:
    """Run every stage up to the metrics, whatever DVC has of them; how the last one ended.

    Raises:
        StorageError: DVC itself failed.
    """
    here = os.pathsep.join([str(checkout / "src"), str(checkout)])
    path = os.pathsep.join(filter(None, [here, os.environ.get("PYTHONPATH", "")]))
    with tempfile.TemporaryDirectory() as folder:
        return run_dvc(
            checkout,
            ["--force", "--no-commit", LAST],
            {**variables, "PYTHONPATH": path},
            Path(folder) / "outcome.json",
        )


def other_files(root: Path, checkout: Path, version: str) -> list[str]:
    """The files of the data in a checkout that are not those of a version, as far as DVC's cache
    lists them."""
    listing = _cache(root) / "files" / "md5" / version[:2] / version[2:]
    data = checkout / "data"
    try:
        entries = {e["relpath"]: e["md5"] for e in json.loads(listing.read_text(encoding="utf-8"))}
    except (OSError, ValueError, KeyError, TypeError):
        return []
    there = {p.relative_to(data).as_posix(): p for p in data.rglob("*") if p.is_file()}
    names = sorted(entries.keys() | there.keys())
    return [
        f"data/{name}"
        for name in names
        if name not in there or entries.get(name) != _md5(there[name])
    ]


def _md5(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "md5").hexdigest()


def _share_cache(root: Path, checkout: Path) -> None:
    """The user's own DVC settings, with addresses that hold in another folder."""
    settings = _settings(root)
    for name in settings.sections():
        url = settings[name].get("url")
        if url and "://" not in url:
            settings[name]["url"] = str((root / ".dvc" / url).resolve())
    if not settings.has_section("cache"):
        settings.add_section("cache")
    settings["cache"]["dir"] = str(_cache(root))
    folder = checkout / ".dvc"
    folder.mkdir(exist_ok=True)
    with (folder / "config.local").open("w", encoding="utf-8") as file:
        settings.write(file)


def _cache(root: Path) -> Path:
    settings = _settings(root)
    own = settings.get("cache", "dir", fallback="cache")
    return (root / ".dvc" / own).resolve()


def _settings(root: Path) -> configparser.ConfigParser:
    settings = configparser.ConfigParser(interpolation=None, strict=False)
    settings.read([root / ".dvc" / "config", root / ".dvc" / "config.local"], encoding="utf-8")
    return settings


def _git(root: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    variables = {k: v for k, v in os.environ.items() if not k.startswith("GIT_")}
    try:
        return subprocess.run(
            ["git", *arguments],
            cwd=root,
            env=variables,
            capture_output=True,
            text=True,
            check=False,
        )
    except FileNotFoundError:
        raise StorageError("git is not installed", hint="install git") from None
