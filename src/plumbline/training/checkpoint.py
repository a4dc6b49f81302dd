"""Checkpoints: everything that moves while a model is fitted, in one safetensors file.

Tensors are stored as they are, the rest as JSON in the file's header; no pickle. The file is
replaced atomically, so a kill at any moment leaves the last whole one.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import math
import shutil
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load, save_file
from torch import Tensor, nn
from torch.distributed.tensor import DTensor, distribute_tensor

from plumbline.config.model import TrainConfig
from plumbline.files import new_file, sha256
from plumbline.training.distributed import World
from plumbline.training.optim import EMA
from plumbline.training.schedule import Schedule

FILE = "state.safetensors"
# packages that decide what a fit gives
CODE = ("config", "evaluation/metrics", "models", "preprocessing", "training")


@dataclass
class Progress:
    """Where a fit is: whole epochs done, steps done in the running one, and what came of it."""

    epoch: int = 0
    step: int = 0
    history: list[dict[str, float]] = field(default_factory=list)
    monitor: str = ""
    best_epoch: int = 0  # whose weights are kept
    best_score: float = -float("inf")  # larger is better, whatever the monitor
    epochs_without_improvement: int = 0
    done: bool = False

    def observe(self, row: dict[str, float], monitored: float, config: TrainConfig) -> bool:
        """Close an epoch with its row of the history; says whether it is the best so far.

        `monitored` is the score, larger is better; where it is no number in the first epoch
        the validation loss is watched instead, to the end.
        """
        if not self.monitor:
            self.monitor = "score" if math.isfinite(monitored) else "loss"
        if self.monitor == "loss":
            monitored = -row["val_loss"]
        self.history.append(row)
        self.epoch, self.step = self.epoch + 1, 0
        better = monitored > self.best_score
        if better:
            self.best_score = monitored
        if better or config.keep == "last":
            self.best_epoch = self.epoch
        self.epochs_without_improvement = 0 if better else self.epochs_without_improvement + 1
        patience_exhausted = 0 < config.patience <= self.epochs_without_improvement
        self.done = patience_exhausted or self.epoch >= config.most_epochs
        return better


@dataclass
class Run:
    """Everything that moves while a model is fitted."""

    model: nn.Module
    optimizer: torch.optim.Optimizer
    schedule: Schedule
    average: EMA
    scaler: torch.amp.GradScaler
    losses: Tensor  # (steps,) float64, of the running epoch: weighted sums over own rows
    progress: Progress = field(default_factory=Progress)
    best: dict[str, Tensor] = field(default_factory=dict)

    @property
    def steps(self) -> int:
        """Optimizer steps made."""
        return self.progress.epoch * len(self.losses) + self.progress.step

    def tensors(self, world: World) -> dict[str, Tensor]:
        """Whole tensors on the CPU by name. All processes take part."""
        saved: dict[str, Tensor] = {
            "losses": world.sum(self.losses.clone()),
            "rng.cpu": torch.get_rng_state(),
        }
        if world.device.type == "cuda":
            saved["rng.cuda"] = torch.cuda.get_rng_state(world.device)
        saved |= {f"model.{name}": t for name, t in self.model.state_dict().items()}
        saved |= {f"best.{name}": t for name, t in self.best.items()}
        saved |= {f"average.{i}": t for i, t in enumerate(self.average.tensors)}
        for i, state in self.optimizer.state_dict()["state"].items():
            saved |= {f"optimizer.{i}.{k}": t for k, t in state.items() if t is not None}
        return {name: whole(tensor) for name, tensor in saved.items()}

    def metadata(self) -> dict[str, Any]:
        """What is no tensor, fit for JSON."""
        return {
            "progress": dataclasses.asdict(self.progress),
            "schedule": {
                "drops": self.schedule.drops,
                "epochs_without_improvement": self.schedule.epochs_without_improvement,
            },
            "average": self.average.steps,
            "scaler": self.scaler.state_dict(),
        }

    def load(self, tensors: dict[str, Tensor], metadata: dict[str, Any], world: World) -> None:
        """Be where the checkpoint was."""
        self.progress = Progress(**metadata["progress"])
        self.schedule.drops = metadata["schedule"]["drops"]
        self.schedule.epochs_without_improvement = metadata["schedule"][
            "epochs_without_improvement"
        ]
        self.average.steps = metadata["average"]
        if metadata["scaler"]:
            self.scaler.load_state_dict(metadata["scaler"])
        own = self.model.state_dict()
        with torch.no_grad():
            if world.is_main:  # the sum over processes stays the same
                self.losses.copy_(tensors["losses"])
            for name, tensor in own.items():
                tensor.copy_(_like(tensors[f"model.{name}"], tensor))
            for i, tensor in enumerate(self.average.tensors):
                tensor.copy_(_like(tensors[f"average.{i}"], tensor))
        self.best = {
            name: _like(tensors[f"best.{name}"], tensor).clone()
            for name, tensor in own.items()
            if f"best.{name}" in tensors
        }
        self._load_optimizer(tensors)
        torch.set_rng_state(tensors["rng.cpu"])
        if "rng.cuda" in tensors and world.device.type == "cuda":
            torch.cuda.set_rng_state(tensors["rng.cuda"], world.device)

    def _load_optimizer(self, tensors: dict[str, Tensor]) -> None:
        layout = self.optimizer.state_dict()
        parameters = [p for group in self.optimizer.param_groups for p in group["params"]]
        state: dict[int, dict[str, Tensor]] = {}
        for name in sorted(tensors):  # a file's order differs by process, and shards are dealt out
            if name.startswith("optimizer."):
                tensor = tensors[name]
                _, number, key = name.split(".")
                parameter = parameters[int(number)]
                fits = tensor.shape == parameter.shape and tensor.ndim > 0
                state.setdefault(int(number), {})[key] = (
                    _like(tensor, parameter) if fits else tensor
                )
        self.optimizer.load_state_dict({**layout, "state": state})


@dataclass(frozen=True, kw_only=True)
class Checkpoints:
    """Where one fit's checkpoint lies and how often it is written.

    `folder` is named by the hash of the fit's inputs: other inputs never find it.
    """

    folder: Path
    every_epochs: int = 1
    every_steps: int = 0  # within an epoch; 0: at its end only

    def due(self, progress: Progress) -> bool:
        """Whether to write one now."""
        if progress.step == 0:
            return progress.done or progress.epoch % self.every_epochs == 0
        return self.every_steps > 0 and progress.step % self.every_steps == 0

    def save(self, run: Run, world: World) -> None:
        """Replace the checkpoint."""
        tensors = run.tensors(world)
        if world.is_main:
            with new_file(self.folder / FILE) as temporary:
                save_file(tensors, temporary, {"metadata": json.dumps(run.metadata())})

    def restore(self, run: Run, world: World) -> bool:
        """Go on from the checkpoint, if there is a whole one; says whether."""
        content = None
        if world.is_main and (self.folder / FILE).exists():
            content = (self.folder / FILE).read_bytes()
        content = world.broadcast_bytes(content)
        if content is None:
            return False
        try:
            tensors, metadata = load(content), _metadata(content)
        except (SafetensorError, ValueError):  # a broken disk; writes are whole
            return False
        run.load(tensors, metadata, world)
        return True

    def clean_siblings(self) -> None:
        """Remove the checkpoints of fits with other inputs."""
        if self.folder.parent.is_dir():
            for other in self.folder.parent.iterdir():
                if other != self.folder:
                    shutil.rmtree(other, ignore_errors=True)

    def remove(self) -> None:
        """The fit's result is stored: its checkpoint is needed no more."""
        shutil.rmtree(self.folder, ignore_errors=True)


