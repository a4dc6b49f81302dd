"""`plumbline doctor` names what is wrong and the fix, and changes nothing."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest
from tests.made import free_port

from plumbline import cli
from plumbline.commands import doctor_checks
from plumbline.commands.doctor import doctor
from plumbline.config import Paths
from plumbline.config.ports import PORTS
from plumbline.files import write_json

pytestmark = [
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),  # of mlflow's own imports
    pytest.mark.filterwarnings("ignore::ResourceWarning"),  # mlflow leaves its SQLite pool open
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]


@pytest.fixture
def paths(root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Paths:
    """A checkout with which nothing is wrong."""
    for name in ("params.yaml", "expectations.yaml"):
        shutil.copy(root / name, tmp_path)
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "breast_cancer.csv").write_text("a\n1\n")
    (tmp_path / ".dvc").mkdir()
    (tmp_path / "store").mkdir()
    (tmp_path / ".dvc" / "config").write_text(
        "[core]\n    remote = s\n['remote \"s\"']\n    url = ../store\n"
    )
    for name in PORTS:
        monkeypatch.setenv(name, str(free_port()))
    for name in ("MLFLOW_TRACKING_URI", "PREFECT_API_URL"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.chdir(tmp_path)
    return Paths(tmp_path)


def flat(text: str) -> str:
    return " ".join(text.split())


def test_where_nothing_is_wrong_it_says_so(
    paths: Paths, capsys: pytest.CaptureFixture[str]
) -> None:
    before = {path: path.stat().st_mtime_ns for path in paths.root.rglob("*")}
    assert cli.main(["doctor"]) == 0
    text = capsys.readouterr().out
    assert text.rstrip().endswith("nothing is wrong") and "WRONG" not in text
    assert {path: path.stat().st_mtime_ns for path in paths.root.rglob("*")} == before


def remove_data(paths: Paths) -> None:
    shutil.rmtree(paths.data)


def misspell(paths: Paths) -> None:
    text = paths.params.read_text()
    paths.params.write_text(text.replace("\nserve:", "\nserv:", 1))


def lose_remote(paths: Paths) -> None:
    (paths.root / "store").rmdir()


def forget_url(paths: Paths) -> None:
    (paths.root / ".dvc" / "config").write_text("[core]\n    remote = s\n")


def lose_expectations(paths: Paths) -> None:
    paths.expectations.unlink()


def old_package(paths: Paths) -> None:
    (paths.root / "requirements.lock").write_text("numpy==0.1\nno-such-package==1.0 \\\n")


def broken_registry(paths: Paths) -> None:
    (paths.root / "mlflow").mkdir()
    (paths.root / "mlflow" / "mlflow.db").write_bytes(b"no database" * 100)


def dead_service(paths: Paths) -> None:
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    record = {"pid": process.pid, "created": 1.0, "port": 4200}
    write_json(paths.state / "run" / "prefect-server.json", record)


def dying_service(paths: Paths) -> None:
    own = psutil.Process()
    record = {"pid": own.pid, "created": own.create_time(), "port": None}
    write_json(paths.state / "run" / "prefect-worker.json", record)
    ends = [{"time": time.time() - ago, "how": "with code 1", "wait": 1} for ago in (7200, 9, 5, 1)]
    lines = "".join(f"{json.dumps(one)}\n" for one in ends)
    (paths.state / "run" / "prefect-worker.ends").write_text(lines)


def test_a_service_that_ended_once_and_was_started_again_is_well(paths: Paths) -> None:
    dying_service(paths)
    file = paths.state / "run" / "prefect-worker.ends"
    file.write_text(json.dumps({"time": time.time(), "how": "by SIGKILL", "wait": 1.0}) + "\n")
    text, wrong = doctor(paths, 80)
    assert "prefect-worker ended by SIGKILL at" in flat(text) and wrong == 0, text
    assert "and was started again (.plumbline/run/prefect-worker.log)" in flat(text)


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (remove_data, "data WRONG data/breast_cancer.csv is not there: run `dvc pull"),
        (misspell, "params.yaml: serv: "),
        (lose_remote, "is not there. Mount it, or: dvc remote modify s url"),
        (forget_url, "'s' is the default, and has no url in .dvc/config"),
        (lose_expectations, "expectations.yaml is not there"),
        (
            old_package,
            "wanted 0.1; no-such-package missing, wanted 1.0. Install the lock: make env",
        ),
        (broken_registry, "registry WRONG"),
        (dead_service, "ended by themselves: prefect-server. Logs are in .plumbline/run/. Nobody"),
        (dying_service, "prefect-worker ended 3 times within the last hour, last with code 1 at"),
        (
            dying_service,
            "started again each time. .plumbline/run/prefect-worker.log says why it ends",
        ),
    ],
)
def test_what_is_wrong_is_named_with_its_fix(
    paths: Paths, damage: Callable[[Paths], None], words: str
) -> None:
    damage(paths)
    text, wrong = doctor(paths, 80)
    assert words in flat(text), text
    assert wrong and max(map(len, text.splitlines())) <= 80 + 40  # a long name is not cut


def test_a_server_that_is_away_is_named_without_its_password(
    paths: Paths, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PREFECT_API_URL", "http://me:secret@127.0.0.1:9/api")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://me:secret@127.0.0.1:9")
    text, wrong = doctor(paths, 80)
    assert wrong == 2 and "secret" not in text
    assert "start it, or unset PREFECT_API_URL" in flat(text)
    assert "fix or unset MLFLOW_TRACKING_URI" in flat(text)


def test_a_taken_port_is_wrong_and_that_of_a_service_of_ours_is_not(
    paths: Paths, monkeypatch: pytest.MonkeyPatch
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        monkeypatch.setenv("PLUMBLINE_POSTGRES_PORT", str(port))
        assert f"port {port} is taken by another program" in flat(doctor(paths, 200)[0])
        created = psutil.Process().create_time()
        record = {"pid": os.getpid(), "created": created, "port": port}
        write_json(paths.state / "run" / "postgres.json", record)
        text, wrong = doctor(paths, 200)
        assert not wrong and "services     ok     postgres" in text


def test_a_full_disk_is_told(paths: Paths, monkeypatch: pytest.MonkeyPatch) -> None:
    usage = shutil.disk_usage(paths.root)._replace(free=10**8)
    monkeypatch.setattr(doctor_checks.shutil, "disk_usage", lambda _path: usage)
    assert "0.1 GB free, wanted 2" in flat(doctor(paths, 80)[0])


def test_a_check_that_fails_stops_no_other(paths: Paths, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(_paths: Paths) -> None:
        raise RuntimeError("odd")

    monkeypatch.setitem(doctor_checks.CHECKS, "disk", fail)
    text, wrong = doctor(paths, 80)
    assert wrong == 1 and "RuntimeError: odd" in text and "ports" in text


def test_records_that_are_none_are_passed_over(paths: Paths) -> None:
    folder = paths.state / "run"
    folder.mkdir(parents=True)
    (folder / "a.json").write_text("{")
    (folder / "b.json").write_text(json.dumps([1]))
    assert doctor(paths, 80)[1] == 0
