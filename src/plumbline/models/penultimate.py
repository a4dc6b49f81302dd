"""The network's own features: what its last layer reads. B rows, K members, D features."""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor, nn

from plumbline.models.bag import Bag
from plumbline.models.parts import LAST


def output_and_features(model: nn.Module, inputs: Mapping[str, Tensor]) -> tuple[Tensor, Tensor]:
    """One forward pass: the output (B, K, outputs), and the features (B, D), the mean over members.

    A linear model, which has no layer before its last, gives its outputs as features. Those of a
    bag are its first network's.
    """
    network = model.first if isinstance(model, Bag) else model
    kept: list[Tensor] = []

    def keep(module: nn.Module, args: tuple[Tensor, ...]) -> None:
        kept.append(args[0])

    hooks = [
        child.register_forward_pre_hook(keep)
        for name, child in network.named_children()
        if name in LAST
    ]
    try:
        output: Tensor = model(**inputs)
    finally:
        for hook in hooks:
            hook.remove()
    features = kept[0] if kept else output
    return output, features if features.ndim == 2 else features.mean(dim=1)
