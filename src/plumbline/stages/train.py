"""train: the final model, fitted on the training rows, stopped by the validation rows."""

from __future__ import annotations

import dataclasses
import sys
import time
from datetime import UTC, datetime
from typing import Any

from plumbline import artifacts
from plumbline.config import Config, Paths
from plumbline.config.runtime import count_threads
from plumbline.examples import Examples
from plumbline.files import read_json, write_text
from plumbline.kinds import Part
from plumbline.manifest import sealed_dir
from plumbline.models import build_on_meta
from plumbline.models.architecture import describe
from plumbline.models.parts import parts_of
from plumbline.stages import Report
from plumbline.stages.inputs import load_part, load_spec, with_tuned
from plumbline.stages.networks import NetworkFit, balanced, fit_networks, load_fold, monitor_of
from plumbline.stages.start import with_number_embedding
from plumbline.store.bundle import save_bundle
from plumbline.store.bundle_files import WEIGHTS
from plumbline.store.fitted import note_fit
from plumbline.training.bag import Whole
from plumbline.training.batches import with_epochs
from plumbline.training.build import FreshFit
from plumbline.training.checkpoint import Checkpoints, fingerprint
from plumbline.training.criteria import Criterion
from plumbline.training.device import choose_device, device_name
from plumbline.training.diagnosis import Diagnosis, Point, curve_json
from plumbline.training.distributed import World, join
from plumbline.training.engines import run_stage
from plumbline.training.freeze import frozen_parameters
from plumbline.training.launched import is_launched
from plumbline.training.losses import fit_weights
from plumbline.training.lr_finder import Sweep, sweep_csv
from plumbline.training.review import curves_csv, find_rate, review_fit
from plumbline.training.sources import input_bytes
from plumbline.training.transfer import Transfer, reasons

# keys of `train` that say what is reported beside the model
DIAGNOSTICS = ("find_learning_rate", "learning_curve")


def run(config: Config, paths: Paths) -> Report:
    """Read the prepared rows and what tuning found; write the model and its learning curves."""
    began, begun = datetime.now(UTC), time.perf_counter()
    error = run_stage(
        "train", paths.root, config.runtime, lambda: _train(with_tuned(config, paths), paths)
    )
    if error is not None:
        raise error
    if is_launched():
        return Report(rows=[])  # the files are the first process's; the launching stage tells
    processes = config.runtime.processes
    threads = count_threads(config.runtime, processes)
    note_fit(
        paths.state,
        paths.model / WEIGHTS,
        began=began,
        seconds=time.perf_counter() - begun,
        device=device_name(choose_device(config.runtime)),
        threads=f"{threads} in each of {processes} processes" if processes > 1 else str(threads),
    )
    return _report(paths)


def _train(config: Config, paths: Paths) -> None:
    config = with_number_embedding(config, paths, len(load_part(paths, Part.TRAIN)))
    spec = load_spec(paths)
    preprocessor = read_json(paths.prepared / artifacts.PREPROCESSOR)
    first = load_fold(config, paths, spec)
    fitted, criterion = balanced(config, first), monitor_of(config, spec)
    config = dataclasses.replace(config, train=with_epochs(config.train, spec, len(fitted)))
    checkpoints = Checkpoints(
        folder=paths.state / "checkpoints" / _key(config, paths),
        every_epochs=config.runtime.checkpoint_epochs,
        every_steps=config.runtime.checkpoint_steps,
    )
    with join(config.runtime, config.data.max_memory_mb) as world:
        if world.is_main:
            checkpoints.clean_siblings()
            _tell_source(config, fitted, world)
        fits = fit_networks(config, paths, spec, first, world, checkpoints)
        fresh = fits[0].fresh
        weights = fit_weights(config.train, spec.task, first.train.y, fitted.y, spec.n_outputs)
        diagnosis, points = review_fit(
            config,
            first.spec,
            first.train,
            first.val,
            fresh,
            per_class=weights,
            criterion=criterion,
            world=world,
            start=first.start,
        )
        finder = None
        if config.train.find_learning_rate:
            finder = find_rate(config, first.spec, fitted, world, first.start)
        if not world.is_main:
            return
        values = {key: _at(config, key) for key in sorted(config.tune.space)}
        metadata: dict[str, Any] = {
            "best_epoch": fresh.fitted.best_epoch,
            "seed": config.seed,
            "values": values,
            "train": dataclasses.asdict(config.train),
        }
        for key in (*DIAGNOSTICS, "bag"):
            metadata["train"].pop(key)
        with sealed_dir(paths.reports / "training") as folder:
            network = build_on_meta(config.model, first.spec, fresh.learned)
            last = len(fresh.fitted.history) - 1
            for name in frozen_parameters(config.train, parts_of(network, first.spec), last):
                network.get_parameter(name).requires_grad_(False)
            architecture = describe(network, first.spec)
            artifacts.write(architecture, folder)
            if spec.networks:
                artifacts.write(_bag_summary(fits), folder)
            summary = _summary(
                config, paths, fresh, architecture, diagnosis, points, criterion, values, finder
            )
            artifacts.write(summary, folder)
            metric = criterion.name if criterion else None
            curves = curves_csv(fresh.fitted.history, metric)
            write_text(artifacts.inside(folder, artifacts.CURVES), curves)
            if finder is not None:
                write_text(artifacts.inside(folder, artifacts.RATE_SWEEP), sweep_csv(finder))
        whole = Whole.of([fit.fresh for fit in fits], spec)
        with sealed_dir(paths.model) as folder:
            save_bundle(
                folder,
                weights=whole.weights,
                config=config.model,
                spec=spec,
                learned=whole.learned,
                target=whole.target,
                preprocessor=preprocessor,
                metadata=metadata,
            )
        checkpoints.remove()


