"""What a setting of `normalize` brings over all small tables at hand, beside the baselines.

The default model is fitted with another value of the setting and with that of params.yaml, same
seeds, same split; the baselines once. `PLUMBLINE_BENCH_NORMALIZE` (linear_channel=none) is the
other value, `PLUMBLINE_BENCH_SEEDS` (3) the number of seeds, `PLUMBLINE_BENCH_MINUTES` bounds the
whole: no table begins later.
"""

from __future__ import annotations

import math
import os
import statistics
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import polars as pl

from benchmarks.honest import data_sets
from benchmarks.planted import Data, evidence_of
from benchmarks.result import Figure, Result, Table
from plumbline.config import Config, load_config
from plumbline.config.data import NormalizeConfig
from plumbline.evaluation.baselines import fit_baseline
from plumbline.evaluation.metrics import METRICS, score
from plumbline.examples import Examples
from plumbline.kinds import DoubleArray, IntArray, Part, Task
from plumbline.leakage import Evidence
from plumbline.models.embeddings import choose_embedding
from plumbline.preprocessing.frames import take_rows
from plumbline.preprocessing.plain import PlainReader
from plumbline.preprocessing.transform import TableTransformer
from plumbline.training.build import fit_fresh
from plumbline.training.loop import predict

ROOT = Path(__file__).resolve().parents[1]
SETTING, VALUE = os.environ.get("PLUMBLINE_BENCH_NORMALIZE", "linear_channel=none").split("=")
SEEDS = int(os.environ.get("PLUMBLINE_BENCH_SEEDS", "3"))
MINUTES = float(os.environ.get("PLUMBLINE_BENCH_MINUTES", "inf"))
PARTS = (Part.TRAIN, Part.VAL, Part.TEST)
BASELINES = ("linear", "gradient_boosting")
SMALL = 0.01  # a change of the loss below it is called none


def run() -> Result:
    """Every table, both settings, every seed."""
    begun = time.monotonic()
    config = load_config(ROOT / "params.yaml")
    other = config.replace({f"normalize.{SETTING}": VALUE})
    before, after = (replace(c.normalize, columns={}) for c in (other, config))
    rows, changes = [], []
    for data in (*sums(), *data_sets()):
        if time.monotonic() - begun > 60 * MINUTES:
            break
        evidence = evidence_of(data)
        ours = [network(evidence, config, setting) for setting in (before, after)]
        changes.append(statistics.mean(math.log(b / a) for a, b in zip(*ours, strict=True)))
        peers = [baseline(evidence, config, name) for name in BASELINES]
        rows.append(
            [
                data.name,
                loss_of(data.task),
                *(
                    f"{statistics.mean(result):.4g} ± {max(result) - min(result):.2g}"
                    for result in ours
                ),
                *(f"{result:.4g}" for result in peers),
            ]
        )
        print(rows[-1], flush=True)
    better, worse = (sum(sign * c > SMALL for c in changes) for sign in (-1, 1))
    return Result(
        title=f"normalize.{SETTING}: {VALUE} and {getattr(after, SETTING)}",
        figures=[
            Figure(
                name=f"loss with {getattr(after, SETTING)} beside {VALUE}, geometric mean of "
                f"{len(rows)} tables ({better} better, {worse} worse by over 1 %)",
                reached=math.exp(statistics.mean(changes)) if changes else math.nan,
                unit="×",
            )
        ],
        tables=[
            Table(
                title=f"Test loss, mean ± spread of {SEEDS} seeds",
                columns=["table", "loss", VALUE, str(getattr(after, SETTING)), *BASELINES],
                rows=rows,
            )
        ],
        notes=[
            "the network: the defaults of params.yaml, searched values at the center of their "
            "ranges, no tuning; log loss not calibrated",
            "at most 10,000 rows of each table; sum_*: made tables whose target is a sum",
        ],
    )


def sums() -> Iterator[Data]:
    """Tables whose target is a sum of skewed columns, plus noise."""
    rng, shape = np.random.default_rng(3), (3000, 5)
    made = {
        "lognormal": rng.lognormal(size=shape),
        "mostly_zero": rng.lognormal(size=shape) * (rng.random(shape) < 0.3),
        "two-sided": rng.standard_t(3, size=shape),
    }
    for name, x in made.items():
        total = x.sum(axis=1) + rng.normal(scale=0.5, size=len(x))
        frame = pl.DataFrame(x, schema=[f"part_{j}" for j in range(x.shape[1])])
        frame = frame.with_columns(total=pl.Series(total))
        yield Data(name=f"sum_{name}", frame=frame, target="total", task=Task.REGRESSION)


def loss_of(task: Task) -> str:
    """The loss that is compared."""
    return "log_loss" if task.has_classes else "rmse"


def rows_of(evidence: Evidence, part: Part) -> IntArray:
    """Row numbers of a part, ascending."""
    return np.flatnonzero(evidence.part == part)


def network(evidence: Evidence, config: Config, setting: NormalizeConfig) -> list[float]:
    """The default model's test loss per seed."""
    table, schema = evidence.table, evidence.schema
    transformer = TableTransformer(schema, setting)
    arrays: dict[Part, Examples] = {}
    for part in PARTS:
        rows = rows_of(evidence, part)
        frame = take_rows(table, rows)
        fitted = part is Part.TRAIN
        arrays[part] = (
            transformer.fit_transform(frame, rows, config.seed)
            if fitted
            else transformer.transform(frame, rows)
        )
    task, metric, losses = schema.task, schema.task.spec.metric, []
    train = arrays[Part.TRAIN]
    embedding = choose_embedding(config.model.number_embedding, len(train))
    for seed in range(SEEDS):
        fresh = fit_fresh(
            replace(config.model, number_embedding=embedding),
            config.train,
            transformer.spec_,
            train,
            arrays[Part.VAL],
            seed=seed,
            score=lambda y, p: score(metric, y, p, task),
            greater_is_better=METRICS[metric].greater_is_better,
        )
        test = arrays[Part.TEST]
        made = predict(fresh.fitted.model, test, task, config.train, target=fresh.target)
        losses.append(score(loss_of(task), test.y, made, task))
    return losses


def baseline(evidence: Evidence, config: Config, name: str) -> float:
    """A baseline's test loss, fitted on the same training rows."""
    table, schema = evidence.table, evidence.schema
    names = [c.name for c in schema.features]
    transformer = TableTransformer(schema, NormalizeConfig())
    train = rows_of(evidence, Part.TRAIN)
    transformer.fit(take_rows(table, train), config.seed, train)
    frames = {p: take_rows(table, rows_of(evidence, p)) for p in (Part.TRAIN, Part.TEST)}
    known = frames[Part.TRAIN].select(names).collect()
    reader = PlainReader(schema, known)
    rows = {}
    for part, frame in frames.items():
        arrays = transformer.transform(frame, rows_of(evidence, part))
        rows[part] = reader.read(frame.select(names).collect(), arrays.y, arrays.weight)
    fitted = fit_baseline(name, rows[Part.TRAIN], transformer.spec_, config.seed)
    made: DoubleArray = fitted(rows[Part.TEST])
    return score(loss_of(schema.task), rows[Part.TEST].y, made, schema.task)
