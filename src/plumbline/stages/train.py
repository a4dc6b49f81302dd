"""train: the final model, fitted on the training rows, stopped by the validation rows."""

from __future__ import annotations

import csv
import dataclasses
import io
import sys
from pathlib import Path
from typing import Any

import numpy as np

from plumbline import artifacts
from plumbline.config import Config, Paths
from plumbline.config.model import TrainConfig
from plumbline.evaluation.metrics import METRICS, score
from plumbline.examples import Examples, InputSpec
from plumbline.files import read_json, write_text
from plumbline.kinds import DoubleArray, FloatArray, Part
from plumbline.manifest import sealed_dir
from plumbline.models import build_model, learn_inputs
from plumbline.preprocessing.balance import resample
from plumbline.stages import Report
from plumbline.stages.inputs import (
    load_part,
    load_spec,
    refuse_unfit,
    resolve_metric,
    with_tuned,
)
from plumbline.store.bundle import save_bundle
from plumbline.training.batches import Rows
from plumbline.training.build import FreshFit, fit_fresh, fit_target
from plumbline.training.checkpoint import Checkpoints, fingerprint
from plumbline.training.curve import constant_loss, learning_curve
from plumbline.training.diagnosis import Diagnosis, Point, curve_json, diagnose
from plumbline.training.distributed import World, join
from plumbline.training.engines import run_stage
from plumbline.training.launched import is_launched
from plumbline.training.loop import evaluate_rows
from plumbline.training.losses import fit_weights
from plumbline.training.lr_finder import sweep, sweep_csv
from plumbline.training.progress import ProgressBar
from plumbline.training.sources import input_bytes

# keys of `train` that say what is reported beside the model
DIAGNOSTICS = ("find_learning_rate", "learning_curve")


def run(config: Config, paths: Paths) -> Report:
    """Read the prepared rows and what tuning found; write the model and its learning curves."""
    error = run_stage(
        "train", paths.root, config.runtime, lambda: _train(with_tuned(config, paths), paths)
    )
    if error is not None:
        raise error
    if is_launched():
        return Report(rows=[])  # the files are the first process's; the launching stage tells
    return _report(paths)


def _train(config: Config, paths: Paths) -> None:
    spec = load_spec(paths)
    train, val = load_part(paths, Part.TRAIN), load_part(paths, Part.VAL)
    refuse_unfit(train, spec, "training")
    refuse_unfit(val, spec, "validation")
    preprocessor = read_json(paths.prepared / artifacts.PREPROCESSOR)
    fitted = resample(train, spec, config.normalize.balance, config.seed)
    checkpoints = Checkpoints(
        folder=paths.state / "checkpoints" / _key(config, paths),
        every_epochs=config.runtime.checkpoint_epochs,
        every_steps=config.runtime.checkpoint_steps,
    )
    with join(config.runtime, config.data.max_memory_mb) as world:
        if world.is_main:
            checkpoints.clean_siblings()
            _tell_source(config, fitted, world)
        fresh = _fit(config, spec, fitted, val, world, checkpoints)
        weights = fit_weights(config.train, spec.task, train.y, fitted.y, spec.n_outputs)
        verdict, points = _diagnose(config, spec, train, val, world, fresh, weights)
        finder = _find_rate(config, spec, fitted, world) if config.train.find_learning_rate else {}
        if not world.is_main:
            return
        values = {key: _at(config, key) for key in sorted(config.tune.space)}
        metadata: dict[str, Any] = {
            "best_epoch": fresh.fitted.best_epoch,
            "seed": config.seed,
            "values": values,
            "train": dataclasses.asdict(config.train),
        }
        for key in DIAGNOSTICS:
            metadata["train"].pop(key)
        with sealed_dir(paths.reports / "training") as folder:
            _write_report(folder, config, spec, fresh, verdict, points, values, finder)
        with sealed_dir(paths.model) as folder:
            save_bundle(
                folder,
                weights=fresh.fitted.weights,
                config=config.model,
                spec=spec,
                learned=fresh.learned,
                target=fresh.target,
                preprocessor=preprocessor,
                metadata=metadata,
            )
        checkpoints.remove()


def _tell_source(config: Config, train: Examples, world: World) -> None:
    """Say that rows are read from their files while the model is fitted, and why."""
    size = input_bytes(train.inputs)
    if size > world.resident_bytes:
        forced = config.runtime.batches == "files"
        why = "runtime.batches" if forced else "too many for data.max_memory_mb"
        print(
            f"reading batches from files: {size / 2**20:,.0f} MiB of training rows ({why})",
            file=sys.stderr,
            flush=True,
        )


def _key(config: Config, paths: Paths) -> str:
    """Names the checkpoint by everything that the fit depends on."""
    content = {
        "seed": config.seed,
        "model": dataclasses.asdict(config.model),
        "train": dataclasses.asdict(config.train) | dict.fromkeys(DIAGNOSTICS),
        "balance": dataclasses.asdict(config.normalize.balance),
        "metric": config.evaluate.metric,
    }
    return fingerprint(content, (p for p in paths.prepared.rglob("*") if p.is_file()))


def _fit(
    config: Config,
    spec: InputSpec,
    train: Examples,
    val: Examples,
    world: World,
    checkpoints: Checkpoints,
) -> FreshFit:
    bar = ProgressBar(
        epochs=config.train.epochs,
        rows=len(train),
        metric=monitored(config, spec),
        enabled=world.is_main,
    )
    with bar:
        return fit_fresh(
            config.model,
            config.train,
            spec,
            train,
            val,
            seed=config.seed,
            **_stopping(config, spec),
            world=world,
            checkpoints=checkpoints,
            on_epoch=bar,
            on_step=bar.within,
        )


