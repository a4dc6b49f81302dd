"""What encoders of images share: how many blocks, how wide, and what is taken over all places."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from plumbline.config.image import ImageEncoderConfig

SMALLEST = 4  # pixels of the shorter side, below which the resolution is not halved
MOST_BLOCKS = 5


def widths(config: ImageEncoderConfig, shape: tuple[int, int, int]) -> list[int]:
    """Channels of each block; a block more per halving of the shorter side down to `SMALLEST`,
    and twice the channels, up to `width`."""
    count = config.depth
    if count is None:
        count = 1 + max(0, math.ceil(math.log2(min(shape[1:]) / SMALLEST)))
    count = min(count, MOST_BLOCKS)
    return [max(config.width >> (count - 1 - k), min(config.width, 16)) for k in range(count)]


def global_pool(x: Tensor) -> Tensor:
    """Mean and maximum over all places side by side: (B, C, H, W) to (B, 2 C)."""
    return torch.cat([x.mean((2, 3)), x.amax((2, 3))], dim=1)
