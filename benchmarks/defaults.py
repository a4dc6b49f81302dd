"""What a user gets who sets nothing, on whole data sets, beside gradient boosting at its defaults.

The bag of networks that `train.bag: auto` makes, at the center of the search ranges, without
tuning. Needs real data sets (`PLUMBLINE_TEST_DATA`): adult with its official test file,
covtype_20k, ames_housing. `PLUMBLINE_BENCH_SEEDS` (3) is the number of seeds.
"""

from __future__ import annotations

import numpy as np

from benchmarks.quality import (
    DATA,
    SEEDS,
    SETS,
    Fit,
    Made,
    Task,
    catboost,
    family,
    histogram,
    linear,
    mean,
    measured,
    normalized,
    opened,
    shown,
    xgboost,
)
from benchmarks.result import Figure, Result, Table, no_data
from plumbline.config.runtime import count_threads
from plumbline.kinds import DoubleArray
from plumbline.preprocessing.frames import take_rows
from plumbline.preprocessing.transform import TableTransformer
from plumbline.split import bag_folds, networks_of, why_single
from plumbline.stages.criterion import criterion_of
from plumbline.stages.inputs import resolve_monitor
from plumbline.training.bag import network_seed
from plumbline.training.build import fit_fresh
from plumbline.training.device import set_up
from plumbline.training.distributed import CPU
from plumbline.training.loop import predict

TITLE = "Defaults on whole data sets"
MINUTES = 5  # of a fit, at most
SHOWN = ("accuracy", "roc_auc", "log_loss", "rmse")


def run() -> Result:
    """Fit the default and every peer on every set, with several seeds."""
    if not DATA.is_dir():
        return no_data(TITLE)
    made: dict[str, dict[str, list[Made]]] = {}
    tasks = [
        normalized(opened(name, DATA / file, DATA / test if test else None, target))
        for name, file, test, target in SETS
    ]
    for task in tasks:
        for label, fit in CONTENDERS.items():
            fits = [measured(task, fit, seed) for seed in range(SEEDS)]
            made.setdefault(task.name, {})[label] = fits
            print(task.name, label, fits, flush=True)
    return Result(
        title=TITLE,
        figures=figures(made),
        tables=[table(task, made[task.name]) for task in tasks],
        notes=[
            "plumbline: what params.yaml ships, searched values at the center of their ranges, no "
            "tuning, networks fitted one after the other (the graph fits them side by side); "
            "peers: their own defaults; all learn from training and validation rows"
        ],
    )


def default(task: Task, seed: int) -> DoubleArray:
    """The mean of the networks that `train.bag: auto` asks for, or the one network."""
    data = task.opened
    config, schema, kind = task.config, task.schema, task.spec.task
    networks = networks_of(config.train.bag, data.part, schema)
    if networks == 1 or why_single(data.split, config.model.start_from) is not None:
        return family(config.model.name)(task, seed)
    set_up(CPU, count_threads(config.runtime, 1))
    monitor = resolve_monitor(config, task.spec)
    stopping = {} if monitor == "loss" else criterion_of(monitor).stopping(kind)
    fold = bag_folds(data.rows, data.part, data.split, networks, config.seed)
    pool = np.sort(np.concatenate([task.train.rows, task.val.rows]))
    predictions = []
    for number in range(networks):
        out = fold[pool] == number
        transformer = TableTransformer(schema, config.normalize)
        fitted, held_out = pool[~out], pool[out]
        train = transformer.fit_transform(take_rows(data.table, fitted), fitted, config.seed)
        val, test = (
            transformer.transform(take_rows(data.table, rows), rows)
            for rows in (held_out, task.test.rows)
        )
        fresh = fit_fresh(
            config.model,
            config.train,
            transformer.spec_,
            train,
            val,
            seed=network_seed(seed, number),
            **stopping,
        )
        predictions.append(
            predict(fresh.fitted.model, test, kind, config.train, target=fresh.target)
        )
    mean_of_all: DoubleArray = np.mean(predictions, axis=0)
    return mean_of_all


OURS = "plumbline"
CONTENDERS: dict[str, Fit] = {
    OURS: default,
    "CatBoost": catboost,
    "XGBoost": xgboost,
    "HistGradientBoosting": histogram,
    "linear (scikit-learn)": linear,
}


def figures(made: dict[str, dict[str, list[Made]]]) -> list[Figure]:
    """The promises, means over seeds."""
    adult, covtype = made["adult"][OURS], made["covtype_20k"][OURS]
    ames, peer = (mean(made["ames_housing"][name], "rmse") for name in (OURS, "CatBoost"))
    least = [
        ("Adult, official test file: accuracy", mean(adult, "accuracy"), 0.876),
        ("Adult, official test file: ROC-AUC", mean(adult, "roc_auc"), 0.930),
        ("covtype, 20,000 rows: accuracy", mean(covtype, "accuracy"), 0.893),
    ]
    minutes = mean(adult, "seconds") / 60
    return [
        *(
            Figure(name=name, reached=value, unit="", target=f"≥ {wanted}", holds=value >= wanted)
            for name, value, wanted in least
        ),
        Figure(
            name="Adult: minutes of a fit",
            reached=minutes,
            unit="min",
            target=f"≤ {MINUTES}",
            holds=minutes <= MINUTES,
        ),
        Figure(
            name="Ames: RMSE over that of CatBoost",
            reached=ames / peer,
            unit="×",
            target="≤ 1 ×",
            holds=ames <= peer,
        ),
    ]


def table(task: Task, made: dict[str, list[Made]]) -> Table:
    """A row per contender."""
    metrics = [metric for metric in SHOWN if metric in made[OURS][0]]
    return Table(
        title=f"{task.name}: {len(task.test):,} test rows, mean ± spread of {SEEDS} seeds",
        columns=["model", *metrics, "seconds per fit", "of the processor"],
        rows=[
            [
                label,
                *(shown(fits, metric) for metric in metrics),
                *(f"{mean(fits, name):.0f}" for name in ("seconds", "busy")),
            ]
            for label, fits in made.items()
        ],
    )
