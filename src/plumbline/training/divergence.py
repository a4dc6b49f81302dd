"""A loss that left the numbers: what in the settings and the rows can have done it."""

from __future__ import annotations

import math
from collections.abc import Iterator

import torch
from torch import Tensor

from plumbline.config.model import TrainConfig
from plumbline.errors import ParameterError
from plumbline.training.batches import Rows
from plumbline.training.setup import Job

SOUND_RATE = 1e-3  # a learning rate that any optimizer survives
LARGE = 1e4  # of what a model reads or is fitted to; scaled numbers are about 1
HALF = 65504  # the largest number of fp16
STRONG_L1 = 0.1
STRONG_GAMMA = 10
READ_ROWS = 4096  # at once, in the search for a large number


class DivergedError(ParameterError):
    """The loss is infinite or no number; `where` is the most likely cause of those that apply."""


def refuse_divergence(row: dict[str, float], job: Job) -> None:
    """Go on while both losses of an epoch are finite.

    Raises:
        DivergedError: one is not; names each setting that can have done it, the likeliest first.
    """
    if math.isfinite(row["train_loss"]) and math.isfinite(row["val_loss"]):
        return
    causes = [*_rows(job), *_settings(job.config)]
    rate = job.config.learning_rate
    if rate > SOUND_RATE or not causes:
        lower = min(rate / 10, SOUND_RATE)
        causes.append(("train.learning_rate", f"set it to {lower:g} (it is {rate:g})"))
        if not job.config.clip_norm:
            causes.append(("train.clip_norm", "set it to 1.0 (it is null)"))
    (where, first), *others = causes
    also = "".join(f"; or {key}: {hint}" for key, hint in others)
    raise DivergedError(
        f"the loss is no longer a finite number in epoch {row['epoch']}",
        file="params.yaml",
        where=where,
        got=f"train loss {row['train_loss']}, validation loss {row['val_loss']}",
        hint=first + also,
    )


def _rows(job: Job) -> Iterator[tuple[str, str]]:
    """What the rows hold that a loss does not survive: (key, hint)."""
    for rows, part in ((job.train, "training"), (job.val, "validation")):
        largest = _largest_input(rows)
        if not largest <= LARGE:
            yield (
                "normalize.scale",
                f"the prepared {part} rows hold numbers up to {largest:.3g}, where scaled ones "
                "are about 1; set it to quantile or set normalize.clip to 10",
            )
            break
    yield from _weights(job.train, job.config)
    if job.task.spec.scaled:
        yield from _targets(job)


def _targets(job: Job) -> Iterator[tuple[str, str]]:
    for rows, part in ((job.train, "training"), (job.val, "validation")):
        largest = _largest(rows.y)
        if not largest <= LARGE:
            none = job.config.target_transform == "none"
            yield (
                "train.target_transform",
                f"the target of the {part} rows reaches {largest:.3g} in units of the loss; "
                + ("set it to standard or quantile" if none else "set it to quantile")
                + ("" if job.config.loss in ("mae", "huber") else ", or train.loss to huber"),
            )
            break


def _weights(rows: Rows, config: TrainConfig) -> Iterator[tuple[str, str]]:
    largest = _largest(rows.weight)
    if config.class_weights != "none" and not largest <= LARGE:
        yield "train.class_weights", f"a row weighs up to {largest:.3g}; set it to balanced or none"


def _settings(config: TrainConfig) -> Iterator[tuple[str, str]]:
    """Settings that make weights grow, or numbers too large for their type: (key, hint)."""
    if config.precision == "fp16":
        yield "train.precision", f"fp16 holds no number above {HALF}; set it to bf16 or fp32"
    pull = config.learning_rate * config.weight_decay
    if pull > 2 and config.optimizer in ("adamw", "sgd"):
        yield (
            "train.weight_decay",
            f"times the learning rate it is {pull:.3g}, and above 2 weights grow with every step; "
            f"set it below {1 / config.learning_rate:.3g}",
        )
    if config.l1 >= STRONG_L1:
        yield "train.l1", f"set it below {STRONG_L1} (it is {config.l1:g})"
    if config.loss == "focal" and config.focal_gamma > STRONG_GAMMA:
        yield "train.focal_gamma", f"set it to 2 (it is {config.focal_gamma:g})"


def _largest_input(rows: Rows) -> float:
    """Of the numbers that a model reads."""
    bounds = [(a, min(a + READ_ROWS, len(rows))) for a in range(0, len(rows), READ_ROWS)]
    return _largest(
        torch.tensor(
            [
                _largest(tensor)
                for batch in rows.source.read(bounds)
                for tensor in batch.values()
                if tensor.is_floating_point()
            ]
        )
    )


def _largest(values: Tensor) -> float:
    """The largest absolute value; infinite or no number where one of them is."""
    if not values.numel():
        return 0.0
    low, high = torch.aminmax(values)
    return float(torch.maximum(-low, high))
