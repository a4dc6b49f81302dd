"""Does the exported graph say what the model says?"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from plumbline.examples import Inputs, count_rows, take_inputs
from plumbline.inference.onnx_predictor import OnnxPredictor
from plumbline.kinds import DoubleArray, FloatArray

ODD_BATCH = 7  # rows; no power of two, no divisor of the usual sizes
SINGLE_ROWS = 20  # rows asked one at a time


@dataclass(frozen=True, kw_only=True)
class Parity:
    """The largest difference over all rows and batch sizes, and what was allowed."""

    rows: int
    batches: dict[str, float | None]
    max_difference: float | None  # None: a prediction was not finite
    tolerance: float
    unit: str

    @property
    def passed(self) -> bool:
        return self.max_difference is not None and self.max_difference <= self.tolerance

    def to_json(self) -> dict[str, Any]:
        return {
            "rows": self.rows,
            "max_difference": self.max_difference,
            "tolerance": self.tolerance,
            "passed": self.passed,
            "unit": self.unit,
            "batches": self.batches,
        }


def check_parity(
    graph: bytes,
    inputs: Inputs,
    reference: DoubleArray,
    *,
    tolerance: float,
    targets: FloatArray | None = None,
) -> Parity:
    """Run the graph on rows all at once, one by one and in an odd batch size.

    Args:
        inputs: tensors of prepared rows (n, *shape), n > 0.
        reference: what the model says of them, (n, C).
        tolerance: largest difference allowed: of a probability; for a regression (`targets`
            given) relative to the targets' standard deviation, or to a prediction's distance
            from their mean where that is larger.
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
    return Parity(
        rows=count,
        batches=batches,
        max_difference=max(differences) if len(differences) == len(batches) else None,
        tolerance=tolerance,
        unit="probability" if targets is None else "standard deviations of the target",
    )
