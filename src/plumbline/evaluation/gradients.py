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

from plumbline.evaluation.explanation_budget import activation_bytes
from plumbline.evaluation.masker import Masker
from plumbline.examples import PADDING, Inputs, count_rows, take_inputs
from plumbline.kinds import DoubleArray, IntArray
from plumbline.models.input_gradients import InputGradients

STEPS = 32  # points on the path from the baseline
CELL_STEPS = 128  # of a single cell, whose prediction may change all at once
BATCH = 1024  # rows per pass with gradients, where they fit into `MEMORY`
MEMORY = 2**28  # bytes that such a pass may take

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


def spread_of_images(represented: Tensor, pixels: NDArray[Any]) -> Tensor:
    """Pixels (B, C, H, W) to the standard deviations of each, over the images that are there."""
    there = torch.from_numpy(pixels.any(axis=(1, 2, 3)))
    return spread_by_feature(represented[there] if there.any() else represented, pixels)


def integrated_gradients(
    model: nn.Module,
    rows: Inputs,
    background: Inputs,
    masker: Masker,
    outputs: IntArray,
    steps: int = STEPS,
) -> DoubleArray:
    """Integrated gradients (Sundararajan et al. 2017, equation 1), added up per player: (n, M).

    The path begins at the mean of the background, of numbers and of what codes are embedded to;
    the values of a row add up to its prediction minus the one there, but for the steps' error.
    """
    network = InputGradients(model)
    base = {name: t.mean(0, keepdim=True) for name, t in network.represent(background).items()}
    parts = []
    for some, where in _batches(model, rows):
        own, outputs_of = network.represent(some), torch.from_numpy(outputs[where])
        sums = {name: torch.zeros_like(t) for name, t in own.items()}
        for step in range(steps):
            share = (step + 0.5) / steps  # middle of each piece
            at = {name: base[name] + share * (t - base[name]) for name, t in own.items()}
            for name, grad in network.gradients(at, outputs_of).items():
                sums[name] += grad
        path = {
            name: masker.by_feature(name, (sums[name] / steps * (t - base[name])).double().numpy())
            for name, t in own.items()
        }
        parts.append(masker.pool({name: amounts.sum(-1) for name, amounts in path.items()}))
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
    for some, where in _batches(model, rows):
        grads = network.gradients(network.represent(some), torch.from_numpy(outputs[where]))
        moved = {
            name: masker.by_feature(name, (grad * spread[name]).double().numpy())
            for name, grad in grads.items()
        }
        parts.append(masker.pool({name: _length(amounts) for name, amounts in moved.items()}))
    return np.concatenate(parts)


@torch.no_grad()
def attention(model: nn.Module, rows: Inputs, masker: Masker) -> DoubleArray | None:
    """Attention of the class token to each player, mean over heads and layers: (n, M); None
    where the model (the architecture itself) has no attention."""
    attend = getattr(model, "attention", None)
    if attend is None:
        return None
    parts = []
    for some, _ in _batches(model, rows):
        maps = attend(**{name: torch.tensor(array) for name, array in some.items()})
        weights = {name: m.mean(1).double().numpy() for name, m in maps.items()}  # (n, T) each
        parts.append(masker.pool(weights))
    return np.concatenate(parts)


def _length(amounts: DoubleArray) -> DoubleArray:
    """(n, F, E) to the lengths (n, F)."""
    return np.asarray(np.sqrt(np.square(amounts).sum(-1)))


def _batches(model: nn.Module, rows: Inputs) -> Iterator[tuple[Inputs, slice]]:
    size = int(np.clip(MEMORY // activation_bytes(model, rows), 1, BATCH))
    for start in range(0, count_rows(rows), size):
        some = slice(start, start + size)
        yield take_inputs(rows, some), some
