"""Which version is served when the registry is away, and that asking makes no registry."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any, ClassVar

import pytest

from plumbline.commands import serve_version
from plumbline.commands.serve_alias import PATH
from plumbline.commands.serve_version import RegisteredSource
from plumbline.config import Paths
from plumbline.errors import DataError, StorageError
from plumbline.files import write_json
from plumbline.serving.holder import Fetched

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
    state = source._now()
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


class Loaded:
    """In place of a holder: which version, and the note."""

    def __init__(self, fetched: Fetched, note: str | None) -> None:
        self.version, self.note = fetched.version, note


def fetching(source: RegisteredSource, monkeypatch: pytest.MonkeyPatch, version: str) -> None:
    """The registry gives a version; no process."""
    folder = source._folder / version.replace("/", "-")

    def finish() -> Fetched:
        folder.mkdir(parents=True, exist_ok=True)
        source._state = [7]
        return Fetched(folder=folder, version=version)

    monkeypatch.setattr(source, "_start", lambda: object())
    monkeypatch.setattr(source, "_finish", finish)


def test_a_copy_that_was_damaged_is_fetched_anew(
    source: RegisteredSource, monkeypatch: pytest.MonkeyPatch
) -> None:
    fetching(source, monkeypatch, "toy/2")
    tried: list[str | None] = []

    def load(fetched: Fetched, note: str | None) -> Any:
        tried.append(fetched.version)
        if len(tried) == 1:
            (fetched.folder / "damaged").write_text("")
            raise DataError("cut")
        assert not (fetched.folder / "damaged").exists()
        return Loaded(fetched, note)

    source.begin()
    assert source.first_answering(load).version == "toy/2"  # type: ignore[attr-defined]
    assert tried == ["toy/2", "toy/2"]
    assert source._kept() is not None and source._noted() == [7]


def test_where_the_champion_does_not_answer_the_version_that_did_starts(
    source: RegisteredSource, monkeypatch: pytest.MonkeyPatch
) -> None:
    keep(source, "toy/1")
    fetching(source, monkeypatch, "toy/2")

    def load(fetched: Fetched, note: str | None) -> Any:
        if fetched.version == "toy/2":
            raise DataError("does not answer")
        return Loaded(fetched, note)

    source.begin()
    loaded: Any = source.first_answering(load)
    assert loaded.version == "toy/1"
    assert "since toy/2 does not: does not answer" in loaded.note


def test_where_no_version_answers_it_does_not_start(
    source: RegisteredSource, monkeypatch: pytest.MonkeyPatch
) -> None:
    fetching(source, monkeypatch, "toy/2")

    def load(_fetched: Fetched, _note: str | None) -> Any:
        raise DataError("does not answer")

    source.begin()
    with pytest.raises(DataError, match="does not answer"):
        source.first_answering(load)
    assert source._kept() is None


def test_a_damaged_copy_and_a_registry_that_is_away_are_both_named(
    source: RegisteredSource, monkeypatch: pytest.MonkeyPatch
) -> None:
    keep(source, "toy/1")

    def away() -> Fetched:
        raise StorageError("the registry gave no version within 60 s")

    monkeypatch.setattr(source, "_start", lambda: object())
    monkeypatch.setattr(source, "_finish", away)

    def load(_fetched: Fetched, _note: str | None) -> Any:
        raise DataError("is not the graph that was exported")

    source.begin()
    words = (
        r"copy of toy/1 .* damaged \(is not the graph .*could not be fetched again: .*no version"
    )
    with pytest.raises(StorageError, match=words):
        source.first_answering(load)


class Registry(BaseHTTPRequestHandler):
    """An MLflow server that says which version the alias names."""

    answer: ClassVar[tuple[int, Any]] = (200, None)
    seen: ClassVar[list[str]] = []

    def do_GET(self) -> None:
        type(self).seen.append(f"{self.path} {self.headers.get('Authorization')}")
        status, content = type(self).answer
        self.send_response(status)
        if status == 302:
            self.send_header("Location", "/elsewhere")
        self.end_headers()
        self.wfile.write(content if isinstance(content, bytes) else json.dumps(content).encode())

    def log_message(self, *given: Any) -> None:
        pass


@pytest.fixture
def registry(monkeypatch: pytest.MonkeyPatch) -> Iterator[type[Registry]]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Registry)
    thread = Thread(target=server.serve_forever)
    thread.start()
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"http://127.0.0.1:{server.server_port}/")
    monkeypatch.setenv("MLFLOW_TRACKING_TOKEN", "secret")
    Registry.seen.clear()
    yield Registry
    server.shutdown()
    thread.join()
    server.server_close()


def version(number: str, run: str) -> tuple[int, Any]:
    return 200, {"model_version": {"name": "toy", "version": number, "run_id": run}}


def test_a_server_is_asked_before_anything_is_fetched(
    registry: type[Registry], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Which costs a request, and not a process that imports MLflow every few seconds."""
    registry.answer = version("1", "a")
    source = RegisteredSource(ADDRESS, Paths(tmp_path))
    fetched: list[str] = []

    def finish() -> Fetched:
        fetched.append(registry.answer[1]["model_version"]["version"])
        source._state = source._begun
        return Fetched(folder=tmp_path, version=f"toy/{fetched[-1]}")

    monkeypatch.setattr(source, "_start", lambda: setattr(source, "_begun", source._now()))
    monkeypatch.setattr(source, "_finish", finish)
    assert source() is not None and source() is None and source() is None
    registry.answer = version("2", "b")
    assert source() is not None and source() is None
    registry.answer = version("2", "c")  # deleted, and made anew
    assert source() is not None and source() is None
    assert fetched == ["1", "2", "2"]
    assert set(registry.seen) == {f"{PATH}?name=toy&alias=champion Bearer secret"}


@pytest.mark.parametrize(
    "answer",
    [(404, {}), (500, b"x"), (200, b"no JSON"), (200, {"model_version": 3}), (302, {}), (200, [])],
)
def test_a_server_that_does_not_say_is_left_to_the_fetch(
    registry: type[Registry], tmp_path: Path, answer: tuple[int, Any]
) -> None:
    registry.answer = answer
    assert RegisteredSource(ADDRESS, Paths(tmp_path))._now() is None
    assert RegisteredSource("models:/toy/1", Paths(tmp_path))._now() is None
    assert len(registry.seen) == 1
