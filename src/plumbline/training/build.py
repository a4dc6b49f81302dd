"""A fresh model of the parameters, fitted: what tune does per fold, and train once."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from plumbline.config.model import ModelConfig, TrainConfig
from plumbline.examples import Examples, InputSpec
from plumbline.models import build_model, learn_inputs
from plumbline.models.parts import Parts, parts_of
from plumbline.models.target import TargetTransform
from plumbline.training.augment import choose_augmentations
from plumbline.training.batches import with_epochs
from plumbline.training.distributed import SINGLE_PROCESS
from plumbline.training.freeze import check_parts
from plumbline.training.loop import Fitted, fit
from plumbline.training.memory import refuse_too_large, within_memory
from plumbline.training.transfer import (
    Start,
    Transfer,
    check_frozen,
    start_learned,
    take_tensors,
)
from plumbline.training.wide import begin_wide


@dataclass(frozen=True, kw_only=True)
class FreshFit:
    """The fitted model with what was learned from its training rows besides the weights:
    `learned` by the encoders of its tensors, `target` the scale of the target, if it has one.
    `transfer`: what was taken of the network that it started from, if there is one."""

    fitted: Fitted
    learned: dict[str, Any]
    target: TargetTransform | None
    transfer: Transfer | None = None


def fit_target(config: TrainConfig, spec: InputSpec, train: Examples) -> TargetTransform | None:
    """How the target is scaled for the loss, by training rows; None where the task scales none."""
    if not spec.task.spec.scaled:
        return None
    return TargetTransform.fit(train.y, config.target_transform)


@dataclass(frozen=True, kw_only=True)
class Fresh:
    """A network before its first step, with what `FreshFit` keeps of it, and its parts."""

    network: nn.Module
    learned: dict[str, Any]
    target: TargetTransform | None
    parts: Parts
    transfer: Transfer | None


def begin_fresh(
    model: ModelConfig,
    config: TrainConfig,
    spec: InputSpec,
    train: Examples,
    *,
    seed: int,
    device: torch.device,
    target: TargetTransform | None = None,
    start: Start | None = None,
) -> Fresh:
    """Build a model on `train` rows alone: encoders' state, target transform, the start of the wide
    part of texts, then the start network's tensors.

    Args:
        device: on which it will be fitted; too large a network for it is refused.
        target: how the target is scaled; fitted on `train` where none is given.
        start: the network whose tensors it starts from.
    """
    learned = learn(model, spec, train, start)
    if target is None:
        target = fit_target(config, spec, train)
    refuse_too_large(model, config, spec, learned, device)
    with within_memory(model, spec, learned):
        network = build_model(model, spec, learned, seed=seed)
        parts = parts_of(network, spec)
        check_parts(config, parts)
        begin_wide(network, spec, train, target, seed=seed)
        transfer = None if start is None else take_tensors(start, network, model, spec, learned)
    if transfer is not None:
        check_frozen(config, parts, transfer)
    return Fresh(network=network, learned=learned, target=target, parts=parts, transfer=transfer)


def fit_fresh(
    model: ModelConfig,
    config: TrainConfig,
    spec: InputSpec,
    train: Examples,
    val: Examples,
    *,
    seed: int,
    target: TargetTransform | None = None,
    start: Start | None = None,
    **options: Any,
) -> FreshFit:
    """Build a model and fit it.

    Args:
        options: further arguments of `training.loop.fit`; the others are those of `begin_fresh`.
    """
    config = with_epochs(config, spec, len(train))
    augmenter = choose_augmentations(config.augment, spec, seed)
    device = options.get("world", SINGLE_PROCESS).device
    fresh = begin_fresh(
        model, config, spec, train, seed=seed, device=device, target=target, start=start
    )
    with within_memory(model, spec, fresh.learned):
        fitted = fit(
            fresh.network,
            train,
            val,
            spec.task,
            config,
            seed=seed,
            target=fresh.target,
            augmenter=augmenter,
            parts=fresh.parts,
            **options,
        )
    return FreshFit(
        fitted=fitted, learned=fresh.learned, target=fresh.target, transfer=fresh.transfer
    )


def learn(
    model: ModelConfig, spec: InputSpec, train: Examples, start: Start | None
) -> dict[str, Any]:
    """What the encoders learn from training rows, or from those of the start network."""
    learned = learn_inputs(model, spec, train.inputs)
    return learned if start is None else start_learned(start, model, spec, learned)
