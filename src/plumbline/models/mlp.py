"""Perceptron, multi-layer perceptron and residual MLP. B rows, D features, C outputs."""

from __future__ import annotations

from torch import Tensor, nn

from plumbline.config.model import ModelConfig
from plumbline.examples import InputSpec
from plumbline.models.encoders import Learned
from plumbline.models.inputs import FlatInput, LinearInput, add_wide
from plumbline.models.layers import (
    ACTIVATIONS,
    NORMALIZATIONS,
    DropoutContext,
    SampleDropout,
    has_use_of_bias,
)


class Perceptron(nn.Module):
    """Linear in the numbers and in one-hot categories (Rosenblatt 1958)."""

    def __init__(
        self, config: ModelConfig, spec: InputSpec, learned: Learned, noise: DropoutContext
    ) -> None:
        super().__init__()
        self.input = LinearInput(config, spec, learned, spec.n_outputs)

    def forward(self, **inputs: Tensor) -> Tensor:
        out: Tensor = self.input(inputs)  # (B, C)
        return out[:, None]


def hidden_layers(config: ModelConfig, width_in: int, noise: DropoutContext) -> nn.Sequential:
    """`depth` times linear, normalization, activation, dropout: (B, ..., width_in) to
    (B, ..., width)."""
    layers: list[nn.Module] = []
    for _ in range(config.depth):
        layers += [
            nn.Linear(width_in, config.width, bias=has_use_of_bias(config.normalization)),
            NORMALIZATIONS[config.normalization](config.width),
            ACTIVATIONS[config.activation](),
            SampleDropout(config.dropout, noise),
        ]
        width_in = config.width
    return nn.Sequential(*layers)


class MLP(nn.Module):
    """Multi-layer perceptron over embedded columns."""

    def __init__(
        self, config: ModelConfig, spec: InputSpec, learned: Learned, noise: DropoutContext
    ) -> None:
        super().__init__()
        shifted = config.depth == 0 or has_use_of_bias(config.normalization)
        self.input = FlatInput(config, spec, learned, shifted=shifted)
        self.hidden = hidden_layers(config, self.input.width, noise)
        last = config.width if config.depth else self.input.width
        self.head = nn.Linear(last, spec.n_outputs)
        self.reads_input = ("hidden.0.weight" if config.depth else "head.weight",)

    def forward(self, **inputs: Tensor) -> Tensor:
        x, wide = self.input(inputs)
        out: Tensor = self.head(self.hidden(x))  # (B, C)
        return add_wide(out[:, None], wide)


class ResidualBlock(nn.Module):
    """x + dropout(linear(dropout(activation(linear(norm(x))))))."""

    def __init__(self, config: ModelConfig, noise: DropoutContext) -> None:
        super().__init__()
        inner = 2 * config.width
        self.steps = nn.Sequential(
            NORMALIZATIONS[config.normalization](config.width),
            nn.Linear(config.width, inner),
            ACTIVATIONS[config.activation](),
            SampleDropout(config.dropout, noise),
            nn.Linear(inner, config.width, bias=has_use_of_bias(config.normalization)),
            SampleDropout(config.dropout / 2, noise),
        )

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = x + self.steps(x)
        return out


class ResidualMLP(nn.Module):
    """The ResNet for tables of Gorishniy et al. 2021 (section 3.2)."""

    def __init__(
        self, config: ModelConfig, spec: InputSpec, learned: Learned, noise: DropoutContext
    ) -> None:
        super().__init__()
        bias = has_use_of_bias(config.normalization)
        self.input = FlatInput(config, spec, learned, shifted=bias)
        self.first = nn.Linear(self.input.width, config.width, bias=bias)
        self.blocks = nn.Sequential(*[ResidualBlock(config, noise) for _ in range(config.depth)])
        self.last = NORMALIZATIONS[config.normalization](config.width)
        self.activation = ACTIVATIONS[config.activation]()
        self.head = nn.Linear(config.width, spec.n_outputs)
        self.reads_input = ("first.weight",)

    def forward(self, **inputs: Tensor) -> Tensor:
        x, wide = self.input(inputs)
        x = self.blocks(self.first(x))  # (B, D)
        out: Tensor = self.head(self.activation(self.last(x)))
        return add_wide(out[:, None], wide)
