"""What the networks of a bag say of the rows that they were fitted on, and held out from.

n rows, C classes.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from plumbline.examples import Inputs, count_rows, take_inputs
from plumbline.inference import Predict
from plumbline.kinds import BoolArray, ByteArray, DoubleArray


def out_of_fold(members: Sequence[Predict], inputs: Inputs, bag: ByteArray) -> DoubleArray:
    """Each row's prediction (n, C) by the one network that was held out from it.

    Args:
        bag: (n,) the number of that network, for every row.
    """
    return _mean(members, inputs, [bag == number for number in range(len(members))])


def in_sample(members: Sequence[Predict], inputs: Inputs, bag: ByteArray) -> DoubleArray:
    """Each row's mean prediction (n, C) by the networks that were fitted on it.

    Args:
        bag: (n,) the number of the network that was not; any other number: all were.
    """
    return _mean(members, inputs, [bag != number for number in range(len(members))])


def _mean(members: Sequence[Predict], inputs: Inputs, rows_of: Sequence[BoolArray]) -> DoubleArray:
    """Each row's mean over the members that predict it, of which there is one at least."""
    total, count = None, np.zeros(count_rows(inputs))
    for member, which in zip(members, rows_of, strict=True):
        if not which.any():
            continue
        prediction = member(take_inputs(inputs, which))
        total = np.zeros((len(count), prediction.shape[1])) if total is None else total
        total[which] += prediction
        count[which] += 1
    assert total is not None and (count > 0).all()
    return np.asarray(total / count[:, None], dtype=np.float64)
