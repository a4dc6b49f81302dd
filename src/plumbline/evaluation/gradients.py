"""Explanations that look inside the network: integrated gradients, saliency, attention.

A category's code cannot be differentiated, its embedding can: a hook on the model's one
`CategoryEmbedding` puts tensors that carry gradients in the place of what it looked up, so each
architecture is explained as it is. (Captum does the same; its import costs more than all this.)

n rows, M columns of the data, C outputs, E numbers per embedded category. `model` maps numbers and
codes to predictions (n, C); `models.deployed.Deployed` does.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn

from plumbline.evaluation.attribution import Inputs, Players
from plumbline.kinds import DoubleArray, IntArray
from plumbline.models.embeddings import CategoryEmbedding

STEPS = 32  # points on the path from the baseline
BATCH = 1024  # rows per pass with gradients


def integrated_gradients(
    model: nn.Module,
    rows: Inputs,
    background: Inputs,
    players: Players,
    outputs: IntArray,
) -> DoubleArray:
    """Integrated gradients (Sundararajan et al. 2017, equation 1), added up per column: (n, M).

    The path begins at the mean of the background, of numbers and of category embeddings; the
    values of a row add up to its prediction minus the one there, but for the steps' error.
    """
    network = _Network(model)
    base_num, base_cat = (t.mean(0, keepdim=True) for t in network.embed(background))
    parts = []
    for start in range(0, len(rows), BATCH):
        own_num, own_cat = network.embed(_slice(rows, start))
        chosen = torch.from_numpy(outputs[start : start + BATCH])
        sum_num, sum_cat = torch.zeros_like(own_num), torch.zeros_like(own_cat)
        for step in range(STEPS):
            share = (step + 0.5) / STEPS  # middle of each piece
            grad_num, grad_cat = network.gradients(
                base_num + share * (own_num - base_num),
                base_cat + share * (own_cat - base_cat),
                chosen,
            )
            sum_num += grad_num
            sum_cat += grad_cat
        num = (sum_num / STEPS * (own_num - base_num)).double().numpy()
        cat = (sum_cat / STEPS * (own_cat - base_cat)).sum(-1).double().numpy()
        parts.append(players.add_up(num, cat))
    return np.concatenate(parts)


def saliency(
    model: nn.Module,
    rows: Inputs,
    background: Inputs,
    players: Players,
    outputs: IntArray,
) -> DoubleArray:
    """How far one standard deviation of a column would move the prediction, by the gradient
    (Simonyan et al. 2013): (n, M), not negative.

    Standard deviations are the background's; for a category the length of the gradient of its
    embedding, each number of it scaled so.
    """
    network = _Network(model)
    sd_num, sd_cat = ((t - t.mean(0)).square().mean(0).sqrt() for t in network.embed(background))
    parts = []
    for start in range(0, len(rows), BATCH):
        own_num, own_cat = network.embed(_slice(rows, start))
        chosen = torch.from_numpy(outputs[start : start + BATCH])
        grad_num, grad_cat = network.gradients(own_num, own_cat, chosen)
        num = (grad_num * sd_num).abs().double().numpy()
        cat = (grad_cat * sd_cat).square().sum(-1).sqrt().double().numpy()
        parts.append(players.add_up(num, cat))
    return np.concatenate(parts)


@torch.no_grad()
def attention(model: nn.Module, rows: Inputs, players: Players) -> DoubleArray | None:
    """Attention of the class token to each column, mean over heads and layers: (n, M); None
    where the model (the architecture itself) has no attention."""
    look = getattr(model, "attention", None)
    if look is None:
        return None
    parts = []
    numbers = rows.num.shape[1]
    for start in range(0, len(rows), BATCH):
        some = _slice(rows, start)
        maps = look(torch.tensor(some.num), torch.tensor(some.cat))  # (n, layers, N + C)
        weights = maps.mean(1).double().numpy()
        parts.append(players.add_up(weights[:, :numbers], weights[:, numbers:]))
    return np.concatenate(parts)


class _Network:
    """A model whose inputs are numbers (n, N) and category embeddings (n, C, E)."""

    def __init__(self, model: nn.Module) -> None:
        self.model = model
        found = [m for m in model.modules() if isinstance(m, CategoryEmbedding)]
        assert len(found) <= 1, "the architecture embeds categories in one place"
        self.table = found[0] if found else None

    @torch.no_grad()
    def embed(self, rows: Inputs) -> tuple[Tensor, Tensor]:
        num, codes = torch.tensor(rows.num), torch.tensor(rows.cat)
        if self.table is None:
            return num, torch.zeros(len(num), 0, 1)
        return num, self.table(codes)

    def gradients(self, num: Tensor, cat: Tensor, outputs: Tensor) -> tuple[Tensor, Tensor]:
        """Of the chosen output (n,) by numbers and by embeddings."""
        num, cat = num.clone().requires_grad_(), cat.clone().requires_grad_()
        codes = torch.zeros(cat.shape[:2], dtype=torch.int64)
        hook = (
            self.table.register_forward_hook(lambda module, given, looked_up: cat)
            if self.table is not None
            else None
        )
        try:
            with torch.enable_grad():
                told = self.model(num, codes)
                chosen = told.gather(1, outputs[:, None]).sum()
                grads = torch.autograd.grad(chosen, (num, cat), allow_unused=True)
        finally:
            if hook is not None:
                hook.remove()
        grad_num, grad_cat = grads
        return (
            torch.zeros_like(num) if grad_num is None else grad_num,
            torch.zeros_like(cat) if grad_cat is None else grad_cat,
        )


def _slice(rows: Inputs, start: int) -> Inputs:
    return Inputs(num=rows.num[start : start + BATCH], cat=rows.cat[start : start + BATCH])
