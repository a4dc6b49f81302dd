"""Killed at any moment and started again, training ends with the bytes of an unbroken run."""

from __future__ import annotations

import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.made import (
    curves,
    made_checkout,
    made_examples,
    made_spec,
    outputs,
    plumbline,
    write_params,
)

from plumbline import artifacts
from plumbline.config import Paths
from plumbline.examples import InputSpec, bagged_name
from plumbline.files import sha256, write_json
from plumbline.kinds import Part, Task
from plumbline.preprocessing.arrays import write_examples
from plumbline.tables import SplitIndex

SPEC = made_spec(Task.MULTICLASS)
MODEL = {"name": "mlp", "normalization": "batch", "dropout": 0.2, "width": 64}
# long enough to be hit between and within epochs
FIT: dict[str, Any] = {
    "epochs": 12,
    "patience": 0,
    "average": 0.9,
    "schedule": "plateau",
    "augment": {"noise": 0.1, "mixup": 0.2},
    "learning_curve": [0.5],
}
# a fit of images and texts beside numbers and categories
CELLS = made_spec(Task.MULTICLASS, texts=1, images=1)
ENCODERS = {
    "text": {"embedding_dim": 8, "width": 8},
    "image": {"encoder": "cnn", "width": 8, "depth": 1},
}
CHANGED = {"mask_tokens": 0.1, "flip": 0.5, "shift": 0.1, "erase": 0.2}
HOW = {"checkpoint_steps": 7, "threads": 1}
NETWORKS = 3
CHECKPOINTS = ".plumbline/checkpoints"


def checkout(
    folder: Path, *, epochs: int = FIT["epochs"], cells: bool = False, **how: Any
) -> Paths:
    """Of numbers and categories, or of all `cells`."""
    train, model, spec, rows = {**FIT, "epochs": epochs}, MODEL, SPEC, (600, 200)
    if cells:
        train["augment"] = {**train["augment"], **CHANGED}
        model, spec, rows = {**MODEL, **ENCODERS}, CELLS, (240, 80)
    return made_checkout(folder, spec, model=model, train=train, runtime={**HOW, **how}, rows=rows)


def bag_checkout(folder: Path, **how: Any) -> Paths:
    """Of a bag of three networks, fitted side by side in two processes."""
    paths = checkout(folder, epochs=6, threads=2, **how)
    spec, size = InputSpec.of_bag([SPEC] * NETWORKS), (600, 200)
    for number, (part, count) in enumerate(zip(("train", "val"), size, strict=True)):
        own = made_examples(SPEC, count, number + 1)
        inputs = {bagged_name(n, k): a for k in range(NETWORKS) for n, a in own.inputs.items()}
        shutil.rmtree(paths.prepared / part)
        rows = own.rows + number * size[0]
        write_examples(paths.prepared / part, replace(own, inputs=inputs, rows=rows))
    write_json(paths.prepared / artifacts.INPUT_SPEC, spec.to_json())
    part = np.repeat([Part.TRAIN, Part.VAL], size).astype(np.uint8)
    bag = (np.arange(sum(size)) % NETWORKS).astype(np.uint8)
    paths.split.mkdir(parents=True)
    folds = np.zeros((sum(size), 0), np.uint8)
    artifacts.write_split(SplitIndex(part=part, folds=folds, bag=bag), paths.split)
    return paths


@dataclass(frozen=True)
class Unbroken:
    """What a run that nobody killed wrote, and how long it took."""

    outputs: dict[str, str]
    curves: list[dict[str, float]]
    seconds: float


def run_unbroken(folder: Path, make: Callable[..., Paths] = checkout, **how: Any) -> Unbroken:
    paths = make(folder, **how)
    begun = time.monotonic()
    done = plumbline(paths.root, "train")
    assert done.returncode == 0, done.stderr
    return Unbroken(outputs(paths), curves(paths), time.monotonic() - begun)


@pytest.fixture(scope="module")
def by_one(tmp_path_factory: pytest.TempPathFactory) -> Unbroken:
    return run_unbroken(tmp_path_factory.mktemp("one"))


