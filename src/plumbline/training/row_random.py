"""Random numbers that belong to a row, the same whoever draws them and in whatever order.

A counter-based generator: each number is a hash (SplitMix64, Steele et al. 2014) of the seed, the
epoch, what it is drawn for, the row and its place. There is no state to store or to share, so the
numbers depend neither on the processes nor on batches, and a resumed run draws the same.

B rows.
"""

from __future__ import annotations

import hashlib
import math
from dataclasses import dataclass

import torch
from torch import Tensor

GOLDEN = 0x9E3779B97F4A7C15 - (1 << 64)  # as a signed number, like the factors below
FACTORS = ((30, 0xBF58476D1CE4E5B9 - (1 << 64)), (27, 0x94D049BB133111EB - (1 << 64)))


@dataclass(frozen=True, kw_only=True)
class RowRandom:
    """The numbers of some rows in an epoch, for one `purpose`; other purposes draw others.

    `rows` (B,) int64 are positions among the training rows: copies of a row that resampling made
    have numbers of their own.
    """

    seed: int
    epoch: int
    purpose: str
    rows: Tensor

    def bits(self, count: int) -> Tensor:
        """64 random bits each: (B, count) int64."""
        text = f"{self.seed} {self.epoch} {self.purpose}"
        digest = hashlib.blake2b(text.encode(), digest_size=8).digest()
        key = int.from_bytes(digest, "little", signed=True)
        state = _hash(self.rows * GOLDEN + key)
        places = torch.arange(1, count + 1, device=self.rows.device) * GOLDEN
        return _hash(state[:, None] + places)

    def uniform(self, count: int) -> Tensor:
        """In [0, 1): (B, count) float64."""
        return _shift(self.bits(count), 11).double().mul_(2.0**-53)

    def normal(self, count: int) -> Tensor:
        """Standard normal: (B, count) float32, by Box and Muller (1958).

        In double precision, so that rounding hides what vector units do otherwise than scalars.
        """
        bits = self.bits((count + 1) // 2)
        radius = (_shift(bits, 32).double() + 0.5).mul_(2.0**-32).log_().mul_(-2).sqrt_()
        angle = (bits & 0xFFFFFFFF).double().mul_(2 * math.pi * 2.0**-32)
        both = torch.cat([radius * angle.cos(), radius * angle.sin()], dim=1)
        return both[:, :count].float()


def _shift(bits: Tensor, by: int) -> Tensor:
    """To the right, with zeros from the left."""
    return (bits >> by) & ((1 << (64 - by)) - 1)


def _hash(x: Tensor) -> Tensor:
    """SplitMix64's finalizer."""
    for by, factor in FACTORS:
        x = (x ^ _shift(x, by)) * factor
    return x ^ _shift(x, 31)
