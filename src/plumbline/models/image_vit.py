"""A transformer over the patches of an image (Dosovitskiy et al. 2021, "An Image is Worth 16x16
Words").

B rows, T patches, W width.
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
        below, right = self.margin
        patches = self.cut(functional.pad(x, (0, right, 0, below))).flatten(2).transpose(1, 2)
        tokens = torch.cat([self.class_token.expand(x.shape[0], -1, -1), patches], dim=1)
        tokens = self.positions(tokens)  # (B, 1 + T, W)
        nothing = tokens.new_zeros(1, 1, 1, 1)
        for layer in self.layers:
            tokens = layer(tokens, nothing)
        out: Tensor = self.norm(tokens[:, 0])
        return out
