"""Background processes: started once, healthy or explained, ended with all they started."""

from __future__ import annotations

import json
import os
import signal
import socket
import sys
import time
from collections.abc import Callable
from pathlib import Path

import psutil  # type: ignore[import-untyped]
import pytest
from pipelines.dev_servers import environment
from pipelines.services import HOST, Service, fetch, is_free, running, start, stop
from tests.made import free_port

from pipelines import mlflow_pages, services
from plumbline import telemetry
from plumbline.errors import StorageError


def web(port: int) -> Service:
    return Service(
        name="web",
        command=[sys.executable, "-m", "http.server", str(port), "--bind", HOST],
        healthy=lambda: fetch(f"http://{HOST}:{port}/") is not None,
        port=port,
        port_variable="WEB_PORT",
    )


def own_pid(folder: Path, name: str) -> int | None:
    """Of the service itself; None while it is down."""
    record = running(folder, name)
    assert record is not None
    children = psutil.Process(record.pid).children()
    return int(children[0].pid) if children else None


def wait(holds: Callable[[], bool], seconds: float = 30) -> None:
    until = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < until
        time.sleep(0.05)


def test_started_once_and_ended(tmp_path: Path) -> None:
    folder, port = tmp_path / "run", free_port()
    assert start(folder, web(port), os.environ, tmp_path) is True
    record = running(folder, "web")
    assert record is not None and record.port == port
    assert start(folder, web(port), os.environ, tmp_path) is False
    assert running(folder, "web") == record
    assert stop(folder) == ["web"]
    assert not record.alive()
    assert is_free(port)
    assert stop(folder) == []


def test_what_it_started_ends_too(tmp_path: Path) -> None:
    code = (
        "import subprocess, time;"
        "p = subprocess.Popen(['sleep', '600'], start_new_session=True);"
        "open('child', 'w').write(str(p.pid)); time.sleep(600)"
    )
    child = tmp_path / "child"
    service = Service(
        name="parent",
        command=[sys.executable, "-c", code],
        healthy=lambda: child.exists() and child.read_text() != "",
    )
    start(tmp_path / "run", service, os.environ, tmp_path)
    pid = int(child.read_text())
    os.kill(pid, 0)
    stop(tmp_path / "run")
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


def test_what_is_killed_is_started_again_and_ends_when_it_is_to(tmp_path: Path) -> None:
    folder, port = tmp_path / "run", free_port()
    start(folder, web(port), os.environ, tmp_path)
    for _ in range(2):
        before = own_pid(folder, "web")
        assert before is not None
        os.kill(before, signal.SIGKILL)
        wait(lambda dead=before: own_pid(folder, "web") not in (dead, None))
        wait(web(port).healthy)
    ends = [json.loads(line) for line in (folder / "web.ends").read_text().splitlines()]
    assert [one["how"] for one in ends] == ["by SIGKILL"] * 2
    assert ends[0]["wait"] < ends[1]["wait"]  # longer each time
    assert "web ended by SIGKILL; started again in" in (folder / "web.log").read_text()
    record = running(folder, "web")
    assert stop(folder) == ["web"]
    assert record is not None and not record.alive() and is_free(port)
    assert list(folder.iterdir()) == [folder / "web.log"]


def test_what_is_down_just_now_ends_too(tmp_path: Path) -> None:
    folder, count = tmp_path / "run", tmp_path / "count"
    code = "open('count', 'a').write('x'); import time; time.sleep(0.2); raise SystemExit(1)"
    command = [sys.executable, "-c", code]
    start(folder, Service(name="brief", command=command, healthy=count.exists), {}, tmp_path)
    wait((folder / "brief.ends").exists)
    assert stop(folder) == ["brief"]
    ran = count.read_text()
    time.sleep(1.5)  # it would have been started again after a second
    assert count.read_text() == ran


