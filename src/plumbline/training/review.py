"""What is said of a fit when it is done: a diagnosis, its history, the rate it could have."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence

import numpy as np

from plumbline.config import Config
from plumbline.config.model import TrainConfig
from plumbline.examples import Examples, InputSpec
from plumbline.kinds import DoubleArray, FloatArray
from plumbline.preprocessing.balance import resample
from plumbline.training.batches import Plan, Rows
from plumbline.training.build import FreshFit, begin_fresh, fit_fresh
from plumbline.training.criteria import Criterion
from plumbline.training.curve import constant_loss, learning_curve
from plumbline.training.diagnosis import Diagnosis, Point, diagnose
from plumbline.training.distributed import World
from plumbline.training.loop import evaluate_rows
from plumbline.training.lr_finder import Sweep, sweep
from plumbline.training.transfer import Start


def review_fit(
    config: Config,
    spec: InputSpec,
    train: Examples,
    val: Examples,
    fresh: FreshFit,
    *,
    per_class: FloatArray | None,
    criterion: Criterion | None,
    world: World,
    start: Start | None = None,
) -> tuple[Diagnosis, list[Point]]:
    """The diagnosis of a fit, with fits on fewer rows beside the fit on all.

    Args:
        per_class: weights (C,) of the loss in the fit, by which losses are weighed here too.
            Else a fit on balanced classes would be held against the shares that it was told to
            forget.
        criterion: what early stopping watched; None: the validation loss.
        start: the network that the fit started from; those on fewer rows do too.
    """
    fitted, task = fresh.fitted, spec.task
    rows = [
        Rows.of(
            examples,
            task,
            world.device,
            target=fresh.target,
            per_class=per_class,
            resident_bytes=world.resident_bytes,
        )
        for examples in (train, val)
    ]

    def losses(fit: FreshFit, of: Rows) -> DoubleArray:
        """Scaled by the rows' weights, so that their mean is the weighted one."""
        lost = evaluate_rows(fit.fitted.model, of, task, config.train, world)[1]
        scale = of.weight.double() * (len(of) / of.total_weight)
        return np.asarray((lost * scale).cpu(), dtype=np.float64)

    def fit_rows(fewer: Examples, how: TrainConfig) -> DoubleArray:
        fit = fit_fresh(
            config.model,
            how,
            spec,
            resample(fewer, spec, config.normalize.balance, config.seed),
            val,
            seed=config.seed,
            start=start,
            target=fresh.target,  # the units of the fit on all rows, or losses were not comparable
            **(criterion.stopping(task) if criterion else {}),
            world=world,
        )
        return losses(fit, rows[1])

    points = learning_curve(fit_rows, train, config.train, seed=config.seed)
    points.append(Point(rows=len(train), losses=losses(fresh, rows[1])))
    sign = -1.0 if criterion and criterion.greater_is_better else 1.0
    monitored = [row[f"val_{fitted.monitor}"] for row in fitted.history]
    diagnosis = diagnose(
        history=fitted.history,
        monitored=[sign * value for value in monitored] if fitted.monitor == "score" else monitored,
        best_epoch=fitted.best_epoch,
        stopped_early=fitted.stopped_early,
        steps=Plan.of(len(train), config.train).steps,
        train_loss=float(losses(fresh, rows[0]).mean()),
        constant_loss=constant_loss(rows[0], rows[1], task, config.train, spec.n_outputs),
        train_constant_loss=constant_loss(rows[0], rows[0], task, config.train, spec.n_outputs),
        curve=points,
    )
    return diagnosis, points


def find_rate(
    config: Config,
    spec: InputSpec,
    train: Examples,
    world: World,
    start: Start | None = None,
) -> Sweep:
    """The learning-rate finder's sweep, over a model of its own."""
    fresh = begin_fresh(
        config.model,
        config.train,
        spec,
        train,
        seed=config.seed,
        device=world.device,
        start=start,
    )
    return sweep(
        fresh.network,
        train,
        spec.task,
        config.train,
        seed=config.seed,
        target=fresh.target,
        world=world,
        parts=fresh.parts,
    )


def curves_csv(history: Sequence[dict[str, float]], metric: str | None) -> str:
    """The history of a fit, a line per epoch; the score under its metric's name."""
    text = io.StringIO()
    names = ["epoch", "learning_rate", "train_loss", "val_loss"]
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow([*names, f"val_{metric}"] if metric else names)
    for row in history:
        values = [row[name] for name in names[1:]] + ([row["val_score"]] if metric else [])
        writer.writerow([int(row["epoch"]), *values])
    return text.getvalue()
