"""Does the exported graph say what the model says?"""

from __future__ import annotations

import numpy as np

from plumbline.artifacts import ParityResult
from plumbline.examples import Inputs, count_rows, take_inputs
from plumbline.inference.onnx_predictor import OnnxPredictor
from plumbline.kinds import DoubleArray, FloatArray

ODD_BATCH = 7  # rows; no power of two, no divisor of the usual sizes
SINGLE_ROWS = 20  # rows asked one at a time


def check_parity(
    graph: bytes,
    inputs: Inputs,
    reference: DoubleArray,
    *,
    tolerance: float,
    targets: FloatArray | None = None,
) -> ParityResult:
    """Run the graph on rows all at once, one by one and in an odd batch size.

    Args:
        inputs: tensors of prepared rows (n, *shape), n > 0.
        reference: what the model says of them, (n, C).
        tolerance: largest difference allowed: of a probability; for a regression (`targets`
            given) relative to the targets' standard deviation, or to a prediction's distance
            from their mean where that is larger.

    Returns:
        The largest difference over all rows and batch sizes, and whether it is allowed.
    """
    count = count_rows(inputs)
    assert count == len(reference) > 0
    scale: DoubleArray = np.ones_like(reference)
    if targets is not None:
        values = np.asarray(targets, dtype=np.float64)
        scale = np.maximum(values.std() or 1.0, np.abs(reference - values.mean()))
    batches: dict[str, float | None] = {}
    for size, rows in ((count, count), (1, SINGLE_ROWS), (ODD_BATCH, count)):
        rows = min(rows, count)
        answer = OnnxPredictor(graph, batch_rows=size)(take_inputs(inputs, slice(rows)))
        away = np.abs(answer - reference[:rows]) / scale[:rows]
        worst = float(away.max())
        batches["all" if size == count else str(size)] = worst if np.isfinite(worst) else None
    differences = [d for d in batches.values() if d is not None]
    worst_of_all = max(differences) if len(differences) == len(batches) else None
    return ParityResult(
        rows=count,
        max_difference=worst_of_all,
        tolerance=tolerance,
        passed=worst_of_all is not None and worst_of_all <= tolerance,
        batches=batches,
        unit="probability" if targets is None else "standard deviations of the target",
    )
