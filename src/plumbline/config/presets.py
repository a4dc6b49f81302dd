"""How much time a model is given: what `plumbline init --preset` writes into params.yaml.

One entry per preset, of what it changes; `good` is what params.yaml ships. All of it stands in
params.yaml afterwards, to be read and changed.
"""

from __future__ import annotations

from typing import Any

from plumbline.config.evaluation import EvaluateConfig, ExplainConfig
from plumbline.config.model import ModelConfig, TrainConfig, TuneConfig

GOOD = "good"
PRESETS: dict[str, dict[str, Any]] = {
    "quick": {
        "tune.trials": 0,
        "train.bag": 1,
        "train.epochs": 40,
        "train.patience": 8,
        "train.learning_curve": [],
        "evaluate.bootstrap": 200,
        "explain.rows": 50,
        "explain.faithfulness_rows": 20,
    },
    GOOD: {},
    "best": {
        "tune.trials": 40,
        "tune.patience": 15,
        "tune.epochs": 30,
        "tune.max_rows": 5000,
        "train.bag": 10,
        "train.epochs": 300,
        "train.patience": 32,
        "model.width": "tuned",
        "model.depth": "tuned",
    },
}
# what `best` searches beside the rest
SPACE: dict[str, dict[str, Any]] = {
    "model.width": {"type": "int", "low": 128, "high": 512, "log": True},
    "model.depth": {"type": "int", "low": 1, "high": 3},
}
DEFAULTS: dict[str, Any] = {
    "model": ModelConfig(),
    "tune": TuneConfig(),
    "train": TrainConfig(),
    "evaluate": EvaluateConfig(),
    "explain": ExplainConfig(),
}


def preset_values(name: str) -> dict[str, Any]:
    """Every key that a preset decides about, with its value."""
    values = {}
    for key in (key for own in PRESETS.values() for key in own):
        section, own = key.split(".")
        values[key] = PRESETS[name].get(key, getattr(DEFAULTS[section], own))
    return values