def _bag_summary(fits: list[NetworkFit]) -> artifacts.BagSummary:
    return artifacts.BagSummary(
        networks=[
            {
                "rows": fit.rows,
                "held_out": fit.held_out,
                "epochs": len(fit.fresh.fitted.history),
                "best_epoch": fit.fresh.fitted.best_epoch,
                "best_score": fit.fresh.fitted.best_score,
            }
            for fit in fits
        ]
    )


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
    files = [p for folder in (paths.prepared, paths.start) for p in folder.rglob("*")]
    if load_spec(paths).networks:
        files.append(paths.split / artifacts.SPLIT_INDEX)
    return fingerprint(content, (p for p in files if p.is_file()))


def _summary(
    config: Config,
    paths: Paths,
    fresh: FreshFit,
    architecture: artifacts.Architecture,
    diagnosis: Diagnosis,
    points: list[Point],
    criterion: Criterion | None,
    values: dict[str, Any],
    finder: Sweep | None,
) -> artifacts.TrainingSummary:
    fitted = fresh.fitted
    return artifacts.TrainingSummary(
        model=config.model.name,
        parameters=architecture.parameters,
        values=values,
        epochs=len(fitted.history),
        best_epoch=fitted.best_epoch,
        stopped_early=fitted.stopped_early,
        monitor=criterion.name if criterion and fitted.monitor == "score" else "loss",
        best_score=fitted.best_score,
        verdict=diagnosis.to_json(),
        learning_curve=curve_json(points),
        proposed_learning_rate=None if finder is None else finder.proposal,
        start=_start(config, paths, fresh.transfer),
    )


def _start(config: Config, paths: Paths, transfer: Transfer | None) -> dict[str, Any] | None:
    """The network that the fit started from, what was taken of it, and how parts were trained."""
    if transfer is None:
        return None
    source = artifacts.to_json(artifacts.read(artifacts.StartSource, paths.root))
    how = {"freeze": dict(config.train.freeze), "rates": dict(config.train.rates)}
    return {**source, **transfer.to_json(), **how, "fitted": list(config.normalize.from_start)}


def _at(config: Config, key: str) -> Any:
    """The value of `section.name`."""
    value: Any = config
    for name in key.split("."):
        value = getattr(value, name)
    return value


def _bag_lines(paths: Paths) -> list[tuple[str, str]]:
    """What is said of a bag; what follows it is said of its first network."""
    if not load_spec(paths).networks:
        return []
    networks = artifacts.read(artifacts.BagSummary, paths.root).networks
    epochs = ", ".join(str(network["best_epoch"]) for network in networks)
    return [("bag", f"{len(networks)} such networks, kept epochs {epochs}; of the first:")]


def _report(paths: Paths) -> Report:
    summary = artifacts.read(artifacts.TrainingSummary, paths.root)
    fit, more = summary.verdict["text"]
    rows = [
        ("model", f"{summary.model}, {summary.parameters:,} parameters"),
        *_bag_lines(paths),
        (
            "values",
            ", ".join(
                f"{k} {v:.4g}" if isinstance(v, float) else f"{k} {v}"
                for k, v in summary.values.items()
            ),
        ),
        ("kept epoch", f"{summary.best_epoch} of {summary.epochs}"),
        (f"validation {summary.monitor}", f"{summary.best_score:.4f}"),
        ("verdict", fit),
        ("more rows", more),
    ]
    if summary.start is not None:
        taken, left = summary.start["taken"], summary.start["left"]
        count = f"{len(taken)} of {len(taken) + len(left)} tensors taken"
        rows.append(("started from", f"{summary.start['source']}: {count}"))
        rows += [("not taken", text) for text in reasons(left)]
        rows += [("warning", summary.start["leak"])] if summary.start["leak"] else []
    if summary.proposed_learning_rate is not None:
        rows.append(("proposed rate", f"{summary.proposed_learning_rate:.2e}"))
    return Report(rows=rows, outputs=[paths.reports / "training", paths.model])
