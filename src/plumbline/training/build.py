"""A fresh model of the parameters, fitted: what tune does per fold, and train once."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from plumbline.config.model import ModelConfig, TrainConfig
from plumbline.examples import Examples, InputSpec
from plumbline.models import build_model, learn_inputs
from plumbline.models.target import TargetTransform
from plumbline.training.augment import choose_augmentations
from plumbline.training.distributed import SINGLE_PROCESS
from plumbline.training.loop import Fitted, fit
from plumbline.training.memory import refuse_too_large, within_memory


@dataclass(frozen=True, kw_only=True)
class FreshFit:
    """The fitted model with what was learned from its training rows besides the weights:
    `learned` by the encoders of its tensors, `target` the scale of the target, if it has one."""

    fitted: Fitted
    learned: dict[str, Any]
    target: TargetTransform | None


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
    **options: Any,
) -> FreshFit:
    """Build a model on `train` rows alone (encoders' state, target transform) and fit it.

    Args:
        target: how the target is scaled; fitted on `train` where none is given.
        options: further arguments of `training.loop.fit`.
    """
    augmenter = choose_augmentations(config.augment, spec, seed)
    learned = learn_inputs(model, spec, train.inputs)
    if target is None:
        target = fit_target(config, spec, train)
    device = options.get("world", SINGLE_PROCESS).device
    refuse_too_large(model, config, spec, learned, device)
    with within_memory(model, spec, learned):
        network = build_model(model, spec, learned, seed=seed)
        fitted = fit(
            network,
            train,
            val,
            spec.task,
            config,
            seed=seed,
            target=target,
            augmenter=augmenter,
            **options,
        )
    return FreshFit(fitted=fitted, learned=learned, target=target)
