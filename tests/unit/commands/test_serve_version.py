"""Which version is served when the registry is away, and that asking makes no registry."""

from __future__ import annotations

import json
import re
import shutil
import socket
import subprocess
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any, ClassVar

import pytest
from tests.version import Version

from plumbline.commands import serve_alias, serve_fetch, serve_version
from plumbline.commands.serve_alias import PATH
from plumbline.commands.serve_version import RegisteredSource, serve_address
from plumbline.config import Paths
from plumbline.errors import DataError, ParameterError, StorageError
from plumbline.files import write_json
from plumbline.kinds import Task
from plumbline.serving.holder import Fetched, Holder
from plumbline.serving.measures import Measures

ADDRESS = "models:/toy@champion"
DAMAGE = "damage"


@pytest.fixture
def source(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> RegisteredSource:
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    (tmp_path / "mlflow").mkdir()
    return RegisteredSource(ADDRESS, Paths(tmp_path))


def copy_of(source: RegisteredSource, version: str) -> Fetched:
    folder = source._folder / version.replace("/", "-")
    if not folder.exists():
        folder.mkdir(parents=True)
        copied(folder)
    return Fetched(folder=folder, version=version)


def copied(folder: Path) -> None:
    write_json(folder / serve_fetch.HASHES, serve_fetch.hashes(folder))


def keep(source: RegisteredSource, *versions: str) -> None:
    """Copies that answered, one after the other."""
    for version in versions:
        source.keep(copy_of(source, version))


def kept(source: RegisteredSource) -> list[str | None]:
    """The versions to start from, in the order in which they are tried."""
    return [one.version for one in source._copies.noted()]


def test_a_registry_that_was_removed_is_not_made_anew(
    source: RegisteredSource, tmp_path: Path
) -> None:
    source.begin()
    with pytest.raises(StorageError, match="or the file was removed"):
        source.first_answering(Loading())
    assert not list((tmp_path / "mlflow").iterdir())


def test_a_registry_that_is_removed_while_it_serves_is_said_without_a_process(
    source: RegisteredSource, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    database = tmp_path / "mlflow" / "mlflow.db"
    database.write_bytes(b"x")
    source._state = source._now()
    assert source._state is not None
    keep(source, "toy/1")

    def refuse(*_given: object, **_more: object) -> None:
        raise AssertionError("a process was started")

    monkeypatch.setattr(subprocess, "Popen", refuse)
    assert serve_version.subprocess.Popen is refuse
    source.begin()
    assert source.first_answering(Loading()).state() == ("toy/1", None, None)  # type: ignore[comparison-overlap]
    assert source() is None  # nothing has changed
    database.unlink()
    with pytest.raises(StorageError, match="removed"):
        source()


class Loaded:
    """In place of a holder: which version, the note, and in whose place it answers."""

    def __init__(self, *given: str | None) -> None:
        self._given = given

    def state(self) -> tuple[str | None, ...]:
        return self._given


class Loading:
    """Loads copies, but for those of versions that do not answer."""

    def __init__(self, *silent: str) -> None:
        self._silent = silent
        self.tried: list[str | None] = []

    def __call__(self, copy: Fetched, note: str | None, in_place_of: str | None) -> Any:
        self.tried.append(copy.version)
        if copy.version in self._silent:
            raise DataError("does not answer")
        return Loaded(copy.version, note, in_place_of)


def damage(source: RegisteredSource, *versions: str) -> None:
    for version in versions:
        (copy_of(source, version).folder / DAMAGE).touch()


def answers(
    source: RegisteredSource, load: Callable[..., Any] | None = None
) -> tuple[str, str, str | None]:
    """Which version a start leads to, its note, and in whose place it is."""
    source.begin()
    loaded: Any = source.first_answering(load or Loading())
    version, note, in_place_of = loaded.state()
    return version, note, in_place_of


def fetching(source: RegisteredSource, monkeypatch: pytest.MonkeyPatch, version: str) -> None:
    """The registry gives a version; no process."""

    def finish(_seconds: float = 0.0) -> Fetched:
        source._state = [7]
        return copy_of(source, version)

    monkeypatch.setattr(source, "_start", lambda: object())
    monkeypatch.setattr(source, "_finish", finish)


def away(source: RegisteredSource, monkeypatch: pytest.MonkeyPatch) -> None:
    def finish(_seconds: float = 0.0) -> Fetched:
        raise StorageError("the registry gave no version within 30 s")

    monkeypatch.setattr(source, "_start", lambda: object())
    monkeypatch.setattr(source, "_finish", finish)


def test_it_starts_from_what_was_fetched_last_and_says_so(
    source: RegisteredSource, tmp_path: Path
) -> None:
    (tmp_path / "mlflow").rmdir()
    with pytest.raises(ParameterError, match="there is no registry here"):
        serve_address(ADDRESS, Paths(tmp_path))
    keep(source, "toy/1")
    assert serve_address(ADDRESS, Paths(tmp_path)) == ADDRESS
    version, note, in_place_of = answers(source)
    assert version == "toy/1" and in_place_of is None  # nobody knows whether it should be another
    assert "or the file was removed" in note


def test_a_copy_that_was_damaged_is_fetched_anew(
    source: RegisteredSource, monkeypatch: pytest.MonkeyPatch
) -> None:
    fetching(source, monkeypatch, "toy/2")
    silent = ["toy/2"]  # the first time

    def load(copy: Fetched, *note: str | None) -> Any:
        return Loading(*(silent.pop() for _ in silent[:1]))(copy, *note)

    assert answers(source, load) == ("toy/2", None, None)
    assert not silent
    assert kept(source) == ["toy/2"] and source._copies.state == [7]


def test_where_the_champion_does_not_answer_the_version_that_did_starts(
    source: RegisteredSource, monkeypatch: pytest.MonkeyPatch
) -> None:
    keep(source, "toy/1")
    fetching(source, monkeypatch, "toy/2")
    version, note, in_place_of = answers(source, Loading("toy/2"))
    assert (version, in_place_of) == ("toy/1", "toy/2")
    assert note == "toy/1 answers in place of toy/2: does not answer"
    assert kept(source) == ["toy/1"]
    assert source._state == [7]  # not fetched again until the registry has changed


def test_where_no_version_answers_it_does_not_start(
    source: RegisteredSource, monkeypatch: pytest.MonkeyPatch
) -> None:
    fetching(source, monkeypatch, "toy/2")
    with pytest.raises(DataError, match="does not answer"):
        answers(source, Loading("toy/2"))
    assert not kept(source)


def test_where_every_copy_is_damaged_and_the_registry_is_away_all_is_named(
    source: RegisteredSource, monkeypatch: pytest.MonkeyPatch
) -> None:
    keep(source, "toy/1", "toy/2")
    damage(source, "toy/1", "toy/2")
    away(source, monkeypatch)
    words = (
        r"copy of toy/2 is damaged \(its files are not .* copy of toy/1 .* not be fetched again: "
        r".*no version within"
    )
    with pytest.raises(StorageError, match=words):
        answers(source)


@pytest.mark.parametrize(
    ("taken", "then"),
    [
        (("1", "2", "3"), "2"),
        (("1", "2", "3", "2", "4"), "2"),  # 3 was given back
        (("1", "2", "1"), None),
        (("1", "2", "3", "4", "5", "6", "7"), "6"),
    ],
)
def test_the_version_before_the_champion_answers_in_its_place(
    source: RegisteredSource,
    monkeypatch: pytest.MonkeyPatch,
    taken: tuple[str, ...],
    then: str | None,
) -> None:
    names = [f"toy/{one}" for one in taken]
    keep(source, *names)
    damage(source, names[-1])
    away(source, monkeypatch)
    if then is None:
        with pytest.raises(StorageError):
            answers(source)
        return
    assert len(kept(source)) <= 5
    for _ in range(2):  # a start later wants the champion still
        version, note, in_place_of = answers(source)
        assert (version, in_place_of) == (f"toy/{then}", names[-1])
        assert "the registry gave no version" in note
    (copy_of(source, names[-1]).folder / DAMAGE).unlink()
    fetching(source, monkeypatch, names[-1])  # it is back
    assert answers(source) == (names[-1], None, None)


def test_a_copy_is_as_it_was_made_or_is_made_again(tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    (copy / "extra_files").mkdir(parents=True)
    (copy / "model.onnx").write_bytes(b"graph")
    inside = copy / "extra_files" / "decision.json"
    inside.write_bytes(b"{}")
    assert not serve_fetch.is_whole(copy)  # that of an older program
    write_json(copy / serve_fetch.HASHES, serve_fetch.hashes(copy))
    assert serve_fetch.is_whole(copy)
    inside.write_bytes(b"[]")
    assert not serve_fetch.is_whole(copy)
    inside.unlink()
    assert not serve_fetch.is_whole(copy) and not serve_fetch.is_whole(tmp_path / "none")


def test_a_note_of_an_older_program_is_understood(source: RegisteredSource) -> None:
    copy = copy_of(source, "toy/1")
    old = {"version": "toy/1", "folder": str(copy.folder), "database": [1, 2]}
    write_json(source._folder / "kept.json", old)
    assert kept(source) == ["toy/1"] and source._copies.state == [1, 2]


@pytest.mark.parametrize("damaged", ["model.onnx", "extra_files/preprocessor.json"])
def test_a_damaged_file_and_a_registry_that_hangs_until_it_is_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, damaged: str
) -> None:
    """The files, the service's holder, and a server that takes the request and never answers."""
    made = {f"toy/{n}": Version(tmp_path / n, Task.REGRESSION, only="price").folder for n in "12"}
    with socket.create_server(("127.0.0.1", 0)) as hanging:
        uri = f"http://127.0.0.1:{hanging.getsockname()[1]}"
        monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
        monkeypatch.setattr(serve_alias, "SECONDS", 0.2)
        monkeypatch.setattr(serve_version, "START_SECONDS", 0.5)
        source = RegisteredSource(ADDRESS, Paths(tmp_path))
        for version, folder in made.items():
            place = source._folder / version[-1]
            shutil.copytree(folder, place)
            copied(place)
            source.keep(Fetched(folder=place, version=version))
        file = source._folder / "2" / damaged
        content = file.read_bytes()
        digit = next(i for i, byte in enumerate(content) if byte == ord("1"))
        file.write_bytes(content[:digit] + b"7" + content[digit + 1 :])
        measures = Measures()

        def load(fetched: Fetched, note: str | None, in_place_of: str | None) -> Holder:
            return Holder(
                fetched,
                measures=measures,
                fetch=source,
                note=note,
                in_place_of=in_place_of,
                taken=source.keep,
            )

        source.begin()
        holder = source.first_answering(load)
    state = holder.state()
    assert (state["version"], state["in_place_of"]) == ("toy/1", "toy/2")
    words = r"toy/1 answers in place of toy/2: .*toy/2 is damaged .*; .*no version within 0.5 s"
    assert re.search(words, state["problem"]) and re.search(words, caplog.text)
    assert "plumbline_version_in_place 1.0" in measures.page().decode()
    place = source._folder / "2"

    def fetch(_seconds: float = 0.0) -> Fetched:
        shutil.copytree(made["toy/2"], place, dirs_exist_ok=True)
        return Fetched(folder=place, version="toy/2")

    monkeypatch.setattr(source, "_start", lambda: object())
    monkeypatch.setattr(source, "_finish", fetch)
    holder.check()
    state = holder.state()
    assert (state["version"], state["in_place_of"], state["problem"]) == ("toy/2", None, None)
    assert "plumbline_version_in_place 0.0" in measures.page().decode()
    assert kept(source) == ["toy/2", "toy/1"]


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

    def finish(_seconds: float = 0.0) -> Fetched:
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
