"""Which version is served when the registry is away, and that asking makes no registry."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from plumbline.commands import serve_version
from plumbline.commands.serve_version import RegisteredSource
from plumbline.config import Paths
from plumbline.errors import StorageError
from plumbline.files import write_json

ADDRESS = "models:/toy@champion"


@pytest.fixture
def source(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> RegisteredSource:
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    (tmp_path / "mlflow").mkdir()
    return RegisteredSource(ADDRESS, Paths(tmp_path))


def keep(source: RegisteredSource, version: str) -> None:
    folder = source._folder / "1-abc"
    folder.mkdir(parents=True)
    kept = {"folder": str(folder), "version": version, "database": [1, 2]}
    write_json(source._folder / "kept.json", kept)


def test_a_registry_that_was_removed_is_not_made_anew(
    source: RegisteredSource, tmp_path: Path
) -> None:
    source.begin()
    with pytest.raises(StorageError, match="or the file was removed"):
        source.first()
    assert not list((tmp_path / "mlflow").iterdir())


def test_it_starts_from_what_was_fetched_last_and_says_so(
    source: RegisteredSource, tmp_path: Path
) -> None:
    keep(source, "toy/1")
    source.begin()
    fetched, note = source.first()
    assert fetched.version == "toy/1"
    assert note is not None and "or the file was removed" in note


def test_a_registry_that_is_removed_while_it_serves_is_said_without_a_process(
    source: RegisteredSource, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    database = tmp_path / "mlflow" / "mlflow.db"
    database.write_bytes(b"x")
    keep(source, "toy/1")
    state = source._database()
    assert state is not None
    kept = {"folder": str(source._folder / "1-abc"), "version": "toy/1", "database": state}
    write_json(source._folder / "kept.json", kept)

    def refuse(*_given: object, **_more: object) -> None:
        raise AssertionError("a process was started")

    monkeypatch.setattr(subprocess, "Popen", refuse)
    assert serve_version.subprocess.Popen is refuse
    source.begin()
    assert source.first()[1] is None
    assert source() is None  # nothing has changed
    database.unlink()
    with pytest.raises(StorageError, match="removed"):
        source()
