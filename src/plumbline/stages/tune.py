"""tune: the search over k folds, everything that learns refitted in each."""

from __future__ import annotations

import dataclasses
import math
import os
import sys
import time
from typing import Any

from plumbline import artifacts
from plumbline.config import Config, Paths
from plumbline.config.load import TUNE_STORAGE
from plumbline.config.model import Size
from plumbline.config.runtime import count_threads
from plumbline.errors import StorageError, UserError
from plumbline.files import write_text
from plumbline.kinds import ColumnType, IntArray, Part
from plumbline.manifest import sealed_dir
from plumbline.preprocessing.decoded import DecodedImages
from plumbline.preprocessing.scale import choose_linear_channel
from plumbline.stages import Report
from plumbline.stages.criterion import criterion_of
from plumbline.stages.inputs import load_part, load_spec, load_split, load_table, resolve_metric
from plumbline.stages.start import load_start, with_number_embedding
from plumbline.tables import Schema, SplitIndex, Table
from plumbline.training.batches import TRIAL_EPOCHS, epochs_of
from plumbline.training.checkpoint import fingerprint
from plumbline.training.cross_validation import (
    fit_beside,
    network_sizes,
    prepare_fold,
    score_folds,
)
from plumbline.training.device import choose_device, set_up
from plumbline.training.distributed import World
from plumbline.training.fold_processes import FoldProcesses
from plumbline.training.memory import processes_for
from plumbline.training.progress import SearchBar
from plumbline.training.search import Reporter, search, trials_of
from plumbline.training.search_result import SearchResult, Values, std_error
from plumbline.training.space_check import refuse_unfit_space
from plumbline.training.trial_storage import forget_unfinished
from plumbline.training.trials import trials_csv
from plumbline.training.workers import run_side_by_side

PARTS = (Part.TRAIN, Part.VAL)  # whose rows folds have
# keys of `train` that the search replaces, or that cannot change its result
CANNOT_MATTER = ("bag", "epochs", "find_learning_rate", "learning_curve")
# keys of `tune` that no trial depends on
UNRELATED = ("workers", "storage", "minutes", "patience")
# states of trials that were not fitted
NOT_FITTED = {"too_large": "too large to be fitted", "refused": "whose values make no network"}


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
    forget_unfinished(paths.state / "tuning", key)
    minutes = config.tune.minutes
    until = math.inf if minutes is None else time.monotonic() + 60 * minutes
    if config.tune.workers > 1:  # no more than there are trials; then it is the parent's turn
        count = min(config.tune.workers, trials_of(config.tune))
        run_side_by_side(count, _worker, (config, paths, metric, key, until))
    result = _search(config, paths, metric, key, until, table, schema, split)
    _write(config, paths, metric, result)
    return _report(config, paths, metric, result)


