"""What a fitted model says of prepared rows: one function, however the model is held.

`TorchPredictor` holds a module, `OnnxPredictor` a graph (and imports no torch). Both take the
tensors of an `InputSpec` by name, (n, *shape) each, and give (n, C) probabilities, or (n, 1) values
in the target's units; `Decision` says how those are read. Both give the network's features (n, D)
beside them, what its last layer reads, in batches: all of them would take much memory.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from numpy.typing import NDArray

from plumbline.examples import Inputs, count_rows, row_bytes, take_inputs
from plumbline.kinds import DoubleArray, FloatArray

Predict = Callable[[Inputs], DoubleArray]
Featured = Iterator[tuple[DoubleArray, FloatArray]]  # of a batch (b, C) and (b, D)
PREDICTION, FEATURES = "prediction", "features"  # outputs of an exported graph
BATCH_ROWS = 512  # rows per forward pass: what a network makes of more leaves the cache
BATCH_BYTES = 2**22  # of its inputs: what is made of an image is a hundred times as large


def batches(inputs: Inputs, rows: int = BATCH_ROWS) -> Iterator[dict[str, NDArray[Any]]]:
    """The rows of a forward pass at a time; an empty batch where there is no row."""
    size = min(rows, max(1, BATCH_BYTES // row_bytes(inputs)))
    for start in range(0, max(count_rows(inputs), 1), size):
        yield take_inputs(inputs, slice(start, start + size))


__all__ = ["BATCH_ROWS", "FEATURES", "PREDICTION", "Featured", "Predict", "batches"]
