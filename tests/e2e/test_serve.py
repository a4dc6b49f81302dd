"""The real server: another champion takes over under load, it ends well, and it comes back."""

from __future__ import annotations

import base64
import datetime as dt
import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import polars as pl
import psutil  # type: ignore[import-untyped]
import pytest
from tests.e2e.browser import Browser
from tests.version import Version, png

from plumbline.kinds import Task
from plumbline.serving.logged import read_log

pytestmark = pytest.mark.e2e
# as the command, and what it has imported when it ends
RUN = """import sys; from plumbline.cli import main; code = main(sys.argv[2:])
open(sys.argv[1], "w").write(" ".join(sys.modules)); sys.exit(code)"""
HEAVY = {
    "torch",
    "mlflow",
    "pandas",
    "sklearn",
    "scipy",
    "matplotlib",
    "onnx",
    "great_expectations",
}


PARAMS = """
seed: 0
data: {name: made, path: data/rows.csv, target: y, task: regression}
tune: {trials: 0}
"""


class Server:
    """A service in a process of its own."""

    def __init__(self, folder: Path, *arguments: str) -> None:
        self.modules = folder / "modules.txt"
        command = [sys.executable, "-c", RUN, str(self.modules), "serve", "--port", "0"]
        own = {k: v for k, v in os.environ.items() if k != "PLUMBLINE_SERVE_TOKEN"}
        with (folder / "stderr.txt").open("a") as errors:
            self.process = subprocess.Popen(
                [*command, *arguments],
                cwd=folder,
                stdout=subprocess.PIPE,
                stderr=errors,
                text=True,
                env=own,
            )
        assert self.process.stdout is not None
        self.line = self.process.stdout.readline()
        assert self.line, (folder / "stderr.txt").read_text()
        self.url = self.line.split(" on ")[1].split()[0]

    def ask(self, path: str, content: Any = None) -> Any:
        data = None if content is None else json.dumps(content).encode()
        headers = {"content-type": "application/json"}
        request = urllib.request.Request(f"{self.url}{path}", data, headers)
        with urllib.request.urlopen(request, timeout=60) as response:
            return json.loads(response.read())

    def connections(self) -> int:
        """That are open."""
        own = psutil.Process(self.process.pid).net_connections("tcp")
        return sum(one.status == psutil.CONN_ESTABLISHED for one in own)

    def end(self) -> int:
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        code = self.process.wait(60)
        assert self.process.stdout is not None
        self.process.stdout.close()
        return code


@contextmanager
def serving(folder: Path, *arguments: str) -> Iterator[Server]:
    server = Server(folder, *arguments)
    try:
        yield server
    finally:
        server.end()


def test_a_folder_is_served_without_torch_and_what_was_taken_is_answered(tmp_path: Path) -> None:
    version = Version(tmp_path / "version", Task.REGRESSION, only="price")
    with serving(tmp_path, "--model", "version") as server:
        assert server.ask("/ready")["ready"]
        example = server.ask("/openapi.json")["paths"]["/predict"]["post"]["requestBody"]
        server.ask("/predict", example["content"]["application/json"]["example"])
        maps = Path(f"/proc/{server.process.pid}/maps").read_text()
        assert "libtorch" not in maps and "onnxruntime" in maps
        body = json.dumps({"rows": [{"price": i} for i in range(1000)]}).encode()
        host, port = server.url.removeprefix("http://").split(":")
        with socket.create_connection((host, int(port)), 60) as connection:
            head = f"POST /predict HTTP/1.1\r\nHost: a\r\nContent-Length: {len(body)}\r\n"
            connection.sendall(f"{head}Content-Type: application/json\r\n\r\n".encode())
            connection.sendall(body[:-1])
            time.sleep(0.2)
            server.ask("/health")  # what came before is being answered
            server.process.send_signal(signal.SIGTERM)
            time.sleep(0.2)
            connection.sendall(body[-1:])
            answer = b""
            while part := connection.recv(1 << 20):
                answer += part
        assert answer.startswith(b"HTTP/1.1 200")
        assert len(json.loads(answer.partition(b"\r\n\r\n")[2])["predictions"]) == 1000
        assert server.end() == 0
    assert not set(server.modules.read_text().split()) & HEAVY
    assert version.predictor.sha256[:16] in server.line


EXAMPLE = [{"price": "900,50 €", "count": 3, "member": True, "day": None, "maker": "A"}]
EXAMPLE[0] |= {"note": "red <b>shoes</b>", "photo": base64.encodebytes(png(1)).decode()}
SENT = "document.getElementById('answer').textContent"


