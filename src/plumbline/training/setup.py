"""What a fit is made of: rows on the device, the model spread over processes, its optimizer."""

from __future__ import annotations

from dataclasses import dataclass
from types import MappingProxyType

import torch
from torch import nn

from plumbline.config.model import TrainConfig
from plumbline.errors import DataError
from plumbline.examples import Examples
from plumbline.kinds import Task
from plumbline.models.layers import DropoutContext, SampleDropout
from plumbline.models.parts import Parts
from plumbline.models.target import TargetTransform
from plumbline.training.augment import Augmenter
from plumbline.training.batches import Plan, Rows
from plumbline.training.checkpoint import Run
from plumbline.training.distributed import World, place
from plumbline.training.freeze import Forward, rate_factors
from plumbline.training.losses import Loss, choose_loss, class_weights
from plumbline.training.objectives import OBJECTIVES, Objective
from plumbline.training.optim import EMA, decayed_names, make_optimizer
from plumbline.training.schedule import Schedule


@dataclass(frozen=True, kw_only=True)
class Job:
    """What stays the same while a model is fitted."""

    forward: Forward
    train: Rows
    val: Rows
    plan: Plan
    loss: Loss
    objective: Objective
    augmenter: Augmenter | None
    task: Task
    config: TrainConfig
    seed: int
    world: World
    penalized: list[nn.Parameter]  # by L1
    noise: DropoutContext | None  # what the model's dropout layers read


def prepare(
    model: nn.Module,
    train: Examples,
    val: Examples,
    task: Task,
    config: TrainConfig,
    *,
    seed: int,
    target: TargetTransform | None,
    world: World,
    augmenter: Augmenter | None = None,
    parts: Parts = MappingProxyType({}),
) -> tuple[Job, Run]:
    """Rows onto the device, the model spread over processes, optimizer and schedule made."""
    for examples, key in ((train, "train"), (val, "validation")):
        if len(examples) == 0:
            raise DataError(f"there are no {key} rows", hint="change the shares in split")
    torch.manual_seed(seed)
    per_class = class_weights(config, task, train.y, _outputs(model, train))
    decayed = decayed_names(model)
    place(model, world)
    has_batch_norm = any(isinstance(m, nn.modules.batchnorm._BatchNorm) for m in model.modules())
    plan = Plan.of(len(train), config, has_batch_norm=has_batch_norm)

    def rows(examples: Examples) -> Rows:
        most = world.resident_bytes
        return Rows.of(
            examples, task, world.device, target=target, per_class=per_class, resident_bytes=most
        )

    job = Job(
        forward=Forward(model, config, parts, world),
        train=rows(train),
        val=rows(val),
        plan=plan,
        loss=choose_loss(config, task),
        objective=OBJECTIVES["mixed" if augmenter and augmenter.mixing else "plain"],
        augmenter=augmenter,
        task=task,
        config=config,
        seed=seed,
        world=world,
        penalized=[p for name, p in model.named_parameters() if name in decayed],
        noise=next((m.noise for m in model.modules() if isinstance(m, SampleDropout)), None),
    )
    run = Run(
        model=model,
        optimizer=make_optimizer(model, config, decayed, rate_factors(config, parts)),
        schedule=Schedule(config, plan.steps),
        average=EMA(model, config.average),
        scaler=torch.amp.GradScaler(world.device.type, enabled=config.precision == "fp16"),
        losses=torch.zeros(plan.steps, dtype=torch.float64, device=world.device),
    )
    return job, run


@torch.no_grad()
def _outputs(model: nn.Module, examples: Examples) -> int:
    one = examples.take(slice(0, 1)).inputs
    return int(model.eval()(**{n: torch.tensor(array) for n, array in one.items()}).shape[-1])
