"""The search: trials per hour beside Optuna with Lightning, two workers beside one, and TPE with
pruning beside random draws.

Needs real data (`PLUMBLINE_TEST_DATA`): adult, one-hot and scaled beforehand, alike for all. Each
part is a process of its own. `PLUMBLINE_BENCH_SEEDS` (5) is the number of seeds of the searches.
"""

from __future__ import annotations

import functools
import json
import os
import statistics
import sys
import tempfile
import time
import warnings
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks.apart import measured_apart
from benchmarks.quality import DATA
from benchmarks.result import Figure, Result, Table, no_data, times

if TYPE_CHECKING:
    from plumbline.training.cross_validation import Fold
    from plumbline.training.search_result import SearchResult

apart = partial(measured_apart, "benchmarks.tuning")
ROOT = Path(__file__).resolve().parents[1]
SEEDS = int(os.environ.get("PLUMBLINE_BENCH_SEEDS", "5"))
TITLE = "Tuning"
FOLDS, ROWS, BATCH, EPOCHS, ROUNDS = 5, 5000, 256, 8, 3
TRIALS, FEW_ROWS, FEW_EPOCHS, WORKED = 30, 2000, 4, 8
SPACE: dict[str, dict[str, Any]] = {
    "train.learning_rate": {"type": "float", "low": 1e-4, "high": 1e-1, "log": True},
    "train.weight_decay": {"type": "float", "low": 1e-6, "high": 1e-1, "log": True},
    "model.dropout": {"type": "float", "low": 0.0, "high": 0.5},
    "model.width": {"type": "int", "low": 16, "high": 256, "log": True},
}
SEARCHES = (("tpe", "median"), ("random", "none"))


def run() -> Result:
    """Measure in child processes; see `measure_trials`, `measure_workers`, `measure_searches`."""
    if not (DATA / "adult" / "train.csv").exists():
        return no_data(TITLE)
    seconds = {name: statistics.median(all_) for name, all_ in apart("trials").items()}
    hourly = {name: 3600 / one for name, one in seconds.items()}
    one, two = (apart("workers", count) for count in ("1", "2"))
    made = {name: apart("searches", *name) for name in SEARCHES}
    tpe, random = (statistics.mean(r["score"]) for r in made.values())
    return Result(
        title=TITLE,
        figures=[
            times(
                "trials per hour, beside Optuna with Lightning",
                hourly["plumbline"] / hourly["lightning"],
                3.0,
            ),
            times("two workers, beside one", two / one, 1.6),
            Figure(
                name=f"best of {TRIALS} trials, TPE with pruning less random",
                reached=tpe - random,
                unit="ROC AUC",
                target="> 0",
                holds=tpe > random,
            ),
        ],
        tables=[
            Table(
                title=f"A trial of {FOLDS} folds, {ROWS:,} rows of Adult, {EPOCHS} epochs",
                columns=["", "seconds", "trials per hour"],
                rows=[[name, f"{s:.2f}", f"{hourly[name]:,.0f}"] for name, s in seconds.items()],
            ),
            Table(
                title=f"{TRIALS} trials of {FOLDS} folds, {FEW_ROWS:,} rows, {FEW_EPOCHS} epochs",
                columns=["", "best ROC AUC, mean of seeds", "each seed", "pruned", "seconds"],
                rows=[
                    [
                        f"{sampler}, pruner {pruner}",
                        f"{statistics.mean(r['score']):.4f}",
                        ", ".join(f"{s:.4f}" for s in r["score"]),
                        f"{statistics.mean(r['pruned']):.1f}",
                        f"{statistics.mean(r['seconds']):.1f}",
                    ]
                    for (sampler, pruner), r in made.items()
                ],
            ),
        ],
        notes=[
            "the same network (108-256-256-2), batch, epochs, folds and values in each pair of "
            f"trials; alternating, medians of {ROUNDS} after one that warms up. plumbline: folds "
            "side by side, one thread each; Lightning as its users write it: a Trainer and two "
            "DataLoaders per fold, the score after each epoch, torch's own threads",
            f"workers: {WORKED} trials over one journal, one thread each, from the first one's "
            "beginning to the last one's end. On one machine a single worker has all cores "
            "already, as it fits folds side by side; workers are for several machines",
            "the best score is that of the folds that chose it",
        ],
    )


