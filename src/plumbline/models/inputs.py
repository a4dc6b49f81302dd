"""The inputs of a network: what its encoders give of all tensors, joined.

B rows, W token width, T tokens.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from plumbline.config.model import ModelConfig
from plumbline.examples import InputSpec, TensorSpec
from plumbline.models.encoders import Learned, Shifting, Widening, encoder_of

Read = tuple[Tensor, Tensor | None]  # what an input gives: features, and the wide parts' sum


def add_wide(output: Tensor, wide: Tensor | None) -> Tensor:
    """(B, K, outputs), with the wide part (B, outputs) added to each member."""
    return output if wide is None else output + wide[:, None]


def _chunks(features: nn.Module) -> list[int]:
    """The widths that each feature took."""
    chunks = features.chunks
    assert isinstance(chunks, list)
    return chunks


class Projected(nn.Module):
    """Features, projected to another width: (B, *shape) to (B, width)."""

    def __init__(self, features: nn.Module, width: int) -> None:
        super().__init__()
        self.features = features
        self.projection = nn.Linear(sum(_chunks(features)), width)

    def forward(self, x: Tensor) -> Tensor:
        projected: Tensor = self.projection(self.features(x))
        return projected


class OneToken(Projected):
    """Features, projected to a single token: (B, *shape) to (B, 1, W), and their wide part."""

    def widen(self, outputs: int) -> None:
        if isinstance(self.features, Widening):
            self.features.widen(outputs)

    def forward(self, x: Tensor) -> Any:
        features, wide = _parted(self.features(x))
        token = self.projection(features)[:, None]
        return token if wide is None else (token, wide)


def _parted(read: Tensor | tuple[Tensor, Tensor]) -> Read:
    return (read, None) if isinstance(read, Tensor) else read


def _widen(encoders: nn.ModuleDict, outputs: int) -> None:
    for module in encoders.values():
        if isinstance(module, Widening):
            module.widen(outputs)


def _together(parts: Iterable[Read]) -> Read:
    """Features side by side, along their second axis, and the sum of the wide parts."""
    features, wide = zip(*parts, strict=True)
    added = [own for own in wide if own is not None]
    joined = features[0] if len(features) == 1 else torch.cat(features, dim=1)
    return joined, torch.stack(added).sum(0) if added else None


class FlatInput(nn.Module):
    """The features of all tensors side by side: (B, width), and the wide parts (B, outputs), None
    where there are none. `chunks` are the widths that each feature took, in order. Where a linear
    layer and then batch normalization read them, nothing is left of what all rows have in common:
    then `shifted` is false and no encoder adds it."""

    def __init__(
        self, config: ModelConfig, spec: InputSpec, learned: Learned, *, shifted: bool = True
    ) -> None:
        super().__init__()
        self.encoders = nn.ModuleDict(
            {t.name: encoder_of(t).features(config, t, learned.get(t.name)) for t in spec}
        )
        if not shifted:
            for module in self.encoders.values():
                if isinstance(module, Shifting):
                    module.drop_shift()
        _widen(self.encoders, spec.n_outputs)
        self.chunks = [width for module in self.encoders.values() for width in _chunks(module)]
        self.width = sum(self.chunks)

    def forward(self, inputs: Mapping[str, Tensor]) -> Read:
        return _together(_parted(own(inputs[name])) for name, own in self.encoders.items())


class TokenInput(nn.Module):
    """The tokens of all tensors, one after the other: (B, T, width), and the wide parts
    (B, outputs), None where there are none."""

    def __init__(self, config: ModelConfig, spec: InputSpec, learned: Learned, width: int) -> None:
        super().__init__()

        def build(tensor: TensorSpec) -> nn.Module:
            encoder, own = encoder_of(tensor), learned.get(tensor.name)
            if encoder.tokens is None:
                return OneToken(encoder.features(config, tensor, own), width)
            return encoder.tokens(config, tensor, own, width)

        self.encoders = nn.ModuleDict({t.name: build(t) for t in spec})
        _widen(self.encoders, spec.n_outputs)

    def tokens(self, inputs: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """By tensor: (B, T, width) each."""
        return {name: _parted(own(inputs[name]))[0] for name, own in self.encoders.items()}

    def forward(self, inputs: Mapping[str, Tensor]) -> Read:
        return _together(_parted(own(inputs[name])) for name, own in self.encoders.items())


class LinearInput(nn.Module):
    """A bias and what each tensor gives linearly, added up: (B, outputs)."""

    def __init__(
        self, config: ModelConfig, spec: InputSpec, learned: Learned, outputs: int
    ) -> None:
        super().__init__()

        def build(tensor: TensorSpec) -> nn.Module:
            encoder, own = encoder_of(tensor), learned.get(tensor.name)
            if encoder.linear is None:
                return Projected(encoder.features(config, tensor, own), outputs)
            return encoder.linear(tensor, outputs)

        self.encoders = nn.ModuleDict({t.name: build(t) for t in spec})
        self.bias = nn.Parameter(torch.zeros(outputs))

    def forward(self, inputs: Mapping[str, Tensor]) -> Tensor:
        out: Tensor = self.bias
        for name, encoder in self.encoders.items():
            out = out + encoder(inputs[name])
        return out
