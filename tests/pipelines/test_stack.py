"""The stack: its settings, what it refuses, PostgreSQL itself, and the order of the end."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
import time
from pathlib import Path

import psutil  # type: ignore[import-untyped]
import pytest
import sqlalchemy
from pipelines.services import Service, running, start, stop
from tests.database import started_postgres
from tests.made import free_port

from pipelines import postgres, stack
from plumbline.errors import ParameterError, StorageError

WAITS = "import sys, time, pathlib; pathlib.Path(sys.argv[1]).touch(); time.sleep(600)"


@pytest.fixture
def own_ports(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("PLUMBLINE_MLFLOW_PORT", "PLUMBLINE_PREFECT_PORT", "PLUMBLINE_POSTGRES_PORT"):
        monkeypatch.setenv(name, str(free_port()))
    for name in ("MLFLOW_TRACKING_URI", "PREFECT_API_URL"):
        monkeypatch.delenv(name, raising=False)


@pytest.mark.usefixtures("own_ports")
def test_its_own_addresses_may_be_set_and_others_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    own = stack.addresses(os.environ)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", own["MLFLOW_TRACKING_URI"])
    stack._refuse_others(tmp_path, own)
    assert "MLFLOW_TRACKING_URI" not in os.environ  # what it starts is not taken for a server
    monkeypatch.setenv("PREFECT_API_URL", "https://prefect.example.org/api")
    with pytest.raises(ParameterError, match=r"PREFECT_API_URL: names another server.*unset|Unset"):
        stack._refuse_others(tmp_path, own)


@pytest.mark.usefixtures("own_ports")
def test_servers_on_sqlite_are_not_taken_for_the_stack_s(tmp_path: Path) -> None:
    folder = tmp_path / ".plumbline" / "run"
    ready = tmp_path / "ready"
    command = [sys.executable, "-c", WAITS, str(ready)]
    start(
        folder,
        Service(name="mlflow-ui", command=command, healthy=ready.exists),
        os.environ,
        tmp_path,
    )
    try:
        with pytest.raises(StorageError, match=r"mlflow-ui already run on the SQLite"):
            stack.up(tmp_path)
        assert not (tmp_path / ".plumbline" / "stack").exists()
    finally:
        stop(folder)


def test_only_the_user_reads_keys_and_they_stay(tmp_path: Path) -> None:
    keys = stack._object_keys(tmp_path / "objects.json")
    assert stack._object_keys(tmp_path / "objects.json") == keys
    stack._write_settings(tmp_path / "env", {"A": "b", "C": "d=e", "LOGIN": "me:it's $HOME"})
    source = f'. {tmp_path}/env; printf \'%s|%s|%s\' "$A" "$C" "$LOGIN"'
    done = subprocess.run(["sh", "-c", source], capture_output=True, text=True, check=True)
    assert done.stdout == "b|d=e|me:it's $HOME"
    for name in ("objects.json", "env"):
        assert stat.S_IMODE((tmp_path / name).stat().st_mode) == 0o600


def test_what_uses_a_server_ends_before_it(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    code = (
        "import pathlib, signal, sys, time\n"
        "name, folder = sys.argv[1], pathlib.Path(sys.argv[2])\n"
        "def end(*_):\n"
        "    with (folder / 'ended').open('a') as file: file.write(name + '\\n')\n"
        "    sys.exit()\n"
        "signal.signal(signal.SIGTERM, end)\n"
        "(folder / (name + '.ready')).touch()\n"
        "time.sleep(600)\n"
    )
    for name in ("postgres", "server", "worker"):
        command = [sys.executable, "-c", code, name, str(tmp_path)]
        ready = tmp_path / f"{name}.ready"
        start(
            folder, Service(name=name, command=command, healthy=ready.exists), os.environ, tmp_path
        )
    stop(folder, last=[["server"], ["postgres", "objects"]])
    assert (tmp_path / "ended").read_text().split() == ["worker", "server", "postgres"]


def test_where_there_is_no_postgresql_it_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(postgres, "WHEEL", "no_such_wheel")
    monkeypatch.setattr(postgres, "SYSTEM", tmp_path)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(StorageError, match="PostgreSQL is not installed"):
        postgres.programs()


def test_postgresql_comes_back_after_it_was_killed(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with started_postgres(root, tmp_path, monkeypatch) as (port, password):
        names = postgres._query(port, password, "SELECT datname FROM pg_database").split()
        assert {"mlflow", "prefect"} <= set(names)
        with pytest.raises(StorageError, match="PostgreSQL refused"):
            postgres._query(port, "wrong", "SELECT 1")
        record = running(tmp_path / ".plumbline" / "run", "postgres")
        assert record is not None
        (server,) = psutil.Process(record.pid).children()
        server.kill()
        until = time.monotonic() + 60
        while server.is_running() or not postgres.is_ready(port):
            assert time.monotonic() < until
            time.sleep(0.1)
        assert stack._start_postgres(tmp_path, tmp_path / "place", port) == password
        assert postgres._query(port, password, "SELECT count(*) FROM pg_database").strip() == "5"


def test_postgresql_ends_whole_while_a_client_is_there(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with started_postgres(root, tmp_path, monkeypatch) as (port, password):
        address = f"postgresql+psycopg2://{postgres.USER}:{password}@127.0.0.1:{port}/mlflow"
        client = sqlalchemy.create_engine(address).connect()
    log = (tmp_path / ".plumbline" / "run" / "postgres.log").read_text()
    assert log.rstrip().endswith("database system is shut down")
    client.invalidate()
