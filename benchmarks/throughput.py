"""Training speed: rows per second of our loop, beside a bare loop and other trainers.

Everything runs in processes of its own whose OpenMP threads do not spin (`GOMP_SPINCOUNT`, as
the command line sets it), for all alike; rounds alternate, and the medians are compared.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

from benchmarks.result import Figure, Result, Table, times

ROOT = Path(__file__).resolve().parents[1]
COLUMNS, BATCH, RATE, SEED = 108, 256, 1e-3, 0
ROUNDS = 9
# rows per round: about as long for each
FAMILIES: dict[str, tuple[int, dict[str, Any]]] = {
    "mlp": (40_000, {"width": 256, "depth": 2, "dropout": 0.0}),
    "tabm": (10_240, {"width": 256, "depth": 2, "dropout": 0.0, "members": 8}),
    "ft_transformer": (1_536, {"token_width": 64, "depth": 1, "heads": 8, "dropout": 0.0}),
}
PEERS = ("plumbline", "from files", "fixed batch", "lightning", "skorch")


def run() -> Result:
    """Measure in child processes; see `measure_family` and `measure_processes`."""
    speeds = {name: child("family", name) for name in FAMILIES}
    median = {
        name: {peer: statistics.median(result[peer]) for peer in PEERS}
        for name, result in speeds.items()
    }
    processes = child("processes")
    two, one = (statistics.median(processes[key]) for key in ("two", "one"))
    mlp = median["mlp"]
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
                title="The same MLP in one process and in two",
                columns=["processes", "threads each", "rows per second"],
                rows=[["1", "2", f"{one:,.0f}"], ["2", "1", f"{two:,.0f}"]],
            ),
        ],
        notes=[
            f"medians of {ROUNDS} alternating rounds, training steps alone (no validation, no "
            "start-up); mlp: 108-256-256-2",
            "from files: the same rows in a memory map, gathered by a thread (`runtime.batches`)",
            "plumbline and the bare loop on a fixed batch step with torch's fused AdamW; "
            "Lightning and skorch as their users write them: DataLoader, `torch.optim.AdamW`, no "
            "logger, no checkpoint, no progress bar",
        ],
    )


def ratio(name: str, speeds: dict[str, float], peer: str, target: float) -> Figure:
    """Ours over a peer's."""
    return times(name, speeds["plumbline"] / speeds[peer], target)


def child(*arguments: str) -> Any:
    """What a measurement in a process of its own found."""
    environment = {**os.environ, "GOMP_SPINCOUNT": "1000", "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.throughput", *arguments],
        cwd=ROOT,
        env=environment,
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    return json.loads(done.stdout.splitlines()[-1])


def measure_family(name: str) -> dict[str, list[float]]:
    """Rows per second of each trainer, a value per round."""
    rows, _ = FAMILIES[name]
    one_epoch = {peer: MAKERS[peer](name) for peer in PEERS}
    result: dict[str, list[float]] = {peer: [] for peer in PEERS}
    for round_ in range(ROUNDS + 1):
        for peer, epoch in one_epoch.items():
            seconds = epoch()
            if round_:  # the first one warms up
                result[peer].append(rows / seconds)
    return result


def examples(rows: int) -> Any:
    """Normal numbers, two classes."""
    import numpy as np

    from plumbline.examples import Examples

    rng = np.random.default_rng(SEED)
    num = rng.normal(size=(rows, COLUMNS)).astype(np.float32)
    return Examples(
        inputs={"num": num},
        y=(num[:, :5].sum(1) > 0).astype(np.int64),
        rows=np.arange(rows),
        weight=np.ones(rows, dtype=np.float32),
    )


