"""The learning-rate range test (Smith 2017, section 3.3): one short run, rate rising each step."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np
import torch
from torch import nn

from plumbline.config.model import TrainConfig
from plumbline.examples import Examples
from plumbline.kinds import DoubleArray, Task
from plumbline.models.parts import Parts
from plumbline.models.target import TargetTransform
from plumbline.training.batches import batch_size, epoch_order
from plumbline.training.distributed import SINGLE_PROCESS, World
from plumbline.training.loop import train_epoch
from plumbline.training.schedule import Schedule
from plumbline.training.setup import prepare

LOW, HIGH, STEPS = 1e-6, 1.0, 120


@dataclass(frozen=True, kw_only=True)
class Sweep:
    """`rates` (n,) and the smoothed `losses` (n,); `proposal` is a rate to train with."""

    rates: DoubleArray
    losses: DoubleArray
    proposal: float


class _Rising(Schedule):
    """The rates of the test, evenly spaced in the logarithm."""

    def rate(self, done: int) -> float:
        return float(LOW * (HIGH / LOW) ** (min(done, STEPS - 1) / (STEPS - 1)))


def sweep(
    model: nn.Module,
    train: Examples,
    task: Task,
    config: TrainConfig,
    *,
    seed: int,
    target: TargetTransform | None = None,
    world: World = SINGLE_PROCESS,
    parts: Parts = MappingProxyType({}),
) -> Sweep:
    """Run the test on a fresh model, which is spent afterwards."""
    config = dataclasses.replace(config, batch_size=batch_size(config, len(train)))
    most = STEPS * config.accumulate * (config.batch_size or len(train))
    some = np.random.default_rng([seed, STEPS]).permutation(len(train))[:most]
    rows = train.take(np.sort(some))
    job, run = prepare(
        model, rows, rows, task, config, seed=seed, target=target, world=world, parts=parts
    )
    run.schedule = rising = _Rising(config, job.plan.steps)
    losses: list[float] = []
    while len(losses) < STEPS:
        weight = job.train.weight[epoch_order(seed, run.progress.epoch, len(rows))]
        train_epoch(job, run)
        bounds = [job.plan.batches(step) for step in range(job.plan.steps)]
        totals = torch.stack([weight[b[0][0] : b[-1][1]].sum() for b in bounds])
        losses += (world.sum(run.losses) / totals).tolist()
        run.losses.zero_()
        run.progress.epoch, run.progress.step = run.progress.epoch + 1, 0
    rates = np.array([rising.rate(done) for done in range(STEPS)])
    return read_sweep(rates, np.array(losses[:STEPS]))


def read_sweep(rates: DoubleArray, losses: DoubleArray) -> Sweep:
    """Smooth the raw losses of the steps (n,) and propose a rate.

    The proposal is the rate of the steepest fall before the minimum, the usual reading: at the
    minimum itself the loss is about to explode. Losses after the explosion are left out, and the
    first ones, whose average is over a few batches, are not trusted with a fall.
    """
    lost = np.flatnonzero(~np.isfinite(losses))
    end = int(lost[0]) if len(lost) else len(losses)
    smooth = _smooth(losses[:end])
    exploded = np.flatnonzero(smooth > 4 * smooth[: max(1, end // 4)].mean())
    end = int(exploded[0]) if len(exploded) else end
    rates, smooth = rates[:end], smooth[:end]
    first, lowest = STEPS // 10, int(np.argmin(smooth))
    if lowest < first + 2:  # never fell: stay well below where it rose
        return Sweep(rates=rates, losses=smooth, proposal=float(rates[0]))
    slope = np.gradient(smooth[first : lowest + 1], np.log(rates[first : lowest + 1]))
    return Sweep(rates=rates, losses=smooth, proposal=float(rates[first + int(np.argmin(slope))]))


def sweep_csv(result: Sweep) -> str:
    """A line per step: the rate and the smoothed loss."""
    lines = (
        f"{float(rate)!r},{float(loss)!r}"
        for rate, loss in zip(result.rates, result.losses, strict=True)
    )
    return "\n".join(["learning_rate,loss", *lines, ""])


def _smooth(losses: DoubleArray, keep: float = 0.9) -> DoubleArray:
    """Exponential average, corrected for its start."""
    smooth, average = np.empty_like(losses), 0.0
    for i, loss in enumerate(losses):
        average = keep * average + (1 - keep) * loss
        smooth[i] = average / (1 - keep ** (i + 1))
    return smooth
