"""Records of the files between stages, small and complete, for tests of those who read them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from plumbline.artifacts import (
    Architecture,
    Comparison,
    DriftResult,
    LeakageResult,
    Metrics,
    SliceScores,
    TrainingSummary,
    TunedValues,
    TuningSummary,
)


def metrics(**of: Any) -> Metrics:
    return Metrics(**{"train": {}, "val": {}, "test": {}, "test_ci95": {}, "baselines": {}, **of})


def architecture(**of: Any) -> Architecture:
    """A head over four numbers, with other values where given."""
    head = {
        "path": "head",
        "role": "head",
        "reads": "",
        "steps": ["ReLU", "Linear"],
        "shape": [2],
        "parameters": 10,
        "trainable": 10,
        "repeats": 1,
        "layers": [],
    }
    small = {"task": "binary", "parameters": 10, "trainable": 10, "tensors": [], "parts": [head]}
    return Architecture(**{**small, "output": [1, 2], "prediction": [2], **of})


def slices(metric: str, *scored: Mapping[str, Any]) -> SliceScores:
    return SliceScores(metric=metric, reference="linear", slices=scored)


def drift(columns: Mapping[str, bool]) -> DriftResult:
    """`columns`: whether each drifted."""
    return DriftResult(
        dataset_drift=False,
        drifted_share=0.0,
        chance=None,
        rows={"reference": 100, "current": 50},
        columns={name: {"drifted": drifted} for name, drifted in columns.items()},
        target={},
        prediction={},
    )


def leakage(*findings: Mapping[str, Any]) -> LeakageResult:
    return LeakageResult(clean=not findings, findings=findings)


def training(model: str = "mlp", **of: Any) -> TrainingSummary:
    whole = {"epochs": 30, "best_epoch": 20, "stopped_early": True, "monitor": "loss"}
    empty = {"values": {}, "verdict": {}, "learning_curve": [], "proposed_learning_rate": None}
    scores = {"parameters": 10, "best_score": 0.5, "start": None}
    return TrainingSummary(**{"model": model, **whole, **empty, **scores, **of})


def tuned(metric: str, values: Mapping[str, Any]) -> TunedValues:
    return TunedValues(values=values, score=None, std_error=None, metric=metric, trials=0)


def tuning(metric: str, values: Mapping[str, Any]) -> TuningSummary:
    return TuningSummary(values=values, score=None, std_error=None, metric=metric, trials=0)


def comparison(metric: str, text: str = "") -> Comparison:
    return Comparison(
        metric=metric,
        outperforms_baselines=None,
        text=text,
        best_baseline=None,
        baselines={},
        temperature=1.0,
        threshold=None,
        conformal={},
    )
