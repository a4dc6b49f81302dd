"""Rows to fit on or to score, and which of them make up each step."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any, Literal, Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from plumbline.config.model import TrainConfig
from plumbline.errors import ParameterError
from plumbline.examples import Examples, InputSpec
from plumbline.kinds import FloatArray, TargetKind, Task
from plumbline.models.target import TargetTransform
from plumbline.training.sources import UNLIMITED, BatchSource, open_source, resident

STEPS = 32  # of an epoch that `batch_size: auto` makes, where it can
SMALLEST, LARGEST = 32, 256  # rows of its batches
EPOCHS, TRIAL_EPOCHS = 100, 20  # that `epochs: auto` makes of train, and of tune
IMAGE_EPOCHS = 1400  # that it makes of images, over the root of their number: 100 of 200 images,
LEAST_IMAGE_EPOCHS, MOST_IMAGE_EPOCHS = 10, 200  # 10 from 20,000 on


def batch_size(config: TrainConfig, rows: int) -> int:
    """Rows per batch, 0 for all in one. `auto`: a power of two from 32 to 256, the largest with
    32 steps per epoch: patience counts epochs, and few steps are a short one."""
    if config.batch_size != "auto":
        return config.batch_size
    size = LARGEST
    while size > SMALLEST and rows < STEPS * size:
        size //= 2
    return size


def epochs_of(
    wanted: int | Literal["auto"], spec: InputSpec, rows: int, *, of_tables: int = EPOCHS
) -> int:
    """What `epochs: auto` means for so many training rows.

    `of_tables`, which patience ends. With images, so many that twice the steps come with four
    times the rows: few images need many epochs to make enough steps, and many need few.
    """
    if wanted != "auto":
        return wanted
    if not list(spec.of_kind("image")):
        return of_tables
    return max(LEAST_IMAGE_EPOCHS, min(MOST_IMAGE_EPOCHS, round(IMAGE_EPOCHS / math.sqrt(rows))))


def with_epochs(config: TrainConfig, spec: InputSpec, rows: int) -> TrainConfig:
    """With a number of epochs."""
    return replace(config, epochs=epochs_of(config.epochs, spec, rows))


@dataclass(frozen=True, kw_only=True)
class Rows:
    """Prepared rows: `source` gives their tensors batch by batch; `y` (n,), class numbers or
    scaled values, and `weight` (n,), what each row counts in the loss, lie on the device."""

    source: BatchSource
    y: Tensor
    weight: Tensor
    total_weight: float

    def __len__(self) -> int:
        return len(self.y)

    def mean(self, losses: Tensor) -> float:
        """The weighted mean of one loss per row (n,)."""
        return (self.weight * losses).sum(dtype=torch.float64).item() / self.total_weight

    @classmethod
    def of(
        cls,
        examples: Examples,
        task: Task,
        device: torch.device,
        *,
        target: TargetTransform | None = None,
        per_class: FloatArray | None = None,
        resident_bytes: int = UNLIMITED,
    ) -> Self:
        """Examples on the device, or in their files where the tensors take more than
        `resident_bytes`."""
        y: NDArray[Any] = np.asarray(examples.y)
        dtype = np.int64 if task.spec.target is TargetKind.CLASSES else np.float32
        y = np.asarray(target.forward(y) if target else y, dtype=dtype)
        weight = np.asarray(examples.weight, dtype=np.float32)
        if per_class is not None:
            weight = weight * per_class[y]
        return cls(
            source=open_source(examples.inputs, device, resident_bytes),
            y=resident(y, device),
            weight=resident(weight, device),
            total_weight=max(float(weight.sum(dtype=np.float64)), 1e-12),
        )


def epoch_order(seed: int, epoch: int, n: int) -> Tensor:
    """The order of the rows in an epoch, (n,) int64, the same on every process."""
    return torch.from_numpy(np.random.default_rng([seed, epoch]).permutation(n))


@dataclass(frozen=True, kw_only=True)
class Plan:
    """How the ordered rows of an epoch fall into steps, and those into batches.

    The last step takes what is left over. Where a batch of one row is impossible (batch
    normalization has no variance then), a single left-over row joins the batch before it.
    """

    rows: int
    batch: int
    accumulate: int
    join_single: bool = False

    @classmethod
    def of(cls, rows: int, config: TrainConfig, *, has_batch_norm: bool = False) -> Self:
        """The plan of the parameters.

        Raises:
            ParameterError: single-row batches for a model with batch normalization.
        """
        batch = min(batch_size(config, rows) or rows, rows)
        if has_batch_norm and batch == 1:
            raise ParameterError(
                "batch normalization needs at least two rows per batch",
                file="params.yaml",
                where="train.batch_size",
                got=f"{config.batch_size} with {rows} training rows",
                hint="raise it, or set model.normalization to layer",
            )
        return cls(rows=rows, batch=batch, accumulate=config.accumulate, join_single=has_batch_norm)

    @property
    def steps(self) -> int:
        """Optimizer steps per epoch."""
        return math.ceil(self._batches / self.accumulate)

    def batches(self, step: int) -> list[tuple[int, int]]:
        """(start, stop) of each batch of a step, as positions in the epoch's order."""
        first = step * self.accumulate
        last = min(first + self.accumulate, self._batches)
        bounds = [(i * self.batch, (i + 1) * self.batch) for i in range(first, last)]
        if last == self._batches:
            bounds[-1] = (bounds[-1][0], self.rows)
        return bounds

    @property
    def _batches(self) -> int:
        whole, left = divmod(self.rows, self.batch)
        joined = self.join_single and left == 1 and whole > 0
        return whole + (left > 0 and not joined)
