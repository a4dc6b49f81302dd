"""What git and DVC keep of a version, and what is in the way of its rebuild."""

from __future__ import annotations

import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest

from plumbline.commands.data_versions import push_data
from plumbline.errors import GateError
from plumbline.files import write_text
from plumbline.store.fitted import fit_of, libraries, note_fit, other_versions
from plumbline.store.lineage import NEEDED, UNKNOWN, uncommitted
from plumbline.store.rebuildable import rebuildable, refuse_unclean

AUTHOR = ("-c", "user.name=t", "-c", "user.email=t@localhost")


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    for name in NEEDED:
        write_text(tmp_path / name, "a: 1\n")
    write_text(tmp_path / "src" / "code.py", "")
    git(tmp_path, "init", "-q")
    git(tmp_path, "add", ".")
    git(tmp_path, *AUTHOR, "commit", "-qm", "all")
    return tmp_path


def git(folder: Path, *arguments: str) -> None:
    subprocess.run(["git", *arguments], cwd=folder, check=True)


def dvc(folder: Path, *arguments: str) -> None:
    subprocess.run([sys.executable, "-m", "dvc", *arguments], cwd=folder, check=True)


@pytest.mark.parametrize("name", NEEDED)
def test_a_file_that_a_rebuild_needs_must_be_committed_even_if_ignored(
    checkout: Path, name: str
) -> None:
    assert uncommitted(checkout) == []
    git(checkout, "rm", "-q", "--cached", name)
    write_text(checkout / ".gitignore", f"{name}\n")
    git(checkout, "add", ".gitignore")
    git(checkout, *AUTHOR, "commit", "-qm", "ignored")
    assert uncommitted(checkout) == [name]


def test_a_new_module_is_uncommitted_and_a_new_note_is_not(checkout: Path) -> None:
    write_text(checkout / "notes.txt", "new")
    assert uncommitted(checkout) == []
    write_text(checkout / "src" / "other.py", "")
    assert uncommitted(checkout) == ["src/other.py"]


def test_data_that_were_never_pushed_are_named_until_they_are(tmp_path: Path) -> None:
    git(tmp_path, "init", "-q")
    dvc(tmp_path, "init", "-q")
    write_text(tmp_path / "data" / "a.csv", "x\n1\n")
    dvc(tmp_path, "add", "-q", "data")
    git(tmp_path, "add", ".")
    git(tmp_path, *AUTHOR, "commit", "-qm", "all")
    assert rebuildable(tmp_path, "abc") == "no: the data were never pushed to a DVC remote"
    dvc(tmp_path, "remote", "add", "-q", "--local", "-d", "store", str(tmp_path / "store"))
    assert "never pushed" in rebuildable(tmp_path, "abc")
    dvc(tmp_path, "push", "-q")
    assert rebuildable(tmp_path, "abc") == "yes"
    (tmp_path / "data" / "a.csv").unlink()
    write_text(tmp_path / "data" / "a.csv", "x\n1\n2\n")
    dvc(tmp_path, "add", "-q", "data")  # as a retraining does, and commits nothing
    assert rebuildable(tmp_path, "abc") == "no: the data were never pushed to a DVC remote"
    assert push_data(tmp_path) == "to DVC's remote"
    assert rebuildable(tmp_path, "abc") == "yes"
    (tmp_path / "store").rename(tmp_path / "gone")
    write_text(tmp_path / "store", "no folder")
    assert push_data(tmp_path).startswith("no: ")


@pytest.mark.parametrize(
    "other",
    ["outs:\n- md5: b\n  path: elsewhere\n", "outs:\n- md5: b\n  path: data\n  remote: r\n"],
)
def test_data_of_another_hash_are_no_change_and_in_another_place_they_are(
    checkout: Path, other: str
) -> None:
    """The version keeps the hash, and `reproduce` brings the data that have it."""
    write_text(checkout / "data.dvc", "outs:\n- md5: a\n  path: data\n  size: 3\n")
    git(checkout, *AUTHOR, "commit", "-qam", "data")
    write_text(checkout / "data.dvc", "outs:\n- md5: b\n  path: data\n  size: 4\n  nfiles: 2\n")
    assert uncommitted(checkout) == []
    write_text(checkout / "data.dvc", other)
    assert uncommitted(checkout) == ["data.dvc"]


def test_without_git_or_dvc_the_reason_is_named(checkout: Path, tmp_path: Path) -> None:
    assert rebuildable(checkout, UNKNOWN) == "no: the data are not under DVC"
    (tmp_path / ".git").rename(tmp_path / "gone")
    assert rebuildable(tmp_path, "abc") == "no: there is no git commit"


def test_only_what_cannot_be_rebuilt_is_refused() -> None:
    for state in ("yes", "not known: the DVC remote did not answer whether it has the data"):
        refuse_unclean({"rebuildable": state})
    with pytest.raises(GateError, match=r"not committed: data\.dvc.*dvc push"):
        refuse_unclean({"rebuildable": "no: not committed: data.dvc"})


def test_the_note_of_a_fit_is_of_its_weights_alone(tmp_path: Path) -> None:
    weights = tmp_path / "weights.safetensors"
    write_text(weights, "a")
    began = datetime(2026, 3, 1, 9, 30, tzinfo=UTC)
    note_fit(tmp_path, weights, began=began, seconds=12.4, device="cpu", threads="2")
    fit = fit_of(tmp_path, weights)
    assert (fit["fitted_at"], fit["fit_seconds"]) == ("2026-03-01 09:30 UTC", "12")
    assert fit["user"] and fit["processor"] and "torch==" in fit["libraries"]
    write_text(weights, "b")
    assert fit_of(tmp_path, weights) == {}


def test_versions_that_differ_are_named() -> None:
    assert other_versions(libraries(), libraries()) == []
    assert other_versions("a==1 b==2", "a==1 b==3 c==1") == ["b 2 → 3", "c none → 1"]
