"""Recurrent networks over the tokens of a text, read in both directions (Elman 1990; Hochreiter and
Schmidhuber 1997; Cho et al. 2014).

B rows, L tokens, E numbers per token, W numbers per direction.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

from plumbline.config.model import TextEncoderConfig
from plumbline.models.text_pool import pool


class Recurrent(nn.Module):
    """(B, L, E) and (B, L, 1) to (B, width).

    Cells have no bias, but the mark as one more input: on padding, which is zeros, a state of
    zeros stays as it is, so that reading from the end begins at the last token.
    """

    def __init__(self, cell: Callable[..., nn.RNNBase], config: TextEncoderConfig) -> None:
        super().__init__()
        own = max(config.width // 2, 1)
        width_in = config.embedding_dim
        layers = []
        for _ in range(config.depth):
            layers.append(cell(width_in + 1, own, bias=False, batch_first=True, bidirectional=True))
            width_in = 2 * own
        self.layers = nn.ModuleList(layers)
        self.out = nn.Linear(2 * width_in, config.width)

    def forward(self, vectors: Tensor, marks: Tensor) -> Tensor:
        x = vectors
        for layer in self.layers:
            x, _ = layer(torch.cat([x * marks, marks], dim=-1))  # (B, L, 2 W)
        out: Tensor = self.out(pool(x, marks))
        return out


class RNN(Recurrent):
    """Plain, with tanh."""

    def __init__(self, config: TextEncoderConfig, length: int) -> None:
        super().__init__(nn.RNN, config)


class LSTM(Recurrent):
    """Long short-term memory."""

    def __init__(self, config: TextEncoderConfig, length: int) -> None:
        super().__init__(nn.LSTM, config)


class GRU(Recurrent):
    """Gated recurrent units."""

    def __init__(self, config: TextEncoderConfig, length: int) -> None:
        super().__init__(nn.GRU, config)
