"""Five folds side by side, as a trial of the search fits them, beside the fit of one of them.

Needs real data (`PLUMBLINE_TEST_DATA`): adult. Each model is measured in a process of its own. One
fit has all cores; of the five each process has its share. All fit the same number of epochs.
`python -m benchmarks gpu` measures the same on a GPU, where plumbline fits one after the other.
"""

from __future__ import annotations

import json
import os
import statistics
import sys
import time
import warnings
from functools import partial
from typing import Any

from benchmarks.apart import measured_apart
from benchmarks.quality import DATA
from benchmarks.result import Figure, Result, Table, no_data
from benchmarks.tuning import EPOCHS, FOLDS, ROUNDS, ROWS, Silent, config, folds

TITLE = "Folds side by side"
MOST = {"cpu": 3.0, "cuda": 1.5}  # times one fit; on a CPU of two cores
MODELS: dict[str, dict[str, Any]] = {
    "the default model": {"model.name": "tabm_mini", "model.number_embedding": "piecewise_linear"},
    "mlp": {"model.name": "mlp"},
}


def run() -> Result:
    """Seconds of one fold and of all, by model."""
    if not (DATA / "adult" / "train.csv").exists():
        return no_data(TITLE)
    figures, table = on_device("cpu")
    return Result(
        title=TITLE,
        figures=figures,
        tables=[table],
        notes=[
            f"one fit on all {len(os.sched_getaffinity(0))} cores, then the folds in as many "
            "processes of one thread each, in turns; both score every epoch",
            "five fits are five times the arithmetic, and one keeps all cores busy: what is gained "
            "is what a fit loses on two threads",
        ],
    )


def on_device(device: str) -> tuple[list[Figure], Table]:
    """The promises, and the seconds of one fold and of all, by model."""
    apart, most = partial(measured_apart, "benchmarks.folds"), MOST[device]
    seconds = {name: apart(name, device) for name in MODELS}
    ratios = {
        name: statistics.median(b / a for a, b in zip(own["one"], own["all"], strict=True))
        for name, own in seconds.items()
    }
    where = {"cpu": "2 cores", "cuda": "a GPU"}[device]
    figures = [
        Figure(
            name=f"{FOLDS} folds side by side, beside one fit: {name}",
            reached=ratio,
            unit="×",
            target=f"≤ {most:g} × on {where}",
            holds=ratio <= most,
        )
        for name, ratio in ratios.items()
    ]
    table = Table(
        title=f"{ROWS:,} rows of Adult, {EPOCHS} epochs; medians of {ROUNDS}",
        columns=["model", "one fit, seconds", f"{FOLDS} folds, seconds"],
        rows=[
            [name, *(f"{statistics.median(own[key]):.2f}" for key in ("one", "all"))]
            for name, own in seconds.items()
        ],
    )
    return figures, table


def measure(name: str, device: str) -> dict[str, list[float]]:
    """Seconds of one fold and of all, in turns, after a round that warms up."""
    import torch

    from plumbline.stages.criterion import criterion_of
    from plumbline.training.cross_validation import fit_beside, score_folds
    from plumbline.training.device import set_up
    from plumbline.training.distributed import World
    from plumbline.training.fold_processes import FoldProcesses

    cores = len(os.sched_getaffinity(0))
    at_once = min(cores, FOLDS)
    made, criterion = folds(ROWS), criterion_of("roc_auc")
    values = config(EPOCHS).replace(MODELS[name])
    world = World(device=torch.device("cuda:0" if device == "cuda" else device))
    seconds: dict[str, list[float]] = {"one": [], "all": []}
    given = [(fold, criterion) for fold in made]
    with FoldProcesses(
        fit_beside, given, world, count=at_once - 1, threads=cores // at_once
    ) as others:
        for round_ in range(ROUNDS + 1):
            for key, threads, own, beside in (
                ("one", cores, made[:1], None),
                ("all", cores // at_once, made, others),
            ):
                set_up(world.device, threads)
                begun = time.perf_counter()
                score_folds(values, own, criterion, Silent(), world, beside)
                if round_:
                    seconds[key].append(time.perf_counter() - begun)
    return seconds


if __name__ == "__main__":
    warnings.filterwarnings("ignore")
    print(json.dumps(measure(*sys.argv[1:])))
