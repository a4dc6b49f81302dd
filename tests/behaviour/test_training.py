"""`plumbline train` as a user runs it: one process, several, and what it says of mistakes."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.made import (
    curves,
    free_port,
    made_checkout,
    made_examples,
    made_spec,
    outputs,
    plumbline,
    plumbline_here,
    write_params,
)

from plumbline.config import Paths
from plumbline.kinds import Task
from plumbline.preprocessing.arrays import write_examples

SPEC = made_spec(Task.MULTICLASS)
GIVEN: dict[str, Any] = {
    "model": {"name": "tabm", "dropout": 0.2},
    "train": {"learning_curve": [0.5], "find_learning_rate": True, "average": 0.5},
}


def on(processes: int) -> dict[str, Any]:
    return {**GIVEN, "runtime": {"processes": processes}}


@pytest.fixture(scope="module")
def one(tmp_path_factory: pytest.TempPathFactory) -> Paths:
    """Trained by one process."""
    paths = made_checkout(tmp_path_factory.mktemp("one"), SPEC, **on(1))
    assert plumbline_here(paths.root, "train") == 0
    return paths


def test_two_processes_through_the_launcher(tmp_path: Path, one: Paths) -> None:
    """The loss curve of one process, the same bytes each time, and one table for the user."""
    two = made_checkout(tmp_path, SPEC, **on(2))
    runs = []
    for _ in range(2):
        done = plumbline(two.root, "train")
        assert done.returncode == 0, done.stderr
        assert done.stdout.count("── train") == 1 and "proposed rate" in done.stdout
        assert "Traceback" not in done.stderr
        runs.append(outputs(two))
    assert runs[0] == runs[1]
    for ours, wanted in zip(curves(two), curves(one), strict=True):
        assert ours == pytest.approx(wanted, rel=1e-4)
    metadata = [json.loads((paths.model / "model.json").read_text()) for paths in (one, two)]
    for fact in metadata:
        del fact["sha256"], fact["own_sha256"]  # of weights whose last digits differ
    assert metadata[0] == metadata[1]


@pytest.mark.parametrize("processes", [1, 2])
def test_a_mistake_is_one_message_and_code_2(tmp_path: Path, processes: int) -> None:
    """No traceback, and no restart of what would fail again."""
    paths = made_checkout(tmp_path, SPEC, runtime={"processes": processes})
    rows = made_examples(SPEC, 60)
    num = rows.inputs["num"].copy()
    num[3, 0] = np.nan
    write_examples(paths.prepared / "train", replace(rows, inputs={**rows.inputs, "num": num}))
    done = plumbline(paths.root, "train")
    assert done.returncode == 2
    assert done.stderr.strip().splitlines() == [
        "plumbline: column 'n0': the prepared training rows hold a number that is not finite. "
        "Set normalize.columns.n0.scale to robust or quantile."
    ]


@pytest.mark.soak
def test_an_exploding_loss_in_two_processes_is_one_message_too(tmp_path: Path) -> None:
    spec = made_spec(Task.REGRESSION)
    train = {"optimizer": "sgd", "learning_rate": 1e6, "clip_norm": None}
    paths = made_checkout(tmp_path, spec, train=train, runtime={"processes": 2})
    done = plumbline(paths.root, "train")
    assert done.returncode == 2
    assert "plumbline: params.yaml: train.learning_rate: the loss is no longer" in done.stderr
    assert "Traceback" not in done.stderr


def test_processes_that_keep_dying_end_the_stage(tmp_path: Path) -> None:
    paths = made_checkout(tmp_path, SPEC, runtime={"processes": 2, "max_restarts": 1})
    killer = tmp_path / "killer"
    killer.mkdir()
    # dies as by a defect, in every process that the launcher starts
    (killer / "sitecustomize.py").write_text("import os\nif 'RANK' in os.environ: os._exit(7)\n")
    done = plumbline(paths.root, "train", PYTHONPATH=str(killer))
    assert done.returncode == 1
    assert "the 2 training processes died, 1 restarts included" in done.stderr


@pytest.mark.soak
def test_more_processes_than_rows(tmp_path: Path) -> None:
    paths = made_checkout(
        tmp_path,
        SPEC,
        rows=(5, 3),
        train={"batch_size": 2, "epochs": 1},
        runtime={"processes": 3},
    )
    done = plumbline(paths.root, "train")
    assert done.returncode == 0, done.stderr
    assert len(curves(paths)) == 1


def test_a_launcher_of_ones_own(tmp_path: Path, one: Paths) -> None:
    """Several machines: torch's launcher on each of them runs the same module."""
    paths = made_checkout(tmp_path, SPEC, **on(1))
    port = free_port()
    agents = [
        subprocess.Popen(
            [sys.executable, "-m", "torch.distributed.run", "--nnodes=2", f"--node-rank={rank}",
             "--nproc-per-node=1", "--master-addr=127.0.0.1", f"--master-port={port}",
             "--module", "plumbline", "train"],
            cwd=paths.root,
            env={**os.environ, "OMP_NUM_THREADS": "1"},
            stderr=subprocess.PIPE,
            text=True,
        )
        for rank in range(2)
    ]  # fmt: skip
    answer = [agent.communicate(timeout=240)[1] for agent in agents]
    assert [agent.returncode for agent in agents] == [0, 0], answer
    for ours, wanted in zip(curves(paths), curves(one), strict=True):
        assert ours == pytest.approx(wanted, rel=1e-4)


def test_the_user_sees_the_result(tmp_path: Path) -> None:
    paths = made_checkout(tmp_path, SPEC)
    write_params(paths, SPEC, train={"epochs": 2, "learning_curve": [0.5]})
    done = plumbline(paths.root, "train")
    assert done.returncode == 0, done.stderr
    for words in ("mlp, ", "parameters", "kept epoch", "of 2", "validation accuracy", "verdict"):
        assert words in done.stdout
    assert "→ reports/training" in done.stdout and "→ artifacts/model" in done.stdout