@pytest.fixture(scope="module")
def by_two(tmp_path_factory: pytest.TempPathFactory) -> Unbroken:
    return run_unbroken(tmp_path_factory.mktemp("two"), processes=2)


@pytest.fixture(scope="module")
def of_cells(tmp_path_factory: pytest.TempPathFactory) -> Unbroken:
    return run_unbroken(tmp_path_factory.mktemp("cells"), cells=True)


@pytest.fixture(scope="module")
def of_bag(tmp_path_factory: pytest.TempPathFactory) -> Unbroken:
    return run_unbroken(tmp_path_factory.mktemp("bag"), bag_checkout)


@contextmanager
def started(paths: Paths) -> Iterator[subprocess.Popen[str]]:
    """`plumbline train` under way, in a session of its own; nothing of it is left afterwards."""
    with (paths.root / "log.txt").open("w") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "plumbline", "train"],
            cwd=paths.root,
            stdout=log,
            stderr=log,
            text=True,
            start_new_session=True,
        )
        try:
            yield process
        finally:
            for child in [process.pid, *descendants(process.pid)]:
                kill(child)
            process.wait(timeout=60)


def kill(pid: int) -> None:
    with suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)


def descendants(pid: int) -> list[int]:
    """Children and theirs, by /proc."""
    result: list[int] = []
    for task in Path(f"/proc/{pid}/task").glob("*/children"):
        try:
            children = [int(child) for child in task.read_text().split()]
        except OSError:
            continue
        for child in children:
            result += [child, *descendants(child)]
    return result


def rank_of(pid: int) -> int | None:
    """Which of the group a process is."""
    try:
        environment = Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")
    except OSError:
        return None
    values = dict(line.split(b"=", 1) for line in environment if b"=" in line)
    return int(values[b"RANK"]) if b"RANK" in values else None


def wait_for(what: Any, process: subprocess.Popen[str], seconds: float = 120) -> bool:
    """Whether it came about before the process ended."""
    end = time.monotonic() + seconds
    while process.poll() is None and time.monotonic() < end:
        if what():
            return True
        time.sleep(0.005)
    return bool(what())


def fitting(paths: Paths) -> bool:
    folder = paths.root / CHECKPOINTS
    return folder.is_dir() and any(folder.glob("*/state.safetensors"))


def kill_once(paths: Paths, pause: float, *, from_checkpoint: bool) -> bool:
    """Kill a single process after a pause, from its start or from its first checkpoint;
    says whether it was still running."""
    with started(paths) as process:
        if from_checkpoint:
            wait_for(lambda: fitting(paths), process)
        time.sleep(pause)
        return process.poll() is None  # killed on the way out


def kill_a_rank(paths: Paths, rank: int, pause: float) -> bool:
    """Kill one of two processes, so long after the first checkpoint; the launcher brings the
    group back, and the run ends well. Says whether the process was still running."""
    with started(paths) as process:
        wait_for(lambda: fitting(paths), process)
        time.sleep(pause)
        result = [pid for pid in descendants(process.pid) if rank_of(pid) == rank]
        for pid in result:
            kill(pid)
        assert process.wait(timeout=240) == 0, (paths.root / "log.txt").read_text()
    return bool(result)


def surely(kill: Callable[[float], bool], pause: float) -> None:
    """Kill after the pause; a run that was done by then is begun again and killed earlier."""
    for _ in range(6):
        if kill(pause):
            return
        pause /= 2
    raise AssertionError("every run was done before it was killed")


def test_one_process(tmp_path: Path, of_cells: Unbroken) -> None:
    """Wherever its batches come from."""
    paths = checkout(tmp_path, cells=True, batches="files")
    assert kill_once(paths, 0.0, from_checkpoint=True)
    assert kill_once(paths, 0.05, from_checkpoint=True)
    done = plumbline(paths.root, "train")
    assert done.returncode == 0, done.stderr
    assert "resuming in epoch" in done.stderr
    assert outputs(paths) == of_cells.outputs


