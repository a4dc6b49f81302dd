"""What prefect.yaml declares is there, fits the flows, and is started by the event that is sent."""

from __future__ import annotations

import importlib
import inspect
import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from pipelines.dev_servers import POOL, TRAINING_QUEUE
from pipelines.own_command import run_command

from pipelines import monitoring


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
    (trigger,) = deployments["on-drift"]["triggers"]
    assert trigger["expect"] == [monitoring.EVENT]
    assert trigger["match"]["prefect.resource.id"] == f"{monitoring.RESOURCE}*"
    assert [one["active"] for one in deployments["daily-scoring"]["schedules"]] == [False]


def test_the_event_is_sent_once_per_time_that_the_rule_begins_to_fire(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sent: list[dict[str, Any]] = []
    monkeypatch.setattr(monitoring, "emit_event", lambda **given: sent.append(given))

    def emit(*begun: str) -> int:
        firing = [{"kind": "rows", "begun": one, "words": "2 of 3: age"} for one in begun]
        monitoring._emit({"version": "shop/3", "firing": firing}, tmp_path)
        return len(sent)

    assert [emit("a"), emit("a"), emit(), emit("a"), emit("b")] == [1, 1, 1, 1, 2]
    assert sent[0]["event"] == "plumbline.drift" and sent[0]["payload"]["words"] == "2 of 3: age"
    assert sent[0]["resource"]["prefect.resource.id"] == "plumbline.model.shop"
    (tmp_path / monitoring.EMITTED).write_text("{")  # broken: sent again rather than never
    assert emit("b") == 3
    assert json.loads((tmp_path / monitoring.EMITTED).read_text()) == {"shop/3 rows": "b"}


def test_a_command_s_code_and_message(tmp_path: Path) -> None:
    lines: list[str] = []
    ended = run_command(["monitor"], tmp_path, lines.append)
    assert ended.code == 2 and "params.yaml" in ended.message
    assert any(ended.message in line for line in lines)
    assert run_command(["--version"], tmp_path, lines.append).code == 0
