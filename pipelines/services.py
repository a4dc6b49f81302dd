"""Background processes of this checkout: started once, waited for until healthy, started again
when they end by themselves, ended whole.

Each has a process beside it that watches it (`supervise.py`). What is started carries marks in its
environment, so that also what it started in turn is found when it is to end. `.plumbline/run/`
holds a record and a log per service.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil  # type: ignore[import-untyped]

from plumbline.errors import StorageError

MARK = "PLUMBLINE_SERVICES"  # its value is the folder of the records
NAME_MARK = "PLUMBLINE_SERVICE"
SUPERVISE = Path(__file__).with_name("supervise.py")
HOST = "127.0.0.1"
START_SECONDS = 180.0  # a first start creates a database; two slow cores need a minute for it
END_SECONDS = 15.0
_started: list[subprocess.Popen[bytes]] = []  # they outlive us; held so that none is waited for
LOG_LINES = 15


@dataclass(frozen=True, kw_only=True)
class Service:
    """What to start, and how to tell that it works.

    `port` is None for what listens nowhere; `port_variable` is named when the port is taken.
    `end_by` asks it to end without waiting for its clients.
    """

    name: str
    command: Sequence[str]
    healthy: Callable[[], bool]
    port: int | None = None
    port_variable: str = ""
    end_by: signal.Signals = signal.SIGTERM


@dataclass(frozen=True, kw_only=True)
class Record:
    """A service that was started: the process that watches it, when that began, where the service
    listens."""

    pid: int
    created: float
    port: int | None

    def alive(self) -> bool:
        try:
            process = psutil.Process(self.pid)
            same = abs(process.create_time() - self.created) < 1
            return bool(same and process.status() != psutil.STATUS_ZOMBIE)
        except psutil.Error:
            return False


def running(folder: Path, name: str) -> Record | None:
    """The record of a service that is alive, or None."""
    try:
        record = Record(**json.loads((folder / f"{name}.json").read_text(encoding="utf-8")))
    except (FileNotFoundError, json.JSONDecodeError, TypeError):
        return None
    return record if record.alive() else None


def start(folder: Path, service: Service, environment: Mapping[str, str], root: Path) -> bool:
    """Start a service unless it runs, and wait until it is healthy; True if it was started.

    Raises:
        StorageError: its port is taken by something else, or it does not come up.
    """
    if (record := running(folder, service.name)) is not None:
        if record.port != service.port:
            raise StorageError(
                f"{service.name} already runs on port {record.port}, not {service.port}",
                hint="make deploy-down, then start it on the other port",
            )
        _wait(folder, service, record)
        _healthy(folder, service)
        return False
    _end(_marked(folder, service.name))  # what a killed supervisor left
    if service.port is not None and not is_free(service.port):
        raise StorageError(
            f"port {service.port} on {HOST}, wanted for {service.name}, is taken",
            hint=f"end what listens there, or set {service.port_variable} to a free port",
        )
    # reap what was killed: PostgreSQL takes a dead process of the same number for a running one
    _started[:] = [process for process in _started if process.poll() is None]
    folder.mkdir(parents=True, exist_ok=True)
    for kind in ("up", "ends"):
        (folder / f"{service.name}.{kind}").unlink(missing_ok=True)
    supervise = [sys.executable, "-I", "-S", str(SUPERVISE), str(folder), service.name]
    supervise.append(service.end_by.name)
    with (folder / f"{service.name}.log").open("wb") as log:
        process = subprocess.Popen(
            [*supervise, *service.command],
            cwd=root,
            env={**environment, MARK: str(folder), NAME_MARK: service.name},
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    _started.append(process)
    created = psutil.Process(process.pid).create_time()
    record = Record(pid=process.pid, created=created, port=service.port)
    (folder / f"{service.name}.json").write_text(json.dumps(vars(record)), encoding="utf-8")
    _wait(folder, service, record)
    _healthy(folder, service)
    return True


def _healthy(folder: Path, service: Service) -> None:
    """From now on it is started again where it ends by itself."""
    (folder / f"{service.name}.up").touch()


def _wait(folder: Path, service: Service, record: Record) -> None:
    until = time.monotonic() + START_SECONDS
    while record.alive():
        if service.healthy():
            return
        if time.monotonic() > until:
            break
        time.sleep(0.2)
    log = folder / f"{service.name}.log"
    tail = "\n".join(log.read_text(encoding="utf-8", errors="replace").splitlines()[-LOG_LINES:])
    what = "did not answer in time" if record.alive() else "ended while starting"
    raise StorageError(f"{service.name} {what}:\n{tail}\n", file=log)


def stop(folder: Path, last: Sequence[Sequence[str]] = ()) -> list[str]:
    """End all services of this checkout and whatever they started; those of each group of `last`
    after the others, as what uses a server ends before the server.

    Returns the names of the services that were running.
    """
    records = {file.stem: running(folder, file.stem) for file in sorted(folder.glob("*.json"))}
    alive = {name: record for name, record in records.items() if record is not None}
    for number in range(len(last) + 1):
        later = [alive[name] for group in last[number:] for name in group if name in alive]
        keep = {pid for record in later for pid in _family(record.pid)}
        _end([process for process in _marked(folder) if process.pid not in keep])
    _started[:] = [process for process in _started if process.poll() is None]
    for name in records:
        for kind in ("json", "up", "ends"):
            (folder / f"{name}.{kind}").unlink(missing_ok=True)
    return list(alive)


def _family(pid: int) -> list[int]:
    """A process and all that it started."""
    try:
        process = psutil.Process(pid)
        return [pid, *(child.pid for child in process.children(recursive=True))]
    except psutil.NoSuchProcess:
        return [pid]


def _marked(folder: Path, name: str | None = None) -> list[psutil.Process]:
    """Processes of this user that carry the mark of this checkout, or of one of its services."""
    marked = []
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error, OSError):
            variables = {} if process.pid == os.getpid() else process.environ()
            if variables.get(MARK) != str(folder):
                continue
            if name is None or variables.get(NAME_MARK) == name:
                marked.append(process)
    return marked


def _end(processes: Sequence[psutil.Process]) -> None:
    for process in processes:
        with contextlib.suppress(psutil.NoSuchProcess):
            process.terminate()
    _, left = psutil.wait_procs(processes, timeout=END_SECONDS)
    for process in left:
        with contextlib.suppress(psutil.NoSuchProcess):
            process.kill()
    psutil.wait_procs(left, timeout=END_SECONDS)


def is_free(port: int) -> bool:
    """Whether a port of the loopback interface can be listened on."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError:
            return False
    return True


def fetch(url: str, content: Any = None, seconds: float = 5) -> Any:
    """GET, or POST of JSON; the parsed answer, or None where nothing healthy answered."""
    data = None if content is None else json.dumps(content).encode()
    request = urllib.request.Request(url, data, {"Content-Type": "application/json"})
    try:
        with urllib.request.urlopen(request, timeout=seconds) as answer:
            body = answer.read()
    except (urllib.error.URLError, OSError):
        return None
    try:
        return json.loads(body)
    except json.JSONDecodeError:
        return body.decode("utf-8", errors="replace")