def network(name: str) -> Any:
    """The family's model, and what it reads."""
    from plumbline.config.model import ModelConfig
    from plumbline.examples import InputSpec, TargetSpec, TensorSpec
    from plumbline.kinds import Task
    from plumbline.models import build_model

    names = tuple(f"n{i}" for i in range(COLUMNS))
    num = TensorSpec(
        name="num",
        kind="numbers",
        dtype="float32",
        shape=(COLUMNS,),
        features=names,
        sources=names,
    )
    target = TargetSpec(task=Task.BINARY, classes=("no", "yes"))
    spec = InputSpec(tensors=(num,), target=target)
    return build_model(
        ModelConfig(name=name, number_embedding="none", **FAMILIES[name][1]), spec, seed=SEED
    )


def our_loop(name: str, world: Any = None, rows: Any = None) -> Callable[[], float]:
    """Seconds of an epoch of `plumbline.training.loop`."""
    from plumbline.config.model import TrainConfig
    from plumbline.kinds import Task
    from plumbline.training.distributed import SINGLE_PROCESS
    from plumbline.training.loop import train_epoch
    from plumbline.training.setup import prepare

    made = rows or examples(FAMILIES[name][0])
    config = TrainConfig(batch_size=BATCH, learning_rate=RATE, clip_norm=None)
    job, state = prepare(
        network(name),
        made,
        made.take(slice(0, 10)),
        Task.BINARY,
        config,
        seed=SEED,
        target=None,
        world=world or SINGLE_PROCESS,
    )

    def epoch() -> float:
        state.progress.step = 0
        begun = time.perf_counter()
        train_epoch(job, state)
        return time.perf_counter() - begun

    return epoch


def from_files(name: str) -> Callable[[], float]:
    """Seconds of an epoch whose batches are read from a memory map."""
    from plumbline.preprocessing.arrays import read_examples, write_examples
    from plumbline.training.distributed import World

    with tempfile.TemporaryDirectory() as folder:  # a map outlives its file's name
        write_examples(Path(folder), examples(FAMILIES[name][0]))
        mapped = read_examples(Path(folder), ("num",))
    return our_loop(name, World(resident_bytes=0), mapped)


def fixed_batch(name: str) -> Callable[[], float]:
    """Seconds of as many steps on one resident batch: no more than the model costs."""
    import torch

    model, made = network(name), examples(BATCH)
    num, y = torch.from_numpy(made.inputs["num"]), torch.from_numpy(made.y)
    optimizer = torch.optim.AdamW(model.parameters(), lr=RATE, weight_decay=0.0, fused=True)
    steps = FAMILIES[name][0] / BATCH

    def epoch() -> float:
        model.train()
        begun = time.perf_counter()
        for _ in range(round(steps)):
            loss = member_loss(model(num=num), y)
            optimizer.zero_grad(set_to_none=True)
            loss.backward()
            optimizer.step()
        return (time.perf_counter() - begun) * steps / round(steps)

    return epoch


def member_loss(output: Any, y: Any) -> Any:
    """Cross-entropy, the mean over members (B, K, 2)."""
    import torch

    members = output.shape[1]
    return torch.nn.functional.cross_entropy(output.flatten(0, 1), y.repeat_interleave(members))


def lightning_trainer(name: str) -> Callable[[], float]:
    """Seconds of an epoch of Lightning's Trainer, from its first batch to its last."""
    import lightning
    import torch
    from torch.utils.data import DataLoader, TensorDataset

    class Module(lightning.LightningModule):
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

    made = examples(FAMILIES[name][0])
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

    made = examples(FAMILIES[name][0])
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
    import torch.multiprocessing

    result: dict[str, list[float]] = {"one": [], "two": []}
    for _ in range(3):
        for key, size, threads in (("one", 1, 2), ("two", 2, 1)):
            with tempfile.TemporaryDirectory() as folder:
                torch.multiprocessing.spawn(_member, (size, threads, folder), nprocs=size)
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
    speeds = [FAMILIES["mlp"][0] / epoch() for _ in range(3)]
    if rank == 0:
        (Path(folder) / "speeds.json").write_text(json.dumps(speeds))
    if size > 1:
        leave()


if __name__ == "__main__":
    warnings.simplefilter("ignore")  # Lightning's advice on workers
    what, *which = sys.argv[1:]
    print(json.dumps(measure_family(*which) if what == "family" else measure_processes()))
