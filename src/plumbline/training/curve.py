"""The learning curve over rows, and what a constant prediction loses."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from plumbline.config.model import TrainConfig
from plumbline.examples import Examples
from plumbline.kinds import DoubleArray, Task
from plumbline.training.batches import Rows, batch_size
from plumbline.training.diagnosis import Point
from plumbline.training.losses import choose_loss, loss_name

FitRows = Callable[[Examples, TrainConfig], DoubleArray]


def learning_curve(
    fit_rows: FitRows, train: Examples, config: TrainConfig, *, seed: int
) -> list[Point]:
    """A point per share of `train.learning_curve` that leaves rows out, fewest rows first.

    `fit_rows` fits a fresh model on some rows and gives the losses (m,) of the validation rows.
    The batch shrinks with the rows, so that every fit makes as many steps per epoch: else the
    smaller ones would be cut short, and more rows would always seem to help.
    """
    whole = batch_size(config, len(train))
    order = np.random.default_rng([seed, len(train)]).permutation(len(train))
    points = []
    for share in sorted(config.learning_curve):
        rows = np.sort(order[: max(2, round(share * len(train)))])
        if len(rows) == len(train):
            break
        least = min(whole, 2)  # batch normalization refuses a single row
        batch = whole and max(least, round(share * whole))
        losses = fit_rows(train.take(rows), dataclasses.replace(config, batch_size=batch))
        points.append(Point(rows=len(rows), losses=losses))
    return points


def _shares(train: Rows, outputs: int) -> Tensor:
    # on the CPU: with weights, CUDA has no deterministic way to count
    counts = torch.bincount(train.y.cpu(), train.weight.cpu(), minlength=outputs)
    counts = counts.clamp_min(0.5)
    return (counts / counts.sum()).log()


def _mean(train: Rows, outputs: int) -> Tensor:
    return ((train.weight * train.y).sum() / train.total_weight)[None]


def _median(train: Rows, outputs: int) -> Tensor:
    return train.y.median()[None]


# by loss: training rows and the number of outputs to the constant output (outputs,) of least loss
CONSTANTS: dict[str, Callable[[Rows, int], Tensor]] = {
    "cross_entropy": _shares,
    "focal": _shares,
    "hinge": _shares,
    "mse": _mean,
    "mae": _median,
    "huber": _mean,
}


def constant_loss(train: Rows, val: Rows, task: Task, config: TrainConfig, outputs: int) -> float:
    """The loss on `val` of the best constant: the training rows' class shares, or their mean
    (the median for an absolute error)."""
    output = CONSTANTS[loss_name(config, task)](train, outputs)
    constant = output.float().to(val.y.device)[None, None].expand(len(val), 1, outputs)  # (n, 1, C)
    return val.mean(choose_loss(config, task)(constant, val.y, config))
