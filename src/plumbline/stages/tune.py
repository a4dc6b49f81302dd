"""tune: the search over k folds, everything that learns refitted in each."""

from __future__ import annotations

import contextlib
import csv
import dataclasses
import io
import multiprocessing
import os
from typing import Any

import numpy as np

from plumbline import artifacts
from plumbline.config import Config, Paths
from plumbline.config.load import TUNE_STORAGE
from plumbline.errors import DataError, UserError
from plumbline.evaluation.metrics import METRICS, score
from plumbline.examples import Examples, InputSpec
from plumbline.files import write_text
from plumbline.kinds import DoubleArray, IntArray, Part
from plumbline.manifest import sealed_dir
from plumbline.preprocessing.balance import resample
from plumbline.preprocessing.frames import take_rows
from plumbline.preprocessing.transform import TableTransformer
from plumbline.stages import Report
from plumbline.stages.inputs import load_split, load_table, resolve_metric
from plumbline.tables import Schema, SplitIndex, Table
from plumbline.training.build import fit_fresh
from plumbline.training.checkpoint import fingerprint
from plumbline.training.device import choose_device, count_threads, set_up
from plumbline.training.distributed import World
from plumbline.training.loop import predict
from plumbline.training.memory import refuse_too_many
from plumbline.training.progress import SearchBar
from plumbline.training.search import Reporter, SearchResult, Values, search, std_error, trials_of

Fold = tuple[Examples, Examples, InputSpec]  # fitted on, scored on
# keys of `train` that the search replaces, or that cannot change its result
CANNOT_MATTER = ("epochs", "find_learning_rate", "learning_curve")


def run(config: Config, paths: Paths) -> Report:
    """Search; write what was found and every trial."""
    table, schema = load_table(config, paths)
    own = config.tune.metric != "auto"
    metric = resolve_metric(
        config.tune.metric if own else config.evaluate.metric,
        schema.task,
        "tune.metric" if own else "evaluate.metric",
    )
    if config.tune.trials == 0:
        return _no_search(config, paths, metric)
    split = load_split(paths)
    key = _key(config, paths)
    if config.tune.workers > 1:
        _work_side_by_side(config, paths, metric, key)
    result = _search(config, paths, metric, key, table, schema, split)
    _write(config, paths, metric, result)
    return _report(config, paths, metric, result)


