"""The real server: another champion takes over under load, and it ends well."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil  # type: ignore[import-untyped]
import pytest
from tests.version import Version

from plumbline.kinds import Task

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