def test_what_a_killed_supervisor_left_is_ended_and_started_anew(tmp_path: Path) -> None:
    folder, port = tmp_path / "run", free_port()
    start(folder, web(port), os.environ, tmp_path)
    record, left = running(folder, "web"), own_pid(folder, "web")
    assert record is not None and left is not None
    os.kill(record.pid, signal.SIGKILL)
    wait(lambda: running(folder, "web") is None)
    try:
        assert psutil.pid_exists(left)
        assert start(folder, web(port), os.environ, tmp_path) is True
        wait(lambda: own_pid(folder, "web") is not None)
        assert own_pid(folder, "web") != left and not psutil.pid_exists(left)
    finally:
        stop(folder)


def test_a_taken_port_is_told_and_nothing_is_started(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind((HOST, 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(StorageError, match=rf"port {port} .* is taken.*WEB_PORT"):
            start(tmp_path / "run", web(port), os.environ, tmp_path)
    assert running(tmp_path / "run", "web") is None


def test_another_port_than_it_runs_on_is_told(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    start(folder, web(free_port()), os.environ, tmp_path)
    try:
        with pytest.raises(StorageError, match="already runs on port"):
            start(folder, web(free_port()), os.environ, tmp_path)
    finally:
        stop(folder)


def test_what_does_not_come_up_shows_its_log(tmp_path: Path) -> None:
    code = "print('no database at all'); raise SystemExit(1)"
    service = Service(name="bad", command=[sys.executable, "-c", code], healthy=lambda: False)
    with pytest.raises(StorageError, match=r"bad ended while starting:\n(.|\n)*no database at all"):
        start(tmp_path / "run", service, os.environ, tmp_path)


def test_what_never_answers_is_given_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(services, "START_SECONDS", 0.5)
    service = Service(name="mute", command=["sleep", "600"], healthy=lambda: False)
    try:
        with pytest.raises(StorageError, match="mute did not answer in time"):
            start(tmp_path / "run", service, os.environ, tmp_path)
    finally:
        stop(tmp_path / "run")


def test_a_record_of_another_process_is_no_service(tmp_path: Path) -> None:
    (tmp_path / "web.json").write_text(f'{{"pid": {os.getpid()}, "created": 0.0, "port": 1}}')
    assert running(tmp_path, "web") is None


def test_the_interface_opens_at_the_last_run_and_version(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = {"model": "shop sales", "version": 3, "run_id": "ab12"}
    (tmp_path / "reports").mkdir()
    (tmp_path / "reports" / "register.json").write_text(json.dumps(made))
    known = {"run": {"info": {"experiment_id": "7"}}}
    monkeypatch.setattr(
        mlflow_pages, "fetch", lambda url, **_: known if "run_id=ab12" in url else None
    )
    page = "?workflowType=machine_learning"  # not MLflow's pages for language models
    assert mlflow_pages.last_run_pages(tmp_path, "http://h:1") == {
        "runs": f"http://h:1/#/experiments/7/runs{page}",
        "run": f"http://h:1/#/experiments/7/runs/ab12{page}",
        "model": f"http://h:1/#/models/shop%20sales{page}",
        "version": f"http://h:1/#/models/shop%20sales/versions/3{page}",
    }
    monkeypatch.setattr(mlflow_pages, "fetch", lambda url, **_: None)  # another store, or no answer
    assert mlflow_pages.last_run_pages(tmp_path, "http://h:1") == {}


def test_what_is_started_sends_no_statistics(tmp_path: Path) -> None:
    assert telemetry.OFF.items() <= environment(tmp_path).items()


def test_prefect_keeps_to_the_checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PREFECT_PROFILE", "mine")
    monkeypatch.delenv("PREFECT_API_URL", raising=False)
    variables = environment(tmp_path)
    assert variables["PREFECT_HOME"] == str(tmp_path / ".plumbline" / "prefect")
    assert Path(variables["PREFECT_HOME"]).is_dir()
    assert "PREFECT_PROFILE" not in variables and "PREFECT_API_URL" not in variables
