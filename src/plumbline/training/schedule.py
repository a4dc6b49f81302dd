"""How the learning rate moves: a factor on `train.learning_rate`, by the position in epochs.

A shape is a pure function of the position, so that a run that goes on from a checkpoint needs no
schedule state but the number of drops that `plateau` has made.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

from plumbline.config.model import TrainConfig
from plumbline.errors import choose

Shape = Callable[[float, float, TrainConfig], float]  # position, length (epochs), parameters


def constant(position: float, length: float, config: TrainConfig) -> float:
    """1."""
    return 1.0


def step(position: float, length: float, config: TrainConfig) -> float:
    """Times `decay` every `step_epochs` epochs."""
    return config.decay ** math.floor(position / config.step_epochs)


def cosine(position: float, length: float, config: TrainConfig) -> float:
    """Half a cosine from 1 to 0 (Loshchilov and Hutter 2017, without restarts)."""
    return 0.5 * (1 + math.cos(math.pi * min(1.0, position / length)))


def onecycle(position: float, length: float, config: TrainConfig) -> float:
    """Up from 1/25 to 1 over the first 30 %, down to 1/250,000, both along a cosine
    (Smith and Topin 2018, with the shape and the ends of torch's OneCycleLR)."""
    rise, start, end = 0.3 * length, 1 / 25, 1 / 25 / 1e4
    if position <= rise:
        return _anneal(start, 1.0, position / rise)
    return _anneal(1.0, end, min(1.0, (position - rise) / (length - rise)))


def cyclic(position: float, length: float, config: TrainConfig) -> float:
    """A triangle between `decay` and 1, `step_epochs` up and as many down (Smith 2017)."""
    phase = (position / config.step_epochs) % 2
    return config.decay + (1 - config.decay) * (phase if phase <= 1 else 2 - phase)


def plateau(position: float, length: float, config: TrainConfig) -> float:
    """1 until `Schedule.observe` makes drops."""
    return 1.0


SCHEDULES: dict[str, Shape] = {
    "constant": constant,
    "step": step,
    "cosine": cosine,
    "onecycle": onecycle,
    "cyclic": cyclic,
    "plateau": plateau,
}


@dataclass
class Schedule:
    """The learning rate of every optimizer step: linear warm-up, then the chosen shape.

    `drops` and `epochs_without_improvement` move with `plateau` alone: after `plateau_epochs`
    epochs without a better monitor the rate is multiplied by `decay`.
    """

    config: TrainConfig
    steps_per_epoch: int
    drops: int = 0
    epochs_without_improvement: int = 0

    def rate(self, done: int) -> float:
        """The learning rate of the next step after `done` steps."""
        config, epoch = self.config, done / self.steps_per_epoch
        base = config.learning_rate * config.decay**self.drops
        if epoch < config.warmup_epochs:
            return base * (done + 1) / math.ceil(config.warmup_epochs * self.steps_per_epoch)
        length = max(config.most_epochs - config.warmup_epochs, 1 / self.steps_per_epoch)
        shape = choose(SCHEDULES, config.schedule, "train.schedule")
        return base * shape(epoch - config.warmup_epochs, length, config)

    def observe(self, better: bool) -> None:
        """Tell the outcome of an epoch."""
        if self.config.schedule != "plateau":
            return
        self.epochs_without_improvement = 0 if better else self.epochs_without_improvement + 1
        if self.epochs_without_improvement >= self.config.plateau_epochs:
            self.drops, self.epochs_without_improvement = self.drops + 1, 0


def _anneal(start: float, end: float, share: float) -> float:
    return end + (start - end) * 0.5 * (1 + math.cos(math.pi * share))
