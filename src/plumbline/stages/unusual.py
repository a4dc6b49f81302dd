"""The out-of-distribution scores of validation and test rows, by the network's features and the
columns' ranges."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import polars as pl

from plumbline import artifacts
from plumbline.config import Config
from plumbline.evaluation.out_of_distribution import (
    AUTO,
    find_threshold,
    fit_distance,
    fit_ranges,
    most_unusual,
    sample_rows,
    separation,
    shuffle_columns,
    shuffle_inputs,
)
from plumbline.examples import Examples, Inputs
from plumbline.inference.out_of_distribution import FLAG, OutOfDistribution
from plumbline.kinds import DoubleArray, Part
from plumbline.preprocessing.frames import take_rows
from plumbline.store.bundle import Bundle
from plumbline.tables import MOST_ROWS_AT_ONCE, Schema, Table, batches

SHOWN = 10  # of the most unusual test rows
MOST_SHUFFLED = 2000  # test rows


@dataclass(frozen=True, kw_only=True)
class ScoredParts:
    """What was fitted, None where `method` is `off`; score and flag of each row by part; and what
    the page shows."""

    fitted: OutOfDistribution | None
    columns: Mapping[Part, Mapping[str, pl.Series]]
    report: artifacts.Unusual


def score_parts(
    config: Config, bundle: Bundle, parts: Mapping[Part, Examples], table: Table, schema: Schema
) -> ScoredParts:
    """Fit on training rows, take the threshold from validation rows, score these and test rows."""
    settings = config.evaluate.out_of_distribution
    if settings.method == "off":
        off = artifacts.Unusual(method="off", share=settings.share)
        return ScoredParts(fitted=None, columns={}, report=off)
    fitted = _fit(config, bundle, parts[Part.TRAIN], table, schema)
    own = {part: _score(fitted, bundle, parts[part], table) for part in (Part.VAL, Part.TEST)}
    threshold = find_threshold(own[Part.VAL].scores, settings.share)
    fitted = replace(fitted, threshold=threshold)
    columns = {part: fitted.columns(scored.scores) for part, scored in own.items()}
    report = artifacts.Unusual(
        method=fitted.method,
        share=settings.share,
        threshold=threshold,
        flagged={part.name.lower(): _share(made[FLAG]) for part, made in columns.items()},
        shuffled_roc_auc=_shuffled(config, fitted, bundle, parts[Part.TEST], table),
        rows=_most(fitted, own[Part.TEST], parts[Part.TEST], table),
    )
    return ScoredParts(fitted=fitted, columns=columns, report=report)


def _share(flags: pl.Series) -> float | None:
    """Of the rows that are flagged; None without rows or a threshold."""
    known = flags.drop_nulls()
    return int(known.sum()) / len(known) if len(known) else None


def _fit(
    config: Config, bundle: Bundle, train: Examples, table: Table, schema: Schema
) -> OutOfDistribution:
    settings, task = config.evaluate.out_of_distribution, bundle.spec.task
    method = AUTO if settings.method == "auto" else settings.method
    some = train.take(sample_rows(len(train), config.seed))
    predicted = bundle.predictor().with_features(some.inputs)
    arrays, unit = fit_distance(
        method,
        np.concatenate([features for _, features in predicted]),
        np.asarray(some.y, dtype=np.int64) if task.has_classes else None,
        config.seed,
    )
    read = {source for tensor in bundle.spec for source in tensor.sources}
    columns = [column for column in schema.features if column.name in read]
    ranges = fit_ranges(_rows(table, train), columns)
    return OutOfDistribution(
        method=method, arrays=arrays, unit=unit, ranges=ranges, share=settings.share
    )


@dataclass(frozen=True, kw_only=True)
class _PartScores:
    """Of the rows of a part: (n,) each."""

    distances: DoubleArray
    scores: DoubleArray


def _score(
    fitted: OutOfDistribution, bundle: Bundle, examples: Examples, table: Table
) -> _PartScores:
    distances, scores, start = _distances(fitted, bundle, examples.inputs), [np.zeros(0)], 0
    if not len(examples) or not fitted.ranges.columns:
        return _PartScores(distances=distances, scores=distances)
    for cells in batches(_cells(fitted, table, examples), MOST_ROWS_AT_ONCE):
        stop = start + len(cells)
        scores.append(fitted.scores(distances[start:stop], cells))
        start = stop
    return _PartScores(distances=distances, scores=np.concatenate(scores))


def _distances(fitted: OutOfDistribution, bundle: Bundle, inputs: Inputs) -> DoubleArray:
    pairs = bundle.predictor().with_features(inputs)
    return np.concatenate([fitted.distances(features) for _, features in pairs])


def _rows(table: Table, examples: Examples) -> pl.LazyFrame:
    """Prepared rows as they are in the data; both are in file order."""
    return take_rows(table, np.asarray(examples.rows, dtype=np.int64))


def _cells(fitted: OutOfDistribution, table: Table, examples: Examples) -> pl.LazyFrame:
    """Their cells in the columns whose ranges are known."""
    return _rows(table, examples).select(column.name for column in fitted.ranges.columns)


def _shuffled(
    config: Config, fitted: OutOfDistribution, bundle: Bundle, test: Examples, table: Table
) -> float | None:
    """The ROC-AUC of some test rows against the same with each column shuffled."""
    sources = sorted({source for tensor in bundle.spec for source in tensor.sources})
    if len(sources) < 2 or len(test) < 2:
        return None
    rng = np.random.default_rng(config.seed)
    some = test.take(np.sort(rng.permutation(len(test))[:MOST_SHUFFLED]))
    permutations = shuffle_columns(sources, len(some), config.seed)
    cells = _cells(fitted, table, some).collect(engine="streaming")
    shuffled = cells.select(cells[name].gather(permutations[name]) for name in cells.columns)
    inputs = shuffle_inputs(bundle.spec, some.inputs, permutations)
    return separation(
        fitted.scores(_distances(fitted, bundle, some.inputs), cells),
        fitted.scores(_distances(fitted, bundle, inputs), shuffled),
    )


def _most(
    fitted: OutOfDistribution, own: _PartScores, test: Examples, table: Table
) -> list[dict[str, Any]]:
    """The most unusual test rows, the worst first."""
    worst = np.argsort(-own.scores, kind="stable")[:SHOWN]
    places = np.sort(worst)
    cells = _cells(fitted, table, test.take(places)).collect(engine="streaming")
    return most_unusual(
        fitted.ranges,
        cells.select(pl.all().gather(np.searchsorted(places, worst))),
        np.asarray(test.rows)[worst],
        own.scores[worst],
        own.distances[worst],
    )
