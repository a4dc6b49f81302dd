"""Server, worker and deployment on this machine: up, asked through the API, and gone."""

from __future__ import annotations

import base64
import json
import socket
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
import yaml
from pipelines.services import running
from tests.e2e.conftest import environment, run, set_params
from tests.made import free_port

pytestmark = pytest.mark.e2e
LOCAL = ("python", "-m", "pipelines.dev_servers")


LOGIN = "watch:it's a secret"
WITH_LOGIN = ("env", f"PREFECT_SERVER_API_AUTH_STRING={LOGIN}")


@pytest.fixture
def deployed(copy: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[Path, str]]:
    """A copy of the run checkout with server and worker up, and the API's address; the server asks
    for a login."""
    port = free_port()
    monkeypatch.setenv("PLUMBLINE_PREFECT_PORT", str(port))
    monkeypatch.setenv("PLUMBLINE_MLFLOW_PORT", str(free_port()))
    done = run(copy, *WITH_LOGIN, *LOCAL, "deploy")
    assert f"http://127.0.0.1:{port}" in done.stdout
    yield copy, f"http://127.0.0.1:{port}/api"
    run(copy, *LOCAL, "deploy-down")


def ask(url: str, content: Any = None) -> Any:
    data = None if content is None else json.dumps(content).encode()
    login = base64.b64encode(LOGIN.encode()).decode()
    headers = {"Content-Type": "application/json", "Authorization": f"Basic {login}"}
    request = urllib.request.Request(url, data, headers)
    for pause in (0.5, 1, 2, 4, 8):  # as Prefect's client does while the database is locked
        try:
            with urllib.request.urlopen(request, timeout=30) as answer:
                return json.load(answer)
        except urllib.error.HTTPError as error:
            if error.code != 503:
                raise
            time.sleep(pause)
    raise AssertionError(f"{url} is not available")


def trigger(api: str, **parameters: Any) -> str:
    deployment = ask(f"{api}/deployments/name/training/weekly-training")
    made = ask(f"{api}/deployments/{deployment['id']}/create_flow_run", {"parameters": parameters})
    return str(made["id"])


def wait_for(api: str, flow_run: str, *types: str) -> dict[str, Any]:
    until = time.monotonic() + 300
    while time.monotonic() < until:
        state: dict[str, Any] = ask(f"{api}/flow_runs/{flow_run}")["state"]
        if state["type"] in types:
            return state
        time.sleep(0.5)
    raise AssertionError(f"still {state}")


def processes(folder: Path) -> list[psutil.Process]:
    """Whatever still works in a folder or for it."""
    result = []
    for process in psutil.process_iter():
        try:
            command = " ".join(process.cmdline())
            if str(folder) in command or process.cwd().startswith(str(folder)):
                result.append(process)
        except (psutil.Error, OSError):
            continue
    return result


def settled(folder: Path, count: int) -> set[int]:
    """Process ids, once there are so many: what a service starts for a moment may end."""
    until = time.monotonic() + 30
    while len(processes(folder)) != count and time.monotonic() < until:
        time.sleep(0.5)
    result = {process.pid for process in processes(folder)}
    assert len(result) == count
    return result


def test_the_worker_runs_the_deployment_and_nothing_stays(deployed: tuple[Path, str]) -> None:
    copy, api = deployed
    deployment = ask(f"{api}/deployments/name/training/weekly-training")
    assert [one["schedule"]["cron"] for one in deployment["schedules"]] == ["0 3 * * 1"]
    assert str(copy) not in (copy / "prefect.yaml").read_text()
    wanted = yaml.safe_load((copy / "infra" / "automations.yaml").read_text())["name"]
    automations = [one["name"] for one in ask(f"{api}/automations/filter", {})]
    assert automations.count(wanted) == 1

    record = running(copy / ".plumbline" / "run", "prefect-worker")
    assert record is not None
    (worker,) = psutil.Process(record.pid).children()
    worker.kill()  # another takes its place
    (copy / "reports" / "index.html").unlink()
    state = wait_for(api, trigger(api), "COMPLETED", "FAILED", "CRASHED")
    assert (state["type"], state["message"]) == ("COMPLETED", "ran report")
    assert "up to date" in run(copy, "dvc", "status").stdout

    # server and worker, and what watches each; what the run started has ended
    before = settled(copy, 4)
    run(copy, *WITH_LOGIN, *LOCAL, "deploy")  # again: nothing new
    assert settled(copy, 4) == before
    assert len(ask(f"{api}/automations/filter", {})) == len(automations)
    other = ("env", f"PREFECT_API_URL={api}", "PREFECT_API_AUTH_STRING=watch:another")
    refused = run(copy, *other, *LOCAL, "worker", code=2).stderr
    assert "the Prefect server refuses the login" in refused
    assert "PREFECT_API_AUTH_STRING" in refused and "another" not in refused

    set_params(copy, {"tune": {"trials": 100}})  # it is still at it when all is ended
    flow_run = trigger(api, force=True, targets=["tune"])
    wait_for(api, flow_run, "RUNNING")
    until = time.monotonic() + 120
    while not any("plumbline" in p.name() for p in processes(copy)) and time.monotonic() < until:
        time.sleep(0.2)
    done = run(copy, *LOCAL, "deploy-down")
    assert "ended prefect-server, prefect-worker" in done.stdout
    assert processes(copy) == []
    assert "nothing was running" in run(copy, *LOCAL, "deploy-down").stdout


def test_a_taken_port_is_one_clear_message(copy: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        monkeypatch.setenv("PLUMBLINE_PREFECT_PORT", str(port))
        done = run(copy, *LOCAL, "deploy", code=2)
    assert f"port {port} on 127.0.0.1" in done.stderr
    assert "PLUMBLINE_PREFECT_PORT" in done.stderr and "Traceback" not in done.stderr
    assert processes(copy) == []


def test_the_interfaces_answer_and_show_the_runs(
    copy: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mlflow = free_port()
    monkeypatch.setenv("PLUMBLINE_PREFECT_PORT", str(free_port()))
    monkeypatch.setenv("PLUMBLINE_MLFLOW_PORT", str(mlflow))
    try:
        done = run(copy, *LOCAL, "ui")
        assert "starting Prefect" in done.stderr and "starting MLflow" in done.stderr
        answer = dict(line.split(maxsplit=1) for line in done.stdout.splitlines())
        for name in ("MLflow", "Prefect"):
            with urllib.request.urlopen(answer[name], timeout=30) as page:
                assert "<html" in page.read().decode().lower()
        made = json.loads((copy / "reports" / "register.json").read_text())
        assert f"/#/models/breast-cancer/versions/{made['version']}?" in answer["version"]
        assert f"/runs/{made['run_id']}?" in answer["run"]
        assert answer["page"] == str(copy / "reports" / "index.html")
        base = f"http://127.0.0.1:{mlflow}/api/2.0/mlflow"
        (model,) = ask(f"{base}/registered-models/search")["registered_models"]
        assert [alias["alias"] for alias in model["aliases"]] == ["champion"]
    finally:
        subprocess.run([*LOCAL, "deploy-down"], cwd=copy, env=environment(copy), check=True)
    assert processes(copy) == []
