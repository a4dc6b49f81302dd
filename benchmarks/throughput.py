"""Training speed: rows per second of our loop, beside a bare loop and other trainers.

Everything runs in processes of its own whose OpenMP threads do not spin (`GOMP_SPINCOUNT`, as
the command line sets it), for all alike; rounds alternate, and the medians are compared.
"""

from __future__ import annotations

import json
import statistics
import sys
import tempfile
import time
import warnings
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from benchmarks.apart import measured_apart
from benchmarks.fits import (
    BATCH,
    COLUMNS,
    FAMILIES,
    IMAGES,
    LENGTH,
    NETWORKS,
    PIXELS,
    RATE,
    TEXTS,
    examples,
    fixed_batch,
    member_loss,
    network,
    our_loop,
)
from benchmarks.result import Figure, Result, Table, times

apart = partial(measured_apart, "benchmarks.throughput")
ROOT = Path(__file__).resolve().parents[1]
ROUNDS = 9
PEERS = ("plumbline", "from files", "fixed batch", "lightning", "skorch")
OURS = ("plumbline", "fixed batch")  # of images and texts


def run() -> Result:
    """Measure in child processes; see `measure` and `measure_processes`."""
    speeds = {name: apart("family", name) for name in FAMILIES}
    median = {
        name: {peer: statistics.median(result[peer]) for peer in PEERS}
        for name, result in speeds.items()
    }
    processes = apart("processes")
    two, one = (statistics.median(processes[key]) for key in ("two", "one"))
    mlp = median["mlp"]
    cells = {
        name: {peer: statistics.median(speeds) for peer, speeds in apart("cells", name).items()}
        for name in (*IMAGES, *TEXTS)
    }
    return Result(
        title="Training",
        figures=[
            ratio("our loop, beside the same steps on one fixed batch", mlp, "fixed batch", 0.9),
            ratio("our loop, beside Lightning's Trainer", mlp, "lightning", 1.5),
            ratio("our loop, beside skorch", mlp, "skorch", 1.5),
            times(
                "batches from files, beside resident ones",
                mlp["from files"] / mlp["plumbline"],
                0.9,
            ),
            times("two processes of one thread, beside one process of two", two / one, 1.2),
            *(
                ratio(f"{name}: beside the same steps on one fixed batch", own, "fixed batch", 0.9)
                for name, own in cells.items()
            ),
        ],
        tables=[
            Table(
                title=f"Rows per second in training, batch {BATCH}, {COLUMNS} number columns",
                columns=["model", *PEERS],
                rows=[
                    [name, *(f"{result[peer]:,.0f}" for peer in PEERS)]
                    for name, result in median.items()
                ],
            ),
            Table(
                title=f"Rows per second in training, batch {BATCH}, images of "
                f"{' × '.join(map(str, PIXELS))} and texts of {LENGTH} tokens",
                columns=["encoder", *OURS],
                rows=[
                    [name, *(f"{own[peer]:,.0f}" for peer in OURS)] for name, own in cells.items()
                ],
            ),
            Table(
                title="The same MLP in one process and in two",
                columns=["processes", "threads each", "rows per second"],
                rows=[["1", "2", f"{one:,.0f}"], ["2", "1", f"{two:,.0f}"]],
            ),
        ],
        notes=[
            f"medians of {ROUNDS} alternating rounds, training steps alone (no validation, no "
            "start-up); mlp: 108-256-256-2",
            "image and text: each encoder with an MLP of one layer behind it, without dropout",
            "from files: the same rows in a memory map, gathered by a thread (`runtime.batches`)",
            "plumbline and the bare loop on a fixed batch step with torch's fused AdamW; "
            "Lightning and skorch as their users write them: DataLoader, `torch.optim.AdamW`, no "
            "logger, no checkpoint, no progress bar",
        ],
    )


def ratio(name: str, speeds: dict[str, float], peer: str, target: float) -> Figure:
    """Ours over a peer's."""
    return times(name, speeds["plumbline"] / speeds[peer], target)


def measure(name: str, peers: Sequence[str]) -> dict[str, list[float]]:
    """Rows per second of each trainer, a value per round."""
    rows = NETWORKS[name].rows
    one_epoch = {peer: MAKERS[peer](name) for peer in peers}
    result: dict[str, list[float]] = {peer: [] for peer in peers}
    for round_ in range(ROUNDS + 1):
        for peer, epoch in one_epoch.items():
            seconds = epoch()
            if round_:  # the first one warms up
                result[peer].append(rows / seconds)
    return result


