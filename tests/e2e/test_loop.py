"""The loop on real parts: stack on PostgreSQL, service, monitor, event, retraining, gate, champion.

Bikes hired by the hour in Washington: 2011 is what the model learns, 2012 is what comes.
"""

from __future__ import annotations

import contextlib
import os
import signal
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl
import psutil  # type: ignore[import-untyped]
import pytest
from pipelines.services import running
from tests.e2e.conftest import clone, run, set_params
from tests.e2e.test_deploy import ask
from tests.made import free_port, open_to_others

from pipelines import postgres
from plumbline.errors import StorageError

pytestmark = [pytest.mark.e2e, pytest.mark.soak]
STACK = ("python", "-m", "pipelines.stack")
PORTS = ("POSTGRES", "OBJECTS", "MLFLOW", "PREFECT", "SERVE")
ENDED = ("COMPLETED", "FAILED", "CRASHED", "CANCELLED")
SECONDS = 1200  # that a flow run may take on a busy machine
WINDOW, REQUEST = 700, 50  # rows
PARAMS: dict[str, dict[str, Any]] = {
    "tune": {"trials": 0},
    "train": {"learning_rate": 0.002, "weight_decay": 1e-4, "epochs": 25, "bag": 1},
    "model": {"dropout": 0.0},
    "evaluate": {"metric": "rmse", "bootstrap": 200},
    "explain": {"rows": 20, "background": 20, "lime_rows": 0, "faithfulness_rows": 10},
    "register": {"recent_rows": 700},
    "serve": {"poll_seconds": 5.0, "timeout_seconds": 5.0},
    "monitor": {"window_rows": WINDOW},
}


@dataclass(frozen=True, kw_only=True)
class Stack:
    """A checkout whose champion is served, and what its servers say of it."""

    folder: Path
    prefect: str
    mlflow: str
    service: str
    first_year: pl.DataFrame  # rows that were not trained on
    second_year: pl.DataFrame

    def send(self, rows: pl.DataFrame) -> list[dict[str, Any]]:
        """Ask for predictions; gives the labels that are known later."""
        labels = []
        for part in rows.iter_slices(REQUEST):
            cells = part.drop("cnt").to_dicts()
            answer = ask(f"{self.service}/predict", {"rows": cells})
            labels += [
                {"request_id": answer["request_id"], "row": row, "label": label}
                for row, label in enumerate(part["cnt"])
            ]
        return labels

    def label(self, labels: Sequence[Mapping[str, Any]]) -> None:
        for first in range(0, len(labels), 500):
            ask(f"{self.service}/feedback", {"labels": labels[first : first + 500]})

    def monitor(self) -> dict[str, Any]:
        """Run the deployment by the worker; its flow run, once it has ended."""
        time.sleep(12)  # until what was sent is in the log, and the window is over
        deployment = ask(f"{self.prefect}/deployments/name/monitoring/hourly-monitoring")
        made = ask(f"{self.prefect}/deployments/{deployment['id']}/create_flow_run", {})
        return self.ended(made["id"])

    def ended(self, flow_run: str) -> dict[str, Any]:
        self.wait(lambda: self.flow_run(flow_run)["state"]["type"] in ENDED)
        return self.flow_run(flow_run)

    def flow_run(self, flow_run: str) -> dict[str, Any]:
        result: dict[str, Any] = ask(f"{self.prefect}/flow_runs/{flow_run}")
        return result

    def retrainings(self) -> list[dict[str, Any]]:
        """Flow runs of the deployment that the event starts, the first one first."""
        wanted = {"flows": {"name": {"any_": ["retraining"]}}, "sort": "EXPECTED_START_TIME_ASC"}
        result: list[dict[str, Any]] = ask(f"{self.prefect}/flow_runs/filter", wanted)
        return result

    def events(self) -> list[dict[str, Any]]:
        wanted = {"filter": {"event": {"name": ["plumbline.drift"]}}}
        result: list[dict[str, Any]] = ask(f"{self.prefect}/events/filter", wanted)["events"]
        return result

    def artifact(self, key: str) -> str:
        return str(ask(f"{self.prefect}/artifacts/{key}/latest")["data"])

    def champion(self) -> dict[str, Any]:
        alias = f"{self.mlflow}/api/2.0/mlflow/registered-models/alias?name=demand&alias=champion"
        result: dict[str, Any] = ask(alias)["model_version"]
        return result

    def answers(self, question: Callable[[], Any]) -> Any:
        """What it answers; None while it does not."""
        try:
            return question()
        except OSError:  # also what is answered with 500
            return None

    def served(self) -> str:
        return str(ask(f"{self.service}/ready")["version"])

    def wait(self, holds: Callable[[], Any], seconds: float = SECONDS) -> None:
        until = time.monotonic() + seconds
        while not holds():
            assert time.monotonic() < until, self.folder / ".plumbline/run/prefect-worker.log"
            time.sleep(1)


