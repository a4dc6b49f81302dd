"""What a fitted model says of prepared rows: one function, however the model is held.

`TorchPredictor` holds a module, `OnnxPredictor` a graph (and imports no torch). Both take the
tensors of an `InputSpec` by name, (n, *shape) each, and give (n, C) probabilities, or (n, 1) values
in the target's units; `Decision` says how those are read.
"""

from __future__ import annotations

from collections.abc import Callable

from plumbline.examples import Inputs
from plumbline.kinds import DoubleArray

Predict = Callable[[Inputs], DoubleArray]
BATCH_ROWS = 4096  # rows per forward pass

__all__ = ["BATCH_ROWS", "Predict"]
