"""How much asking a model may cost: the same on every machine, so that results are too."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from plumbline.tables import InputSpec

BUDGET = 1e12  # floating-point operations: some ten seconds on two cores
PAIRS = 2  # pairs of orders per background row, where the budget allows
FEWEST = 10  # background rows, whatever the budget


@dataclass(frozen=True, kw_only=True)
class Effort:
    """Background rows, and pairs of orders for each of them."""

    background: int
    pairs: int


@torch.no_grad()
def operations(model: nn.Module, spec: InputSpec) -> float:
    """Floating-point operations of a prediction of one row, in matrix products."""
    rows = 2  # one row takes other kernels
    num = torch.zeros(rows, len(spec.num_names))
    cat = torch.zeros(rows, len(spec.cat_names), dtype=torch.int64)
    with FlopCounterMode(display=False) as counter:
        model(num, cat)
    return max(float(counter.get_total_flops()) / rows, 1.0)


def plan(cost: float, *, rows: int, players: int, background: int) -> Effort:
    """Fewer orders for a model that costs more, then fewer background rows.

    Args:
        cost: operations of a prediction of one row.
        rows: to be explained.
        background: background rows at hand.
    """
    pair = 2.0 * max(players - 1, 1) * rows * cost  # of one background row
    affordable = int(BUDGET / pair)
    if affordable >= background:
        return Effort(background=background, pairs=max(1, min(PAIRS, affordable // background)))
    return Effort(background=min(background, max(FEWEST, affordable)), pairs=1)
