"""TabM (Gorishniy, Kotelnikov and Babenko 2025, "TabM: Advancing Tabular Deep Learning with
Parameter-Efficient Ensembling"): one MLP that imitates an ensemble of K.

B rows, K members, D features, C outputs.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from plumbline.config.model import ModelConfig
from plumbline.models.embeddings import Edges, FlatInput
from plumbline.models.layers import ACTIVATIONS, NORMALISATIONS, BatchNoise, SampleDropout
from plumbline.models.mlp import hidden_layers
from plumbline.tables import InputSpec


def member_scales(members: int, chunks: Sequence[int], *, signs: bool) -> Tensor:
    """(K, D) scales that set the members apart: a random sign or a normal number per column,
    the same over the numbers that one column was embedded to."""
    shape = (members, len(chunks))
    drawn = torch.randint(0, 2, shape).mul(2.0).sub(1.0) if signs else torch.randn(shape)
    return drawn.repeat_interleave(torch.tensor(chunks), dim=1)


class MemberHeads(nn.Module):
    """A linear head of its own for each member: (B, K, D) to (B, K, C)."""

    def __init__(self, members: int, width: int, outputs: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(members, width, outputs))
        self.bias = nn.Parameter(torch.empty(members, outputs))
        for parameter in (self.weight, self.bias):
            nn.init.uniform_(parameter, -(width**-0.5), width**-0.5)

    def forward(self, x: Tensor) -> Tensor:
        out = torch.bmm(x.transpose(0, 1), self.weight)  # (K, B, C)
        return out.transpose(0, 1) + self.bias


class EnsembleLinear(nn.Module):
    """BatchEnsemble (Wen et al. 2020): a shared weight, scales and bias per member.

    y_k = s_k * (W (r_k * x_k)) + b_k; (B, K, D) to (B, K, width).
    """

    def __init__(self, members: int, width_in: int, width: int, scales: Tensor | None) -> None:
        super().__init__()
        self.linear = nn.Linear(width_in, width, bias=False)
        self.r = nn.Parameter(torch.ones(members, width_in) if scales is None else scales)
        self.s = nn.Parameter(torch.ones(members, width))
        self.bias = nn.Parameter(torch.empty(members, width))
        nn.init.uniform_(self.bias, -(width_in**-0.5), width_in**-0.5)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.linear(x * self.r) * self.s + self.bias
        return out


class TabMMini(nn.Module):
    """Members differ by a scale per column at the input, and by their heads (section 3.3)."""

    def __init__(
        self, config: ModelConfig, spec: InputSpec, edges: Edges | None, noise: BatchNoise
    ) -> None:
        super().__init__()
        self.input = FlatInput(config, spec, edges)
        plain = self.input.numbers is None and self.input.categories is None
        self.r = nn.Parameter(member_scales(config.members, self.input.chunks, signs=plain))
        self.hidden = hidden_layers(config, self.input.width, noise)
        last = config.width if config.depth else self.input.width
        self.heads = MemberHeads(config.members, last, spec.n_outputs)

    def forward(self, x_num: Tensor, x_cat: Tensor) -> Tensor:
        x = self.input(x_num, x_cat)[:, None] * self.r  # (B, K, D)
        out: Tensor = self.heads(self.hidden(x))
        return out


class TabM(nn.Module):
    """Members differ by scales and biases in every layer, and by their heads."""

    def __init__(
        self, config: ModelConfig, spec: InputSpec, edges: Edges | None, noise: BatchNoise
    ) -> None:
        super().__init__()
        self.input = FlatInput(config, spec, edges)
        plain = self.input.numbers is None and self.input.categories is None
        scales = member_scales(config.members, self.input.chunks, signs=plain)
        self.members, width = config.members, self.input.width
        layers: list[nn.Module] = []
        for _ in range(config.depth):
            layers += [
                EnsembleLinear(config.members, width, config.width, scales if not layers else None),
                NORMALISATIONS[config.normalisation](config.width),
                ACTIVATIONS[config.activation](),
                SampleDropout(config.dropout, noise),
            ]
            width = config.width
        self.hidden = nn.Sequential(*layers)
        self.heads = MemberHeads(config.members, width, spec.n_outputs)

    def forward(self, x_num: Tensor, x_cat: Tensor) -> Tensor:
        x = self.input(x_num, x_cat)[:, None].expand(-1, self.members, -1)  # (B, K, D)
        out: Tensor = self.heads(self.hidden(x))
        return out
