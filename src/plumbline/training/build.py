"""A fresh model of the parameters, fitted: what tune does per fold, and train once."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

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
    """Build a model on `train` rows alone (encoders' state, target transform) and fit it.

    Args:
        target: how the target is scaled; fitted on `train` where none is given.
        start: the network whose tensors it starts from.
        options: further arguments of `training.loop.fit`.
    """
    config = with_epochs(config, spec, len(train))
    augmenter = choose_augmentations(config.augment, spec, seed)
    learned = learn(model, spec, train, start)
    if target is None:
        target = fit_target(config, spec, train)
    device = options.get("world", SINGLE_PROCESS).device
    refuse_too_large(model, config, spec, learned, device)
    with within_memory(model, spec, learned):
        network = build_model(model, spec, learned, seed=seed)
        parts = parts_of(network, spec)
        transfer = begin(
            network,
            model,
            config,
            spec,
            learned,
            parts,
            start,
            train=train,
            target=target,
            seed=seed,
        )
        fitted = fit(
            network,
            train,
            val,
            spec.task,
            config,
            seed=seed,
            target=target,
            augmenter=augmenter,
            parts=parts,
            **options,
        )
    return FreshFit(fitted=fitted, learned=learned, target=target, transfer=transfer)


def learn(
    model: ModelConfig, spec: InputSpec, train: Examples, start: Start | None
) -> dict[str, Any]:
    """What the encoders learn from training rows, or from those of the start network."""
    learned = learn_inputs(model, spec, train.inputs)
    return learned if start is None else start_learned(start, model, spec, learned)


def begin(
    network: nn.Module,
    model: ModelConfig,
    config: TrainConfig,
    spec: InputSpec,
    learned: dict[str, Any],
    parts: Parts,
    start: Start | None,
    *,
    train: Examples,
    target: TargetTransform | None,
    seed: int,
) -> Transfer | None:
    """Give a fresh network its start: the wide part of texts, then the start network's tensors."""
    check_parts(config, parts)
    begin_wide(network, spec, train, target, seed=seed)
    if start is None:
        return None
    transfer = take_tensors(start, network, model, spec, learned)
    check_frozen(config, parts, transfer)
    return transfer
