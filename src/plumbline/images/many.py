"""Many images at once: decoded and resized by threads into one array, which may be a file's.

Pillow works outside Python's lock. Which thread reads what changes nothing: each image has its
place, and the message is that of the first row that cannot be read.
"""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor

from plumbline.images.read import ImageReader, ImageShape
from plumbline.kinds import ByteArray

AT_ONCE = 32  # images that a thread takes


def find_broken(cells: Sequence[bytes | None], threads: int | None = None) -> list[bool]:
    """Which cells hold bytes that are no image that can be read."""
    reader = ImageReader(None)

    def broken(cell: bytes | None) -> bool:
        return cell is not None and reader.problem(cell) is not None

    with ThreadPoolExecutor(threads or len(os.sched_getaffinity(0))) as pool:
        return list(pool.map(broken, cells, chunksize=AT_ONCE))


def read_images(
    reader: ImageReader,
    cells: Sequence[str | bytes | None],
    out: ByteArray,
    where: Callable[[int], str],
    threads: int | None = None,
) -> None:
    """Fill `out` with the pixels of the cells; those of a missing cell are zeros.

    Beside `out`, memory is that of an image per thread.

    Args:
        out: (n, c, h, w), in memory or mapped.
        where: names the row and column of a position among the cells, for messages.
        threads: default: one per core that this process may use.

    Raises:
        DataError: the first cell that cannot be read.
    """
    assert len(cells) == len(out)
    shape = ImageShape(channels=out.shape[1], height=out.shape[2], width=out.shape[3])

    def work(start: int) -> None:
        for position in range(start, min(start + AT_ONCE, len(cells))):
            cell = cells[position]
            if cell is None:
                out[position] = 0
            else:
                out[position] = reader.pixels(cell, shape, where(position))

    threads = threads or len(os.sched_getaffinity(0))
    starts = range(0, len(cells), AT_ONCE)
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