@pytest.fixture(scope="module")
def stack(root: Path, real_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    try:
        postgres.programs()
    except StorageError:
        pytest.skip("no PostgreSQL (uv pip install -r requirements-stack.lock)")
    folder = tmp_path_factory.mktemp("loop")
    rows = pl.read_csv(real_data / "bike_sharing" / "hour.csv")
    rows = rows.drop("instant", "dteday", "casual", "registered")
    first = rows.filter(pl.col("yr") == 0).sample(fraction=1, shuffle=True, seed=1)
    first[:4500].write_csv(folder / "hours.csv")
    checkout = clone(root, folder / "checkout")
    if os.geteuid() == 0:
        open_to_others(checkout)  # PostgreSQL runs as another user then
    ports = {f"PLUMBLINE_{name}_PORT": str(free_port()) for name in PORTS}
    with pytest.MonkeyPatch.context() as patched:
        for name, port in ports.items():
            patched.setenv(name, port)
        options = ("--data", str(folder / "hours.csv"), "--target", "cnt", "--name", "demand")
        run(checkout, "python", "-m", "plumbline", "init", *options)
        set_params(checkout, PARAMS)
        try:
            assert "there is no champion" in run(checkout, *STACK).stdout
            source = "source .plumbline/stack/env; python -m plumbline repro"
            run(checkout, "bash", "-c", source)
            assert "(demand/1)" in run(checkout, *STACK).stdout
            addresses = {n: f"http://127.0.0.1:{ports[f'PLUMBLINE_{n}_PORT']}" for n in PORTS}
            yield Stack(
                folder=checkout,
                prefect=f"{addresses['PREFECT']}/api",
                mlflow=addresses["MLFLOW"],
                service=addresses["SERVE"],
                first_year=first[4500:],
                second_year=rows.filter(pl.col("yr") == 1),
            )
        finally:
            run(checkout, "python", "-m", "pipelines.dev_servers", "deploy-down")


def month(stack: Stack, number: int) -> pl.DataFrame:
    return stack.second_year.filter(pl.col("mnth") == number)


def test_runs_of_the_schedules_are_planned(stack: Stack) -> None:
    def planned() -> list[str]:
        wanted = {"flow_runs": {"state": {"type": {"any_": ["SCHEDULED"]}}}}
        runs = ask(f"{stack.prefect}/flow_runs/filter", wanted)
        return [run["deployment_id"] for run in runs if run["auto_scheduled"]]

    stack.wait(lambda: len(set(planned())) == 2, seconds=180)  # training and monitoring


def test_rows_like_those_that_were_learned_start_nothing(stack: Stack) -> None:
    stack.label(stack.send(stack.first_year[: 2 * WINDOW]))
    ended = stack.monitor()
    assert (ended["state"]["name"], ended["state"]["message"]) == ("Completed", "no drift")
    assert "the rule does not fire" in stack.artifact("monitoring")
    assert stack.artifact("windows").count('"in alarm": "nothing"') == 2
    assert stack.events() == [] and stack.retrainings() == []


def test_drift_is_seen_and_the_new_champion_is_trained_and_served(stack: Stack) -> None:
    labels = stack.send(month(stack, 1))
    assert stack.monitor()["state"]["message"] == "no drift"  # one window of three
    stack.label(labels)  # late
    stack.send(month(stack, 2))
    ended = stack.monitor()
    assert ended["state"]["name"] == "Drift"
    for words in ("2 of the last 3 windows", "season", "temp", "prediction"):
        assert words in ended["state"]["message"]
    assert "performance" in stack.artifact("windows")  # of January, whose labels have come

    stack.wait(stack.retrainings)
    (retraining,) = stack.retrainings()
    assert retraining["work_queue_name"] == "training"
    assert retraining["auto_scheduled"] is False and retraining["deployment_id"]
    assert stack.served() == "demand/1"
    done = stack.ended(retraining["id"])["state"]
    assert (done["type"], done["message"]) == ("COMPLETED", "demand version 2: promote")
    assert len(stack.events()) == 1 and len(stack.retrainings()) == 1
    shown = stack.artifact("retraining")
    assert "rows of the log are part of the data" in shown and f"{stack.mlflow}/#/models/" in shown
    version = stack.champion()
    tags = {tag["key"]: tag["value"] for tag in version["tags"]}
    assert version["version"] == "2" and "the gain is significant" in tags["plumbline.decision"]
    stack.wait(lambda: stack.served() == "demand/2", seconds=120)


def test_what_comes_later_starts_no_storm(stack: Stack) -> None:
    """The year goes on: it drifts from January too, and the cool-down holds the next retraining."""
    stack.label(stack.send(stack.second_year.filter(pl.col("mnth").is_between(3, 6))))
    assert stack.monitor()["state"]["name"] == "Drift"
    stack.wait(lambda: len(stack.retrainings()) == 2)
    held = stack.ended(stack.retrainings()[1]["id"])["state"]
    assert held["name"] == "Not now" and "too early" in held["message"]
    assert stack.champion()["version"] == "2" and stack.served() == "demand/2"


def test_a_retraining_that_was_killed_with_its_worker_is_done_again(stack: Stack) -> None:
    """Its end is a second version, from the champion's network (retrain.warm)."""
    set_params(stack.folder, {"retrain": {"warm": True}})
    rows = len(pl.read_csv(stack.folder / "data" / "hours.csv"))
    deployment = ask(f"{stack.prefect}/deployments/name/retraining/on-drift")
    runs = f"{stack.prefect}/deployments/{deployment['id']}/create_flow_run"
    killed = ask(runs, {"parameters": {"now": True}})["id"]
    folder = stack.folder / ".plumbline" / "run"
    worker = running(folder, "prefect-worker")
    assert worker is not None

    def family() -> list[psutil.Process]:
        return list(psutil.Process(worker.pid).children(recursive=True))

    stack.wait(lambda: any("train" in one.cmdline()[-1:] for one in family()))
    for one in family():
        with contextlib.suppress(psutil.NoSuchProcess):
            one.send_signal(signal.SIGKILL)
    added = len(pl.read_csv(stack.folder / "data" / "hours.csv")) - rows
    assert added > 2500
    stack.send(month(stack, 7))  # the champion goes on serving
    assert stack.served() == "demand/2" and stack.flow_run(killed)["state"]["name"] == "Running"

    state = stack.ended(killed)["state"]
    assert state["type"] == "CRASHED" and "no heartbeat" in state["message"]
    stack.wait(lambda: len(stack.retrainings()) == 4)
    done = stack.ended(stack.retrainings()[3]["id"])["state"]
    assert done["type"] == "COMPLETED", done
    assert "demand version 3: " in done["message"]
    assert "from the champion: demand version 4: " in done["message"]
    assert len(pl.read_csv(stack.folder / "data" / "hours.csv")) == rows + added
    assert stack.champion()["version"] in ("2", "3", "4")
    champion = f"demand/{stack.champion()['version']}"
    stack.wait(lambda: stack.served() == champion, seconds=120)


def test_postgresql_is_killed_and_all_that_stands_on_it_goes_on(stack: Stack) -> None:
    record = running(stack.folder / ".plumbline" / "run", "postgres")
    assert record is not None
    before = stack.champion()
    (server,) = psutil.Process(record.pid).children()
    server.kill()
    stack.send(month(stack, 8))  # the service needs neither registry nor Prefect
    stack.wait(lambda: postgres.is_ready(int(os.environ["PLUMBLINE_POSTGRES_PORT"])), seconds=120)
    stack.wait(lambda: stack.answers(stack.champion) == before, seconds=120)
    assert stack.monitor()["state"]["type"] == "COMPLETED"
