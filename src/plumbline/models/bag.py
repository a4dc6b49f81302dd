"""A bag: several networks that make one model, each with inputs of its own.

B rows, K members of a network, C outputs.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TypeVar

import torch
from torch import Tensor, nn

from plumbline.examples import InputSpec
from plumbline.models.target import InverseTarget, TargetTransform

T = TypeVar("T")  # a tensor, of torch or numpy


class BagMember(nn.Module):
    """One network of a bag, over the tensors of the whole bag: (B, K, C) logits, or (B, 1, C)
    values in the target's units, since each network has its own scale of the target."""

    def __init__(
        self, network: nn.Module, names: Mapping[str, str], target: TargetTransform | None
    ) -> None:
        """Args: names: what the network calls its tensors -> what the bag calls them."""
        super().__init__()
        self.network = network
        self.names = dict(names)
        self.inverse = InverseTarget(target) if target is not None else None

    def forward(self, **inputs: Tensor) -> Tensor:
        output: Tensor = self.network(**{own: inputs[name] for own, name in self.names.items()})
        if self.inverse is None:
            return output
        values: Tensor = self.inverse(output.mean(1, keepdim=True))
        return values


class Bag(nn.Module):
    """The members of all networks side by side, whose mean is the prediction."""

    def __init__(self, members: Sequence[BagMember]) -> None:
        super().__init__()
        self.members = nn.ModuleList(members)

    @property
    def first(self) -> nn.Module:
        """The first network."""
        network = self.members[0].network
        assert isinstance(network, nn.Module)
        return network

    def forward(self, **inputs: Tensor) -> Tensor:
        return torch.cat([member(**inputs) for member in self.members], dim=1)


def make_bag(
    networks: Sequence[nn.Module], spec: InputSpec, targets: Sequence[TargetTransform] | None
) -> Bag:
    """The bag of these networks.

    Args:
        spec: of the bag (`InputSpec.of_bag`).
        targets: how each network's target was scaled; None: it was not.
    """
    return Bag(
        [
            BagMember(network, spec.names_of_network(k), None if targets is None else targets[k])
            for k, network in enumerate(networks)
        ]
    )


def first_weights(weights: Mapping[str, T]) -> dict[str, T]:
    """The weights of a bag's first network, as that calls them."""
    prefix = "members.0.network."
    return {k.removeprefix(prefix): v for k, v in weights.items() if k.startswith(prefix)}


def bag_weights(
    weights: Sequence[Mapping[str, Tensor]], targets: Sequence[TargetTransform] | None
) -> dict[str, Tensor]:
    """The state of a bag whose networks have these weights."""
    whole = {
        f"members.{k}.network.{name}": tensor
        for k, own in enumerate(weights)
        for name, tensor in own.items()
    }
    for k, target in enumerate(targets or ()):
        state = InverseTarget(target).state_dict()
        whole |= {f"members.{k}.inverse.{name}": tensor for name, tensor in state.items()}
    return whole
