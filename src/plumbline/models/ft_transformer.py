"""FT-Transformer (Gorishniy et al. 2021, "Revisiting Deep Learning Models for Tabular Data").

B rows, T tokens (the class token first, then one per column), W token width, H heads.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from plumbline.config.model import ModelConfig
from plumbline.errors import ParameterError
from plumbline.examples import InputSpec
from plumbline.models.encoders import Learned
from plumbline.models.inputs import TokenInput, add_wide
from plumbline.models.layers import ACTIVATIONS, DropoutContext, SampleDropout


class SelfAttention(nn.Module):
    """Multi-head self-attention (Vaswani et al. 2017): (B, T, W) to (B, T, W)."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.qkv = nn.Linear(width, 3 * width)
        self.out = nn.Linear(width, width)

    def forward(self, x: Tensor, asking: int | None = None) -> Tensor:
        """Args: asking: so many tokens, the first, ask and are answered; None: all."""
        q, k, v = self._split(x, asking)
        mixed = functional.scaled_dot_product_attention(q, k, v)  # (B, H, asking, W/H)
        out: Tensor = self.out(mixed.transpose(1, 2).flatten(2))
        return out

    def weights(self, x: Tensor) -> Tensor:
        """The attention weights, (B, H, T, T); rows sum to one."""
        q, k, _ = self._split(x, None)
        return torch.softmax(q @ k.transpose(-2, -1) * q.shape[-1] ** -0.5, dim=-1)

    def _split(self, x: Tensor, asking: int | None) -> list[Tensor]:
        width = x.shape[-1]
        weight, bias = self.qkv.weight, self.qkv.bias
        parts = [
            functional.linear(x[:, :asking], weight[:width], bias[:width]),
            *functional.linear(x, weight[width:], bias[width:]).chunk(2, dim=-1),
        ]
        return [  # each (B, H, T, W/H)
            part.reshape(*part.shape[:2], self.heads, -1).transpose(1, 2) for part in parts
        ]


class Gated(nn.Module):
    """Linear, one half times the activation of the other (Shazeer 2020; ReGLU with ReLU):
    (..., W) to (..., hidden)."""

    def __init__(self, width: int, hidden: int, activation: nn.Module) -> None:
        super().__init__()
        self.linear = nn.Linear(width, 2 * hidden)
        self.activation = activation

    def forward(self, x: Tensor) -> Tensor:
        value, gate = self.linear(x).chunk(2, dim=-1)
        out: Tensor = value * self.activation(gate)
        return out


class Block(nn.Module):
    """Pre-normalized attention and gated feed-forward, each with a residual and dropout. The
    first block's attention sees the tokens as they are; of the last one's answers the class
    token's alone is made, as no other is looked at."""

    def __init__(
        self, config: ModelConfig, noise: DropoutContext, *, first: bool, last: bool
    ) -> None:
        super().__init__()
        width, hidden = config.token_width, max(config.token_width * 4 // 3, 1)
        self.asking = 1 if last else None
        self.norm_1 = nn.Identity() if first else nn.LayerNorm(width)
        self.norm_2 = nn.LayerNorm(width)
        self.attention = SelfAttention(width, config.heads)
        self.drop = SampleDropout(config.dropout, noise)
        self.feed_forward = nn.Sequential(
            Gated(width, hidden, ACTIVATIONS[config.activation]()),
            SampleDropout(config.dropout, noise),
            nn.Linear(hidden, width),
        )

    def forward(self, x: Tensor) -> Tensor:
        x = x[:, : self.asking] + self.drop(self.attention(self.norm_1(x), self.asking))
        out: Tensor = x + self.feed_forward(self.norm_2(x))
        return out


class FTTransformer(nn.Module):
    """A transformer encoder over one token per column; the class token's end gives the output."""

    def __init__(
        self, config: ModelConfig, spec: InputSpec, learned: Learned, noise: DropoutContext
    ) -> None:
        super().__init__()
        if config.depth == 0:
            raise ParameterError(
                "without a block the class token never sees the columns",
                file="params.yaml",
                where="model.depth",
                wanted="1 or more for ft_transformer",
                got=0,
            )
        width = config.token_width
        if width % config.heads:
            raise ParameterError(
                "the width is no multiple of the number of heads",
                file="params.yaml",
                where="model.token_width",
                wanted=f"a multiple of model.heads ({config.heads})",
                got=width,
            )
        self.input = TokenInput(config, spec, learned, width)
        self.class_token = nn.Parameter(torch.empty(width))
        nn.init.uniform_(self.class_token, -(width**-0.5), width**-0.5)
        self.blocks = nn.ModuleList(
            [
                Block(config, noise, first=n == 0, last=n == config.depth - 1)
                for n in range(config.depth)
            ]
        )
        self.norm = nn.LayerNorm(width)
        self.activation = ACTIVATIONS[config.activation]()
        self.head = nn.Linear(width, spec.n_outputs)

    def forward(self, **inputs: Tensor) -> Tensor:
        tokens, wide = self.input(inputs)
        x = self._with_class_token(tokens)
        for block in self.blocks:
            x = block(x)
        out: Tensor = self.head(self.activation(self.norm(x[:, 0])))
        return add_wide(out[:, None], wide)

    @torch.no_grad()
    def attention(self, **inputs: Tensor) -> dict[str, Tensor]:
        """Attention of the class token to the tokens of each tensor, (B, layers, T): mean over
        heads."""
        tokens = self.input.tokens(inputs)
        x, maps = self._with_class_token(torch.cat(list(tokens.values()), dim=1)), []
        for block in self.blocks:
            assert isinstance(block, Block)
            maps.append(block.attention.weights(block.norm_1(x))[:, :, 0, 1:].mean(1))
            x = block(x)
        sizes = [own.shape[1] for own in tokens.values()]
        parts = torch.split(torch.stack(maps, dim=1), sizes, dim=-1)
        return dict(zip(tokens, parts, strict=True))

    def _with_class_token(self, tokens: Tensor) -> Tensor:
        first = self.class_token.expand(tokens.shape[0], 1, -1)
        return torch.cat([first, tokens], dim=1)  # (B, T, W)