@functools.cache
def folds(rows: int) -> list[Fold]:
    """Adult in folds: numbers scaled, categories one-hot."""
    import numpy as np
    import polars as pl

    from benchmarks.fits import spec_of
    from plumbline.examples import Examples
    from plumbline.training.cross_validation import Fold

    frame = pl.read_csv(DATA / "adult" / "train.csv").sample(rows, seed=0, shuffle=True)
    y = (frame["income"].str.strip_chars(" .") == ">50K").to_numpy().astype(np.int64)
    numbers = frame.drop("income").select(pl.selectors.numeric())
    codes = frame.drop("income", *numbers.columns).to_dummies()
    x = np.hstack([numbers.to_numpy(), codes.to_numpy()]).astype(np.float32)
    x = (x - x.mean(0)) / (x.std(0) + 1e-6)
    spec = spec_of("numbers")
    names = tuple(f"n{i}" for i in range(x.shape[1]))
    tensor = replace(spec.tensors[0], shape=(len(names),), features=names, sources=names)
    spec = replace(spec, tensors=(tensor,))

    def part(keep: Any) -> Examples:
        kept = np.flatnonzero(keep)
        weight = np.ones(len(kept), dtype=np.float32)
        return Examples(inputs={"num": x[kept]}, y=y[kept], rows=kept, weight=weight)

    turn = np.arange(rows) % FOLDS
    return [Fold(train=part(turn != k), val=part(turn == k), spec=spec) for k in range(FOLDS)]


def config(epochs: int, **tune: Any) -> Any:
    """The parameters of both sides."""
    from plumbline.config.load import parse_config

    return parse_config(
        {
            "seed": 0,
            "data": {"name": "adult", "path": "data/adult.csv", "task": "binary", "target": "y"},
            "model": {"name": "mlp", "width": 256, "depth": 2, "number_embedding": "none"},
            "train": {"batch_size": BATCH, "patience": 0},
            "tune": {"trials": TRIALS, "epochs": epochs, "space": SPACE, **tune},
        }
    )


class Silent:
    """A trial whose reports nobody reads."""

    def epoch(self, epoch: int, value: float) -> None: ...

    def fold(self, number: int, scores: list[float]) -> None: ...

    def check_time(self) -> None: ...