def test_the_example_on_the_page_works_when_pressed_and_nothing_comes_from_elsewhere(
    browser: Browser, tmp_path: Path
) -> None:
    Version(tmp_path / "version", Task.BINARY)
    (tmp_path / "version" / "input_example.json").write_text(json.dumps(EXAMPLE))
    with serving(tmp_path, "--model", "version") as server:
        for width in (1280, 360):
            browser.open(f"{server.url}/docs", width)
            browser.wait("document.getElementById('body').value")
            for button, words in {
                "predict": '"predicted": ',
                "explain": '"contributions": ',
            }.items():
                browser.ask(f"document.getElementById('{button}').click()")
                browser.wait(f"{SENT}.includes('{words}')")
                assert browser.ask(SENT).startswith("200\n")
            assert "/explain -H" in browser.ask("document.getElementById('command').textContent")
            assert browser.ask("document.documentElement.scrollWidth") <= width
            columns = browser.ask("document.getElementById('columns').innerText")
            assert "maker" in columns and "red <b>shoes</b>" in columns
            browser.ask("document.getElementById('body').value = '{'")
            browser.ask("document.getElementById('predict').click()")
            browser.wait(f"{SENT}.startsWith('400')")
        sent = [e for e in browser.events if e.get("method") == "Network.requestWillBeSent"]
        assert {e["params"]["request"]["url"].startswith(server.url) for e in sent} == {True}
        assert not [e for e in browser.events if e.get("method") == "Runtime.exceptionThrown"]


def test_a_connection_on_which_nothing_comes_or_nothing_is_read_ends(tmp_path: Path) -> None:
    Version(tmp_path / "version", Task.REGRESSION, only="price")
    (tmp_path / "params.yaml").write_text(PARAMS + "serve: {timeout_seconds: 1.0}\n")
    with serving(tmp_path, "--model", "version") as server:
        host, port = server.url.removeprefix("http://").split(":")

        def connected(sent: bytes) -> socket.socket:
            connection = socket.create_connection((host, int(port)), 30)
            connection.sendall(sent)
            return connection

        whole = b"GET /health HTTP/1.1\r\nHost: a\r\n\r\n"
        for sent in (b"", whole[:-2], whole, whole + whole[:9], b"POST /predict HTTP/1.1\r\n"):
            with connected(sent) as connection:
                answers = b""
                while part := connection.recv(1 << 16):  # ends, or times out
                    answers += part
            assert answers.count(b"200 OK") == sent.count(whole)
        body = json.dumps({"rows": [{"price": i} for i in range(1000)]}).encode()
        head = f"POST /predict HTTP/1.1\r\nHost: a\r\nContent-Length: {len(body)}\r\n"
        request = f"{head}Content-Type: application/json\r\n\r\n".encode() + body
        with connected(request * 100):  # asks, and reads nothing
            time.sleep(0.5)
            assert server.connections() == 1
            end = time.monotonic() + 30
            while server.connections() and time.monotonic() < end:
                time.sleep(0.1)
            assert not server.connections()
        assert server.ask("/health") == {"status": "ok"}


