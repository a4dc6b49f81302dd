"""Images changed as training rows: mirrored, moved, turned, zoomed, recolored, erased, mixed.

Bytes in, bytes out, by the random numbers of each row. A missing image, zeros, stays one, and one
that is there does not become all zeros, since that means missing (`preprocessing.image`). What
comes into view beyond an edge repeats the edge.

B rows, C channels, H height, W width; `x` is (B, C, H, W) uint8.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn import functional

from plumbline.examples import TensorSpec
from plumbline.training.row_random import RowRandom


def flip(x: Tensor, tensor: TensorSpec, strength: float, random: RowRandom) -> Tensor:
    """Left and right are exchanged with the probability `strength`."""
    mirrored = random.uniform(1)[:, 0] < strength
    return torch.where(mirrored[:, None, None, None], x.flip(-1), x)


def shift(x: Tensor, tensor: TensorSpec, strength: float, random: RowRandom) -> Tensor:
    """Moved by whole pixels, at most the share `strength` of either side."""
    drawn, moved = random.uniform(2), x
    for axis, place in ((2, 0), (3, 1)):
        side = x.shape[axis]
        most = int(strength * side)
        by = (drawn[:, place] * (2 * most + 1)).long() - most  # (B,)
        from_ = (torch.arange(side, device=x.device) - by[:, None]).clamp(0, side - 1)  # (B, side)
        index = from_[:, None, :, None] if axis == 2 else from_[:, None, None, :]
        moved = moved.gather(axis, index.expand(x.shape))
    return _keep_missing(moved, x)


def rotate(x: Tensor, tensor: TensorSpec, strength: float, random: RowRandom) -> Tensor:
    """Turned about the middle by at most `strength` degrees, either way."""
    angle = (2 * random.uniform(1)[:, 0] - 1) * math.radians(strength)
    sine, cosine = angle.sin(), angle.cos()
    ratio = x.shape[2] / x.shape[3]  # in units of half sides the axes differ
    rows = [[cosine, -sine * ratio], [sine / ratio, cosine]]
    return _resampled(x, torch.stack([torch.stack(row, dim=1) for row in rows], dim=1))


def zoom(x: Tensor, tensor: TensorSpec, strength: float, random: RowRandom) -> Tensor:
    """Larger or smaller, by a factor between 1 / (1 + `strength`) and 1 + `strength`."""
    factor = torch.exp((2 * random.uniform(1)[:, 0] - 1) * math.log1p(strength))
    whole = torch.eye(2, dtype=factor.dtype, device=factor.device)
    return _resampled(x, whole / factor[:, None, None])


def recolor(x: Tensor, tensor: TensorSpec, strength: float, random: RowRandom) -> Tensor:
    """Brightness, contrast and, of colors, saturation change by at most the share `strength`."""
    drawn = 1 + (2 * random.uniform(3).float() - 1) * strength
    bright, contrast, saturation = (drawn[:, k, None, None, None] for k in range(3))
    values = x.float() * bright
    middle = values.mean((1, 2, 3), keepdim=True)
    values = middle + (values - middle) * contrast
    gray = values.mean(1, keepdim=True)
    return _bytes(gray + (values - gray) * saturation, x)


def erase(x: Tensor, tensor: TensorSpec, strength: float, random: RowRandom) -> Tensor:
    """A rectangle of at most the share `strength` of the area becomes the mean color of the
    training rows (Zhong et al. 2020, "Random Erasing"; DeVries and Taylor 2017, "Cutout")."""
    drawn = random.uniform(4)
    area = drawn[:, 0] * strength
    inside = _rectangle(x, area, drawn[:, 1:])
    mean = torch.tensor(tensor.details["mean"], device=x.device).round().to(x.dtype)
    return _keep_missing(torch.where(inside, mean[:, None, None], x), x)


def blend(own: Tensor, other: Tensor, share: Tensor, random: RowRandom) -> Tensor:
    """On the line between two images; of one that is missing, the other is taken as it is."""
    kept = share.float()[:, None, None, None]
    mixed = (kept * own.float() + (1 - kept) * other.float()).round().clamp(1, 255).to(own.dtype)
    mixed = torch.where(_there(other), mixed, own)
    return torch.where(_there(own), mixed, other)


def paste(own: Tensor, other: Tensor, share: Tensor, random: RowRandom) -> Tensor:
    """A rectangle of the other image, of the share of the area that is not the own (Yun et al.
    2019, "CutMix"). Into a missing image nothing is pasted, nor from one."""
    inside = _rectangle(own, 1 - share, random.uniform(3))
    both = _there(own) & _there(other)
    return torch.where(inside & both, other, own)


def _rectangle(x: Tensor, area: Tensor, drawn: Tensor) -> Tensor:
    """Marks (B, 1, H, W) of a rectangle inside the image of a share of its area, (B,), with sides
    of a ratio between 1/2 and 2, at a place drawn from `drawn` (B, 3)."""
    height, width = x.shape[2:]
    stretch = torch.exp((drawn[:, 2] - 0.5) * math.log(4)).sqrt()
    sides = [
        ((area.sqrt() * side * s).clamp(max=side), side)
        for side, s in ((height, stretch), (width, 1 / stretch))
    ]
    marks = []
    for place, (length, side) in enumerate(sides):
        start = (drawn[:, place] * (side - length + 1)).floor()[:, None]
        at = torch.arange(side, device=x.device)
        marks.append((at >= start) & (at < start + length.round()[:, None]))
    return (marks[0][:, :, None] & marks[1][:, None, :])[:, None]


def _resampled(x: Tensor, matrix: Tensor) -> Tensor:
    """`matrix` (B, 2, 2): from places in the result to places in `x`, (width, height) in units of
    half sides."""
    theta = functional.pad(matrix.float(), (0, 1))
    grid = functional.affine_grid(theta, list(x.shape), align_corners=False)
    values = functional.grid_sample(
        x.float(), grid, mode="bilinear", padding_mode="border", align_corners=False
    )
    return _bytes(values, x)


def _bytes(values: Tensor, x: Tensor) -> Tensor:
    return _keep_missing(values.round().clamp(0, 255).to(x.dtype), x)


def _keep_missing(made: Tensor, x: Tensor) -> Tensor:
    """Zeros where `x` is missing, and nowhere else an image of zeros."""
    black = ~_there(made)
    return torch.where(_there(x), torch.where(black, torch.ones_like(made), made), x)


def _there(x: Tensor) -> Tensor:
    return (x != 0).flatten(1).any(1)[:, None, None, None]
