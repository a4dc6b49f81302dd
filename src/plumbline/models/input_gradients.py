"""How a prediction changes with what the model reads, for tensors of any kind.

Codes have no gradient, but what was looked up for them has: a hook on the table of an encoder
(`lookup`) puts tensors that carry gradients in the place of what it found, so each architecture is
asked as it is. (Captum does the same; its import costs more than all this.)

n rows, E numbers per code.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import ExitStack
from functools import partial

import torch
from torch import Tensor, nn

from plumbline.examples import Inputs
from plumbline.models.bag import BagMember


class InputGradients:
    """A model over continuous inputs: numbers (n, *shape) as they are, codes as what their
    encoder looked up, (n, *shape, E)."""

    def __init__(self, model: nn.Module) -> None:
        """Args: model: takes tensors by name, gives (n, C)."""
        self._model = model
        encoders = encoders_of(model)
        self._lookup = {name: _lookup_of(encoder) for name, encoder in encoders.items()}

    @torch.no_grad()
    def represent(self, inputs: Inputs) -> dict[str, Tensor]:
        """What gradients are taken of, by tensor."""
        represented = {}
        for name, array in inputs.items():
            values, lookup = torch.tensor(array), self._lookup[name]
            if lookup is not None:
                values = lookup(values)
            elif not values.is_floating_point():  # pixels
                values = values.float()
            represented[name] = values
        return represented

    def gradients(self, represented: Mapping[str, Tensor], outputs: Tensor) -> dict[str, Tensor]:
        """Of the chosen output (n,) by each of them; zeros where nothing depends on it."""
        own = {name: t.clone().requires_grad_() for name, t in represented.items()}
        with ExitStack() as stack:
            given = {name: self._given(name, t, stack) for name, t in own.items()}
            with torch.enable_grad():
                outputs_sum = self._model(**given).gather(1, outputs[:, None]).sum()
                grads = torch.autograd.grad(outputs_sum, list(own.values()), allow_unused=True)
        return {
            name: torch.zeros_like(t) if grad is None else grad
            for (name, t), grad in zip(own.items(), grads, strict=True)
        }

    def _given(self, name: str, represented: Tensor, stack: ExitStack) -> Tensor:
        """What the model is called with in place of a tensor."""
        lookup = self._lookup[name]
        if lookup is None:
            return represented
        handle = lookup.register_forward_hook(partial(_replace, represented))
        stack.callback(handle.remove)
        return torch.zeros(represented.shape[:-1], dtype=torch.int64)


def encoders_of(model: nn.Module) -> dict[str, nn.Module]:
    """The encoder of each tensor, by its name."""
    members = [module for module in model.modules() if isinstance(module, BagMember)]
    if members:
        own = [(member.names, encoders_of(member.network)) for member in members]
        return {names[name]: e for names, encoders in own for name, e in encoders.items()}
    held = [getattr(module, "encoders", None) for module in model.modules()]
    (encoders,) = [each for each in held if isinstance(each, nn.ModuleDict)]
    return dict(encoders.items())


@torch.no_grad()
def attention_map(model: nn.Module, tensor: str, values: Tensor) -> Tensor | None:
    """The attention inside a tensor's encoder to each of its features, (n, F); None where the
    encoder has none."""
    for module in encoders_of(model)[tensor].modules():
        attend = getattr(module, "attention_map", None)
        if attend is not None:
            attended: Tensor | None = attend(values)
            return attended
    return None


def _replace(by: Tensor, module: nn.Module, given: object, looked_up: Tensor) -> Tensor:
    return by


def _lookup_of(encoder: nn.Module) -> nn.Module | None:
    held = [getattr(module, "lookup", None) for module in encoder.modules()]
    modules = [module for module in held if isinstance(module, nn.Module)]
    assert len(modules) <= 1, "an encoder looks codes up in one place"
    return modules[0] if modules else None
