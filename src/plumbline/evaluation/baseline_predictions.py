"""The baselines, fitted on training rows as they are in the data; their predictions of other rows.

n rows, C classes.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import polars as pl

from plumbline.config import Config
from plumbline.evaluation.baselines import fit_baseline
from plumbline.examples import Examples, InputSpec
from plumbline.kinds import ColumnType, DoubleArray, IntArray, Part
from plumbline.preprocessing.frames import take_rows
from plumbline.preprocessing.plain import (
    PlainReader,
    image_shapes,
    join_rows,
    most_plain_rows,
)
from plumbline.tables import Schema, Table


def sample_training_rows(train: Examples, schema: Schema, config: Config) -> Examples:
    """The training rows that baselines are fitted on: all, or `most_plain_rows` at random."""
    most = most_plain_rows(schema, config.data.max_memory_mb)
    if len(train) <= most:
        return train
    drawn = np.random.default_rng(config.seed).choice(len(train), most, replace=False)
    return train.take(np.sort(drawn))


def predict_baselines(
    config: Config,
    table: Table,
    schema: Schema,
    spec: InputSpec,
    train: Examples,
    parts: Mapping[Part, Examples],
) -> dict[str, dict[Part, DoubleArray]]:
    """Raw predictions, (n, C) probabilities or (n, 1) values, of each part by each baseline of
    `evaluate.baselines`.

    Features come from the table, targets and weights of the training rows from `train`.
    """
    rows = _features(table, schema, train.rows)
    shapes = image_shapes(schema, rows)
    frame = rows.drop(schema.of_type(ColumnType.IMAGE)).collect()
    reader = PlainReader(schema, frame, config.data.max_memory_mb, shapes)
    if shapes:  # whose bytes are more than the pixels read off them
        known = join_rows(list(reader.read_batches(rows, train.y, train.weight)))
    else:
        known = reader.read(frame, train.y, train.weight)
    del frame  # as large as what was read off it
    names: list[str] = list(config.evaluate.baselines)
    predictors = {name: fit_baseline(name, known, spec, config.seed) for name in names}
    del known
    predicted: dict[str, dict[Part, DoubleArray]] = {name: {} for name in names}
    for part, held in parts.items():
        pieces: dict[str, list[DoubleArray]] = {name: [] for name in names}
        rows = _features(table, schema, held.rows)
        for batch in reader.read_batches(rows, held.y, held.weight):
            for name, predict in predictors.items():
                pieces[name].append(predict(batch))
        for name, made in pieces.items():
            predicted[name][part] = np.concatenate(made)
    return predicted


def _features(table: Table, schema: Schema, rows: IntArray) -> pl.LazyFrame:
    """The features of some rows; the table's order is that of prepared rows, too."""
    assert (np.diff(rows.astype(np.int64)) > 0).all()
    names = [c.name for c in schema.features]
    return take_rows(table, np.asarray(rows, dtype=np.int64)).select(names)
