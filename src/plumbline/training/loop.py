"""The training loop: rows in, fitted model out; one process or many, on CPU or GPU.

Reads top to bottom: `fit` is the loop over epochs, `train_epoch` the loop over steps,
`update` one optimizer step. A batch is an index into rows that are resident or read ahead, and
nothing waits for the device inside an epoch.

B rows of a batch, K ensemble members, C outputs.
"""

from __future__ import annotations

import contextlib
import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from plumbline.config.model import TrainConfig
from plumbline.examples import Examples
from plumbline.kinds import DoubleArray, IntArray, Task
from plumbline.models import to_prediction
from plumbline.models.parts import Parts
from plumbline.models.target import TargetTransform
from plumbline.training.augment import Augmenter
from plumbline.training.batches import Rows
from plumbline.training.checkpoint import Checkpoints, Run, whole
from plumbline.training.distributed import SINGLE_PROCESS, World
from plumbline.training.divergence import refuse_divergence
from plumbline.training.epoch import Epoch
from plumbline.training.losses import choose_loss
from plumbline.training.optim import add_l1, set_rate
from plumbline.training.setup import Job, prepare
from plumbline.training.sources import Batch

Score = Callable[[IntArray | DoubleArray, DoubleArray], float]
OnEpoch = Callable[[int, dict[str, float]], None]
OnStep = Callable[[int, int, int], None]
Context = contextlib.AbstractContextManager[object]
EVAL_ROWS = 2048  # rows per forward pass outside training, per process
AUTOCAST = {"bf16": torch.bfloat16, "fp16": torch.float16}


@dataclass(frozen=True, kw_only=True)
class Fitted:
    """A model with its best weights, and how it came about.

    `model` is the one that was given, in shards still where sharding made them; `weights` are
    whole and on the CPU. `history` has a dict per epoch: epoch
    (from 1), learning_rate (of its last step), train_loss, val_loss, val_score (where a score was
    given). `best_epoch` is the one whose weights are kept (`config.keep`), `best_score` the
    monitor's value in it; `monitor` is "score" or "loss".
    `seconds` and `rows_per_second` are of this process's life: they belong in no result that
    is to repeat.
    """

    model: nn.Module
    weights: dict[str, Tensor]
    history: list[dict[str, float]]
    best_epoch: int
    best_score: float
    monitor: str
    stopped_early: bool
    seconds: float
    rows_per_second: float


def fit(
    model: nn.Module,
    train: Examples,
    val: Examples,
    task: Task,
    config: TrainConfig,
    *,
    seed: int,
    score: Score | None = None,
    greater_is_better: bool = True,
    target: TargetTransform | None = None,
    world: World = SINGLE_PROCESS,
    augmenter: Augmenter | None = None,
    parts: Parts = MappingProxyType({}),
    checkpoints: Checkpoints | None = None,
    on_epoch: OnEpoch | None = None,
    on_step: OnStep | None = None,
) -> Fitted:
    """Fit a model on `train`, stop by `val`, return it with the weights of its best epoch, or of
    its last one (`config.keep`).

    Args:
        model: takes the examples' tensors by name, (B, *shape), gives (B, K, C); fitted in place.
        target: how a regression's target is scaled for the loss; fitted on training rows.
        score: of (y_true, prediction), the monitor; without one, or where it is no number in
            the first epoch (one class only, say), the validation loss is.
        seed: of the order of rows and of dropout.
        augmenter: changes training rows in each epoch.
        parts: what `config.freeze` and `config.rates` name.
        checkpoints: where to go on from and to save to; without it a killed fit starts anew.
        on_epoch: told (epoch, its row of the history) on every process; may raise to stop.
        on_step: told (epochs done, steps done of the running one, its steps) on every process.

    Raises:
        DivergedError: the loss is infinite or no number.
        ParameterError: a loss, class weight or batch size that does not fit.
        DataError: no rows to train on, or none to validate on.
    """
    begun = time.perf_counter()
    job, run = prepare(
        model,
        train,
        val,
        task,
        config,
        seed=seed,
        target=target,
        world=world,
        augmenter=augmenter,
        parts=parts,
    )
    if checkpoints:
        checkpoints.restore(run, world)
    progress, rows_done = run.progress, 0
    while not progress.done:
        rows_done += job.plan.rows * (job.plan.steps - progress.step) // job.plan.steps
        total_weight = train_epoch(job, run, checkpoints, on_step)
        train_loss = world.sum(run.losses).sum().item() / total_weight
        with run.average.applied():
            prediction, losses = evaluate_rows(model, job.val, task, config, world)
            val_loss = job.val.mean(losses)
            value = math.nan
            if score and world.is_main:
                value = score(val.y, to_units(prediction, target))
            train_loss, val_loss, value = world.broadcast(train_loss, val_loss, value)
            row = {"epoch": progress.epoch + 1, "learning_rate": run.schedule.rate(run.steps - 1)}
            row |= {"train_loss": train_loss, "val_loss": val_loss}
            row |= {"val_score": value} if score else {}
            refuse_divergence(row, job)
            monitored = value if greater_is_better else -value
            better = progress.observe(row, monitored, config)
            if progress.best_epoch == progress.epoch:
                run.best = {name: t.detach().clone() for name, t in model.state_dict().items()}
        run.schedule.observe(better)
        run.losses.zero_()
        if checkpoints and checkpoints.due(progress):
            checkpoints.save(run, world)
        if on_epoch:
            on_epoch(progress.epoch, row)
    with torch.no_grad():
        for name, tensor in model.state_dict().items():
            tensor.copy_(run.best[name])
    seconds = time.perf_counter() - begun
    return Fitted(
        model=model.eval(),
        weights={name: whole(tensor) for name, tensor in run.best.items()},
        history=progress.history,
        best_epoch=progress.best_epoch,
        best_score=progress.history[progress.best_epoch - 1][f"val_{progress.monitor}"],
        monitor=progress.monitor,
        stopped_early=progress.epoch < config.most_epochs,
        seconds=seconds,
        rows_per_second=rows_done / seconds,
    )


