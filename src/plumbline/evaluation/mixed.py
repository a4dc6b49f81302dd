"""Predictions of mixed rows, made and asked about few at a time: thousands of images that differ in
a patch would fill the memory.

n rows, M players, B background rows.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from plumbline.evaluation.masker import Masker
from plumbline.examples import Inputs, row_bytes, take_inputs
from plumbline.inference import Predict
from plumbline.kinds import BoolArray, DoubleArray, IntArray

MOST_BYTES = 2**26  # of mixed rows that exist at once


def predict_mixed(
    predict: Predict,
    masker: Masker,
    present: BoolArray,
    row: Inputs,
    background: Inputs,
    index: IntArray,
    output: int,
) -> DoubleArray:
    """One output of the predictions (n,) of a row whose absent players have values of other rows.

    Args:
        present: (n, M) which players have the row's own values.
        index: (n,) the background row that the others' values come from.
    """
    if len(present) == 0:
        return np.zeros(0)
    parts = [
        predict(masker.mix(present[some], row, take_inputs(background, index[some])))[:, output]
        for some in _blocks(len(present), row)
    ]
    return np.concatenate(parts)


def predict_drawn(
    predict: Predict,
    masker: Masker,
    row: Inputs,
    background: Inputs,
    source: IntArray,
    output: int,
) -> DoubleArray:
    """The same where each player has a source of its own.

    Args:
        source: (n, M) 0: the row itself, or background row `source` - 1.
    """
    parts = [
        predict(masker.draw(row, background, source[some]))[:, output]
        for some in _blocks(len(source), row)
    ]
    return np.concatenate(parts)


def _blocks(count: int, row: Inputs) -> Iterator[slice]:
    size = max(1, MOST_BYTES // row_bytes(row))
    for start in range(0, count, size):
        yield slice(start, start + size)
