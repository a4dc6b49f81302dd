"""Processes that work on one search side by side."""

from __future__ import annotations

import multiprocessing
import os
from collections.abc import Callable
from typing import Any

from plumbline.training.memory import refuse_too_many


def run_side_by_side(count: int, work: Callable[..., None], arguments: tuple[Any, ...]) -> None:
    """Do `work(*arguments)` in `count` processes, one thread each; returns when all are done.

    Raises:
        ParameterError: more processes than fit into memory.
    """
    refuse_too_many(count, "tune.workers")
    context = multiprocessing.get_context("spawn")
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    processes = [context.Process(target=work, args=arguments) for _ in range(count)]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
