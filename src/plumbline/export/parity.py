"""Does the exported graph say what the model says?"""

from __future__ import annotations

from collections.abc import Collection

import numpy as np

from plumbline.artifacts import ParityResult
from plumbline.examples import Inputs, count_rows, take_inputs
from plumbline.inference.onnx_predictor import OnnxPredictor
from plumbline.kinds import DoubleArray, FloatArray

Arrays = DoubleArray | FloatArray
ODD_BATCH = 7  # rows; no power of two, no divisor of the usual sizes
SINGLE_ROWS = 20  # rows asked one at a time


def check_parity(
    graph: bytes,
    inputs: Inputs,
    reference: DoubleArray,
    *,
    tolerance: float,
    targets: FloatArray | None = None,
    features: FloatArray | None = None,
) -> ParityResult:
    """Run the graph on rows all at once, one by one and in an odd batch size.

    Args:
        inputs: tensors of prepared rows (n, *shape), n > 0.
        reference: what the model says of them, (n, C).
        tolerance: largest difference allowed: of a probability; for a regression (`targets`
            given) relative to the targets' standard deviation, or to a prediction's distance
            from their mean where that is larger; of a feature relative to the standard deviation
            of all features.
        features: what the model's last layer reads, (n, D); None: features are not compared.

    Returns:
        The largest difference over all rows and batch sizes, and whether it is allowed.
    """
    count = count_rows(inputs)
    assert count == len(reference) > 0
    scale: DoubleArray = np.ones_like(reference)
    if targets is not None:
        values = np.asarray(targets, dtype=np.float64)
        scale = np.maximum(values.std() or 1.0, np.abs(reference - values.mean()))
    spread = 1.0 if features is None else float(np.std(features, dtype=np.float64)) or 1.0
    batches: dict[str, float | None] = {}
    of_features: list[float | None] = []
    for size, rows in ((count, count), (1, SINGLE_ROWS), (ODD_BATCH, count)):
        rows = min(rows, count)
        predictor, part = OnnxPredictor(graph, batch_rows=size), take_inputs(inputs, slice(rows))
        if features is None:
            answer = predictor(part)
        else:
            pairs = list(predictor.with_features(part))
            answer = np.concatenate([prediction for prediction, _ in pairs])
            given = np.concatenate([own for _, own in pairs])
            of_features.append(_largest((given - features[:rows]) / spread))
        name = "all" if size == count else str(size)
        batches[name] = _largest((answer - reference[:rows]) / scale[:rows])
    worst, features_worst = _worst(batches.values()), _worst(of_features)
    differences = [worst] if features is None else [worst, features_worst]
    return ParityResult(
        rows=count,
        max_difference=worst,
        tolerance=tolerance,
        passed=all(value is not None and value <= tolerance for value in differences),
        batches=batches,
        unit="probability" if targets is None else "standard deviations of the target",
        features=features_worst,
    )


def _largest(differences: Arrays) -> float | None:
    """None where one is not finite."""
    worst = float(np.abs(differences).max(initial=0.0))
    return worst if np.isfinite(worst) else None


def _worst(differences: Collection[float | None]) -> float | None:
    """None where one is None, or there is none."""
    known = [value for value in differences if value is not None]
    return max(known) if known and len(known) == len(differences) else None
