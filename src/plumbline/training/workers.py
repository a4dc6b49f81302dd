"""Processes that work side by side: on one search, or on the networks of a bag."""

from __future__ import annotations

import multiprocessing
import os
import queue
from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from typing import Any

from plumbline.training.launch import die_with_parent
from plumbline.training.memory import refuse_too_many

SECONDS = 0.5  # between two looks into the queue
Send = Callable[[Any], None]

_messages: Any = None  # in a worker: the queue to the parent


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


def share_out(
    work: Callable[..., None], tasks: Sequence[tuple[Any, ...]], count: int, on_message: Send
) -> bool:
    """Do `work(*task, send)` for each task in `count` other processes; returns when all are done.

    An error of one, or its death, is no error here: who calls does afterwards what is left, and
    meets the error where it can be told.

    Args:
        work: what it sends must be fit for a queue.
        on_message: called here with what the tasks send, from time to time.

    Returns:
        Whether no process died.
    """
    context = multiprocessing.get_context("spawn")
    messages = context.Queue()
    with ProcessPoolExecutor(count, context, _begin, (messages,)) as pool:
        try:
            futures: list[Future[None]] = [pool.submit(_work, work, task) for task in tasks]
            left = set(futures)
            while left:
                left = wait(left, timeout=SECONDS, return_when=FIRST_COMPLETED).not_done
                _pass_on(messages, on_message)
        except BrokenProcessPool:  # one was killed before all were handed out
            return False
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise
    return not any(isinstance(future.exception(), BrokenProcessPool) for future in futures)


def _alone(work: Callable[..., object], arguments: tuple[Any, ...]) -> None:
    die_with_parent()
    work(*arguments)


def _begin(messages: Any) -> None:
    global _messages
    _messages = messages
    die_with_parent()


def _work(work: Callable[..., None], task: tuple[Any, ...]) -> None:
    work(*task, _messages.put)


def _pass_on(messages: Any, on_message: Send) -> None:
    while True:
        try:
            on_message(messages.get_nowait())
        except queue.Empty:
            return
