"""Perceptron, multi-layer perceptron and residual MLP. B rows, D features, C outputs."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from plumbline.config.model import ModelConfig
from plumbline.models.embeddings import CategoryEmbedding, Edges, FlatInput
from plumbline.models.layers import (
    ACTIVATIONS,
    NORMALISATIONS,
    BatchNoise,
    SampleDropout,
    has_use_of_bias,
)
from plumbline.tables import InputSpec


class Perceptron(nn.Module):
    """Linear in the numbers and in one-hot categories (Rosenblatt 1958)."""

    def __init__(
        self, config: ModelConfig, spec: InputSpec, edges: Edges | None, noise: BatchNoise
    ) -> None:
        super().__init__()
        numbers = len(spec.num_names)
        self.linear = nn.Linear(numbers, spec.n_outputs, bias=False) if numbers else None
        self.bias = nn.Parameter(torch.zeros(spec.n_outputs))
        self.categories = (
            CategoryEmbedding(spec.cardinalities, spec.n_outputs) if spec.cat_names else None
        )

    def forward(self, x_num: Tensor, x_cat: Tensor) -> Tensor:
        out = self.bias.expand(x_num.shape[0], -1)  # (B, C)
        if self.linear is not None:
            out = out + self.linear(x_num)
        if self.categories is not None:
            out = out + self.categories(x_cat).sum(1)
        return out[:, None]


def hidden_layers(config: ModelConfig, width_in: int, noise: BatchNoise) -> nn.Sequential:
    """`depth` times linear, normalisation, activation, dropout: (B, ..., width_in) to
    (B, ..., width)."""
    layers: list[nn.Module] = []
    for _ in range(config.depth):
        layers += [
            nn.Linear(width_in, config.width, bias=has_use_of_bias(config.normalisation)),
            NORMALISATIONS[config.normalisation](config.width),
            ACTIVATIONS[config.activation](),
            SampleDropout(config.dropout, noise),
        ]
        width_in = config.width
    return nn.Sequential(*layers)


class MLP(nn.Module):
    """Multi-layer perceptron over embedded columns."""

    def __init__(
        self, config: ModelConfig, spec: InputSpec, edges: Edges | None, noise: BatchNoise
    ) -> None:
        super().__init__()
        self.input = FlatInput(config, spec, edges)
        self.hidden = hidden_layers(config, self.input.width, noise)
        last = config.width if config.depth else self.input.width
        self.head = nn.Linear(last, spec.n_outputs)

    def forward(self, x_num: Tensor, x_cat: Tensor) -> Tensor:
        hidden = self.hidden(self.input(x_num, x_cat))  # (B, D)
        out: Tensor = self.head(hidden)
        return out[:, None]


class ResidualBlock(nn.Module):
    """x + dropout(linear(dropout(activation(linear(norm(x))))))."""

    def __init__(self, config: ModelConfig, noise: BatchNoise) -> None:
        super().__init__()
        inner = 2 * config.width
        self.steps = nn.Sequential(
            NORMALISATIONS[config.normalisation](config.width),
            nn.Linear(config.width, inner),
            ACTIVATIONS[config.activation](),
            SampleDropout(config.dropout, noise),
            nn.Linear(inner, config.width, bias=has_use_of_bias(config.normalisation)),
            SampleDropout(config.dropout / 2, noise),
        )

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = x + self.steps(x)
        return out


class ResidualMLP(nn.Module):
    """The ResNet for tables of Gorishniy et al. 2021 (section 3.2)."""

    def __init__(
        self, config: ModelConfig, spec: InputSpec, edges: Edges | None, noise: BatchNoise
    ) -> None:
        super().__init__()
        self.input = FlatInput(config, spec, edges)
        bias = has_use_of_bias(config.normalisation)
        self.first = nn.Linear(self.input.width, config.width, bias=bias)
        self.blocks = nn.Sequential(*[ResidualBlock(config, noise) for _ in range(config.depth)])
        self.last = NORMALISATIONS[config.normalisation](config.width)
        self.activation = ACTIVATIONS[config.activation]()
        self.head = nn.Linear(config.width, spec.n_outputs)

    def forward(self, x_num: Tensor, x_cat: Tensor) -> Tensor:
        x = self.blocks(self.first(self.input(x_num, x_cat)))  # (B, D)
        out: Tensor = self.head(self.activation(self.last(x)))
        return out[:, None]
