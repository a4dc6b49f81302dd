"""Convolutions over the tokens of a text, and their maximum (Kim 2014, "Convolutional Neural
Networks for Sentence Classification")."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from plumbline.config.model import TextEncoderConfig
from plumbline.models.text_pool import max_pool

WINDOWS = (1, 3, 5)  # tokens


class TextCNN(nn.Module):
    """(B, L, E) and (B, L, 1) to (B, width). Beyond the first, layers read what the layer before
    gave; padding is zeros in each."""

    def __init__(self, config: TextEncoderConfig, length: int) -> None:
        super().__init__()
        layers = []
        width_in = config.embedding_dim
        for _ in range(config.depth):
            layers.append(
                nn.ModuleList(
                    [nn.Conv1d(width_in, config.width, w, padding=w // 2) for w in WINDOWS]
                )
            )
            width_in = len(WINDOWS) * config.width
        self.layers = nn.ModuleList(layers)
        self.out = nn.Linear(width_in, config.width)

    def forward(self, vectors: Tensor, marks: Tensor) -> Tensor:
        x = (vectors * marks).transpose(1, 2)  # (B, E, L)
        for layer in self.layers:
            assert isinstance(layer, nn.ModuleList)
            x = torch.cat([torch.relu(window(x)) for window in layer], dim=1)
            x = x * marks.transpose(1, 2)
        out: Tensor = self.out(max_pool(x.transpose(1, 2), marks))
        return out
