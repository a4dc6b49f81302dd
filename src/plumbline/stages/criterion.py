"""The metric by which the stages that fit stop and compare."""

from __future__ import annotations

import functools

from plumbline.evaluation.metrics import METRICS, score
from plumbline.training.criteria import Criterion


def criterion_of(metric: str) -> Criterion:
    """What a fit is stopped or compared by, of a metric's name."""
    return Criterion(
        name=metric,
        of=functools.partial(score, metric),
        greater_is_better=METRICS[metric].greater_is_better,
    )
