"""Explanations that look inside the network: integrated gradients, saliency, attention.

n rows, M players, F features of a tensor, C outputs. `model` takes tensors by name and gives
predictions (n, C); `models.deployed.Deployed` does.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from plumbline.evaluation.masker import Masker
from plumbline.examples import PADDING, Inputs, count_rows, take_inputs
from plumbline.kinds import DoubleArray, IntArray
from plumbline.models.input_gradients import InputGradients

STEPS = 32  # points on the path from the baseline
BATCH = 1024  # rows per pass with gradients

# what a tensor's background is represented by, and its values -> deviations to scale gradients by
Spread = Callable[[Tensor, NDArray[Any]], Tensor]


def spread_by_feature(represented: Tensor, values: NDArray[Any]) -> Tensor:
    """Standard deviations over the rows, of each number."""
    return (represented - represented.mean(0)).square().mean(0).sqrt()


def spread_of_tokens(represented: Tensor, ids: NDArray[Any]) -> Tensor:
    """Vectors of tokens (B, L, E) to standard deviations over the tokens of all texts, whatever
    their positions: (E,)."""
    tokens = represented[torch.from_numpy(ids != PADDING)]
    return spread_by_feature(tokens if len(tokens) else represented[:1, 0], ids)


def integrated_gradients(
    model: nn.Module,
    rows: Inputs,
    background: Inputs,
    masker: Masker,
    outputs: IntArray,
) -> DoubleArray:
    """Integrated gradients (Sundararajan et al. 2017, equation 1), added up per player: (n, M).

    The path begins at the mean of the background, of numbers and of what codes are embedded to;
    the values of a row add up to its prediction minus the one there, but for the steps' error.
    """
    network = InputGradients(model)
    base = {name: t.mean(0, keepdim=True) for name, t in network.represent(background).items()}
    parts = []
    for some, where in _batches(rows):
        own, outputs_of = network.represent(some), torch.from_numpy(outputs[where])
        sums = {name: torch.zeros_like(t) for name, t in own.items()}
        for step in range(STEPS):
            share = (step + 0.5) / STEPS  # middle of each piece
            at = {name: base[name] + share * (t - base[name]) for name, t in own.items()}
            for name, grad in network.gradients(at, outputs_of).items():
                sums[name] += grad
        path = {n: _by_feature(sums[n] / STEPS * (t - base[n])) for n, t in own.items()}
        parts.append(masker.pool(path))
    return np.concatenate(parts)


def saliency(
    model: nn.Module,
    rows: Inputs,
    background: Inputs,
    masker: Masker,
    outputs: IntArray,
    spreads: Mapping[str, Spread] | None = None,
) -> DoubleArray:
    """How far one standard deviation of a player would move the prediction, by the gradient
    (Simonyan et al. 2013): (n, M), not negative.

    Standard deviations are the background's; for a code the length of the gradient of its
    embedding, each number of it scaled so.

    Args:
        spreads: by tensor, where a deviation is no feature's own.
    """
    network, own_spreads = InputGradients(model), spreads or {}
    spread = {
        name: own_spreads.get(name, spread_by_feature)(t, background[name])
        for name, t in network.represent(background).items()
    }
    parts = []
    for some, where in _batches(rows):
        grads = network.gradients(network.represent(some), torch.from_numpy(outputs[where]))
        moved = {name: _length_by_feature(grad * spread[name]) for name, grad in grads.items()}
        parts.append(masker.pool(moved))
    return np.concatenate(parts)


@torch.no_grad()
def attention(model: nn.Module, rows: Inputs, masker: Masker) -> DoubleArray | None:
    """Attention of the class token to each player, mean over heads and layers: (n, M); None
    where the model (the architecture itself) has no attention."""
    attend = getattr(model, "attention", None)
    if attend is None:
        return None
    parts = []
    for some, _ in _batches(rows):
        maps = attend(**{name: torch.tensor(array) for name, array in some.items()})
        weights = {name: m.mean(1).double().numpy() for name, m in maps.items()}  # (n, T) each
        parts.append(masker.pool(weights))
    return np.concatenate(parts)


def _by_feature(amounts: Tensor) -> DoubleArray:
    """(n, F, ...) added up to (n, F)."""
    added: DoubleArray = (
        amounts.flatten(2).sum(-1).double().numpy()
        if amounts.ndim > 2
        else (amounts.double().numpy())
    )
    return added


def _length_by_feature(amounts: Tensor) -> DoubleArray:
    """(n, F, ...) to the lengths (n, F)."""
    if amounts.ndim == 2:
        return np.asarray(amounts.abs().double().numpy())
    return np.asarray(amounts.flatten(2).square().sum(-1).sqrt().double().numpy())


def _batches(rows: Inputs) -> Iterator[tuple[Inputs, slice]]:
    for start in range(0, count_rows(rows), BATCH):
        some = slice(start, start + BATCH)
        yield take_inputs(rows, some), some
