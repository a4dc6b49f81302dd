"""Fits over folds, everything that learns refitted in each."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from plumbline.config import Config
from plumbline.errors import DataError
from plumbline.examples import Examples, InputSpec
from plumbline.kinds import IntArray
from plumbline.preprocessing.balance import resample
from plumbline.preprocessing.decoded import DecodedImages
from plumbline.preprocessing.frames import take_rows
from plumbline.preprocessing.transform import TableTransformer
from plumbline.tables import Schema, Table
from plumbline.training.build import fit_fresh
from plumbline.training.criteria import Criterion
from plumbline.training.distributed import World
from plumbline.training.loop import predict
from plumbline.training.search import Reporter
from plumbline.training.transfer import Start


@dataclass(frozen=True, kw_only=True)
class Fold:
    """Examples that a fold fits on and scores on, and the network that its fits start from."""

    train: Examples
    val: Examples
    spec: InputSpec
    start: Start | None = None


def prepare_fold(
    table: Table,
    schema: Schema,
    config: Config,
    fitted: IntArray,
    scored: IntArray,
    number: int,
    *,
    start: Start | None = None,
    kept: Mapping[str, Any] | None = None,
    decoded: DecodedImages | None = None,
) -> Fold:
    """The examples of one fold; the transformer sees the rows to fit on alone.

    Args:
        start: the network that fits start from.
        kept: the state of its transformer.
        decoded: images of the table that were decoded before; those of this fold join them.
    """
    rng = np.random.default_rng([config.seed, 5, number])
    fitted, scored = (_sample(rows, config.tune.max_rows, rng) for rows in (fitted, scored))
    transformer = TableTransformer(
        schema,
        config.normalize,
        max_memory_mb=config.data.max_memory_mb,
        kept=kept,
        decoded=decoded,
    )
    train = transformer.fit_transform(take_rows(table, fitted), fitted, config.seed)
    val = transformer.transform(take_rows(table, scored), scored)
    if decoded is not None:
        for part in (train, val):
            decoded.add_examples(part, transformer.spec_)
    own = start.with_labels(transformer.labels()) if start else None
    return Fold(train=train, val=val, spec=transformer.spec_, start=own)


def _sample(rows: IntArray, most: int, rng: np.random.Generator) -> IntArray:
    return rows if len(rows) <= most else np.sort(rng.choice(rows, most, replace=False))


def score_folds(
    config: Config, folds: list[Fold], criterion: Criterion, report: Reporter, world: World
) -> list[float]:
    """Fit in every fold; the score of each that has one.

    Within the first fold the validation score after each epoch is reported, then the mean of
    the folds done: so a hopeless trial ends early, and trials are compared at equal steps.
    """
    how = dataclasses.replace(config.train, epochs=config.tune.epochs)
    scores: list[float] = []
    for number, fold in enumerate(folds):
        val, spec = fold.val, fold.spec

        def on_epoch(epoch: int, row: dict[str, float], number: int = number) -> None:
            if number == 0 and np.isfinite(row["val_score"]):
                report(epoch, row["val_score"])

        fresh = fit_fresh(
            config.model,
            how,
            spec,
            resample(fold.train, spec, config.normalize.balance, config.seed),
            val,
            seed=config.seed,
            start=fold.start,
            **criterion.stopping(spec.task),
            world=world,
            on_epoch=on_epoch,
        )
        prediction = predict(
            fresh.fitted.model, val, spec.task, how, target=fresh.target, world=world
        )
        value = criterion.of(val.y, prediction, spec.task)
        if not np.isfinite(value):  # one class in a small fold, say
            continue
        scores.append(value)
        if number + 1 < len(folds):
            report(config.tune.epochs + number + 1, float(np.mean(scores)))
    if not scores:
        raise DataError(
            f"{criterion.name} cannot be computed in any fold: each scores rows of one class",
            file="params.yaml",
            where="split.folds",
            hint="lower it, or raise tune.max_rows",
        )
    return scores
