"""How a regression's target is scaled for the loss, and brought back.

Fitted on training targets only. The inverse exists twice, for arrays and as a torch module that
goes into the exported graph; a test holds them against each other.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import torch
from torch import Tensor, nn

from plumbline.kinds import DoubleArray, FloatArray, IntArray

QUANTILES = 257


@dataclass(frozen=True, kw_only=True)
class TargetTransform:
    """z = (g(y) - mean_) / scale_, with g the identity, log(1 + y - low_), or the map of the
    training quantiles to those of a normal distribution."""

    kind: str
    mean_: float = 0.0
    scale_: float = 1.0
    low_: float = 0.0
    grid_: tuple[float, ...] = ()
    normal_: tuple[float, ...] = ()

    @classmethod
    def fit(cls, y: FloatArray | DoubleArray | IntArray, kind: str) -> Self:
        """Learn from training targets (n,); kind is a key of `TARGET_TRANSFORMS` or `auto`."""
        values = np.asarray(y, dtype=np.float64)
        kind = "standard" if kind == "auto" else kind
        start = TARGET_TRANSFORMS[kind](values)
        mapped = cls(kind=kind, **start).forward(values)
        if kind == "none":
            return cls(kind=kind)
        scale = float(mapped.std())
        return cls(
            kind=kind, mean_=float(mapped.mean()), scale_=scale if scale > 0 else 1.0, **start
        )

    def forward(self, y: FloatArray | DoubleArray) -> DoubleArray:
        """Targets to the loss's units."""
        values = np.asarray(y, dtype=np.float64)
        if self.kind == "log":
            # rows outside the training range stay finite
            values = np.log1p(np.maximum(values - self.low_, 0.0))
        elif self.kind == "quantile":
            values = np.interp(values, self.grid_, self.normal_)
        return np.asarray((values - self.mean_) / self.scale_, dtype=np.float64)

    def inverse(self, z: DoubleArray) -> DoubleArray:
        """Back to the target's units."""
        values = np.asarray(z, dtype=np.float64) * self.scale_ + self.mean_
        if self.kind == "log":
            values = np.expm1(np.clip(values, 0.0, 80.0)) + self.low_
        elif self.kind == "quantile":
            values = np.interp(values, self.normal_, self.grid_)
        return np.asarray(values, dtype=np.float64)

    def to_json(self) -> dict[str, Any]:
        """Readable state."""
        return {
            "kind": self.kind,
            "mean": self.mean_,
            "scale": self.scale_,
            "low": self.low_,
            "grid": list(self.grid_),
            "normal": list(self.normal_),
        }

    @classmethod
    def from_json(cls, state: dict[str, Any]) -> Self:
        """The transform that `to_json` wrote."""
        return cls(
            kind=state["kind"],
            mean_=state["mean"],
            scale_=state["scale"],
            low_=state["low"],
            grid_=tuple(state["grid"]),
            normal_=tuple(state["normal"]),
        )


def _log(y: DoubleArray) -> dict[str, Any]:
    return {"low_": min(0.0, float(y.min()))}


def _quantile(y: DoubleArray) -> dict[str, Any]:
    shares = np.linspace(0, 1, min(QUANTILES, max(len(y), 2)))
    grid = np.quantile(y, shares)
    inner = torch.from_numpy(np.clip(shares, 1e-3, 1 - 1e-3))
    normal = torch.special.ndtri(inner).numpy()
    keep = np.concatenate([[True], np.diff(grid) > 0])
    if keep.sum() < 2:
        return {"grid_": (float(grid[0]), float(grid[0]) + 1.0), "normal_": (0.0, 1.0)}
    return {
        "grid_": tuple(float(v) for v in grid[keep]),
        "normal_": tuple(float(v) for v in normal[keep]),
    }


TARGET_TRANSFORMS: dict[str, Callable[[DoubleArray], dict[str, Any]]] = {
    "none": lambda y: {},
    "standard": lambda y: {},
    "log": _log,
    "quantile": _quantile,
}


class InverseTarget(nn.Module):
    """`TargetTransform.inverse` in torch: any shape to the same shape, float64. A target far from
    zero has its differences in digits that float32 does not hold."""

    mean: Tensor
    scale: Tensor
    low: Tensor
    grid: Tensor
    normal: Tensor

    def __init__(self, transform: TargetTransform) -> None:
        super().__init__()
        self.kind = transform.kind
        for name in ("mean", "scale", "low"):  # as numbers they would be float32 in an ONNX graph
            value = torch.tensor(getattr(transform, f"{name}_"), dtype=torch.float64)
            self.register_buffer(name, value, persistent=False)
        self.register_buffer("grid", torch.tensor(transform.grid_, dtype=torch.float64))
        self.register_buffer("normal", torch.tensor(transform.normal_, dtype=torch.float64))

    def forward(self, z: Tensor) -> Tensor:
        values = z.double() * self.scale + self.mean
        if self.kind == "log":
            return torch.expm1(values.clamp(0.0, 80.0)) + self.low
        if self.kind == "quantile":
            # a sum of clamped steps interpolates without a search, and exports everywhere
            widths = self.normal.diff()
            share = ((values[..., None] - self.normal[:-1]) / widths).clamp(0.0, 1.0)
            return self.grid[0] + (share * self.grid.diff()).sum(-1)
        return values
