"""An epoch laid out: its rows in their order, what they are fitted to, and their steps."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from plumbline.training.augment import Partners
from plumbline.training.batches import epoch_order
from plumbline.training.objectives import Targets
from plumbline.training.setup import Job
from plumbline.training.sources import Batch, Bounds

STEPS_AHEAD = 1024  # steps whose batches are laid out at once

Step = tuple[Tensor, list[tuple[Bounds, Bounds]], Iterator[Batch]]


@dataclass(frozen=True, kw_only=True)
class Epoch:
    """The rows of an epoch, (n,) in its order, the same on every process."""

    number: int
    order: Tensor
    targets: Targets
    partners: Partners | None  # the rows that they are mixed with

    @classmethod
    def of(cls, job: Job, number: int) -> Epoch:
        """The epoch of that number, from 0."""
        rows = job.train
        order = epoch_order(job.seed, number, len(rows)).to(job.world.device)
        y, weight = rows.y[order], rows.weight[order]
        partners = job.augmenter.partners(number, order) if job.augmenter else None
        if partners is None:
            targets = Targets(y=y, weight=weight)
        else:
            kept = partners.share.float()
            targets = Targets(
                y=y,
                weight=kept * weight,
                other_y=rows.y[partners.rows],
                other_weight=(1 - kept) * rows.weight[partners.rows],
            )
        return cls(number=number, order=order, targets=targets, partners=partners)

    def total_weight(self, job: Job) -> float:
        """What all rows count together."""
        if self.partners is None:
            return job.train.total_weight
        return max(self.targets.total_weight.sum(dtype=torch.float64).item(), 1e-12)

    def steps(self, job: Job, first: int) -> Iterator[Step]:
        """The steps from the `first` on: what the sum of a step's weighted losses is multiplied
        by; the bounds of each batch with those of this process's share of it; and the shares'
        inputs, to be taken one by one."""
        world, weight = job.world, self.targets.total_weight
        for start in range(first, job.plan.steps, STEPS_AHEAD):
            some = range(start, min(start + STEPS_AHEAD, job.plan.steps))
            steps = [job.plan.batches(step) for step in some]
            scales = world.size / torch.stack(
                [weight[batches[0][0] : batches[-1][1]].sum() for batches in steps]
            ).clamp_min(1e-12)  # (steps,)
            own = [[world.share(*bounds) for bounds in batches] for batches in steps]
            inputs = self._read(job, [bounds for shares in own for bounds in shares])
            for scale, batches, shares in zip(scales, steps, own, strict=True):
                yield scale, list(zip(batches, shares, strict=True)), inputs

    def _read(self, job: Job, bounds: list[Bounds]) -> Iterator[Batch]:
        if job.augmenter is None:
            return job.train.source.read(bounds, self.order)
        source = job.train.source
        return job.augmenter.read(source, bounds, self.number, self.order, self.partners)
