"""Processes that work side by side on one search."""

from __future__ import annotations

import multiprocessing
import os
from collections.abc import Callable
from typing import Any

from plumbline.training.launch import die_with_parent
from plumbline.training.memory import refuse_too_many


def run_side_by_side(count: int, work: Callable[..., object], arguments: tuple[Any, ...]) -> None:
    """Do `work(*arguments)` in `count` processes, one thread each; returns when all are done.

    Raises:
        ParameterError: more processes than fit into memory.
    """
    refuse_too_many(count, "tune.workers")
    context = multiprocessing.get_context("spawn")
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    processes = [context.Process(target=_alone, args=(work, arguments)) for _ in range(count)]
    for process in processes:
        process.start()
    for process in processes:
        process.join()


def _alone(work: Callable[..., object], arguments: tuple[Any, ...]) -> None:
    die_with_parent()
    work(*arguments)
