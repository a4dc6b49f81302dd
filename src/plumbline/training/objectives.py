"""What a step minimizes: from a batch and its targets to one number. B rows."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from plumbline.training.sources import Batch

Forward = Callable[[Batch], Tensor]  # to (B, K, C) float32
RowLoss = Callable[[Tensor, Tensor], Tensor]  # of (B, K, C) and (B,), to (B,)


@dataclass(frozen=True, kw_only=True)
class Targets:
    """What rows are fitted to, (n,), and what it weighs in the loss, (n,); rows that are mixed
    with others have the others' target and weight too."""

    y: Tensor
    weight: Tensor
    other_y: Tensor | None = None
    other_weight: Tensor | None = None

    @property
    def total_weight(self) -> Tensor:
        """What each row counts in all, (n,)."""
        return self.weight if self.other_weight is None else self.weight + self.other_weight

    def take(self, start: int, stop: int) -> Targets:
        """Those of the rows at [start, stop)."""
        if self.other_y is None or self.other_weight is None:
            return Targets(y=self.y[start:stop], weight=self.weight[start:stop])
        return Targets(
            y=self.y[start:stop],
            weight=self.weight[start:stop],
            other_y=self.other_y[start:stop],
            other_weight=self.other_weight[start:stop],
        )


Objective = Callable[[Forward, Batch, Targets, RowLoss], Tensor]


def plain(forward: Forward, inputs: Batch, targets: Targets, loss: RowLoss) -> Tensor:
    """The weighted sum of the rows' losses."""
    return torch.dot(targets.weight, loss(forward(inputs), targets.y))


def mixed(forward: Forward, inputs: Batch, targets: Targets, loss: RowLoss) -> Tensor:
    """The weighted sum of the losses against either target (Zhang et al. 2018, section 2): for
    any loss, and with each target's own weight."""
    assert targets.other_y is not None and targets.other_weight is not None
    output = forward(inputs)
    own = torch.dot(targets.weight, loss(output, targets.y))
    return own + torch.dot(targets.other_weight, loss(output, targets.other_y))


OBJECTIVES: dict[str, Objective] = {"plain": plain, "mixed": mixed}
