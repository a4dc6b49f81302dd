"""The learning curve over rows, and what a constant prediction loses."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

import numpy as np
import torch

from plumbline.config.model import TrainConfig
from plumbline.examples import Examples
from plumbline.kinds import DoubleArray, Task
from plumbline.training.batches import Rows
from plumbline.training.diagnosis import Point
from plumbline.training.losses import choose_loss

FitRows = Callable[[Examples, TrainConfig], DoubleArray]


def learning_curve(
    fit_rows: FitRows, train: Examples, config: TrainConfig, *, seed: int
) -> list[Point]:
    """A point per share of `train.learning_curve` that leaves rows out, fewest rows first.

    `fit_rows` fits a fresh model on some rows and gives the losses (m,) of the validation rows.
    The batch shrinks with the rows, so that every fit makes as many steps per epoch: else the
    smaller ones would be cut short, and more rows would always seem to help.
    """
    order = np.random.default_rng([seed, len(train)]).permutation(len(train))
    points = []
    for share in sorted(config.learning_curve):
        rows = np.sort(order[: max(2, round(share * len(train)))])
        if len(rows) == len(train):
            break
        least = min(config.batch_size, 2)  # batch normalization refuses a single row
        batch = config.batch_size and max(least, round(share * config.batch_size))
        losses = fit_rows(train.take(rows), dataclasses.replace(config, batch_size=batch))
        points.append(Point(rows=len(rows), losses=losses))
    return points


def constant_loss(train: Rows, val: Rows, task: Task, config: TrainConfig, outputs: int) -> float:
    """The validation loss of the best constant: the training rows' class shares, or their mean
    (the median for an absolute error)."""
    if task.has_classes:
        # on the CPU: with weights, CUDA has no deterministic way to count
        counts = torch.bincount(train.y.cpu(), train.weight.cpu(), minlength=outputs)
        counts = counts.clamp_min(0.5)
        output = (counts / counts.sum()).log()
    elif config.loss == "mae":
        output = train.y.median()[None]
    else:
        output = ((train.weight * train.y).sum() / train.total_weight)[None]
    constant = output.float().to(val.y.device)[None, None].expand(len(val), 1, outputs)  # (n, 1, C)
    return val.mean(choose_loss(config, task)(constant, val.y, config))
