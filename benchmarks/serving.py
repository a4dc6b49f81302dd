"""The REST service: `plumbline serve` beside an empty endpoint of the same framework, the bare ONNX
Runtime call, and `mlflow models serve` of the same version.

Raw rows of 20 numbers and 10 categories go over HTTP on loopback, one row a request, on connections
that stay open. PLUMBLINE_BENCH_REQUESTS sets how many.
"""

from __future__ import annotations

import http.client
import json
import os
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import psutil  # type: ignore[import-untyped]

from benchmarks.predict import TRAINING_ROWS, make_version
from benchmarks.result import Figure, Result, Table, times
from benchmarks.size import make_rows

REQUESTS, CONNECTIONS, WARMUP = 3000, 8, 200
VERSIONS = {"bagged": "the default bag", "version": "an MLP of 2 × 256"}  # folder -> in words
MOST_MB, MOST_SECONDS, MOST_TIMES, LEAST_TIMES = 300.0, 3.0, 2.0, 5.0
WAIT = 180.0  # seconds for a server to start
ROOT = Path(__file__).resolve().parents[1]
JSON = {"content-type": "application/json"}


@dataclass(frozen=True, kw_only=True)
class Running:
    """A server: where it listens, and what its start took."""

    port: int
    path: str
    body: bytes
    seconds: float
    process: psutil.Process

    @property
    def process_megabytes(self) -> float:
        """Resident memory of the process alone; versions are fetched by processes that end."""
        return float(self.process.memory_info().rss) / 2**20

    @property
    def megabytes(self) -> float:
        """Resident memory of the process and its children."""
        own = [self.process, *self.process.children(recursive=True)]
        return float(sum(one.memory_info().rss for one in own)) / 2**20


@dataclass(frozen=True, kw_only=True)
class Measured:
    """Of a version: seconds of each call, requests a second, and what our server took."""

    runtime: list[float]
    ours: list[float]
    theirs: list[float]
    rate: float
    their_rate: float
    start: float
    their_start: float
    memory: float
    their_memory: float


def run() -> Result:
    """Make the versions, start the servers one after the other, ask them."""
    from benchmarks.bagged import make_bagged_version  # heavy, and servers are of this module, too

    requests = int(os.environ.get("PLUMBLINE_BENCH_REQUESTS", REQUESTS))
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        make_rows(folder / "rows.parquet", TRAINING_ROWS)
        make_version(folder)
        make_bagged_version(folder)
        row = pl.read_parquet(folder / "rows.parquet", n_rows=1).drop("y").to_dicts()[0]
        with started(folder, "empty", "", row) as server:
            empty = ask(server, requests)
            empty_rate = crowd(server, requests)
        measured = {which: measure(folder, which, row, requests) for which in VERSIONS}
    notes = [
        "client and server share the machine's cores; plumbline serve logs every request, "
        "mlflow models serve logs none",
        "the bag is what the defaults make of these 20,000 rows, with its out-of-distribution "
        "scores; the MLP has none",
    ]
    return Result(
        title="Serving",
        figures=figures(measured, empty),
        tables=[
            Table(
                title="One raw row of 30 columns per request",
                columns=[
                    "",
                    "p50",
                    "p99",
                    f"per second, {CONNECTIONS} connections",
                    "start",
                    "memory",
                ],
                rows=[
                    [*latencies("empty FastAPI endpoint", empty), f"{empty_rate:,.0f}", "", ""],
                    *(line for which, own in measured.items() for line in lines(which, own)),
                ],
            ),
        ],
        notes=[*notes, *scheduling()],
    )


def scheduling() -> list[str]:
    """The note of a run that others did not slow down."""
    if os.sched_getscheduler(0) not in (os.SCHED_RR, os.SCHED_FIFO):
        return []
    return [
        "run in the real-time class (`chrt`), clients and all servers alike: others used the "
        "machine's cores meanwhile"
    ]


