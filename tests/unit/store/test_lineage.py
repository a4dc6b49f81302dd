"""Hashes that name what a model was made from."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from plumbline.data.rows import note_version
from plumbline.files import write_text
from plumbline.manifest import sealed_dir
from plumbline.store.lineage import UNKNOWN, fingerprint, lineage


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    write_text(tmp_path / "params.yaml", "seed: 0 # a comment\nmodel: {name: mlp}\n")
    write_text(tmp_path / "data.dvc", "outs:\n- md5: abc.dir\n  path: data\n")
    write_text(tmp_path / "dvc.lock", "stages:\n  train: {cmd: a}\n  register: {cmd: b}\n")
    write_text(tmp_path / "model" / "model.json", "{}")
    for command in (
        ["git", "init", "-q"],
        ["git", "add", "params.yaml", "data.dvc", "dvc.lock"],
        ["git", "-c", "user.name=t", "-c", "user.email=t@localhost", "commit", "-qm", "all"],
    ):
        subprocess.run(command, cwd=tmp_path, check=True)
    return tmp_path


def of(checkout: Path) -> dict[str, str]:
    return lineage(checkout, checkout / "model")


def test_a_clean_checkout(checkout: Path) -> None:
    result = of(checkout)
    head = subprocess.run(
        ["git", "rev-parse", "HEAD"], cwd=checkout, capture_output=True, text=True, check=True
    ).stdout.strip()
    assert result["git_commit"] == head
    assert result["git_dirty"] == "false"
    assert result["data"] == "abc.dir"
    assert UNKNOWN not in result.values()


def test_a_changed_file_is_dirty_but_dvc_lock_and_new_files_are_not(checkout: Path) -> None:
    write_text(checkout / "dvc.lock", "stages: {}\n")
    write_text(checkout / "notes.txt", "new")
    assert of(checkout)["git_dirty"] == "false"
    write_text(checkout / "params.yaml", "seed: 1\n")
    assert of(checkout)["git_dirty"] == "true"


def test_parameters_count_and_comments_do_not(checkout: Path) -> None:
    before = of(checkout)["params"]
    write_text(checkout / "params.yaml", "model: {name: mlp}\nseed: 0\n")
    assert of(checkout)["params"] == before
    write_text(checkout / "params.yaml", "model: {name: mlp}\nseed: 1\n")
    assert of(checkout)["params"] != before


def test_the_lock_counts_up_to_register(checkout: Path) -> None:
    before = of(checkout)["dvc_lock"]
    write_text(checkout / "dvc.lock", "stages:\n  train: {cmd: a}\n  report: {cmd: c}\n")
    assert of(checkout)["dvc_lock"] == before
    write_text(checkout / "dvc.lock", "stages:\n  train: {cmd: other}\n")
    assert of(checkout)["dvc_lock"] != before


def test_without_git_dvc_and_parameters(tmp_path: Path) -> None:
    result = lineage(tmp_path, tmp_path / "model")
    unknown = ("git_commit", "git_dirty", "data", "dvc_lock")
    assert all(result[key] == UNKNOWN for key in unknown)


@pytest.mark.parametrize("text", ["", "outs: []", "outs: 3", "[]"])
def test_an_odd_data_file_has_no_hash(tmp_path: Path, text: str) -> None:
    write_text(tmp_path / "data.dvc", text)
    assert lineage(tmp_path, tmp_path / "model")["data"] == UNKNOWN


def test_the_data_are_those_that_the_rows_were_read_from(checkout: Path) -> None:
    """New rows may have been appended between two stages: the model has not seen them."""
    table, state = checkout / "artifacts" / "table", checkout / ".plumbline"
    with sealed_dir(table) as folder:
        write_text(folder / "rows.parquet", "rows")
    note_version(table, state, "abc.dir")
    write_text(checkout / "data.dvc", "outs:\n- md5: later.dir\n  path: data\n")
    assert lineage(checkout, checkout / "model")["data"] == "abc.dir"
    with sealed_dir(table) as folder:  # restored from a cache, say: nothing was noted of these
        write_text(folder / "rows.parquet", "other rows")
    assert lineage(checkout, checkout / "model")["data"] == "later.dir"


def test_fingerprint_is_of_names_and_contents(tmp_path: Path) -> None:
    write_text(tmp_path / "a" / "x.json", "1")
    write_text(tmp_path / "a" / "deep" / "y.json", "2")
    folder = [tmp_path / "a"]
    before = fingerprint(tmp_path, folder)
    write_text(tmp_path / "a" / "page.html", "drawn")
    assert fingerprint(tmp_path, folder) == before
    assert fingerprint(tmp_path, [tmp_path / "a" / "x.json", tmp_path / "a" / "deep"]) == before
    (tmp_path / "a" / "x.json").rename(tmp_path / "a" / "z.json")
    renamed = fingerprint(tmp_path, folder)
    assert renamed != before
    write_text(tmp_path / "a" / "z.json", "3")
    assert fingerprint(tmp_path, folder) not in (before, renamed)
