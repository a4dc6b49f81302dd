"""Many images at once are each as read alone; the first that cannot be read is named."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from numpy.lib.format import open_memmap
from numpy.testing import assert_array_equal
from PIL import Image

from plumbline.errors import DataError
from plumbline.images import ImageReader, ImageShape, read_images
from plumbline.images.many import AT_ONCE

COUNT = 3 * AT_ONCE + 5


def where(position: int) -> str:
    return f"column 'photo', row {position}"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("images")
    rng = np.random.default_rng(0)
    for j in range(COUNT):
        size = (*rng.integers(3, 40, 2), 3)
        image = Image.fromarray(rng.integers(0, 255, size, dtype=np.uint8))
        image.save(made / f"{j}.{('png', 'jpg', 'webp')[j % 3]}")
    return made


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("threads", [1, 2, 7, None])
def test_each_is_as_read_alone(
    folder: Path, channels: int, threads: int | None, tmp_path: Path
) -> None:
    reader = ImageReader(folder)
    cells: list[str | bytes | None] = [f"{j}.{('png', 'jpg', 'webp')[j % 3]}" for j in range(COUNT)]
    cells[4], cells[5] = None, (folder / "2.webp").read_bytes()
    shape = ImageShape(channels=channels, height=11, width=8)
    out = open_memmap(tmp_path / "pixels.npy", "w+", np.uint8, (COUNT, *shape))
    out[:] = 99
    read_images(reader, cells, out, where, threads)
    out.flush()
    again = np.load(tmp_path / "pixels.npy", mmap_mode="r")
    for j, cell in enumerate(cells):
        alone = 0 if cell is None else reader.pixels(cell, shape, "")
        assert_array_equal(again[j], np.broadcast_to(alone, tuple(shape)))
    assert_array_equal(again[5], again[2])


def test_the_first_that_cannot_be_read_is_named(folder: Path) -> None:
    cells = [f"{j}.{('png', 'jpg', 'webp')[j % 3]}" for j in range(COUNT)]
    for bad in (COUNT - 1, AT_ONCE + 3, AT_ONCE + 1):
        cells[bad] = f"gone {bad}.png"
        out = np.zeros((COUNT, 3, 4, 4), np.uint8)
        with pytest.raises(
            DataError, match=rf"^gone {bad}.png: column 'photo', row {bad}: no such"
        ):
            read_images(ImageReader(folder), cells, out, where, 4)


def test_nothing_is_read_of_no_cells(tmp_path: Path) -> None:
    read_images(ImageReader(tmp_path), [], np.zeros((0, 3, 4, 4), np.uint8), where)
