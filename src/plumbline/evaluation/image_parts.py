"""The patches of an image as parts of a cell.

H, W height and width in pixels, C channels, B training images, M patches.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from plumbline.evaluation.cell_parts import OpenCell
from plumbline.evaluation.gradients import spread_of_images
from plumbline.evaluation.masker import PatchMasker
from plumbline.kinds import ByteArray, IntArray

PATCHES = 49  # of an image, about: seven per side of a square one


@dataclass(frozen=True, kw_only=True)
class OpenImage(OpenCell):
    """An image by its patches, row by row; `edges` are where rows and columns of patches begin and
    end, in pixels; `pixels` (C, H, W) are what the model reads."""

    edges: tuple[tuple[int, ...], tuple[int, ...]]
    pixels: ByteArray


def open_image(
    column: str, position: int, own: Mapping[str, ByteArray], absent: Mapping[str, ByteArray]
) -> OpenImage | None:
    """The patches of an image; None where it is missing.

    Args:
        own: by tensor, one per network of a bag, (C, H, W) the pixels that the row has. The first
            one says what the patches are; where another is of other size, so are they in it.
        absent: by tensor (C, H, W) what an absent patch looks like (`absent_image`).
    """
    first = next(iter(own.values()))
    if not first.any():
        return None
    down, across = patch_edges(*first.shape[1:])
    shape = (len(down) - 1, len(across) - 1)
    names = tuple(map(str, range(shape[0] * shape[1])))
    return OpenImage(
        column=column,
        position=position,
        maskers={t: PatchMasker(_owners(p, shape), names) for t, p in own.items()},
        absent={tensor: absent[tensor][None] for tensor in own},
        spread=spread_of_images,
        edges=(down, across),
        pixels=first,
    )


def _owners(pixels: ByteArray, shape: tuple[int, int]) -> IntArray:
    """(H, W) the patch that each pixel belongs to, of so many down and across."""
    _, height, width = pixels.shape
    rows, columns = patch_of(_edges(height, shape[0])), patch_of(_edges(width, shape[1]))
    return rows[:, None] * shape[1] + columns


def patch_edges(height: int, width: int) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Where the rows and the columns of patches begin and end: patches are about square, about
    `PATCHES` of them, and none is smaller than a pixel.

    >>> patch_edges(4, 28)
    ((0, 2, 4), (0, 2, 3, 5, 7, 9, 10, 12, 14, 16, 18, 19, 21, 23, 25, 26, 28))
    """
    side = max((height * width / PATCHES) ** 0.5, 1.0)
    return _edges(height, _fitting(height, side)), _edges(width, _fitting(width, side))


def _fitting(length: int, side: float) -> int:
    return max(1, round(length / side))


def _edges(length: int, count: int) -> tuple[int, ...]:
    return tuple(np.linspace(0, length, count + 1).round().astype(int).tolist())


def count_patches(height: int, width: int) -> int:
    """How many patches an image has."""
    down, across = patch_edges(height, width)
    return (len(down) - 1) * (len(across) - 1)


def patch_of(edges: tuple[int, ...]) -> IntArray:
    """The row (or column) of patches that each row (or column) of pixels belongs to."""
    return np.repeat(np.arange(len(edges) - 1), np.diff(edges))


def absent_image(images: ByteArray) -> ByteArray:
    """(C, H, W) the mean, pixel by pixel, of the training images (B, C, H, W) that are there. It is
    nowhere zero, so that no image of which patches are absent is taken for a missing one."""
    there = images[images.any(axis=(1, 2, 3))]
    mean = there.mean(axis=0) if len(there) else np.zeros(images.shape[1:])
    return np.maximum(mean.round(), 1).astype(np.uint8)
