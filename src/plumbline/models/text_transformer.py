"""A transformer encoder over the tokens of a text (Vaswani et al. 2017), normalized before each
step.

B rows, L tokens, E numbers per token, W width, H heads.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from plumbline.config.model import TextEncoderConfig
from plumbline.errors import ParameterError
from plumbline.models.text_pool import log_marks, mean_pool

BASE = 10_000.0  # of the wavelengths of positions


def _angles(length: int, width: int) -> Tensor:
    """(L, width / 2 rounded up): position over wavelength."""
    rate = BASE ** (-torch.arange(0, width, 2, dtype=torch.float32) / width)
    return torch.arange(length, dtype=torch.float32)[:, None] * rate


class SinusoidalPositions(nn.Module):
    """Sines and cosines are added (Vaswani et al. 2017, section 3.5): (B, L, W) to (B, L, W)."""

    table: Tensor

    def __init__(self, length: int, width: int) -> None:
        super().__init__()
        angles = _angles(length, width)
        table = torch.stack([angles.sin(), angles.cos()], dim=-1).flatten(1)[:, :width]
        self.register_buffer("table", table * width**-0.5, persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.table


class LearnedPositions(nn.Module):
    """A learned vector per position is added: (B, L, W) to (B, L, W)."""

    def __init__(self, length: int, width: int) -> None:
        super().__init__()
        self.table = nn.Parameter(torch.empty(length, width))
        nn.init.normal_(self.table, std=0.02)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.table


class RotaryPositions(nn.Module):
    """Queries and keys are turned by their position (Su et al. 2021, "RoFormer"): (B, H, L, W/H)
    to the same."""

    sin: Tensor
    cos: Tensor

    def __init__(self, length: int, width: int) -> None:
        super().__init__()
        angles = _angles(length, width)
        self.register_buffer("sin", angles.sin(), persistent=False)
        self.register_buffer("cos", angles.cos(), persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        first, second = x[..., 0::2], x[..., 1::2]
        turned = (first * self.cos - second * self.sin, first * self.sin + second * self.cos)
        return torch.stack(turned, dim=-1).flatten(-2)


class Layer(nn.Module):
    """Attention and a feed-forward net, each on normalized tokens and with a residual."""

    def __init__(self, width: int, heads: int, turn: nn.Module | None) -> None:
        super().__init__()
        self.heads, self.turn = heads, turn
        self.norm_1, self.norm_2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.qkv = nn.Linear(width, 3 * width)
        self.mix = nn.Linear(width, width)
        self.feed_forward = nn.Sequential(
            nn.Linear(width, 4 * width), nn.GELU(), nn.Linear(4 * width, width)
        )

    def forward(self, x: Tensor, far: Tensor | None) -> Tensor:
        """Args: far: (B, 1, 1, L), 0 for tokens and very negative for padding; None: no padding."""
        q, k, v = self._split(x)
        mixed = functional.scaled_dot_product_attention(q, k, v, attn_mask=far)
        x = x + self.mix(mixed.transpose(1, 2).flatten(2))
        out: Tensor = x + self.feed_forward(self.norm_2(x))
        return out

    def weights(self, x: Tensor, far: Tensor | None) -> Tensor:
        """The attention weights, (B, H, L, L); rows sum to one."""
        q, k, _ = self._split(x)
        near = q @ k.transpose(-2, -1) * q.shape[-1] ** -0.5
        return torch.softmax(near if far is None else near + far, dim=-1)

    def _split(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Queries, keys and values, each (B, H, L, W/H)."""
        split = self.qkv(self.norm_1(x)).unflatten(2, (3, self.heads, -1))  # (B, L, 3, H, W/H)
        q, k, v = split.permute(2, 0, 3, 1, 4).unbind(0)
        if self.turn is not None:
            q, k = self.turn(q), self.turn(k)
        return q, k, v


class TextTransformer(nn.Module):
    """(B, L, E) and (B, L, 1) to (B, width): the mean of the tokens' ends."""

    def __init__(self, config: TextEncoderConfig, length: int) -> None:
        super().__init__()
        width, heads = config.width, config.heads
        step = 2 * heads if config.positions == "rotary" else heads
        if width % step:
            raise ParameterError(
                "the width does not divide among the heads",
                file="params.yaml",
                where="model.text.width",
                wanted=f"a multiple of {step}, as model.text.heads is {heads}"
                + (" and rotary positions take pairs" if step != heads else ""),
                got=width,
            )
        self.project = nn.Linear(config.embedding_dim, width)
        turn = None
        self.positions: nn.Module = nn.Identity()
        if config.positions == "rotary":
            turn = RotaryPositions(length, width // heads)
        elif config.positions == "learned":
            self.positions = LearnedPositions(length, width)
        else:
            self.positions = SinusoidalPositions(length, width)
        self.layers = nn.ModuleList([Layer(width, heads, turn) for _ in range(config.depth)])
        self.norm = nn.LayerNorm(width)

    def forward(self, vectors: Tensor, marks: Tensor) -> Tensor:
        x, far = self._begin(vectors, marks)
        for layer in self.layers:
            x = layer(x, far)
        return mean_pool(self.norm(x), marks)

    def attention_map(self, vectors: Tensor, marks: Tensor) -> Tensor:
        """How much attention each token gets in the last layer, mean over the heads and over the
        tokens that attend: (B, L); sums to one."""
        x, far = self._begin(vectors, marks)
        for layer in self.layers[:-1]:
            x = layer(x, far)
        last = self.layers[-1]
        assert isinstance(last, Layer)
        return mean_pool(last.weights(x, far).mean(1), marks)

    def _begin(self, vectors: Tensor, marks: Tensor) -> tuple[Tensor, Tensor]:
        """What the first layer reads."""
        x: Tensor = self.positions(self.project(vectors * marks))
        return x, log_marks(marks)[:, None, None, :, 0]
