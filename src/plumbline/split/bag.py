"""The folds of a bag: each of its networks is fitted without one of them.

They are cut over training and validation rows together, by the method of the tuner's folds, so that
equal rows and groups stay together.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Literal

import numpy as np

from plumbline.config.data import SplitConfig
from plumbline.kinds import ByteArray, ColumnType, Part
from plumbline.split.folds import FOLDERS
from plumbline.split.rows import SplitRows
from plumbline.tables import NEVER, Schema

NETWORKS = 5  # of a bag that `auto` makes
MOST_CELLS = 2_000_000  # training and validation rows times features, up to which it makes one
MOST_IMAGES = 1_000  # training and validation rows, where a column holds images


def networks_of(wanted: int | Literal["auto"], part: ByteArray, schema: Schema) -> int:
    """How many networks `train.bag` asks for. `auto`: `NETWORKS`, which helps where rows are few;
    one above `MOST_CELLS` cells, or above `MOST_IMAGES` rows with images, where it helps little and
    takes long."""
    if wanted != "auto":
        return wanted
    rows = int(((part == Part.TRAIN) | (part == Part.VAL)).sum())
    if schema.of_type(ColumnType.IMAGE) and rows > MOST_IMAGES:
        return 1
    return NETWORKS if rows * len(schema.features) <= MOST_CELLS else 1


def why_single(config: SplitConfig, start_from: str | None) -> str | None:
    """Why the model is a single network though `train.bag` is above 1; None where it is a bag.

    Args:
        config: with its methods resolved.
        start_from: the network that fits start from.
    """
    if config.method == "time" or config.folds_method.startswith("time_"):
        return "the rows are split in time: networks would learn from rows after those they stop by"
    if config.method == "predefined":
        return "the data say which rows validate (split.method: predefined)"
    if start_from is not None:
        return "the fit starts from another network (model.start_from)"
    return None


def bag_folds(
    rows: SplitRows, part: ByteArray, config: SplitConfig, networks: int, seed: int
) -> ByteArray:
    """The network that each row is held out from, (rows,); `NEVER` for rows of rare classes that
    no fit can do without, and for test rows.

    Raises:
        DataError: too few separate rows for so many folds.
    """
    pool = np.flatnonzero((part == Part.TRAIN) | (part == Part.VAL))
    own = replace(config, folds=networks, repeats=1)
    rng = np.random.default_rng([seed, 2])
    held_out = FOLDERS[own.folds_method](rows, pool, own, rng) == Part.VAL  # (m, networks)
    folds = np.full(rows.rows, NEVER, dtype=np.uint8)
    folds[pool] = np.where(held_out.any(1), held_out.argmax(1), NEVER)
    return folds