def measure(folder: Path, which: str, row: dict[str, Any], requests: int) -> Measured:
    """One version: its graph alone, our server, and MLflow's."""
    runtime = time_runtime(folder / which, folder / "rows.parquet", requests)
    with started(folder, "plumbline", which, row) as server:
        ours = ask(server, requests)
        rate = crowd(server, requests)
        start, memory = server.seconds, server.megabytes
    with started(folder, "mlflow", which, row) as server:
        theirs = ask(server, max(50, requests // 20))
        their_rate = crowd(server, max(50, requests // 20))
        their_start, their_memory = server.seconds, server.megabytes
    return Measured(
        runtime=runtime,
        ours=ours,
        theirs=theirs,
        rate=rate,
        their_rate=their_rate,
        start=start,
        their_start=their_start,
        memory=memory,
        their_memory=their_memory,
    )


def figures(measured: Mapping[str, Measured], empty: Sequence[float]) -> list[Figure]:
    """Latency and throughput of each version; memory and start of the larger."""
    made = []
    for which, own in measured.items():
        p99 = percentile(own.ours, 99)
        least = percentile(empty, 99) + percentile(own.runtime, 99)
        made += [
            Figure(
                name=f"{VERSIONS[which]}: one row over HTTP, p99 beside that of the empty endpoint "
                "plus the bare call",
                reached=p99 / least,
                unit="×",
                target=f"≤ {MOST_TIMES:g} ×",
                holds=p99 <= MOST_TIMES * least,
            ),
            times(
                f"{VERSIONS[which]}: requests a second on {CONNECTIONS} connections beside "
                "mlflow models serve",
                own.rate / own.their_rate,
                LEAST_TIMES,
            ),
        ]
    memory = max(own.memory for own in measured.values())
    start = max(own.start for own in measured.values())
    return [
        *made,
        Figure(
            name="plumbline serve: memory",
            reached=memory,
            unit="MB",
            target=f"≤ {MOST_MB:g} MB",
            holds=memory <= MOST_MB,
        ),
        Figure(
            name="plumbline serve: start to first answer",
            reached=start,
            unit="s",
            target=f"≤ {MOST_SECONDS:g} s",
            holds=start <= MOST_SECONDS,
        ),
    ]


def lines(which: str, own: Measured) -> list[list[str]]:
    """Rows of the table."""
    name = VERSIONS[which]
    return [
        [*latencies(f"{name}: bare ONNX Runtime call, prepared tensors", own.runtime), "", "", ""],
        [
            *latencies(f"{name}: plumbline serve", own.ours),
            f"{own.rate:,.0f}",
            f"{own.start:.1f} s",
            f"{own.memory:.0f} MB",
        ],
        [
            *latencies(f"{name}: mlflow models serve", own.theirs),
            f"{own.their_rate:,.0f}",
            f"{own.their_start:.1f} s",
            f"{own.their_memory:.0f} MB",
        ],
    ]


def latencies(name: str, seconds: Sequence[float]) -> list[str]:
    """The first cells of a row of the table."""
    p50, p99 = (percentile(seconds, q) * 1e3 for q in (50, 99))
    return [name, f"{p50:.2f} ms", f"{p99:.2f} ms"]


def percentile(seconds: Sequence[float], q: float) -> float:
    """A percentile of times."""
    return float(np.percentile(seconds, q))


def time_runtime(version: Path, rows: Path, requests: int) -> list[float]:
    """Seconds of each call of the graph alone, one prepared row."""
    from plumbline.files import read_json
    from plumbline.inference.onnx_predictor import open_session
    from plumbline.preprocessing.bagged import load_transformer

    transformer = load_transformer(read_json(version / "preprocessor.json"))
    session = open_session((version / "model.onnx").read_bytes())
    frame = pl.read_parquet(rows, n_rows=1).drop("y")
    inputs = dict(transformer.transform_frame(frame, np.arange(1)).inputs)
    given = {one.name: inputs[one.name] for one in session.get_inputs()}
    outputs = [one.name for one in session.get_outputs()]
    seconds = []
    for _ in range(requests + WARMUP):
        begun = time.perf_counter()
        session.run(outputs, given)
        seconds.append(time.perf_counter() - begun)
    return seconds[WARMUP:]


def ask(server: Running, requests: int) -> list[float]:
    """Seconds of each of some requests, one after the other on one connection."""
    connection = http.client.HTTPConnection("127.0.0.1", server.port)
    seconds = []
    for _ in range(requests + min(WARMUP, requests)):
        begun = time.perf_counter()
        connection.request("POST", server.path, server.body, JSON)
        response = connection.getresponse()
        content = response.read()
        seconds.append(time.perf_counter() - begun)
        assert response.status == 200, content[:500]
    connection.close()
    return seconds[-requests:]


def crowd(server: Running, requests: int) -> float:
    """Requests a second on several connections."""
    each = max(1, requests // CONNECTIONS)
    threads = [threading.Thread(target=ask, args=(server, each)) for _ in range(CONNECTIONS)]
    begun = time.perf_counter()
    for one in threads:
        one.start()
    for one in threads:
        one.join()
    sent = (each + min(WARMUP, each)) * CONNECTIONS
    return sent / (time.perf_counter() - begun)


@contextmanager
def started(folder: Path, kind: str, version: str, row: dict[str, Any]) -> Iterator[Running]:
    """A server in a process of its own, which answers when this yields.

    Args:
        version: the folder in `folder` that it serves, where it serves one.
    """
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    command, path, content = COMMANDS[kind](folder, port, version, row)
    begun = time.perf_counter()
    with (folder / f"{kind}-{version}.log").open("w") as log:
        process = subprocess.Popen(command, cwd=folder, stdout=log, stderr=log, env=environment())
    body = json.dumps(content).encode()
    try:
        seconds = wait_for(process, port, path, body) - begun
        yield Running(
            port=port, path=path, body=body, seconds=seconds, process=psutil.Process(process.pid)
        )
    finally:
        for child in psutil.Process(process.pid).children(recursive=True):
            child.terminate()
        process.terminate()
        process.wait(30)


def environment() -> dict[str, str]:
    """Of a server: no limit that only a benchmark meets."""
    path = os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])
    return {
        **os.environ,
        "PYTHONPATH": path,
        "MLFLOW_DISABLE_TELEMETRY": "true",
        "PYTHONWARNINGS": "ignore",
    }


def wait_for(process: subprocess.Popen[bytes], port: int, path: str, body: bytes) -> float:
    """When the first request was answered."""
    end = time.perf_counter() + WAIT
    while time.perf_counter() < end:
        assert process.poll() is None, "the server ended"
        connection = http.client.HTTPConnection("127.0.0.1", port)
        try:
            connection.request("POST", path, body, JSON)
            response = connection.getresponse()
            if response.status == 200:
                return time.perf_counter()
            assert response.status >= 500, response.read()[:500]  # it refuses the row
        except OSError:
            time.sleep(0.02)
        finally:
            connection.close()
    raise TimeoutError(f"no server on port {port} within {WAIT:g} s")


Command = tuple[list[str], str, Any]


def _empty(folder: Path, port: int, version: str, row: dict[str, Any]) -> Command:
    own = [sys.executable, "-m", "benchmarks.serving", "empty", str(port)]
    return own, "/", {"rows": [row]}


def _plumbline(folder: Path, port: int, version: str, row: dict[str, Any]) -> Command:
    (folder / "params.yaml").write_text(PARAMS)
    own = [sys.executable, "-m", "plumbline", "serve", "--model", version, "--port", str(port)]
    return own, "/predict", {"rows": [row]}


def _champion(folder: Path, port: int, version: str, row: dict[str, Any]) -> Command:
    (folder / "params.yaml").write_text(PARAMS + "  poll_seconds: 2\n")
    own = [sys.executable, "-m", "plumbline", "serve", "--port", str(port)]
    return own, "/predict", {"rows": [row]}


def _mlflow(folder: Path, port: int, version: str, row: dict[str, Any]) -> Command:
    own = [sys.executable, "-m", "benchmarks.serving", "save", str(folder / version)]
    subprocess.run(own, check=True, env=environment())
    serve = ["mlflow", "models", "serve", "--env-manager", "local", "--host", "127.0.0.1"]
    own = [
        sys.executable,
        "-m",
        *serve,
        "--model-uri",
        str(folder / f"{version}-raw"),
        "--port",
        str(port),
    ]
    return own, "/invocations", {"inputs": [row]}


COMMANDS = {"empty": _empty, "plumbline": _plumbline, "champion": _champion, "mlflow": _mlflow}
PARAMS = """
seed: 0
data: {name: made, path: data/rows.parquet, target: y, task: binary}
tune: {trials: 0}
serve:
  rate_per_second: 0
"""


def save(version: Path) -> None:
    """A version as `register` writes it, for MLflow's own server."""
    from mlflow.models import Model

    from plumbline.store.raw_model import RawModel

    folder = version.parent
    model = RawModel(
        graph=(version / "model.onnx").read_bytes(),
        files=sorted(version.glob("*.json")),
        gaps=(),
        example=pl.read_parquet(folder / "rows.parquet", n_rows=2).drop("y"),
        expected=pl.DataFrame(),
        allowed={},
    )
    model.save_model(str(folder / f"{version.name}-raw"), Model())


def serve_nothing(port: int) -> None:
    """An endpoint that reads its body and answers an empty object."""
    import uvicorn
    from fastapi import FastAPI, Request
    from starlette.responses import Response

    app = FastAPI()

    async def answer(request: Request) -> Response:
        await request.body()
        return Response(b"{}", media_type="application/json")

    answer.__annotations__ = {"request": Request, "return": Response}
    app.add_api_route("/", answer, methods=["POST"])
    uvicorn.run(app, host="127.0.0.1", port=port, access_log=False, log_level="error")


if __name__ == "__main__":
    if sys.argv[1] == "empty":
        serve_nothing(int(sys.argv[2]))
    else:
        save(Path(sys.argv[2]))
