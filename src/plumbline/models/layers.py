"""What all architectures share: dropout, normalization, activations, initialization.

B rows on this process, K ensemble members, D features.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
import torch.distributed as dist
from rtdl_num_embeddings import PeriodicEmbeddings, PiecewiseLinearEmbeddings
from tabm import LinearBatchEnsemble, LinearEnsemble
from torch import Tensor, nn

from plumbline.errors import PlumblineWarning

ACTIVATIONS: dict[str, Callable[[], nn.Module]] = {
    "relu": nn.ReLU,
    "leaky_relu": nn.LeakyReLU,
    "gelu": nn.GELU,
    "silu": nn.SiLU,
    "tanh": nn.Tanh,
    "sigmoid": nn.Sigmoid,
}
LEVELS = 2**16  # of a dropout's rate


@dataclass
class DropoutContext:
    """Which rows of which global batch a forward pass sees; the training loop sets it.

    Masks are drawn for the whole global batch from (seed, step, layer) and cut to the rows of
    this process, so that they do not depend on the number of processes.
    """

    seed: int
    step: int = 0
    start: int = 0
    stop: int | None = None  # None: the rows at hand are the whole batch
    total: int = 0


class SampleDropout(nn.Module):
    """Dropout (Srivastava et al. 2014) whose mask follows the row, not the process."""

    def __init__(self, rate: float, noise: DropoutContext) -> None:
        super().__init__()
        self.rate = rate
        self.noise = noise
        self.layer = 0  # numbered by `number_dropouts`
        self._generators: dict[torch.device, torch.Generator] = {}

    def forward(self, x: Tensor) -> Tensor:
        """Any shape (B, ...) to the same shape; the identity in evaluation."""
        if not self.training or self.rate == 0:
            return x
        return x * self.mask(x)

    def mask(self, x: Tensor) -> Tensor:
        """What x is multiplied by: 0, or 1 / (1 - rate). torch.compile is kept out of here: it
        would compile anew for every step's number."""
        noise = self.noise
        own = slice(None) if noise.stop is None else slice(noise.start, noise.stop)
        rows = len(x) if noise.stop is None else noise.total
        shape = (rows, *x.shape[1:])
        # 16 random bits decide about a number: a draw of 64 serves four (`bernoulli_` takes a draw
        # for each and was a quarter to a half of a step)
        draws = torch.empty((math.prod(shape) + 3) // 4, dtype=torch.int64, device=x.device)
        draws.random_(-(2**63), None, generator=self._generator(x.device))
        dropped = min(round(self.rate * LEVELS), LEVELS - 1)
        bits = draws.view(torch.int16)[: math.prod(shape)].view(shape)[own]
        mask = torch.empty(bits.shape, device=x.device, dtype=x.dtype)
        torch.ge(bits, dropped - LEVELS // 2, out=mask)
        return mask.mul_(LEVELS / (LEVELS - dropped))

    def _generator(self, device: torch.device) -> torch.Generator:
        generator = self._generators.get(device)
        if generator is None:
            generator = self._generators[device] = torch.Generator(device)
        noise = self.noise
        mixed = (noise.seed * 1_000_003 + noise.step) * 1_009 + self.layer
        generator.manual_seed(mixed & 0x7FFF_FFFF_FFFF_FFFF)
        return generator

    def extra_repr(self) -> str:
        return f"rate={self.rate}"


def number_dropouts(model: nn.Module, noise: DropoutContext) -> None:
    """Give each dropout of a model its own number, and so its own masks, and all of them one
    context: encoders are built without it."""
    layers = [m for m in model.modules() if isinstance(m, SampleDropout)]
    for number, layer in enumerate(layers):
        layer.layer, layer.noise = number, noise


class _Sum(torch.autograd.Function):
    """The slope of a sum over processes is the sum of their slopes."""

    @staticmethod
    def forward(ctx: Any, values: Tensor) -> Tensor:
        total = values.clone()
        dist.all_reduce(total)
        return total

    @staticmethod
    def backward(ctx: Any, *slopes: Tensor) -> Tensor:
        total = slopes[0].clone()
        dist.all_reduce(total)
        return total


def sum_over_processes(values: Tensor) -> Tensor:
    """The sum of all processes' tensors, on each; gradients flow through."""
    total: Tensor = _Sum.apply(values)  # type: ignore[no-untyped-call]
    return total


class BatchNorm(nn.BatchNorm1d):
    """Batch normalization (Ioffe and Szegedy 2015) over the rows of all processes.

    Takes (B, D) or (B, K, D). A global batch of a single value per feature has no variance and
    is normalized by the running statistics.
    """

    def forward(self, x: Tensor) -> Tensor:
        if not self.training:
            return self._affine(x, self._running_mean(), self._running_var())
        # under mixed precision sums over rows need float32
        flat = x.reshape(-1, self.num_features).to(self._running_mean().dtype)
        count, sums = len(flat), flat.sum(0)
        many = dist.is_available() and dist.is_initialized() and dist.get_world_size() > 1
        if many:
            counted = sum_over_processes(torch.cat([sums, sums.new_tensor([count])]))
            count, sums = int(counted[-1]), counted[:-1]
        if count < 2:
            return self._affine(x, self._running_mean(), self._running_var())
        mean = sums / count
        # centered first: the mean of squares less the squared mean cancels far from zero
        squares = (flat - mean).square().sum(0)
        if many:
            squares = sum_over_processes(squares)
        with torch.no_grad():
            momentum = 0.1 if self.momentum is None else self.momentum
            self._running_mean().lerp_(mean, momentum)
            self._running_var().lerp_(squares / (count - 1), momentum)
            if self.num_batches_tracked is not None:
                self.num_batches_tracked += 1
        return self._affine(x, mean, squares / count)

    def _affine(self, x: Tensor, mean: Tensor, var: Tensor) -> Tensor:
        return ((x - mean) * (var + self.eps).rsqrt() * self.weight + self.bias).to(x.dtype)

    def _running_mean(self) -> Tensor:
        assert self.running_mean is not None
        return self.running_mean

    def _running_var(self) -> Tensor:
        assert self.running_var is not None
        return self.running_var


NORMALIZATIONS: dict[str, Callable[[int], nn.Module]] = {
    "none": lambda width: nn.Identity(),
    "batch": BatchNorm,
    "layer": nn.LayerNorm,
}


def has_use_of_bias(normalization: str) -> bool:
    """Whether a layer that feeds a normalization needs a bias. Batch normalization takes a shift
    away again: the bias's slope is rounding alone, which Adam-like optimizers blow up to full
    steps, and the running means lag behind them."""
    return normalization != "batch"


def drop_bias(layer: nn.Module) -> None:
    """Make the bias of a layer zeros that are not fitted, in layers that cannot do without one,
    too."""
    bias = layer.bias
    assert isinstance(bias, Tensor)
    del layer.bias
    layer.register_buffer("bias", torch.zeros_like(bias), persistent=False)


def _keep(weight: Tensor) -> None:
    """torch's own initialization stays."""


def _zero(weight: Tensor) -> None:
    nn.init.zeros_(weight)


LINEAR = (nn.Linear, LinearEnsemble, LinearBatchEnsemble)
EMBEDDINGS = (PeriodicEmbeddings, PiecewiseLinearEmbeddings)

INITIALIZERS: dict[str, Callable[[Tensor], object]] = {
    "default": _keep,
    "xavier": nn.init.xavier_uniform_,  # Glorot and Bengio 2010
    "he": lambda w: nn.init.kaiming_normal_(w, nonlinearity="relu"),  # He et al. 2015
    "orthogonal": nn.init.orthogonal_,  # Saxe et al. 2014
    "normal": lambda w: nn.init.normal_(w, std=0.02),
    "zero": _zero,
}


def initialize(model: nn.Module, name: str) -> None:
    """Initialize the weight of every linear layer, ensembles of them included, and set biases to
    zero. Embeddings of numbers and categories keep their own. `default` changes nothing."""
    if name == "default":
        return
    if name == "zero":
        warnings.warn(
            "model.initialization is zero: units of a layer stay equal and most gradients vanish",
            PlumblineWarning,
            stacklevel=2,
        )
    embedding = {m for e in model.modules() if isinstance(e, EMBEDDINGS) for m in e.modules()}
    for module in model.modules():
        if module in embedding or not isinstance(module, LINEAR):
            continue
        with torch.no_grad():
            for weight in module.weight.mT if module.weight.ndim == 3 else [module.weight]:
                INITIALIZERS[name](weight)  # (outputs, inputs)
        if module.bias is not None:
            nn.init.zeros_(module.bias)