def whole(tensor: Tensor) -> Tensor:
    """A copy on the CPU; shards are put together, which all processes take part in."""
    tensor = tensor.detach()
    if isinstance(tensor, DTensor):
        tensor = tensor.full_tensor()
    return tensor.cpu().clone()  # safetensors refuses tensors that share memory


def fingerprint(content: Any, files: Iterable[Path]) -> str:
    """A hash of what a fit depends on: anything fit for JSON, the bytes of files, and the code
    that fits."""
    package = Path(__file__).parents[1]
    code = (file for name in CODE for file in (package / name).rglob("*.py"))
    hashes = [sha256(file) for part in (files, code) for file in sorted(part)]
    libraries = [torch.__version__, np.__version__]
    text = json.dumps([content, hashes, libraries], sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:32]


def _metadata(content: bytes) -> dict[str, Any]:
    length = int.from_bytes(content[:8], "little")
    header = json.loads(content[8 : 8 + length])
    metadata: dict[str, Any] = json.loads(header["__metadata__"]["metadata"])
    return metadata


def _like(tensor: Tensor, reference: Tensor) -> Tensor:
    """On the reference's device and sharded as it is."""
    tensor = tensor.to(reference.device)
    if isinstance(reference, DTensor):
        return distribute_tensor(tensor, reference.device_mesh, reference.placements)
    return tensor