class Load:
    """Requests of one row each, one after the other, on several connections until it is ended."""

    def __init__(self, server: Server, connections: int = 4) -> None:
        self.address = server.url.removeprefix("http://")
        self.answers: list[tuple[float, int, dict[str, Any]]] = []  # when, price, what came
        self.failures: list[str] = []
        self._ended = threading.Event()
        self._threads = [threading.Thread(target=self._ask) for _ in range(connections)]

    def _ask(self) -> None:
        connection = http.client.HTTPConnection(self.address, timeout=60)
        headers = {"content-type": "application/json"}
        try:
            while not self._ended.is_set():
                price = len(self.answers) % 50
                body = json.dumps({"rows": [{"price": price}]})
                connection.request("POST", "/predict", body, headers)
                response = connection.getresponse()
                content = response.read()
                if response.status != 200:
                    self.failures.append(f"{response.status}: {content!r}")
                    return
                self.answers.append((time.monotonic(), price, json.loads(content)))
        except (OSError, http.client.HTTPException) as error:
            self.failures.append(repr(error))
        finally:
            connection.close()

    def __enter__(self) -> Load:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_given: object) -> None:
        self._ended.set()
        for thread in self._threads:
            thread.join(60)

    def wait_for(self, true: Callable[[], bool]) -> None:
        """Until something holds, and some answers more."""
        end = time.monotonic() + 90
        while not true():
            assert time.monotonic() < end and not self.failures, self.failures
            time.sleep(0.05)
        before = len(self.answers)
        while len(self.answers) < before + 50 and not self.failures:
            assert time.monotonic() < end
            time.sleep(0.05)


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of mlflow's own imports
@pytest.mark.filterwarnings("ignore::ResourceWarning")  # mlflow leaves its SQLite pool open
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.soak
def test_the_champion_changes_under_load_and_a_killed_service_comes_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from plumbline.store import tracking

    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    versions = {
        f"made/{n}": Version(tmp_path / f"v{n}", Task.REGRESSION, only="price", scale=1.0 + n / 4)
        for n in (1, 2, 3)
    }
    (tmp_path / "v3" / "input_example.json").write_text('[{"price": "cheap"}]')  # fails its test
    client = tracking.open_store(tmp_path).client
    client.create_registered_model("made")
    for n in (1, 2, 3):
        client.create_model_version("made", source=(tmp_path / f"v{n}").as_uri())

    def promote(number: str) -> None:
        client.set_registered_model_alias("made", "champion", number)

    promote("1")
    serve = "serve: {poll_seconds: 0.2, rate_per_second: 0, log: {flush_seconds: 0.5}}\n"
    (tmp_path / "params.yaml").write_text(PARAMS + serve)
    expected = {
        (name, price): row
        for name, version in versions.items()
        for price, row in enumerate(
            version.predictor.predict(pl.DataFrame({"price": [float(i) for i in range(50)]}))[
                "predicted"
            ]
        )
    }
    server = Server(tmp_path)
    try:
        with Load(server) as load:
            load.wait_for(lambda: server.ask("/ready")["version"] == "made/1")
            promote("2")
            load.wait_for(lambda: server.ask("/ready")["version"] == "made/2")
            promote("3")
            load.wait_for(lambda: server.ask("/ready")["problem"] is not None)
            ready = server.ask("/ready")
            assert ready["version"] == "made/2" and "made/3 is refused" in ready["problem"]
            promote("1")  # rolled back
            load.wait_for(lambda: server.ask("/ready")["version"] == "made/1")
            assert not load.failures
            load.wait_for(lambda: load.answers[-1][0] - load.answers[0][0] > 1)
            server.process.kill()
            killed = time.monotonic()
        for _, price, answer in load.answers:
            (prediction,) = answer["predictions"]
            wanted = expected[answer["version"], price]
            assert prediction["predicted"] == pytest.approx(wanted, rel=1e-5, abs=1e-5)
        assert {answer["version"] for _, _, answer in load.answers} == {"made/1", "made/2"}
        hour = dt.timedelta(hours=1)
        now = dt.datetime.now(dt.UTC).replace(tzinfo=None)
        logged = read_log(tmp_path / "logs" / "serving", now - hour, now + hour)
        kept = set(logged["request_id"])
        lost = [when for when, _, answer in load.answers if answer["request_id"] not in kept]
        assert all(killed - when < 0.5 + 2 for when in lost)  # and the time that writing takes
        assert logged["request_id"].is_unique().all()
    finally:
        server.end()
    (tmp_path / "mlflow").rename(tmp_path / "away")  # the registry is away at the next start
    (tmp_path / "mlflow").mkdir()
    with serving(tmp_path) as again:
        ready = again.ask("/ready")
        assert ready["version"] == "made/1" and "the file was removed" in ready["problem"]
        assert again.ask("/predict", {"rows": [{"price": 3}]})["version"] == "made/1"
    (tmp_path / "mlflow").rmdir()
    (tmp_path / "away").rename(tmp_path / "mlflow")
    for graph in (tmp_path / ".plumbline" / "serving").rglob("model.onnx"):
        graph.write_bytes(b"cut")
    with serving(tmp_path) as again:  # it fetches the version anew
        assert again.ask("/ready")["problem"] is None
        assert again.ask("/predict", {"rows": [{"price": 3}]})["version"] == "made/1"
        promote("2")
        wait_for(lambda: again.ask("/ready")["version"] == "made/2")
    for graph in (tmp_path / ".plumbline" / "serving").rglob("2-*/model.onnx"):
        graph.write_bytes(graph.read_bytes()[:-1])
    (tmp_path / "mlflow").rename(tmp_path / "away")
    with serving(tmp_path) as again:  # the version before, until the registry is back
        ready = again.ask("/ready")
        assert (ready["version"], ready["in_place_of"]) == ("made/1", "made/2")
        assert "copy of made/2 is damaged" in ready["problem"]
        assert again.ask("/predict", {"rows": [{"price": 3}]})["version"] == "made/1"
        (tmp_path / "away").rename(tmp_path / "mlflow")
        wait_for(lambda: again.ask("/ready")["version"] == "made/2")
        ready = again.ask("/ready")
        assert ready["problem"] is None and ready["in_place_of"] is None


def wait_for(true: Callable[[], bool]) -> None:
    end = time.monotonic() + 60
    while not true():
        assert time.monotonic() < end
        time.sleep(0.1)
