"""Masked pooling over the tokens of a text. B rows, L tokens, E numbers per token."""

from __future__ import annotations

import torch
from torch import Tensor

NEVER = 1e-12  # the weight of padding, whose logarithm is finite


def log_marks(marks: Tensor) -> Tensor:
    """What is added to the logarithm of a weight, or to what a maximum is taken of: 0 for a token,
    very negative for padding. Marks between the two, on the path of integrated gradients, have
    values between: nothing jumps there."""
    return marks.clamp_min(NEVER).log()


def mean_pool(vectors: Tensor, marks: Tensor) -> Tensor:
    """Mean over the marked tokens: (B, L, E) to (B, E); zeros where there are none."""
    return (vectors * marks).sum(1) / marks.sum(1).clamp_min(1.0)


def max_pool(vectors: Tensor, marks: Tensor) -> Tensor:
    """Maximum over the marked tokens: (B, L, E) to (B, E); zeros where there are none."""
    highest: Tensor = (vectors + log_marks(marks)).amax(1)
    return highest * marks.amax(1)


def pool(vectors: Tensor, marks: Tensor) -> Tensor:
    """Mean and maximum side by side: (B, L, E) to (B, 2 E)."""
    return torch.cat([mean_pool(vectors, marks), max_pool(vectors, marks)], dim=1)