def train_epoch(
    job: Job, run: Run, checkpoints: Checkpoints | None = None, on_step: OnStep | None = None
) -> float:
    """The steps of one epoch, from `run.progress.step` on; gives what its rows weigh together.

    The loss of a step is the weighted mean over its rows, on all processes and all
    accumulated batches: each process divides by the whole step's weight, so that an uneven
    last batch counts each row as much as any other.
    """
    progress, epoch = run.progress, Epoch.of(job, run.progress.epoch)
    module = job.forward.in_training(progress.epoch)

    def forward(inputs: Batch) -> Tensor:
        with _precision(job.config, job.world.device):
            output: Tensor = module(**inputs)  # (B, K, C)
        return output.float()

    def row_loss(output: Tensor, y: Tensor) -> Tensor:
        return job.loss(output, y, job.config)  # (B,)

    for step, (scale, batches, inputs) in enumerate(
        epoch.steps(job, progress.step), start=progress.step
    ):
        set_rate(run.optimizer, run.schedule.rate(run.steps))
        for number, ((start, stop), (a, b)) in enumerate(batches):
            _set_dropout_position(run, job, number, start, stop, a, b)
            batch, targets = next(inputs), epoch.targets.take(a, b)
            with _synced(module, number == len(batches) - 1):
                loss = job.objective(forward, batch, targets, row_loss)
                run.scaler.scale(loss * scale).backward()  # type: ignore[no-untyped-call]
            run.losses[step] += loss.detach()
        update(job, run)
        progress.step = step + 1
        if checkpoints and progress.step < job.plan.steps and checkpoints.due(progress):
            checkpoints.save(run, job.world)
        if on_step:
            on_step(progress.epoch, progress.step, job.plan.steps)
    return epoch.total_weight(job)


def update(job: Job, run: Run) -> None:
    """One optimizer step from the gradients at hand."""
    run.scaler.unscale_(run.optimizer)
    if job.config.l1:
        add_l1(job.penalized, job.config.l1)
    if job.config.clip_norm:
        nn.utils.clip_grad_norm_(run.model.parameters(), job.config.clip_norm)
    run.scaler.step(run.optimizer)
    run.scaler.update()
    run.optimizer.zero_grad(set_to_none=True)
    run.average.update()


@torch.no_grad()
def evaluate_rows(
    model: nn.Module, rows: Rows, task: Task, config: TrainConfig, world: World = SINGLE_PROCESS
) -> tuple[Tensor, Tensor]:
    """Predictions (n, C) and losses (n,), unweighted, of all rows, on every process; each row
    is computed by one."""
    loss = choose_loss(config, task)
    model.eval()
    predictions, losses = [], []
    chunks = _chunks(len(rows), world)
    inputs = rows.source.read([(a, b) for a, b, _ in chunks])
    for (a, b, n), batch in zip(chunks, inputs, strict=True):
        with _precision(config, world.device):
            output = model(**batch)  # (B, K, C)
        # a bag gives values in the target's units, in float64
        output = output.to(torch.promote_types(output.dtype, torch.float32))
        predictions.append(world.gather(to_prediction(output, task), n))
        losses.append(world.gather(loss(output, rows.y[a:b], config), n))
    return torch.cat(predictions), torch.cat(losses)


def predict(
    model: nn.Module,
    examples: Examples,
    task: Task,
    config: TrainConfig,
    *,
    target: TargetTransform | None = None,
    world: World = SINGLE_PROCESS,
) -> DoubleArray:
    """Probabilities (n, C), or values (n, C) in the target's units, of a fitted model."""
    rows = Rows.of(examples, task, world.device, target=target, resident_bytes=world.resident_bytes)
    return to_units(evaluate_rows(model, rows, task, config, world)[0], target)


def to_units(prediction: Tensor, target: TargetTransform | None) -> DoubleArray:
    """Probabilities as they are; values back in the target's units."""
    array = prediction.cpu().numpy().astype(np.float64)
    if target is None:
        return array
    return np.asarray(target.inverse(array), dtype=np.float64)


def _chunks(n: int, world: World) -> list[tuple[int, int, int]]:
    """(start, stop) of this process's rows and the number of everyone's, per forward pass;
    as many passes on every process."""
    size = EVAL_ROWS * world.size
    bounds = [(start, min(start + size, n)) for start in range(0, n, size)]
    return [(*world.share(start, stop), stop - start) for start, stop in bounds]


def _precision(
    config: TrainConfig, device: torch.device
) -> contextlib.AbstractContextManager[object]:
    if config.precision == "fp32":
        return contextlib.nullcontext()
    return torch.autocast(device.type, dtype=AUTOCAST[config.precision])


def _synced(forward: nn.Module, last: bool) -> Context:
    """Gradients are added up over processes with the last batch of a step alone."""
    if last or not isinstance(forward, DistributedDataParallel):
        return contextlib.nullcontext()
    return forward.no_sync()


def _set_dropout_position(
    run: Run, job: Job, number: int, start: int, stop: int, a: int, b: int
) -> None:
    """Which rows of which batch come next: dropout masks follow the rows, not the process."""
    if job.noise is not None:
        job.noise.step = run.steps * job.config.accumulate + number
        job.noise.start, job.noise.stop, job.noise.total = a - start, b - start, stop - start
