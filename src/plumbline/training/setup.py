"""What a fit is made of: rows on the device, the model spread over processes, its optimizer."""

from __future__ import annotations

import os
import shutil
from dataclasses import dataclass

import torch
from torch import nn

from plumbline.config.model import TrainConfig
from plumbline.errors import DataError, ParameterError
from plumbline.examples import Examples
from plumbline.kinds import Task
from plumbline.models.layers import DropoutContext, SampleDropout
from plumbline.models.target import TargetTransform
from plumbline.training.augment import Augmenter
from plumbline.training.batches import Plan, Rows
from plumbline.training.checkpoint import Run
from plumbline.training.distributed import World, spread
from plumbline.training.losses import Loss, choose_loss, class_weights
from plumbline.training.objectives import OBJECTIVES, Objective
from plumbline.training.optim import EMA, decayed_names, make_optimizer
from plumbline.training.schedule import Schedule


@dataclass(frozen=True, kw_only=True)
class Job:
    """What stays the same while a model is fitted."""

    forward: nn.Module  # the model, wrapped to add up gradients over processes
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
) -> tuple[Job, Run]:
    """Rows onto the device, the model spread over processes, optimizer and schedule made."""
    for examples, key in ((train, "train"), (val, "validation")):
        if len(examples) == 0:
            raise DataError(f"there are no {key} rows", hint="change the shares in split")
    torch.manual_seed(seed)
    per_class = class_weights(config, task, train.y, _outputs(model, train))
    decayed = decayed_names(model)
    forward = spread(model, world)
    has_batch_norm = any(isinstance(m, nn.modules.batchnorm._BatchNorm) for m in model.modules())
    plan = Plan.of(len(train), config, has_batch_norm=has_batch_norm)

    def rows(examples: Examples) -> Rows:
        most = world.resident_bytes
        return Rows.of(
            examples, task, world.device, target=target, per_class=per_class, resident_bytes=most
        )

    job = Job(
        forward=_compiled(forward, world.device) if world.compile else forward,
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
        optimizer=make_optimizer(model, config, decayed),
        schedule=Schedule(config, plan.steps),
        average=EMA(model, config.average),
        scaler=torch.amp.GradScaler(world.device.type, enabled=config.precision == "fp16"),
        losses=torch.zeros(plan.steps, dtype=torch.float64, device=world.device),
    )
    return job, run


def _compiled(forward: nn.Module, device: torch.device) -> nn.Module:
    """By torch.compile, which on a CPU writes C++."""
    compiler = os.environ.get("CXX", "g++")
    if device.type == "cpu" and shutil.which(compiler) is None:
        raise ParameterError(
            f"torch.compile needs a C++ compiler on a CPU, and there is no {compiler}",
            file="params.yaml",
            where="runtime.compile",
            hint="set it to false, or install one",
        )
    for module in forward.modules():
        if isinstance(module, SampleDropout):
            eager = torch.compiler.disable(module.mask)  # type: ignore[no-untyped-call]
            module.mask = eager  # type: ignore[method-assign]
    compiled: nn.Module = torch.compile(forward)  # type: ignore[assignment]
    return compiled


@torch.no_grad()
def _outputs(model: nn.Module, examples: Examples) -> int:
    one = examples.take(slice(0, 1)).inputs
    return int(model.eval()(**{n: torch.tensor(array) for n, array in one.items()}).shape[-1])