def test_one_of_two_processes(tmp_path: Path, by_two: Unbroken) -> None:
    paths = checkout(tmp_path, processes=2, batches="files")
    assert kill_a_rank(paths, rank=0, pause=0.2)
    assert outputs(paths) == by_two.outputs


@pytest.mark.soak
@pytest.mark.parametrize("seed", range(20))
def test_one_process_at_a_random_moment(tmp_path: Path, of_cells: Unbroken, seed: int) -> None:
    """Imports, first steps, checkpoints, the fits of the learning curve, the writing at the end:
    anywhere in the life of the process."""
    paths = checkout(tmp_path, cells=True)
    pause = random.Random(seed).uniform(0, of_cells.seconds)
    surely(lambda pause: kill_once(paths, pause, from_checkpoint=False), pause)
    done = plumbline(paths.root, "train")
    assert done.returncode == 0, done.stderr
    assert outputs(paths) == of_cells.outputs


@pytest.mark.soak
@pytest.mark.parametrize("seed", range(20))
def test_a_bag_at_a_random_moment(tmp_path: Path, of_bag: Unbroken, seed: int) -> None:
    """With the processes that fit its networks side by side."""
    paths = bag_checkout(tmp_path)
    pause = random.Random(seed).uniform(0, of_bag.seconds)
    surely(lambda pause: kill_once(paths, pause, from_checkpoint=False), pause)
    done = plumbline(paths.root, "train")
    assert done.returncode == 0, done.stderr
    assert outputs(paths) == of_bag.outputs


@pytest.mark.soak
@pytest.mark.parametrize("seed", range(20))
def test_one_of_two_processes_at_a_random_moment(
    tmp_path: Path, by_two: Unbroken, seed: int
) -> None:
    rng = random.Random(seed)
    paths = checkout(tmp_path, processes=2)
    rank, pause = rng.randrange(2), rng.uniform(0, 0.3 * by_two.seconds)
    surely(lambda pause: kill_a_rank(paths, rank, pause), pause)
    assert outputs(paths) == by_two.outputs


def test_the_launcher_killed_takes_its_processes_along(tmp_path: Path, by_one: Unbroken) -> None:
    """And what is left goes on with another number of processes."""
    paths = checkout(tmp_path, processes=2)
    with started(paths) as process:
        assert wait_for(lambda: fitting(paths), process)
        group = descendants(process.pid)
        assert {rank_of(pid) for pid in group} >= {0, 1}
        process.kill()
        process.wait()
        end = time.monotonic() + 20
        while any(Path(f"/proc/{pid}").exists() for pid in group) and time.monotonic() < end:
            time.sleep(0.05)
        assert not [pid for pid in group if Path(f"/proc/{pid}").exists()]
    checkpoint = sha256(next((paths.root / CHECKPOINTS).glob("*/state.safetensors")))
    write_params(paths, SPEC, model=MODEL, train=FIT, runtime=HOW)
    with started(paths) as process:
        assert wait_for(
            lambda: (
                fitting(paths)
                and sha256(next((paths.root / CHECKPOINTS).glob("*/state.safetensors")))
                != checkpoint
            ),
            process,
        )
        assert process.wait(timeout=240) == 0
    assert "resuming in epoch" in (paths.root / "log.txt").read_text()
    # the epochs of two processes differ from those of one in the last digits
    for ours, wanted in zip(curves(paths), by_one.curves, strict=True):
        assert ours == pytest.approx(wanted, rel=1e-3)


def test_other_inputs_start_anew(tmp_path: Path, by_one: Unbroken) -> None:
    paths = checkout(tmp_path, epochs=40)
    with started(paths) as process:
        assert wait_for(lambda: fitting(paths), process)
        process.kill()
    (left,) = (paths.root / CHECKPOINTS).iterdir()
    write_params(paths, SPEC, model=MODEL, train=FIT)
    done = plumbline(paths.root, "train")
    assert done.returncode == 0, done.stderr
    assert not left.exists()
    assert outputs(paths) == by_one.outputs