def measure_trials() -> dict[str, list[float]]:
    """Seconds of a trial, ours and the peer's, at the same values."""
    import numpy as np

    from plumbline.stages.criterion import criterion_of
    from plumbline.training.cross_validation import fit_beside, score_folds
    from plumbline.training.device import set_up
    from plumbline.training.distributed import SINGLE_PROCESS
    from plumbline.training.fold_processes import FoldProcesses

    cores = len(os.sched_getaffinity(0))
    at_once, rng = min(cores, FOLDS), np.random.default_rng(0)
    made, criterion, parameters = folds(ROWS), criterion_of("roc_auc"), config(EPOCHS)
    seconds: dict[str, list[float]] = {"plumbline": [], "lightning": []}
    given = [(fold, criterion) for fold in made]
    with FoldProcesses(
        fit_beside, given, SINGLE_PROCESS, count=at_once - 1, threads=cores // at_once
    ) as others:
        for round_ in range(ROUNDS + 1):
            rate = float(10 ** rng.uniform(-4, -2))
            values = parameters.replace({"train.learning_rate": rate, "model.dropout": 0.1})

            def ours(values: Any = values) -> None:
                set_up(SINGLE_PROCESS.device, cores // at_once)
                score_folds(values, made, criterion, Silent(), SINGLE_PROCESS, others)

            def theirs(rate: float = rate) -> None:
                lightning_trial(made, rate, cores)

            for name, trial in (("plumbline", ours), ("lightning", theirs)):
                begun = time.perf_counter()
                trial()
                if round_:  # the first one warms up
                    seconds[name].append(time.perf_counter() - begun)
    return seconds


def lightning_trial(made: list[Fold], rate: float, threads: int) -> float:
    """The mean score over folds, fitted one after the other by Lightning's Trainer."""
    import lightning
    import torch
    from sklearn.metrics import roc_auc_score
    from torch.nn import functional
    from torch.utils.data import DataLoader, TensorDataset

    class Module(lightning.LightningModule):  # type: ignore[misc]
        def __init__(self, columns: int) -> None:
            super().__init__()
            layers: list[torch.nn.Module] = []
            for inputs in (columns, 256):
                layers += [torch.nn.Linear(inputs, 256), torch.nn.ReLU(), torch.nn.Dropout(0.1)]
            self.model = torch.nn.Sequential(*layers, torch.nn.Linear(256, 2))
            self.outputs: list[Any] = []
            self.score = 0.0

        def training_step(self, batch: Any, index: int) -> Any:
            x, y = batch
            return functional.cross_entropy(self.model(x), y)

        def validation_step(self, batch: Any, index: int) -> None:
            x, y = batch
            self.outputs.append((self.model(x).softmax(-1)[:, 1], y))

        def on_validation_epoch_end(self) -> None:
            score, y = (torch.cat(parts).numpy() for parts in zip(*self.outputs, strict=True))
            self.outputs.clear()
            self.score = float(roc_auc_score(y, score))

        def configure_optimizers(self) -> Any:
            return torch.optim.AdamW(self.parameters(), lr=rate)

    torch.use_deterministic_algorithms(False)
    torch.set_num_threads(threads)
    scores = []
    for fold in made:
        train, val = (
            TensorDataset(torch.from_numpy(part.inputs["num"]), torch.from_numpy(part.y))
            for part in (fold.train, fold.val)
        )
        module = Module(fold.train.inputs["num"].shape[1])
        trainer = lightning.Trainer(
            max_epochs=EPOCHS,
            accelerator="cpu",
            logger=False,
            enable_checkpointing=False,
            enable_progress_bar=False,
            enable_model_summary=False,
            num_sanity_val_steps=0,
        )
        batches = DataLoader(train, batch_size=BATCH, shuffle=True)
        trainer.fit(module, batches, DataLoader(val, batch_size=2048))
        scores.append(module.score)
    return statistics.mean(scores)


def searched(
    folder: Path, rows: int, epochs: int, seed: int, settings: dict[str, Any]
) -> SearchResult:
    """A search whose folds are fitted here, one after the other, on one thread."""
    from plumbline.stages.criterion import criterion_of
    from plumbline.training.cross_validation import score_folds
    from plumbline.training.device import set_up
    from plumbline.training.distributed import SINGLE_PROCESS
    from plumbline.training.search import search

    set_up(SINGLE_PROCESS.device, 1)
    parameters, criterion = config(epochs, **settings), criterion_of("roc_auc")
    return search(
        lambda values, report: score_folds(
            parameters.replace(values), folds(rows), criterion, report, SINGLE_PROCESS
        ),
        parameters.tune,
        key="benchmark",
        folder=folder,
        seed=seed,
        greater_is_better=True,
        sizes=lambda values: {},
    )


def measure_workers(count: int) -> float:
    """Trials per second of so many workers on one journal."""
    import optuna
    from optuna.storages import JournalStorage
    from optuna.storages.journal import JournalFileBackend

    from plumbline.training.workers import run_side_by_side

    settings = {"trials": WORKED, "sampler": "random", "pruner": "none", "workers": count}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        run_side_by_side(count, searched, (folder, ROWS, EPOCHS, 0, settings))
        storage = JournalStorage(JournalFileBackend(str(folder / "benchmark.log")))
        study = optuna.load_study(study_name=None, storage=storage)
        trials = study.get_trials(states=(optuna.trial.TrialState.COMPLETE,))
    begun = min(t.datetime_start for t in trials if t.datetime_start)
    ended = max(t.datetime_complete for t in trials if t.datetime_complete)
    return len(trials) / (ended - begun).total_seconds()


def measure_searches(sampler: str, pruner: str) -> dict[str, list[float]]:
    """What searches of some seeds found, and what they took."""
    made: dict[str, list[float]] = {"score": [], "pruned": [], "seconds": []}
    for seed in range(SEEDS):
        with tempfile.TemporaryDirectory() as folder:
            begun = time.perf_counter()
            settings = {"sampler": sampler, "pruner": pruner}
            result = searched(Path(folder), FEW_ROWS, FEW_EPOCHS, seed, settings)
            made["seconds"].append(time.perf_counter() - begun)
        made["score"].append(result.best.value or 0.0)
        made["pruned"].append(sum(t.state == "pruned" for t in result.trials))
    return made


PARTS: dict[str, Callable[..., Any]] = {
    "trials": measure_trials,
    "workers": lambda count: measure_workers(int(count)),
    "searches": measure_searches,
}

if __name__ == "__main__":
    warnings.filterwarnings("ignore")
    print(json.dumps(PARTS[sys.argv[1]](*sys.argv[2:])))
