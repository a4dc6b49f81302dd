"""Optimizers, fused where torch has a fused kernel; weight decay, L1, and weight averaging."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping
from types import MappingProxyType
from typing import Any

import torch
from rtdl_num_embeddings import LinearEmbeddings, _Periodic
from torch import Tensor, nn
from torch.distributed.tensor import DTensor
from torch.optim.swa_utils import get_ema_multi_avg_fn

from plumbline.config.model import TrainConfig
from plumbline.errors import choose
from plumbline.models.embeddings import LinearTokens

Groups = list[dict[str, Any]]
Make = Callable[[Groups, TrainConfig], torch.optim.Optimizer]


def _sharded(groups: Groups) -> bool:
    """torch has no fused kernels of SGD and Adagrad for shards."""
    return any(isinstance(p, DTensor) for group in groups for p in group["params"])


def _sgd(groups: Groups, config: TrainConfig) -> torch.optim.Optimizer:
    fast = {"foreach": True} if _sharded(groups) else {"fused": True}
    return torch.optim.SGD(groups, lr=config.learning_rate, momentum=config.momentum, **fast)


def _adam(groups: Groups, config: TrainConfig) -> torch.optim.Optimizer:
    return torch.optim.Adam(groups, lr=config.learning_rate, fused=True)


def _adamw(groups: Groups, config: TrainConfig) -> torch.optim.Optimizer:
    return torch.optim.AdamW(groups, lr=config.learning_rate, fused=True)


def _rmsprop(groups: Groups, config: TrainConfig) -> torch.optim.Optimizer:
    return torch.optim.RMSprop(
        groups, lr=config.learning_rate, momentum=config.momentum, foreach=True
    )


def _adagrad(groups: Groups, config: TrainConfig) -> torch.optim.Optimizer:
    # torch has the fused kernel for the CPU alone
    on_cpu = all(p.device.type == "cpu" for group in groups for p in group["params"])
    fast = {"fused": True} if on_cpu and not _sharded(groups) else {"foreach": True}
    return torch.optim.Adagrad(groups, lr=config.learning_rate, **fast)


OPTIMIZERS: dict[str, Make] = {
    "sgd": _sgd,
    "adam": _adam,
    "adamw": _adamw,
    "rmsprop": _rmsprop,
    "adagrad": _adagrad,
}

UNDECAYED = (
    nn.Embedding,
    LinearTokens,
    LinearEmbeddings,
    _Periodic,
    nn.LayerNorm,
    nn.modules.batchnorm._BatchNorm,
)


def decayed_names(model: nn.Module) -> frozenset[str]:
    """Parameters that L1 and L2 pull to zero: weights of matrices, not biases, norms,
    scales or embeddings (as in Gorishniy et al. 2021, section C)."""
    return frozenset(
        f"{prefix}.{name}" if prefix else name
        for prefix, module in model.named_modules()
        if not isinstance(module, UNDECAYED)
        for name, parameter in module.named_parameters(recurse=False)
        if name == "weight" and parameter.ndim >= 2
    )


def make_optimizer(
    model: nn.Module,
    config: TrainConfig,
    decayed: frozenset[str],
    factors: Mapping[str, float] = MappingProxyType({}),
) -> torch.optim.Optimizer:
    """The optimizer over groups of parameters: decayed or not, and by what their rate is
    multiplied by.

    Args:
        factors: by parameter; 1 where it has none.
    """
    named = [(n, p) for n, p in model.named_parameters() if p.requires_grad]
    if not config.weight_decay:
        decayed = frozenset()
    groups: Groups = [
        {
            "params": [
                p for n, p in named if (n in decayed) == decay and factors.get(n, 1.0) == factor
            ],
            "weight_decay": config.weight_decay if decay else 0.0,
            "factor": factor,
        }
        for factor in sorted({1.0, *factors.values()}, reverse=True)
        for decay in (True, False)
    ]
    make = choose(OPTIMIZERS, config.optimizer, "train.optimizer")
    return make([group for group in groups if group["params"]], config)


def set_rate(optimizer: torch.optim.Optimizer, rate: float) -> None:
    """Set the learning rate, times its own factor, of each group."""
    for group in optimizer.param_groups:
        group["lr"] = rate * group["factor"]


def add_l1(parameters: list[nn.Parameter], strength: float) -> None:
    """Add the slope of `strength` * sum |w| to the gradients."""
    for parameter in parameters:
        if parameter.grad is not None:
            parameter.grad.add_(parameter.detach().sign(), alpha=strength)


class EMA:
    """An exponential average of the weights (Polyak and Juditsky 1992), used to validate and
    kept as the result, and of the running statistics that belong to them. It follows fast at
    first: the decay of step t is at most (1 + t) / (10 + t), so that the initial weights do not
    linger."""

    def __init__(self, model: nn.Module, decay: float) -> None:
        self.decay, self.steps = decay, 0
        norms = [m for m in model.modules() if isinstance(m, nn.modules.batchnorm._BatchNorm)]
        statistics = [b for norm in norms for b in norm.buffers() if b.is_floating_point()]
        self._own: list[Tensor] = [*model.parameters(), *statistics]
        self.tensors: list[Tensor] = [t.detach().clone() for t in self._own] if decay else []

    @torch.no_grad()
    def update(self) -> None:
        """Follow the weights after an optimizer step."""
        if self.tensors:
            decay = min(self.decay, (1 + self.steps) / (10 + self.steps))
            move = get_ema_multi_avg_fn(decay)  # type: ignore[no-untyped-call]
            move(self.tensors, [t.detach() for t in self._own], self.steps)
            self.steps += 1

    @contextlib.contextmanager
    def applied(self) -> Iterator[None]:
        """The model has the average for its weights inside the block."""
        if not self.tensors:
            yield
            return
        own = [t.detach().clone() for t in self._own]
        _copy(self.tensors, self._own)
        try:
            yield
        finally:
            _copy(own, self._own)


@torch.no_grad()
def _copy(sources: list[Tensor], targets: list[Tensor]) -> None:
    for source, target in zip(sources, targets, strict=True):
        target.copy_(source)
