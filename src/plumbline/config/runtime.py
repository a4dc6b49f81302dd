"""Section of params.yaml about how a fit runs. Whatever it says, the same model comes out."""

from __future__ import annotations

import os
from typing import Literal

from pydantic import Field

from plumbline.config.section import NonNegativeInt, PositiveInt, section

EngineName = Literal["auto", "process", "launcher"]
BatchesFrom = Literal["auto", "memory", "files"]


@section
class RuntimeConfig:
    """Engine, device, processes, batches, restarts and checkpoints of a fit."""

    engine: EngineName = "auto"
    device: Literal["auto", "cpu", "cuda"] = "auto"
    processes: int = Field(default=1, ge=1, le=1024)
    threads: int = Field(default=0, ge=0, le=1024)
    shard: bool = False
    compile: bool = False
    batches: BatchesFrom = "auto"
    max_restarts: int = Field(default=3, ge=0, le=1000)
    checkpoint_epochs: PositiveInt = 1
    checkpoint_steps: NonNegativeInt = 0


def count_threads(config: RuntimeConfig, processes_here: int) -> int:
    """CPU threads per process: as asked for, or this machine's cores shared out."""
    return config.threads or max(1, len(os.sched_getaffinity(0)) // processes_here)