def _stopping(config: Config, spec: InputSpec) -> dict[str, Any]:
    """Arguments of a fit that say which epoch is the best."""
    metric = monitored(config, spec)
    if metric is None:
        return {}
    return {
        "score": lambda y, p: score(metric, y, p, spec.task),
        "greater_is_better": METRICS[metric].greater_is_better,
    }


def monitored(config: Config, spec: InputSpec) -> str | None:
    """The metric that early stopping watches; None: the validation loss."""
    name = config.train.monitor
    if name == "loss":
        return None
    if name == "auto":
        return resolve_metric(config.evaluate.metric, spec.task)
    return resolve_metric(name, spec.task, "train.monitor")


def _diagnose(
    config: Config,
    spec: InputSpec,
    train: Examples,
    val: Examples,
    world: World,
    fresh: FreshFit,
    per_class: FloatArray | None,
) -> tuple[Diagnosis, list[Point]]:
    """The verdict, with fits on fewer rows beside the fit on all.

    Losses are weighed as in the fit, by `per_class` (C,). Else a fit on balanced classes would
    be held against the shares that it was told to forget.
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
        # the target in the units of the fit on all rows, or losses could not be compared
        units = fresh.target
        fit = fit_fresh(
            config.model,
            how,
            spec,
            resample(fewer, spec, config.normalize.balance, config.seed),
            val,
            seed=config.seed,
            target=units,
            **_stopping(config, spec),
            world=world,
        )
        return losses(fit, rows[1])

    points = learning_curve(fit_rows, train, config.train, seed=config.seed)
    points.append(Point(rows=len(train), losses=losses(fresh, rows[1])))
    verdict = diagnose(
        history=fitted.history,
        best_epoch=fitted.best_epoch,
        stopped_early=fitted.stopped_early,
        train_loss=float(losses(fresh, rows[0]).mean()),
        constant_loss=constant_loss(rows[0], rows[1], task, config.train, spec.n_outputs),
        curve=points,
    )
    return verdict, points


def _find_rate(
    config: Config, spec: InputSpec, train: Examples, world: World
) -> dict[str, str | float]:
    """The learning-rate finder's sweep and proposal."""
    learned = learn_inputs(config.model, spec, train.inputs)
    target = fit_target(config.train, spec, train)
    model = build_model(config.model, spec, learned, seed=config.seed)
    result = sweep(
        model, train, spec.task, config.train, seed=config.seed, target=target, world=world
    )
    return {"sweep": sweep_csv(result), "proposal": result.proposal}


def _write_report(
    folder: Path,
    config: Config,
    spec: InputSpec,
    fresh: FreshFit,
    verdict: Diagnosis,
    points: list[Point],
    values: dict[str, Any],
    finder: dict[str, Any],
) -> None:
    fitted = fresh.fitted
    metric = monitored(config, spec)
    write_text(artifacts.inside(folder, artifacts.CURVES), curves_csv(fitted.history, metric))
    if finder:
        write_text(artifacts.inside(folder, artifacts.RATE_SWEEP), finder["sweep"])
    summary = artifacts.TrainingSummary(
        model=config.model.name,
        parameters=sum(t.numel() for t in fitted.weights.values()),
        values=values,
        epochs=len(fitted.history),
        best_epoch=fitted.best_epoch,
        stopped_early=fitted.stopped_early,
        monitor=metric if metric is not None and fitted.monitor == "score" else "loss",
        best_score=fitted.best_score,
        verdict=verdict.to_json(),
        learning_curve=curve_json(points),
        proposed_learning_rate=finder.get("proposal"),
    )
    artifacts.write(summary, folder)


def curves_csv(history: list[dict[str, float]], metric: str | None) -> str:
    """The history of a fit, a line per epoch; the score under its metric's name."""
    text = io.StringIO()
    names = ["epoch", "learning_rate", "train_loss", "val_loss"]
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow([*names, f"val_{metric}"] if metric else names)
    for row in history:
        values = [row[name] for name in names[1:]] + ([row["val_score"]] if metric else [])
        writer.writerow([int(row["epoch"]), *values])
    return text.getvalue()


def _at(config: Config, key: str) -> Any:
    """The value of `section.name`."""
    value: Any = config
    for name in key.split("."):
        value = getattr(value, name)
    return value


def _report(paths: Paths) -> Report:
    summary = artifacts.read(artifacts.TrainingSummary, paths.root)
    fit, more = summary.verdict["text"]
    rows = [
        ("model", f"{summary.model}, {summary.parameters:,} parameters"),
        (
            "values",
            ", ".join(
                f"{k} {v:.4g}" if isinstance(v, float) else f"{k} {v}"
                for k, v in summary.values.items()
            ),
        ),
        ("best epoch", f"{summary.best_epoch} of {summary.epochs}"),
        (f"validation {summary.monitor}", f"{summary.best_score:.4f}"),
        ("verdict", fit),
        ("more rows", more),
    ]
    if summary.proposed_learning_rate is not None:
        rows.append(("proposed rate", f"{summary.proposed_learning_rate:.2e}"))
    return Report(rows=rows, outputs=[paths.reports / "training", paths.model])