def _search(
    config: Config,
    paths: Paths,
    metric: str,
    key: str,
    until: float,
    table: Table,
    schema: Schema,
    split: SplitIndex,
    *,
    verbose: bool = True,
) -> SearchResult:
    rows = len(split.rows(Part.TRAIN))  # of which the folds may be a sample
    config = with_number_embedding(config, paths, rows)
    linear = choose_linear_channel(config.normalize.linear_channel, rows)
    config = config.replace({"normalize.linear_channel": linear})
    criterion, parts = criterion_of(metric), _folds(config, split)
    world = World(device=choose_device(config.runtime), compile=config.runtime.compile)
    threads = max(1, count_threads(config.runtime, 1) // config.tune.workers)
    at_once = min(len(parts), threads) if world.device.type == "cpu" else 1
    # the same for a fold that is fitted alone for want of memory: the same sums
    set_up(world.device, threads // at_once)
    start, kept = load_start(config, paths) or (None, None)
    decoded = decoded_images(paths, schema)
    folds = [
        prepare_fold(
            table,
            schema,
            config,
            fitted,
            scored,
            number,
            start=start,
            kept=kept,
            decoded=decoded,
        )
        for number, (fitted, scored) in enumerate(parts)
    ]
    first = folds[0]
    epochs = epochs_of(config.tune.epochs, first.spec, len(first.train), of_tables=TRIAL_EPOCHS)
    config = config.replace({"tune.epochs": epochs})
    refuse_unfit_space(config, first)

    def evaluate(values: Values, report: Reporter) -> list[float]:
        return score_folds(config.replace(values), folds, criterion, report, world, others)

    def sizes(values: Values) -> dict[Size, int]:
        return network_sizes(config.replace(values), folds[0])

    with (
        FoldProcesses(
            fit_beside,
            [(fold, criterion) for fold in folds],
            world,
            count=processes_for(at_once, "folds") - 1,  # beside this one
            threads=threads // at_once,
        ) as others,
        SearchBar(trials=trials_of(config.tune), metric=metric, enabled=verbose) as bar,
    ):
        return search(
            evaluate,
            config.tune,
            key=key,
            folder=paths.state / "tuning",
            storage=os.environ.get(TUNE_STORAGE),
            seed=config.seed,
            greater_is_better=criterion.greater_is_better,
            sizes=sizes,
            on_trial=bar,
            until=until,
        )


def _folds(config: Config, split: SplitIndex) -> list[tuple[IntArray, IntArray]]:
    """Row numbers to fit on and to score on."""
    if config.tune.objective == "holdout":
        return [(split.rows(Part.TRAIN), split.rows(Part.VAL))]
    return [split.fold(k) for k in range(split.folds.shape[1])]


def decoded_images(paths: Paths, schema: Schema) -> DecodedImages | None:
    """The images as `normalize` decoded them. A fold learns its own size and statistics, and
    takes these pixels where its size is the same."""
    if all(column.type is not ColumnType.IMAGE for column in schema.features):
        return None
    decoded, spec = DecodedImages(), load_spec(paths)
    for part in PARTS:
        decoded.add_examples(load_part(paths, part), spec)
    return decoded


def _key(config: Config, paths: Paths) -> str:
    """Names the search by everything that its result depends on."""
    content = {
        "seed": config.seed,
        "data": dataclasses.asdict(config.data),
        "normalize": dataclasses.asdict(config.normalize),
        "model": dataclasses.asdict(config.model),
        "train": dataclasses.asdict(config.train) | dict.fromkeys(CANNOT_MATTER),
        "tune": dataclasses.asdict(config.tune) | dict.fromkeys(UNRELATED),
        "metric": config.evaluate.metric,
    }
    files = [p for folder in (paths.split, paths.table, paths.start) for p in folder.rglob("*")]
    return fingerprint(content, (p for p in files if p.is_file()))


def _worker(config: Config, paths: Paths, metric: str, key: str, until: float) -> None:
    table, schema = load_table(config, paths)
    try:
        _search(config, paths, metric, key, until, table, schema, load_split(paths), verbose=False)
    except StorageError as error:  # it may be there again when it is the parent's turn
        print(f"a worker of the search ended early: {error}", file=sys.stderr, flush=True)
    except UserError:  # it stops the parent's turn too, which says so once
        return


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
        pruned=result.count("pruned"),
        too_large=result.count("too_large"),
        refused=result.count("refused"),
        stopped_by=result.stopped_by,
        second_objective=result.second,
        front=_front(result),
        size=selected.size,
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


def _front(result: SearchResult) -> list[dict[str, Any]] | None:
    if result.second is None:
        return None
    return [
        {"number": t.number, "value": t.value, result.second: t.size[result.second]}
        for t in result.front
    ]


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
    error = std_error(selected.scores)
    ended = f"{result.count('pruned')} pruned"
    for state, words in NOT_FITTED.items():
        if count := result.count(state):
            ended += f", {count} {words}"
    if result.stopped_by != "trials":
        ended += f"; ended by tune.{result.stopped_by}"
    rows = [
        ("trials", f"{len(result.trials)} ({ended}), {config.tune.sampler}"),
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
    if result.second is not None:
        words = f"trial {selected.number}, the smallest that the best does not outperform"
        rows.append(("selected", words))
    rows += [(key.replace("_", "-"), f"{count:,}") for key, count in selected.size.items()]
    rows += [
        (k, f"{v:.4g}" if isinstance(v, float) else str(v)) for k, v in selected.values.items()
    ]
    return Report(rows=rows, outputs=[paths.reports / artifacts.TRIALS])
