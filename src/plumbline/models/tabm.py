"""TabM (Gorishniy, Kotelnikov and Babenko 2025, "TabM: Advancing Tabular Deep Learning with
Parameter-Efficient Ensembling"): one MLP that imitates an ensemble of K. Layers by the authors'
package.

B rows, K members, D features, C outputs.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from tabm import LinearBatchEnsemble, LinearEnsemble
from torch import Tensor, nn

from plumbline.config.model import ModelConfig
from plumbline.examples import InputSpec
from plumbline.models.encoders import Learned
from plumbline.models.inputs import FlatInput, add_wide
from plumbline.models.layers import ACTIVATIONS, NORMALIZATIONS, DropoutContext, SampleDropout
from plumbline.models.mlp import hidden_layers


def member_scales(members: int, chunks: Sequence[int], *, signs: bool) -> Tensor:
    """(K, D) scales that set the members apart: a random sign or a normal number per column,
    the same over the numbers that one column was embedded to."""
    shape = (members, len(chunks))
    drawn = torch.randint(0, 2, shape).mul(2.0).sub(1.0) if signs else torch.randn(shape)
    repeats = torch.tensor(chunks, device=drawn.device)
    return drawn.repeat_interleave(repeats, dim=1, output_size=sum(chunks))


def _plain(features: FlatInput) -> bool:
    """Whether no feature was embedded to several numbers."""
    return all(chunk == 1 for chunk in features.chunks)


class TabMMini(nn.Module):
    """Members differ by a scale per column at the input, and by their heads (section 3.3)."""

    def __init__(
        self, config: ModelConfig, spec: InputSpec, learned: Learned, noise: DropoutContext
    ) -> None:
        super().__init__()
        self.input = FlatInput(config, spec, learned)
        self.r = nn.Parameter(
            member_scales(config.members, self.input.chunks, signs=_plain(self.input))
        )
        self.hidden = hidden_layers(config, self.input.width, noise)
        last = config.width if config.depth else self.input.width
        self.heads = LinearEnsemble(last, spec.n_outputs, k=config.members)
        self.reads_input = ("r", "hidden.0.weight" if config.depth else "heads.weight")

    def forward(self, **inputs: Tensor) -> Tensor:
        x, wide = self.input(inputs)
        out: Tensor = self.heads(self.hidden(x[:, None] * self.r))  # (B, K, C)
        return add_wide(out, wide)


class TabM(nn.Module):
    """Members differ by scales and biases in every layer, and by their heads."""

    def __init__(
        self, config: ModelConfig, spec: InputSpec, learned: Learned, noise: DropoutContext
    ) -> None:
        super().__init__()
        self.input = FlatInput(config, spec, learned)
        scales = member_scales(config.members, self.input.chunks, signs=_plain(self.input))
        self.members, width = config.members, self.input.width
        layers: list[nn.Module] = []
        for _ in range(config.depth):
            linear = LinearBatchEnsemble(width, config.width, k=config.members, scaling_init="ones")
            if not layers:
                linear.r = nn.Parameter(scales)
            layers += [
                linear,
                NORMALIZATIONS[config.normalization](config.width),
                ACTIVATIONS[config.activation](),
                SampleDropout(config.dropout, noise),
            ]
            width = config.width
        self.hidden = nn.Sequential(*layers)
        self.heads = LinearEnsemble(width, spec.n_outputs, k=config.members)
        first = ("hidden.0.weight", "hidden.0.r")
        self.reads_input = first if config.depth else ("heads.weight",)

    def forward(self, **inputs: Tensor) -> Tensor:
        x, wide = self.input(inputs)
        out: Tensor = self.heads(self.hidden(x[:, None].expand(-1, self.members, -1)))  # (B, K, C)
        return add_wide(out, wide)
