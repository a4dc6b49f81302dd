"""Steady load on the REST service while another champion takes over, and then one after the other:
failed requests, memory.

PLUMBLINE_BENCH_STEADY_SECONDS sets how long the load lasts; the champion changes in the middle.
"""

from __future__ import annotations

import http.client
import itertools
import json
import os
import shutil
import tempfile
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import polars as pl

from benchmarks.predict import TRAINING_ROWS
from benchmarks.result import Figure, Result, Table
from benchmarks.serving import JSON, scheduling, started
from benchmarks.size import make_rows

SECONDS, CONNECTIONS = 600.0, 4
CHANGES, SETTLED = 10, 5.0  # seconds after each, in which what was replaced is given back
WAIT = 60.0
GROWTH_MB, CHANGES_MB = 10.0, 2.0
NAME = "made"


def run() -> Result:
    """Make a version, start the service, ask it."""
    from benchmarks.bagged import make_bagged_version  # heavy

    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        make_rows(folder / "rows.parquet", TRAINING_ROWS)
        make_bagged_version(folder)
        row = pl.read_parquet(folder / "rows.parquet", n_rows=1).drop("y").to_dicts()[0]
        promote = make_registry(folder, "bagged")
        with started(folder, "champion", "", row) as server:
            measured = load(server.port, server.body, lambda: server.process_megabytes, promote)
    return Result(
        title="Serving while the champion changes",
        figures=figures(measured),
        tables=[table(measured)],
        notes=[
            "the default bag of [Serving](#serving), one raw row of 30 columns per request, every "
            "request logged",
            *scheduling(),
        ],
    )


def make_registry(folder: Path, version: str) -> Callable[[str], None]:
    """An MLflow registry with the files of a version, a folder in `folder`, as versions 1 and 2;
    gives what moves the alias."""
    from plumbline.store import tracking

    registered = folder / "registered"  # as MLflow keeps one
    shutil.copytree(folder / version, registered / "extra_files")
    (registered / "extra_files" / "model.onnx").rename(registered / "model.onnx")
    client = tracking.open_store(folder).client
    client.create_registered_model(NAME)
    for _ in range(2):
        client.create_model_version(NAME, source=registered.as_uri())

    def promote(number: str) -> None:
        client.set_registered_model_alias(NAME, "champion", number)

    promote("1")
    return promote


@dataclass
class Steady:
    """What was measured. `memory`: megabytes, once a second."""

    seconds: float = 0.0
    times: list[float] = field(default_factory=list)
    failed: list[str] = field(default_factory=list)
    versions: set[bytes] = field(default_factory=set)
    memory: list[float] = field(default_factory=list)
    changed: list[float] = field(default_factory=list)  # megabytes after each of the last changes

    @property
    def growth(self) -> float:
        """Megabytes from the second quarter to the last."""
        quarter = len(self.memory) // 4
        early, late = self.memory[quarter : 2 * quarter], self.memory[3 * quarter :]
        return float(np.median(late) - np.median(early))


def load(
    port: int, body: bytes, megabytes: Callable[[], float], promote: Callable[[str], None]
) -> Steady:
    """Ask on several connections, and change the champion in the middle; then change it again and
    again."""
    wanted = float(os.environ.get("PLUMBLINE_BENCH_STEADY_SECONDS", SECONDS))
    measured, end = Steady(seconds=wanted), time.perf_counter() + wanted
    threads = [
        threading.Thread(target=_ask, args=(port, body, end, measured)) for _ in range(CONNECTIONS)
    ]
    for one in threads:
        one.start()
    swapped = False
    while time.perf_counter() < end:
        measured.memory.append(megabytes())
        if not swapped and end - time.perf_counter() < wanted / 2:
            promote("2")
            swapped = True
        time.sleep(1)
    for one in threads:
        one.join()
    for version in itertools.islice(itertools.cycle("12"), CHANGES):
        promote(version)
        _wait_for(port, version)
        time.sleep(SETTLED)
        measured.changed.append(megabytes())
    return measured


def _wait_for(port: int, version: str) -> None:
    end = time.perf_counter() + WAIT
    while time.perf_counter() < end:
        connection = http.client.HTTPConnection("127.0.0.1", port)
        connection.request("GET", "/ready")
        serving = json.loads(connection.getresponse().read())["version"]
        connection.close()
        if serving == f"{NAME}/{version}":
            return
        time.sleep(0.1)
    raise TimeoutError(f"version {version} did not take over within {WAIT:g} s")


def _ask(port: int, body: bytes, end: float, measured: Steady) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", port)
    while (begun := time.perf_counter()) < end:
        try:
            connection.request("POST", "/predict", body, JSON)
            response = connection.getresponse()
            content = response.read()
            if response.status != 200:
                measured.failed.append(str(response.status))
        except (OSError, http.client.HTTPException) as error:
            measured.failed.append(type(error).__name__)
            connection.close()
            continue
        measured.times.append(time.perf_counter() - begun)
        measured.versions.add(content.partition(b'"version":"')[2].partition(b'"')[0])
    connection.close()


def figures(measured: Steady) -> list[Figure]:
    """No request fails, and memory does not grow."""
    more = measured.changed[-1] - measured.changed[0]
    return [
        Figure(
            name=f"failed requests in {measured.seconds:g} s of load with a change of champion",
            reached=float(len(measured.failed)),
            unit="",
            target="0",
            holds=not measured.failed and len(measured.versions) == 2,
        ),
        Figure(
            name="growth of memory in it, from the second quarter to the last",
            reached=measured.growth,
            unit="MB",
            target=f"≤ {GROWTH_MB:g} MB",
            holds=measured.growth <= GROWTH_MB,
        ),
        Figure(
            name=f"growth of memory over {CHANGES} more changes of champion",
            reached=more,
            unit="MB",
            target=f"≤ {CHANGES_MB:g} MB",
            holds=more <= CHANGES_MB,
        ),
    ]


def table(measured: Steady) -> Table:
    """The load in numbers."""
    changed = ", ".join(f"{one:.0f}" for one in measured.changed)
    p50, p99 = np.percentile(measured.times, (50, 99)) * 1e3
    rows = [
        ["requests answered", f"{len(measured.times):,}"],
        ["per second", f"{len(measured.times) / measured.seconds:,.0f}"],
        ["p50, p99", f"{p50:.2f} ms, {p99:.2f} ms"],
        ["longest", f"{max(measured.times) * 1e3:.0f} ms"],
        ["versions that answered", f"{len(measured.versions)}"],
        [
            "memory, lowest and highest",
            f"{min(measured.memory):.0f}, {max(measured.memory):.0f} MB",
        ],
        [f"memory after each of {len(measured.changed)} more changes", f"{changed} MB"],
    ]
    return Table(
        title=f"Steady load on {CONNECTIONS} connections for {measured.seconds:g} s, the champion "
        "changed in the middle",
        columns=["", ""],
        rows=rows,
    )
