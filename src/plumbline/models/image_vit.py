"""A transformer over the patches of an image (Dosovitskiy et al. 2021, "An Image is Worth 16x16
Words").

B rows, C channels, H height and W width in pixels, D numbers per token, T patches.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from plumbline.config.image import ImageEncoderConfig
from plumbline.errors import ParameterError
from plumbline.models.text_transformer import Layer, LearnedPositions

PATCHES = 8  # per side, by rule
DEPTH = 3  # layers, by rule


class ImageViT(nn.Module):
    """(B, C, H, W) to (B, width): the class token at the end. Edges are filled with the mean."""

    def __init__(self, config: ImageEncoderConfig, shape: tuple[int, int, int]) -> None:
        super().__init__()
        width, heads = config.width, config.heads
        if width % heads:
            raise ParameterError(
                "the width does not divide among the heads",
                file="params.yaml",
                where="model.image.width",
                wanted=f"a multiple of {heads}, as model.image.heads is {heads}",
                got=width,
            )
        channels, *sides = shape
        own = config.patch or max(1, round(min(sides) / PATCHES))
        self.patch = min(own, *sides)
        self.margin = [-side % self.patch for side in sides]
        count = 1
        for side, margin in zip(sides, self.margin, strict=True):
            count *= (side + margin) // self.patch
        self.cut = nn.Conv2d(channels, width, self.patch, self.patch)
        self.class_token = nn.Parameter(torch.empty(1, 1, width))
        nn.init.normal_(self.class_token, std=0.02)
        self.positions = LearnedPositions(count + 1, width)
        self.layers = nn.ModuleList(
            [Layer(width, heads, None) for _ in range(config.depth or DEPTH)]
        )
        self.norm = nn.LayerNorm(width)

    def forward(self, x: Tensor) -> Tensor:
        x = self._begin(x)
        for layer in self.layers:
            x = layer(x, None)
        out: Tensor = self.norm(x[:, 0])
        return out

    def attention_map(self, x: Tensor) -> Tensor:
        """How much attention the class token pays to each pixel in the last layer, mean over the
        heads, that of a patch shared by its pixels: (B, H, W)."""
        height, width = x.shape[2:]
        x = self._begin(x)
        for layer in self.layers[:-1]:
            x = layer(x, None)
        last = self.layers[-1]
        assert isinstance(last, Layer)
        paid = last.weights(x, None).mean(1)[:, 0, 1:]  # (B, T)
        side = self.patch
        paid = paid.reshape(len(paid), -1, (width + self.margin[1]) // side)
        inside = [
            torch.bincount(torch.arange(n) // side).repeat_interleave(side)[:n]
            for n in (height, width)
        ]
        spread = paid.repeat_interleave(side, 1).repeat_interleave(side, 2)[:, :height, :width]
        shared: Tensor = spread / (inside[0][:, None] * inside[1])
        return shared

    def _begin(self, x: Tensor) -> Tensor:
        """What the first layer reads, (B, 1 + T, D)."""
        below, right = self.margin
        patches = self.cut(functional.pad(x, (0, right, 0, below))).flatten(2).transpose(1, 2)
        tokens = torch.cat([self.class_token.expand(x.shape[0], -1, -1), patches], dim=1)
        out: Tensor = self.positions(tokens)
        return out
