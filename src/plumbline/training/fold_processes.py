"""Processes that fit folds beside this one: those of a trial, and they live across trials, or the
networks of a bag.

Each takes the next fold as it becomes free; here a thread for each sends it what to fit and waits
for the score. Which of them fitted a fold changes nothing: one that dies leaves its fold to the
others, and this process needs none of them.
"""

from __future__ import annotations

import contextlib
import multiprocessing
import queue
import signal
import sys
import threading
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from multiprocessing.connection import Connection
from multiprocessing.context import SpawnProcess
from typing import Any, Self

from plumbline.config import Config
from plumbline.errors import UserError
from plumbline.training.device import set_up
from plumbline.training.distributed import World
from plumbline.training.divergence import DivergedError
from plumbline.training.launch import die_with_parent

Outcome = float | DivergedError  # of one fold
# of the parameters, one of `folds`, and what is called after each epoch: the score
FitFold = Callable[[Config, Any, World, Callable[[], None]], float]
STOP = "stop"
READY = "ready"
SECONDS = 1.0  # that are waited before the time left is asked for again


class StoppedError(Exception):
    """The trial has ended: what is still fitted of it is of no use."""


class Turn:
    """One trial: its folds, given to whoever is free, and their outcomes."""

    def __init__(self, config: Config, folds: int) -> None:
        self.config = config
        self.stopped = False
        self._left = deque(range(folds))
        self._ended: queue.SimpleQueue[tuple[int, Outcome] | None] = queue.SimpleQueue()

    def take(self) -> int | None:
        """The next fold to fit; None: there is none left."""
        try:
            return self._left.popleft()
        except IndexError:
            return None

    def give_back(self, fold: int) -> None:
        """Another is to fit it."""
        self._left.appendleft(fold)
        self._ended.put(None)

    def ended(self, fold: int, outcome: Outcome) -> None:
        """A fold has a score, or diverged."""
        self._ended.put((fold, outcome))

    def arrived(self) -> Iterator[tuple[int, Outcome]]:
        """The outcomes of others that have come since."""
        with contextlib.suppress(queue.Empty):
            while True:
                if outcome := self._ended.get_nowait():
                    yield outcome

    def wait(self) -> tuple[int, Outcome] | None:
        """The next outcome; None: a fold was given back, or none came for a while."""
        try:
            return self._ended.get(timeout=SECONDS)
        except queue.Empty:
            return None

    def stop(self) -> None:
        """No fold is given any more."""
        self.stopped = True
        self._left.clear()


class FoldProcesses:
    """Processes beside this one, each with the folds that it was sent.

    Args:
        fit_fold: gives the score of one fold; a function of a module.
        folds: what it is given, by number.
        count: processes; 0: this one is alone.
        threads: of each.
    """

    def __init__(
        self, fit_fold: FitFold, folds: Sequence[Any], world: World, *, count: int, threads: int
    ) -> None:
        self._arguments, self._count = (fit_fold, folds, world, threads), count
        self._others: list[_Other] | None = None

    @contextlib.contextmanager
    def helping(self, turn: Turn) -> Iterator[None]:
        """Within it they take folds of the trial; whatever they are at when it ends is dropped."""
        if self._others is None:  # not before there is work
            self._others = [_Other(*self._arguments) for _ in range(self._count)]
        for other in self._others:
            other.begin(turn)
        try:
            yield
        finally:
            turn.stop()
            for other in self._others:
                other.stop()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        for other in self._others or ():
            other.close()


class _Other:
    """One process, seen from here."""

    def __init__(self, fit_fold: FitFold, folds: Sequence[Any], world: World, threads: int) -> None:
        context = multiprocessing.get_context("spawn")
        self._folds, self._sent = folds, set[int]()
        self._connection, theirs = context.Pipe()
        self._process: SpawnProcess = context.Process(
            target=_serve, args=(theirs, fit_fold, world, threads), daemon=True
        )
        self._process.start()
        theirs.close()
        self._sending = threading.Lock()
        self._busy = self._is_gone = False
        self._thread = ThreadPoolExecutor(1)
        self._thread.submit(self._connection.recv)  # that it is ready

    def begin(self, turn: Turn) -> None:
        self._thread.submit(self._work, turn)

    def stop(self) -> None:
        with self._sending, contextlib.suppress(OSError):
            if self._busy:
                self._connection.send((STOP, None, None))

    def close(self) -> None:
        self._process.kill()
        self._process.join()
        self._thread.shutdown()
        self._connection.close()

    def _work(self, turn: Turn) -> None:
        """Let the process fit folds, one after the other, until none is left or it died."""
        while not self._is_gone and (fold := turn.take()) is not None:
            outcome = None
            try:
                outcome = self._fit(turn, fold)
            except (OSError, EOFError):
                self._is_gone = True
                if not turn.stopped:
                    _tell_killed()
            self._busy = False
            if outcome is None:
                turn.give_back(fold)
                return  # what it met there is met by this process, which can say it
            turn.ended(fold, outcome)

    def _fit(self, turn: Turn, fold: int) -> Outcome | None:
        new = None if fold in self._sent else self._folds[fold]
        with self._sending:
            if turn.stopped:
                return None
            self._busy = True
            self._connection.send((turn.config, fold, new))
        self._sent.add(fold)
        outcome: Outcome | None = self._connection.recv()
        return outcome


def _tell_killed() -> None:
    print(
        "a process beside this one ended early (killed for want of memory?): the others fit what "
        "it left",
        file=sys.stderr,
        flush=True,
    )


def _serve(connection: Connection, fit_fold: FitFold, world: World, threads: int) -> None:
    """In the other process: fit what comes until there is no one who sends."""
    die_with_parent()
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent ends it
    set_up(world.device, threads)
    held: dict[int, Any] = {}

    def after_epoch() -> None:
        if connection.poll():
            connection.recv()  # nothing but STOP comes while a fold is fitted
            raise StoppedError

    with contextlib.suppress(EOFError, OSError):
        connection.send(READY)
        while True:
            config, fold, new = connection.recv()
            if config == STOP:  # it came after the fit
                continue
            if new is not None:
                held[fold] = new
            connection.send(_outcome(lambda: fit_fold(config, held[fold], world, after_epoch)))  # noqa: B023


def _outcome(fit: Callable[[], float]) -> Outcome | None:
    try:
        return fit()
    except DivergedError as error:
        return error
    except (UserError, StoppedError):
        return None
