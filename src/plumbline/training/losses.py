"""Losses per row, and what each row weighs.

Every loss maps an output (B, K, C) of K ensemble members to one value per row (B,), the mean
over members: C logits for a classification, one standardized value for a regression. Weighting
and averaging over rows happen in one place, the loop, so that they are exact over processes.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from plumbline.config.model import TrainConfig
from plumbline.errors import ParameterError, choose
from plumbline.kinds import DoubleArray, FloatArray, IntArray, Task

Loss = Callable[[Tensor, Tensor, TrainConfig], Tensor]


def cross_entropy(output: Tensor, y: Tensor, config: TrainConfig) -> Tensor:
    """Cross-entropy with label smoothing (Szegedy et al. 2016, section 7)."""
    logits, label = _flat(output, y)  # (B*K, C), (B*K,)
    loss = F.cross_entropy(logits, label, reduction="none", label_smoothing=config.label_smoothing)
    return _over_members(loss, output)


def focal(output: Tensor, y: Tensor, config: TrainConfig) -> Tensor:
    """Focal loss, -(1 - p)^gamma log p of the true class (Lin et al. 2017, equation 4)."""
    logits, label = _flat(output, y)
    log_p = F.log_softmax(logits, dim=-1).gather(1, label[:, None]).squeeze(1)
    # away from p = 1, where the power's slope is infinite for gamma below 1
    miss = (-torch.expm1(log_p)).clamp_min(torch.finfo(log_p.dtype).eps)
    return _over_members(-miss.pow(config.focal_gamma) * log_p, output)


def hinge(output: Tensor, y: Tensor, config: TrainConfig) -> Tensor:
    """Multi-class hinge: the best wrong logit must lie 1 below the right one
    (Crammer and Singer 2001)."""
    logits, label = _flat(output, y)
    right = logits.gather(1, label[:, None])
    wrong = logits.scatter(1, label[:, None], -torch.inf).amax(dim=1)
    return _over_members(F.relu(1 - right.squeeze(1) + wrong), output)


def mse(output: Tensor, y: Tensor, config: TrainConfig) -> Tensor:
    """Squared error."""
    return (output.squeeze(-1) - y[:, None]).square().mean(dim=1)


def mae(output: Tensor, y: Tensor, config: TrainConfig) -> Tensor:
    """Absolute error."""
    return (output.squeeze(-1) - y[:, None]).abs().mean(dim=1)


def huber(output: Tensor, y: Tensor, config: TrainConfig) -> Tensor:
    """Squared error within `huber_delta`, linear beyond it (Huber 1964)."""
    value = output.squeeze(-1)
    loss = F.huber_loss(
        value, y[:, None].expand_as(value), reduction="none", delta=config.huber_delta
    )
    return loss.mean(dim=1)


LOSSES: dict[str, Loss] = {
    "cross_entropy": cross_entropy,
    "focal": focal,
    "hinge": hinge,
    "mse": mse,
    "mae": mae,
    "huber": huber,
}


def choose_loss(config: TrainConfig, task: Task) -> Loss:
    """The loss of the parameters.

    Raises:
        ParameterError: the loss does not fit the task.
    """
    return choose(LOSSES, loss_name(config, task), "train.loss")


def loss_name(config: TrainConfig, task: Task) -> str:
    """The name of the loss of the parameters; `auto` is the first of the task's.

    Raises:
        ParameterError: the loss does not fit the task.
    """
    fitting = task.spec.losses
    name = fitting[0] if config.loss == "auto" else config.loss
    if name in LOSSES and name not in fitting:
        raise ParameterError(
            f"'{name}' is no loss for a {task} task",
            file="params.yaml",
            where="train.loss",
            hint=f"choose auto, {' or '.join(fitting)}",
        )
    return name


def class_weights(
    config: TrainConfig, task: Task, y: IntArray | DoubleArray, n_classes: int
) -> FloatArray | None:
    """What the rows of each class count in the loss, (C,), or None where all count the same.

    `balanced` gives class c the weight n / (C * n_c) over the training rows `y` (King and Zeng
    2001), C being the classes that have any.

    Raises:
        ParameterError: class weights of a task without classes, or not as many as there are.
    """
    if config.class_weights == "none":
        return None
    if not task.has_classes:
        raise ParameterError(
            f"a {task} task has no classes to weigh",
            file="params.yaml",
            where="train.class_weights",
            hint="set it to none",
        )
    if config.class_weights == "balanced":
        counts = np.bincount(y.astype(np.int64), minlength=n_classes)
        balanced = len(y) / (np.count_nonzero(counts) * np.maximum(counts, 1))
        return balanced.astype(np.float32)
    if len(config.class_weights) != n_classes:
        raise ParameterError(
            "wrong number of class weights",
            file="params.yaml",
            where="train.class_weights",
            wanted=f"{n_classes}, one per class in the order of the classes",
            got=len(config.class_weights),
        )
    return np.asarray(config.class_weights, dtype=np.float32)


def fit_weights(
    config: TrainConfig,
    task: Task,
    y: IntArray | DoubleArray,
    fitted: IntArray | DoubleArray,
    n_classes: int,
) -> FloatArray | None:
    """What a training row of each class counted for in a fit, (C,), or None where all counted the
    same: its class weight, times the rows that resampling made of it.

    Args:
        y: (n,) of the training rows; `fitted` (m,) of those they became by resampling.
    """
    weights = class_weights(config, task, fitted, n_classes)
    if fitted is y or not task.has_classes:
        return weights
    before = np.bincount(y.astype(np.int64), minlength=n_classes)
    after = np.bincount(fitted.astype(np.int64), minlength=n_classes)
    repeated = np.where(before > 0, after / np.maximum(before, 1), 1.0).astype(np.float32)
    return repeated if weights is None else weights * repeated


def _flat(output: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
    """(B, K, C), (B,) → (B*K, C), (B*K,): every member answers for every row."""
    members = output.shape[1]
    return output.flatten(0, 1), y.repeat_interleave(members) if members > 1 else y


def _over_members(loss: Tensor, output: Tensor) -> Tensor:
    return loss.view(output.shape[:2]).mean(dim=1) if output.shape[1] > 1 else loss