def _search(
    config: Config,
    paths: Paths,
    metric: str,
    key: str,
    table: Table,
    schema: Schema,
    split: SplitIndex,
    *,
    verbose: bool = True,
) -> SearchResult:
    workers = config.tune.workers
    device = choose_device(config.runtime)
    set_up(device, max(1, count_threads(config.runtime, 1) // workers))
    folds = [
        prepare_fold(table, schema, config, fitted, scored, number)
        for number, (fitted, scored) in enumerate(_folds(config, split))
    ]

    def evaluate(values: Values, report: Reporter) -> list[float]:
        world = World(device=device, compile=config.runtime.compile)
        return score_folds(config.replace(values), folds, metric, report, world)

    with SearchBar(trials=trials_of(config.tune), metric=metric, enabled=verbose) as bar:
        return search(
            evaluate,
            config.tune,
            key=key,
            folder=paths.state / "tuning",
            storage=os.environ.get(TUNE_STORAGE),
            seed=config.seed,
            greater_is_better=METRICS[metric].greater_is_better,
            on_trial=bar,
        )


def _folds(config: Config, split: SplitIndex) -> list[tuple[IntArray, IntArray]]:
    """Row numbers to fit on and to score on."""
    if config.tune.objective == "holdout":
        return [(split.rows(Part.TRAIN), split.rows(Part.VAL))]
    return [split.fold(k) for k in range(split.folds.shape[1])]


def prepare_fold(
    table: Table,
    schema: Schema,
    config: Config,
    fitted: IntArray,
    scored: IntArray,
    number: int,
) -> Fold:
    """The examples of one fold; the transformer sees the rows to fit on alone."""
    rng = np.random.default_rng([config.seed, 5, number])
    fitted, scored = (_sample(rows, config.tune.max_rows, rng) for rows in (fitted, scored))
    transformer = TableTransformer(
        schema, config.normalize, max_memory_mb=config.data.max_memory_mb
    )
    train = transformer.fit_transform(take_rows(table, fitted), fitted, config.seed)
    val = transformer.transform(take_rows(table, scored), scored)
    return train, val, transformer.spec_


def _sample(rows: IntArray, most: int, rng: np.random.Generator) -> IntArray:
    return rows if len(rows) <= most else np.sort(rng.choice(rows, most, replace=False))


def score_folds(
    config: Config, folds: list[Fold], metric: str, report: Reporter, world: World
) -> list[float]:
    """Fit in every fold; the metric of each.

    Within the first fold the validation score after each epoch is reported, then the mean of
    the folds done: so a hopeless trial ends early, and trials are compared at equal steps.
    """
    how = dataclasses.replace(config.train, epochs=config.tune.epochs)
    scores: list[float] = []
    for number, (train, val, spec) in enumerate(folds):

        def on_epoch(epoch: int, row: dict[str, float], number: int = number) -> None:
            if number == 0 and np.isfinite(row["val_score"]):
                report(epoch, row["val_score"])

        def score_fold(y: Any, prediction: DoubleArray, spec: InputSpec = spec) -> float:
            return score(metric, y, prediction, spec.task)

        fresh = fit_fresh(
            config.model,
            how,
            spec,
            resample(train, spec, config.normalize.balance, config.seed),
            val,
            seed=config.seed,
            score=score_fold,
            greater_is_better=METRICS[metric].greater_is_better,
            world=world,
            on_epoch=on_epoch,
        )
        prediction = predict(
            fresh.fitted.model, val, spec.task, how, target=fresh.target, world=world
        )
        value = score_fold(val.y, prediction)
        if not np.isfinite(value):  # one class in a small fold, say
            continue
        scores.append(value)
        if number + 1 < len(folds):
            report(config.tune.epochs + number + 1, float(np.mean(scores)))
    if not scores:
        raise DataError(
            f"{metric} cannot be computed in any fold: each scores rows of one class",
            file="params.yaml",
            where="split.folds",
            hint="lower it, or raise tune.max_rows",
        )
    return scores


def _key(config: Config, paths: Paths) -> str:
    """Names the search by everything that its result depends on."""
    content = {
        "seed": config.seed,
        "data": dataclasses.asdict(config.data),
        "normalize": dataclasses.asdict(config.normalize),
        "model": dataclasses.asdict(config.model),
        "train": dataclasses.asdict(config.train) | dict.fromkeys(CANNOT_MATTER),
        "tune": dataclasses.asdict(config.tune) | dict.fromkeys(("workers", "storage")),
        "metric": config.evaluate.metric,
    }
    files = [p for folder in (paths.split, paths.table) for p in folder.rglob("*")]
    return fingerprint(content, (p for p in files if p.is_file()))


def _work_side_by_side(config: Config, paths: Paths, metric: str, key: str) -> None:
    """Trials in processes of their own, no more than there are trials; the parent's turn comes
    when all are done."""
    workers = min(config.tune.workers, trials_of(config.tune))
    refuse_too_many(workers, "tune.workers")
    context = multiprocessing.get_context("spawn")
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    processes = [
        context.Process(target=_worker, args=(config, paths, metric, key)) for _ in range(workers)
    ]
    for process in processes:
        process.start()
    for process in processes:
        process.join()


def _worker(config: Config, paths: Paths, metric: str, key: str) -> None:
    table, schema = load_table(config, paths)
    # what stops a worker stops the parent's turn too, which says so once
    with contextlib.suppress(UserError):
        _search(config, paths, metric, key, table, schema, load_split(paths), verbose=False)


def _write(config: Config, paths: Paths, metric: str, result: SearchResult) -> None:
    selected, gain = result.selected, result.gain
    best = artifacts.TunedValues(
        values=selected.values,
        score=selected.value,
        std_error=std_error(selected.scores),
        metric=metric,
        trials=len(result.trials),
    )
    summary = artifacts.TuningSummary(
        **artifacts.to_json(best),
        greater_is_better=result.greater_is_better,
        sampler=config.tune.sampler,
        pruner=config.tune.pruner,
        objective=config.tune.objective,
        folds=len(selected.scores),
        pruned=sum(t.state == "pruned" for t in result.trials),
        selected=selected.number,
        best=result.best.number,
        fold_scores=selected.scores,
        inside_noise=result.inside_noise,
        gain_over_default=None if gain is None else {"mean": gain[0], "std_error": gain[1]},
        importance=result.importance,
        space={k: dataclasses.asdict(d) for k, d in config.tune.space.items()},
    )
    _write_records(paths, best, summary, trials_csv(result))
    if config.tune.storage is None and TUNE_STORAGE not in os.environ:
        for journal in (paths.state / "tuning").glob("*.log*"):
            journal.unlink()


def trials_csv(result: SearchResult) -> str:
    """A line per trial: number, state, value, its values, the score of each fold."""
    keys = sorted(result.trials[0].values)
    folds = max(len(t.scores) for t in result.trials)
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["number", "state", "value", *keys, *(f"fold_{k}" for k in range(folds))])
    for t in result.trials:
        scores = [*t.scores, *[""] * (folds - len(t.scores))]
        value = "" if t.value is None else t.value
        writer.writerow([t.number, t.state, value, *(t.values.get(k, "") for k in keys), *scores])
    return text.getvalue()


def _no_search(config: Config, paths: Paths, metric: str) -> Report:
    """tune.trials is 0: `tuned` means the center of the search range."""
    values = {key: dimension.center for key, dimension in config.tune.space.items()}
    best = artifacts.TunedValues(values=values, score=None, std_error=None, metric=metric, trials=0)
    summary = artifacts.TuningSummary(**artifacts.to_json(best))
    _write_records(paths, best, summary, "number,state,value\n")
    return Report(rows=[("trials", "none (tune.trials is 0)")], outputs=[paths.root / best.FILE])


def _write_records(
    paths: Paths, best: artifacts.TunedValues, summary: artifacts.TuningSummary, trials: str
) -> None:
    with sealed_dir(paths.reports / "tuning") as folder:
        artifacts.write(summary, folder)
        write_text(artifacts.inside(folder, artifacts.TRIALS), trials)
    with sealed_dir(paths.tuning) as folder:
        artifacts.write(best, folder)


def _report(config: Config, paths: Paths, metric: str, result: SearchResult) -> Report:
    selected, gain = result.selected, result.gain
    pruned = sum(t.state == "pruned" for t in result.trials)
    error = std_error(selected.scores)
    rows = [
        ("trials", f"{len(result.trials)} ({pruned} pruned), {config.tune.sampler}"),
        (metric, f"{selected.value:.4f} ± {error:.4f} over {len(selected.scores)} folds"),
        (
            "best trial",
            f"{result.best.number}; {result.inside_noise} others within a standard error",
        ),
    ]
    if gain is not None and result.best.number != 0:
        words = f"best trial {gain[0]:+.4f} ± {gain[1]:.4f} against the default point"
        kept = ", which is kept: the gain is within noise" if selected.number == 0 else ""
        rows.append(("gain", words + kept))
    rows += [
        (k, f"{v:.4g}" if isinstance(v, float) else str(v)) for k, v in selected.values.items()
    ]
    return Report(rows=rows, outputs=[paths.reports / artifacts.TRIALS])
