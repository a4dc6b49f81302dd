"""A process that reads images for another: `python -m plumbline.images.worker SOCKET`.

It answers until the other side closes the socket, and leaves every cell that is not plainly a
small image to the one who asked: to refuse it, to warn, or to have the memory for it.
"""

from __future__ import annotations

import signal
import sys
import warnings
from collections.abc import Sequence
from multiprocessing.connection import Connection
from pathlib import Path

import numpy as np

from plumbline.images.read import LARGE_PIXELS, Cell, ImageReader, ImageShape
from plumbline.kinds import ByteArray

Request = tuple[Path | None, ImageShape, Sequence[Cell]]


def serve(connection: Connection) -> None:
    """Answer each `Request` with the positions of the cells that are left, then with the pixels
    of all, zeros where a cell is missing or left."""
    while True:
        try:
            folder, shape, cells = connection.recv()
        except EOFError:
            return
        reader = ImageReader(folder, most_pixels=LARGE_PIXELS)
        out = np.zeros((len(cells), *shape), np.uint8)
        connection.send(_read(reader, cells, shape, out))
        connection.send_bytes(out.tobytes())


def _read(
    reader: ImageReader, cells: Sequence[Cell], shape: ImageShape, out: ByteArray
) -> list[int]:
    left = []
    with warnings.catch_warnings(record=True, action="always") as caught:
        for position, cell in enumerate(cells):
            try:
                if cell is not None:
                    out[position] = reader.pixels(cell, shape, "")
                read = not caught
            except Exception:  # no memory, too
                read = False
            if not read:
                left.append(position)
                caught.clear()
    return left


def main() -> None:
    """Ctrl-C is for the one who asks, with whom this process ends."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    with Connection(int(sys.argv[1])) as connection:
        try:
            serve(connection)
        except (BrokenPipeError, ConnectionResetError):
            return


if __name__ == "__main__":
    main()
