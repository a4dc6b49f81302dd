"""What prefect.yaml declares is there, fits the flows, and is started by the event that is sent."""

from __future__ import annotations

import importlib
import inspect
import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import yaml
from pipelines.dev_servers import AUTOMATIONS, POOL, TRAINING_QUEUE, environment
from pipelines.own_command import RefusedError, is_retryable, run_command
from prefect.events.actions import ChangeFlowRunState
from prefect.events.schemas.automations import AutomationCore, EventTrigger
from prefect.states import Failed

from pipelines import monitoring
from plumbline.config import Paths
from plumbline.files import exclusive


@pytest.fixture(scope="module")
def deployments(root: Path) -> dict[str, dict[str, Any]]:
    listed = yaml.safe_load((root / "prefect.yaml").read_text())["deployments"]
    return {one["name"]: one for one in listed}


def test_each_is_a_flow_that_takes_its_parameters(deployments: dict[str, dict[str, Any]]) -> None:
    for one in deployments.values():
        file, name = one["entrypoint"].split(":")
        flow = getattr(importlib.import_module(file.removesuffix(".py").replace("/", ".")), name)
        inspect.signature(flow.fn).bind(**one.get("parameters", {}))
        assert one["concurrency_limit"]["limit"] == 1 and one["work_pool"]["name"] == POOL


def test_trainings_share_a_queue_and_nothing_else_waits_in_it(
    deployments: dict[str, dict[str, Any]],
) -> None:
    queued = {n for n, d in deployments.items() if d["work_pool"]["work_queue_name"] == "training"}
    assert queued == {"weekly-training", "on-demand", "on-drift"} and TRAINING_QUEUE == "training"


def test_drift_starts_a_retraining_and_scoring_waits_to_be_turned_on(
    deployments: dict[str, dict[str, Any]],
) -> None:
    trigger, crash = deployments["on-drift"]["triggers"]
    assert crash["expect"] == ["prefect.flow-run.Crashed"]
    assert crash["match_related"]["prefect.resource.name"] == "on-drift"
    assert trigger["expect"] == [monitoring.EVENT]
    assert trigger["match"]["prefect.resource.id"] == f"{monitoring.RESOURCE}*"
    assert [one["active"] for one in deployments["daily-scoring"]["schedules"]] == [False]


def test_a_run_without_heartbeats_is_crashed_and_a_slow_one_is_not(
    root: Path, tmp_path: Path
) -> None:
    automation = AutomationCore.model_validate(yaml.safe_load((root / AUTOMATIONS).read_text()))
    (action,) = automation.actions
    assert isinstance(action, ChangeFlowRunState) and action.state == "CRASHED"
    assert isinstance(automation.trigger, EventTrigger)
    beat = float(environment(tmp_path)["PREFECT_FLOWS_HEARTBEAT_FREQUENCY"])
    assert automation.trigger.within.total_seconds() >= 4 * beat


def test_the_event_is_sent_once_per_time_that_the_rule_begins_to_fire(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sent: list[dict[str, Any]] = []
    monkeypatch.setattr(monitoring, "emit_event", lambda **given: sent.append(given))

    def emit(*begun: str) -> int:
        words = "2 of the last 3: age"
        firing = [
            {"kind": kind, "begun": one, "words": words}
            for kind, one in zip(("rows", "labels"), begun, strict=False)
        ]
        monitoring._emit({"version": "shop/3", "firing": firing}, tmp_path)
        return len(sent)

    assert [emit("a"), emit("a"), emit(), emit("a"), emit("b")] == [1, 1, 1, 1, 2]
    (firing,) = sent[0]["payload"]["firing"]
    assert sent[0]["event"] == "plumbline.drift" and firing["words"] == "2 of the last 3: age"
    assert sent[0]["resource"]["prefect.resource.id"] == "plumbline.model.shop"
    (tmp_path / monitoring.EMITTED).write_text("{")  # broken: sent again rather than never
    assert emit("b") == 3
    assert json.loads((tmp_path / monitoring.EMITTED).read_text()) == {"shop/3 rows": "b"}
    assert emit("c", "c") == 4  # by rows and by labels at once: one event, one retraining


def test_a_command_s_code_and_message(tmp_path: Path) -> None:
    lines: list[str] = []
    ended = run_command(["monitor"], tmp_path, lines.append)
    assert ended.code == 2 and "params.yaml" in ended.message
    assert any(ended.message in line for line in lines)
    assert run_command(["--version"], tmp_path, lines.append).code == 0


def test_a_mistake_is_not_tried_again_and_a_lock_is(root: Path, tmp_path: Path) -> None:
    def retried() -> bool:
        ended = run_command(["retrain", "--rows-only"], tmp_path, lambda _: None)
        assert ended.code == 2
        state = Failed(data=RefusedError(ended))
        return is_retryable(None, None, state)

    assert not retried()  # there is no params.yaml
    shutil.copy(root / "params.yaml", tmp_path)
    with exclusive(Paths(tmp_path).locks / "retrain", "another"):
        assert retried()
