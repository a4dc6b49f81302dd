"""Keys of params.yaml as they were called before, and what they are called now."""

from __future__ import annotations

RENAMED = {
    "model.normalisation": "model.normalization",
    "model.initialisation": "model.initialization",
    "split.leakage.source_shift": "split.leakage.adversarial_validation",
    **{
        f"train.{key}": f"runtime.{key}"
        for key in ("compile", "device", "processes", "threads", "shard", "max_restarts")
    },
    "train.checkpoint_epochs": "runtime.checkpoint_epochs",
    "train.checkpoint_steps": "runtime.checkpoint_steps",
}
