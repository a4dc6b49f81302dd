"""Processes that read small images for this one.

A tenth of a millisecond of every image passes in Python, whose lock one thread holds at a time: so
threads read no more than some 10,000 images per second, however many cores there are. Processes
start once this process has read such images for a while, and end with it.
"""

from __future__ import annotations

import atexit
import os
import socket
import subprocess
import sys
import threading
from collections.abc import Sequence
from multiprocessing.connection import Connection
from pathlib import Path
from queue import SimpleQueue

import numpy as np

from plumbline.images.read import Cell, ImageShape
from plumbline.kinds import ByteArray

WARM_UP = 0.5  # seconds of processor for images before processes start, which takes a tenth each
LOCKED = 1.2e-4  # seconds of an image in Python, and for handing on its lock
MOST = 16  # processes, of some 40 MB each


class WorkerEndedError(Exception):
    """A process ended while it read. `reason`: by which signal or with which code."""

    def __init__(self, code: int) -> None:
        self.reason = f"killed by signal {-code}" if code < 0 else f"exit code {code}"
        super().__init__(self.reason)


class ImageWorkers:
    """So many processes, each for one thread at a time.

    Raises:
        OSError, WorkerEndedError: they cannot be started here.
    """

    def __init__(self, count: int) -> None:
        self._all: list[_Worker] = []
        self._idle: SimpleQueue[_Worker] = SimpleQueue()
        try:
            for _ in range(count):
                self._all.append(_Worker())
            for worker in self._all:  # all are starting by now
                worker.read(None, [], np.zeros((0, 1, 1, 1), np.uint8))
                self._idle.put(worker)
        except BaseException:
            self.close()
            raise

    @property
    def processes(self) -> list[int]:
        """Their ids."""
        return [worker.process.pid for worker in self._all]

    def read(self, folder: Path | None, cells: Sequence[Cell], out: ByteArray) -> list[int]:
        """Fill `out` (n, c, h, w) by a process that is free; the positions of cells that it left.

        Raises:
            WorkerEndedError: it ended before.
        """
        worker = self._idle.get()
        try:
            return worker.read(folder, cells, out)
        finally:
            self._idle.put(worker)

    def close(self) -> None:
        """End them."""
        for worker in self._all:
            worker.close()


class _Worker:
    def __init__(self) -> None:
        ours, theirs = socket.socketpair()
        with ours, theirs:
            self.process = subprocess.Popen(
                [sys.executable, "-P", "-m", "plumbline.images.worker", str(theirs.fileno())],
                pass_fds=[theirs.fileno()],
                stdin=subprocess.DEVNULL,
                env={
                    **os.environ,
                    "PYTHONPATH": os.pathsep.join(sys.path),
                    "OPENBLAS_NUM_THREADS": "1",  # which saves numpy a third of its import
                },
            )
            self._connection = Connection(ours.detach())

    def read(self, folder: Path | None, cells: Sequence[Cell], out: ByteArray) -> list[int]:
        _, channels, height, width = out.shape
        shape = ImageShape(channels=channels, height=height, width=width)
        try:
            self._connection.send((folder, shape, cells))
            left: list[int] = self._connection.recv()
            pixels = self._connection.recv_bytes()
        except (EOFError, OSError):
            self._connection.close()
            raise WorkerEndedError(self.process.wait()) from None
        except BaseException:  # no memory for the answer, which would be the next one's
            self._connection.close()
            raise
        out[...] = np.frombuffer(pixels, np.uint8).reshape(out.shape)
        return left

    def close(self) -> None:
        self.process.kill()  # a thread may be waiting at the connection, which ends with it
        self.process.wait()


class SharedWorkers:
    """The processes of whoever reads images in this process."""

    def __init__(self) -> None:
        self._workers: ImageWorkers | None = None
        self._seconds, self._images = 0.0, 0
        self._tried, self._lock = False, threading.Lock()

    def get(self) -> ImageWorkers | None:
        """None: they have not started, or did not stay."""
        return self._workers

    def took(self, seconds: float, images: int, threads: int) -> None:
        """Count what one of so many threads has read; start processes when that pays."""
        self._seconds += seconds
        self._images += images
        if self._seconds < WARM_UP:
            return
        pays = threads > 1 and self._seconds < LOCKED * threads * self._images
        self._seconds, self._images = 0.0, 0  # other images may come
        if not pays:
            return
        with self._lock:
            if self._tried:
                return
            self._tried = True
        try:  # the other threads go on meanwhile
            self._workers = ImageWorkers(min(threads, MOST))
        except (OSError, WorkerEndedError):  # no processes are to be had: threads will do
            return
        atexit.register(self._workers.close)
        os.register_at_fork(after_in_child=self.drop)  # they answer one process

    def drop(self) -> None:
        """Leave it to threads from now on."""
        self._workers = None
