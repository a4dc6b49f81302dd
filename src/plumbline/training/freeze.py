"""Parts of a network that stay as they are for some epochs, and rates of their own."""

from __future__ import annotations

from torch import nn
from torch.nn.parallel import DistributedDataParallel

from plumbline.config.model import TrainConfig
from plumbline.errors import ParameterError, nearest
from plumbline.models.parts import Parts
from plumbline.training.compiled import compiled
from plumbline.training.distributed import World, wrap


def check_parts(config: TrainConfig, parts: Parts) -> None:
    """Refuse parts that the network does not have, and a freeze that leaves nothing to train.

    Raises:
        ParameterError: names the key.
    """
    for key in ("freeze", "rates"):
        for name in getattr(config, key):
            if name not in parts:
                near = nearest(name, parts)
                valid = f"valid names: {', '.join(parts)}"
                raise ParameterError(
                    "is no part of this network",
                    file="params.yaml",
                    where=f"train.{key}.{name}",
                    hint=f"{near} {valid}" if near.startswith("did") else valid,
                )
    every = frozenset[str]().union(*(part.parameters for part in parts.values()))
    if config.freeze and frozen_parameters(config, parts, 0) >= every:
        raise ParameterError(
            "every part of the network is frozen, so that nothing is trained",
            file="params.yaml",
            where="train.freeze",
            got=", ".join(config.freeze),
            hint="leave one out: the head, say",
        )


def frozen_parameters(config: TrainConfig, parts: Parts, epoch: int) -> frozenset[str]:
    """The names of the parameters that stay as they are in an epoch, from 0."""
    names: frozenset[str] = frozenset()
    for part, own in parts.items():
        if part in config.freeze:
            names = (
                names | own.parameters
                if _is_frozen(config, part, epoch)
                else (names - own.parameters)
            )
    return names


def rate_factors(config: TrainConfig, parts: Parts) -> dict[str, float]:
    """What the learning rate is multiplied by, of parameters that have a factor."""
    return {
        name: config.rates[part]
        for part, own in parts.items()
        if part in config.rates
        for name in own.parameters
    }


def _is_frozen(config: TrainConfig, part: str, epoch: int) -> bool:
    until = config.freeze[part]
    return until == "all" or epoch < until


class Forward:
    """The module to call in training: it adds up gradients over processes, and its frozen parts
    have no gradient and behave as in evaluation: no dropout, and running statistics stay."""

    def __init__(self, model: nn.Module, config: TrainConfig, parts: Parts, world: World) -> None:
        self._model, self._config, self._parts, self._world = model, config, parts, world
        self._frozen: frozenset[str] | None = None
        self._wrapped = self._module = model

    def in_training(self, epoch: int) -> nn.Module:
        """The module in training mode, with what is frozen in an epoch, from 0."""
        frozen = frozen_parameters(self._config, self._parts, epoch)
        if frozen != self._frozen:
            changed = frozen ^ (self._frozen or frozenset())
            for name, parameter in self._model.named_parameters():
                if name in changed:
                    parameter.requires_grad_(name not in frozen)
            if isinstance(self._wrapped, DistributedDataParallel):  # its hooks would add up too
                self._wrapped._remove_autograd_hooks()  # type: ignore[no-untyped-call]
            self._wrapped = self._module = wrap(self._model, self._world)
            if self._world.compile:
                self._module = compiled(self._wrapped, self._world.device)
            self._frozen = frozen
        self._module.train()
        for part, own in self._parts.items():
            if part in self._config.freeze:
                for module in own.modules:
                    module.train(not _is_frozen(self._config, part, epoch))
        return self._module
