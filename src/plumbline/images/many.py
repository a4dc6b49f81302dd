"""Many images at once: decoded and resized side by side into one array, which may be a file's.

By threads, as Pillow works outside Python's lock, and by processes where many small images wait
for that lock. Who reads what changes nothing: each image has its place, and the message is that of
the first row that cannot be read.
"""

from __future__ import annotations

import os
import time
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor

import numpy as np

from plumbline.errors import DataError, UserError
from plumbline.images.read import SMALLEST, Cell, ImageReader, ImageShape
from plumbline.images.workers import SharedWorkers, WorkerEndedError
from plumbline.kinds import ByteArray

AT_ONCE = 32  # images that a thread takes
SHARED_WORKERS = SharedWorkers()  # of all who read in this process


def find_broken(cells: Sequence[bytes | None], threads: int | None = None) -> list[bool]:
    """Which cells hold bytes that are no image that can be read."""
    broken = [False] * len(cells)

    def note(position: int, error: DataError) -> None:
        broken[position] = True

    out = np.zeros((len(cells), *SMALLEST), np.uint8)
    _read(ImageReader(None), cells, out, lambda i: f"image {i}", note, threads, SHARED_WORKERS)
    return broken


def read_images(
    reader: ImageReader,
    cells: Sequence[Cell],
    out: ByteArray,
    where: Callable[[int], str],
    threads: int | None = None,
    workers: SharedWorkers | None = SHARED_WORKERS,
) -> None:
    """Fill `out` with the pixels of the cells; those of a missing cell are zeros.

    Beside `out`, memory is that of an image per thread, and of `AT_ONCE` small images.

    Args:
        out: (n, c, h, w), in memory or mapped.
        where: names the row and column of a position among the cells, for messages.
        threads: default: one per core that this process may use.
        workers: processes that read once they pay; None: none ever, as in a server.

    Raises:
        DataError: the first cell that cannot be read.
        UserError: a process that read was killed.
    """

    def refuse(position: int, error: DataError) -> None:
        raise error

    _read(reader, cells, out, where, refuse, threads, workers)


def _read(
    reader: ImageReader,
    cells: Sequence[Cell],
    out: ByteArray,
    where: Callable[[int], str],
    refuse: Callable[[int, DataError], None],
    threads: int | None,
    shared: SharedWorkers | None,
) -> None:
    assert len(cells) == len(out)
    shape = ImageShape(channels=out.shape[1], height=out.shape[2], width=out.shape[3])
    threads = threads or len(os.sched_getaffinity(0))

    def read(position: int) -> None:
        cell = cells[position]
        try:
            out[position] = 0 if cell is None else reader.pixels(cell, shape, where(position))
        except DataError as error:
            refuse(position, error)

    def work(start: int) -> None:
        positions = range(start, min(start + AT_ONCE, len(cells)))
        workers = shared.get() if shared is not None and threads > 1 else None
        if shared is None or workers is None:
            begun = time.thread_time()
            for position in positions:
                read(position)
            if shared is not None:
                shared.took(time.thread_time() - begun, len(positions), threads)
            return
        part = slice(positions.start, positions.stop)
        try:
            left = workers.read(reader.folder, cells[part], out[part])
        except WorkerEndedError as error:
            shared.drop()
            raise UserError(
                f"a process that read images ended: {error.reason}",
                where=f"from {where(positions.start)} to {where(positions.stop - 1)}",
                hint="free memory, or take these images out, and start again",
            ) from None
        for offset in left:
            read(positions[offset])

    _side_by_side(work, range(0, len(cells), AT_ONCE), threads)


def _side_by_side(work: Callable[[int], None], starts: Sequence[int], threads: int) -> None:
    """Raises what the first that fails, in order, raises."""
    with ThreadPoolExecutor(threads) as pool:
        waiting: deque[Future[None]] = deque()
        try:
            for start in starts:
                waiting.append(pool.submit(work, start))
                if len(waiting) > 2 * threads:
                    waiting.popleft().result()
            while waiting:
                waiting.popleft().result()
        finally:
            for future in waiting:
                future.cancel()