def from_files(name: str) -> Callable[[], float]:
    """Seconds of an epoch whose batches are read from a memory map."""
    from plumbline.preprocessing.arrays import read_examples, write_examples
    from plumbline.training.distributed import World

    with tempfile.TemporaryDirectory() as folder:  # a map outlives its file's name
        write_examples(Path(folder), examples(name, NETWORKS[name].rows))
        mapped = read_examples(Path(folder), ("num",))
    return our_loop(name, World(resident_bytes=0), mapped)


def lightning_trainer(name: str) -> Callable[[], float]:
    """Seconds of an epoch of Lightning's Trainer, from its first batch to its last."""
    import lightning
    import torch
    from torch.utils.data import DataLoader, TensorDataset

    class Module(lightning.LightningModule):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            self.model = network(name)
            self.seconds = 0.0

        def training_step(self, batch: Any, index: int) -> Any:
            num, y = batch
            return member_loss(self.model(num=num), y)

        def configure_optimizers(self) -> Any:
            return torch.optim.AdamW(self.parameters(), lr=RATE)

        def on_train_epoch_start(self) -> None:
            self.seconds = -time.perf_counter()

        def on_train_epoch_end(self) -> None:
            self.seconds += time.perf_counter()

    made = examples(name, NETWORKS[name].rows)
    data = TensorDataset(torch.from_numpy(made.inputs["num"]), torch.from_numpy(made.y))
    module = Module()

    def epoch() -> float:
        trainer = lightning.Trainer(
            max_epochs=1,
            accelerator="cpu",
            logger=False,
            enable_checkpointing=False,
            enable_progress_bar=False,
            enable_model_summary=False,
        )
        trainer.fit(module, DataLoader(data, batch_size=BATCH, shuffle=True))
        return module.seconds

    return epoch


def skorch_net(name: str) -> Callable[[], float]:
    """Seconds of an epoch of skorch, by its own clock."""
    import skorch
    import torch

    class Net(skorch.NeuralNet):  # type: ignore[misc]
        def get_loss(self, output: Any, y: Any, X: Any = None, training: bool = False) -> Any:
            return member_loss(output, y)

    made = examples(name, NETWORKS[name].rows)
    net = Net(
        module=network(name),
        criterion=torch.nn.CrossEntropyLoss,
        optimizer=torch.optim.AdamW,
        lr=RATE,
        batch_size=BATCH,
        iterator_train__shuffle=True,
        train_split=None,
        verbose=0,
    )
    net.initialize()

    def epoch() -> float:
        net.partial_fit(made.inputs, made.y, epochs=1)
        return float(net.history[-1, "dur"])

    return epoch


MAKERS: dict[str, Callable[[str], Callable[[], float]]] = {
    "plumbline": our_loop,
    "from files": from_files,
    "fixed batch": fixed_batch,
    "lightning": lightning_trainer,
    "skorch": skorch_net,
}


def measure_processes() -> dict[str, list[float]]:
    """Rows per second of one process with two threads, and of two with one."""
    from torch.multiprocessing.spawn import spawn

    result: dict[str, list[float]] = {"one": [], "two": []}
    for _ in range(3):
        for key, size, threads in (("one", 1, 2), ("two", 2, 1)):
            with tempfile.TemporaryDirectory() as folder:
                spawn(_member, (size, threads, folder), size)  # type: ignore[no-untyped-call]
                result[key] += json.loads((Path(folder) / "speeds.json").read_text())
    return result


def _member(rank: int, size: int, threads: int, folder: str) -> None:
    import torch
    import torch.distributed as dist

    from plumbline.training.device import set_up
    from plumbline.training.distributed import World, leave

    set_up(torch.device("cpu"), threads)
    if size > 1:
        meeting = f"file://{folder}/meeting"
        dist.init_process_group("gloo", init_method=meeting, rank=rank, world_size=size)
    epoch = our_loop("mlp", World(rank=rank, size=size))
    epoch()
    speeds = [FAMILIES["mlp"].rows / epoch() for _ in range(3)]
    if rank == 0:
        (Path(folder) / "speeds.json").write_text(json.dumps(speeds))
    if size > 1:
        leave()


MEASURES: dict[str, Callable[..., Any]] = {
    "family": lambda name: measure(name, PEERS),
    "cells": lambda name: measure(name, OURS),
    "processes": measure_processes,
}


if __name__ == "__main__":
    warnings.simplefilter("ignore")  # Lightning's advice on workers
    what, *which = sys.argv[1:]
    print(json.dumps(MEASURES[what](*which)))
