"""Convolutions over an image, each block at half the resolution of the one before (LeCun et al.
1998, "Gradient-Based Learning Applied to Document Recognition").

B rows, C channels, H height, W width.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional

from plumbline.config.image import ImageEncoderConfig
from plumbline.models.image_pool import global_pool, widths

Shape = tuple[int, int, int]  # (C, H, W)

# what halves the resolution; an odd row or column at the edge counts, too
POOLS: dict[str, Callable[[Tensor], Tensor]] = {
    "max": lambda x: functional.max_pool2d(x, 2, ceil_mode=True),
    "average": lambda x: functional.avg_pool2d(x, 2, ceil_mode=True, count_include_pad=False),
}


def group_norm(channels: int) -> nn.GroupNorm:
    """Wu and He 2018: of one row alone, so that a row's features do not depend on its batch."""
    return nn.GroupNorm(_groups(channels), channels)


def _groups(channels: int) -> int:
    return next(g for g in (8, 4, 2, 1) if channels % g == 0)


class ImageCNN(nn.Module):
    """(B, C, H, W) to (B, width)."""

    def __init__(self, config: ImageEncoderConfig, shape: Shape) -> None:
        super().__init__()
        channels = shape[0]
        blocks: list[nn.Module] = []
        for wide in widths(config, shape):
            blocks.append(
                nn.Sequential(
                    nn.Conv2d(channels, wide, 3, padding=1, bias=False),
                    group_norm(wide),
                    nn.ReLU(),
                    nn.Conv2d(wide, wide, 3, padding=1, bias=False),
                    group_norm(wide),
                    nn.ReLU(),
                )
            )
            channels = wide
        self.blocks = nn.ModuleList(blocks)
        self.pool = POOLS[config.pool]
        self.out = nn.Linear(2 * channels, config.width)

    def forward(self, x: Tensor) -> Tensor:
        for number, block in enumerate(self.blocks):
            x = block(x if number == 0 or min(x.shape[2:]) < 2 else self.pool(x))
        out: Tensor = self.out(global_pool(x))
        return out


class ConvolutionBlock(nn.Module):
    """Two convolutions beside a short cut (He et al. 2016, "Identity Mappings in Deep Residual
    Networks"): (B, C, H, W) to (B, wide, H / stride, W / stride)."""

    def __init__(self, channels: int, wide: int, stride: int) -> None:
        super().__init__()
        self.norm_1, self.norm_2 = group_norm(channels), group_norm(wide)
        self.conv_1 = nn.Conv2d(channels, wide, 3, stride, padding=1, bias=False)
        self.conv_2 = nn.Conv2d(wide, wide, 3, padding=1, bias=False)
        same = channels == wide and stride == 1
        self.short = nn.Identity() if same else nn.Conv2d(channels, wide, 1, stride, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        ready = torch.relu(self.norm_1(x))
        inner = self.conv_2(torch.relu(self.norm_2(self.conv_1(ready))))
        out: Tensor = inner + self.short(x)
        return out


class ImageResNet(nn.Module):
    """A residual network: (B, C, H, W) to (B, width). Two blocks per resolution."""

    def __init__(self, config: ImageEncoderConfig, shape: Shape) -> None:
        super().__init__()
        wide = widths(config, shape)
        channels = wide[0]
        self.first = nn.Conv2d(shape[0], channels, 3, padding=1, bias=False)
        blocks: list[nn.Module] = []
        for number, count in enumerate(wide):
            blocks.append(ConvolutionBlock(channels, count, 1 if number == 0 else 2))
            blocks.append(ConvolutionBlock(count, count, 1))
            channels = count
        self.blocks = nn.Sequential(*blocks)
        self.norm = group_norm(channels)
        self.out = nn.Linear(2 * channels, config.width)

    def forward(self, x: Tensor) -> Tensor:
        x = torch.relu(self.norm(self.blocks(self.first(x))))
        out: Tensor = self.out(global_pool(x))
        return out
