"""Scalers: a number column's training values -> a curve, a center and a scale.

Every scaler is `(curve(x) - center) / scale`. The curve (none, log, Yeo-Johnson, normal
scores) works on the columns that share it at once, (n, k) with a parameter vector (k,), so
that one row costs as few calls as a million.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from plumbline.errors import choose
from plumbline.kinds import DoubleArray, IntArray
from plumbline.preprocessing.interpolation import Interpolation
from plumbline.preprocessing.summary import NumberSummary

QUANTILES = 1000  # stored points of the quantile scaler; fewer where there are fewer values
FEW_VALUES = 32  # of a column, interpolated together with those of the others
NOISE = 4  # units in the last place by which values differ that are one
SHAPE_ROWS = 100_000  # sample values from which a shape is judged or a power fitted
POWERS = (-5.0, 5.0)  # of Yeo-Johnson; float32's largest value stays finite under any of them
FEW_ROWS = 10_000  # training rows below which every number has a linear channel
SOFT_LIMIT = 10.0  # deviations that soft clipping approaches
HOPELESS = 1e30  # above every likelihood, and finite, as the search subtracts them

ScaleState = dict[str, Any]  # method, center, scale, and the curve's parameters; plain JSON


def _affine(center: float, scale: float) -> ScaleState:
    """A scale of zero (a constant column) or of nothing finite becomes 1."""
    usable = np.isfinite(scale) and scale > 1e-12 * max(abs(center), 1e-290)
    return {"center": float(center), "scale": float(scale) if usable else 1.0}


def _moments(values: DoubleArray) -> ScaleState:
    size = float(np.abs(values).max(initial=0.0)) or 1.0  # squares of huge values would overflow
    values = values / size
    return _affine(float(values.mean()) * size, float(values.std()) * size)


def fit_zscore(summary: NumberSummary) -> ScaleState:
    """Mean 0, standard deviation 1 over the training rows."""
    return _affine(summary.mean, summary.std)


def fit_minmax(summary: NumberSummary) -> ScaleState:
    """0 at the smallest training value, 1 at the largest."""
    return _affine(summary.low, summary.high - summary.low)


def fit_none(summary: NumberSummary) -> ScaleState:
    """The value itself."""
    return {"center": 0.0, "scale": 1.0}


def fit_robust(summary: NumberSummary) -> ScaleState:
    """Median 0, distance between the quartiles 1; the deviation where the quartiles agree, as
    good as exactly."""
    low, high = summary.quantile(np.array([0.25, 0.75]))
    spread = float(high - low)
    return _affine(summary.median, spread if spread > 1e-9 * summary.std else summary.std)


def fit_soft_clip(summary: NumberSummary) -> ScaleState:
    """z = (x - median) / deviation, then z / sqrt(1 + (z / 10)²): linear near the middle, bounded
    by 10. RealMLP's smooth clipping (Holzmüller et al. 2024), which bounds at 3 quartile
    distances and so bends the tails that a sum needs.
    """
    spread = _affine(summary.median, summary.std)["scale"]
    return {"median": summary.median, "spread": spread, "center": 0.0, "scale": 1.0}


def fit_log(summary: NumberSummary) -> ScaleState:
    """log(1 + x - shift), standardized. The shift is 0, or the least value if negative."""
    shift = min(summary.low, 0.0)
    return {"shift": shift, **_moments(np.log1p(summary.ordered - shift))}


def fit_yeo_johnson(summary: NumberSummary) -> ScaleState:
    """Yeo and Johnson 2000, the power by maximum likelihood in [-5, 5], standardized after it.

    Values that no power tells from a constant (1e15 and 1e15 + 1) keep the power 1.
    """
    values = thin(summary.ordered, SHAPE_ROWS)
    steps = float(np.sum(np.copysign(np.log1p(np.abs(values)), values)))

    def loss(power: float) -> float:
        curved = yeo_johnson(values, power)
        size = float(np.abs(curved).max()) or 1.0  # squares of huge values would overflow
        spread = float((curved / size).var())
        if spread < 1e-24:  # nothing but rounding is left
            return HOPELESS
        return (
            len(values) * (0.5 * float(np.log(spread)) + float(np.log(size))) - (power - 1) * steps
        )

    from scipy import optimize

    optimum = optimize.minimize_scalar(loss, bounds=POWERS, method="bounded")
    power = float(optimum.x) if optimum.fun < HOPELESS else 1.0
    return {"power": power, **_moments(yeo_johnson(summary.ordered, power))}


def fit_quantile(summary: NumberSummary) -> ScaleState:
    """Normal scores by interpolation on stored quantiles; repeated values share their middle, and
    so do those that differ by rounding (.006 and .6 / 100): one bit would be a quantile."""
    from scipy import special

    share = np.linspace(0.0, 1.0, min(QUANTILES, max(len(summary.ordered), 2)))
    points = summary.quantile(share)
    apart = np.diff(points) > NOISE * np.spacing(np.abs(points[:-1]))
    first = np.append(0, np.flatnonzero(apart) + 1)
    last = np.append(first[1:], len(points)) - 1
    values = points[first]
    middle = (share[first] + share[last]) / 2
    half = 0.5 / len(share)  # the ends: as far out as the resolution allows
    scores = special.ndtri(np.clip(middle, half, 1 - half))
    return {
        "quantiles": values.tolist(),
        "scores": scores.tolist(),
        "center": 0.0,
        "scale": 1.0,
    }


def yeo_johnson(x: DoubleArray, power: DoubleArray | float) -> DoubleArray:
    """The power transform of Yeo and Johnson 2000; defined for every real x."""
    power = np.broadcast_to(np.asarray(power, dtype=np.float64), x.shape)
    p = np.where(x >= 0, power, 2.0 - power)
    log = np.log1p(np.abs(x))
    flat = np.abs(p) < 1e-8
    curved = np.where(flat, log, np.expm1(p * log) / np.where(flat, 1.0, p))
    return np.copysign(curved, x)


def yeo_johnson_inverse(y: DoubleArray, power: float) -> DoubleArray:
    """Inverse of `yeo_johnson`."""
    p = np.where(y >= 0, power, 2.0 - power)
    size = np.abs(y)
    flat = np.abs(p) < 1e-8
    log = np.where(flat, size, np.log1p(p * size) / np.where(flat, 1.0, p))
    return np.copysign(np.expm1(log), y)


Curve = Callable[[DoubleArray], DoubleArray]  # (n, k) -> (n, k)


def _log_curve(states: list[ScaleState]) -> Curve:
    shift = _vector(states, "shift")
    # values below all training values meet the curve's left end, just short of its pole
    return lambda x: np.log1p(np.maximum(x - shift, -0.999))


def _yeo_johnson_curve(states: list[ScaleState]) -> Curve:
    power = _vector(states, "power")
    return lambda x: yeo_johnson(x, power)


def _soft_clip_curve(states: list[ScaleState]) -> Curve:
    median, spread = _vector(states, "median"), _vector(states, "spread")

    def curve(x: DoubleArray) -> DoubleArray:
        z = (x - median) / spread
        return z / np.hypot(1.0, z / SOFT_LIMIT)

    return curve


def _quantile_curve(states: list[ScaleState]) -> Curve:
    points = [(np.array(s["quantiles"]), np.array(s["scores"])) for s in states]
    few = Interpolation(points)

    def curve(x: DoubleArray) -> DoubleArray:
        if len(x) <= FEW_VALUES:
            return few(x)
        out = np.empty_like(x)
        for j, (quantiles, scores) in enumerate(points):
            out[:, j] = np.interp(x[:, j], quantiles, scores)
        return out

    return curve


def _vector(states: list[ScaleState], name: str) -> DoubleArray:
    return np.array([s[name] for s in states])


def _log_inverse(y: DoubleArray, state: ScaleState) -> DoubleArray:
    return np.expm1(y) + float(state["shift"])


def _yeo_johnson_curve_inverse(y: DoubleArray, state: ScaleState) -> DoubleArray:
    return yeo_johnson_inverse(y, state["power"])


def _soft_clip_inverse(y: DoubleArray, state: ScaleState) -> DoubleArray:
    inner = np.clip(y / SOFT_LIMIT, -1 + 1e-12, 1 - 1e-12)
    z = SOFT_LIMIT * inner / np.sqrt(1 - np.square(inner))
    value: DoubleArray = z * state["spread"] + state["median"]
    return value


def _quantile_inverse(y: DoubleArray, state: ScaleState) -> DoubleArray:
    return np.interp(y, state["scores"], state["quantiles"])


@dataclass(frozen=True, kw_only=True)
class Scaler:
    """How one method learns, and its curve where it has one, of columns that have these states.

    `ordered`: it learns from the sorted values, not from moments and ends alone.
    """

    fit: Callable[[NumberSummary], ScaleState]
    ordered: bool = True
    curve: Callable[[list[ScaleState]], Curve] | None = None
    inverse: Callable[[DoubleArray, ScaleState], DoubleArray] | None = None


SCALERS: dict[str, Scaler] = {
    "zscore": Scaler(fit=fit_zscore, ordered=False),
    "minmax": Scaler(fit=fit_minmax, ordered=False),
    "log": Scaler(fit=fit_log, curve=_log_curve, inverse=_log_inverse),
    "robust": Scaler(fit=fit_robust),
    "soft_clip": Scaler(fit=fit_soft_clip, curve=_soft_clip_curve, inverse=_soft_clip_inverse),
    "quantile": Scaler(fit=fit_quantile, curve=_quantile_curve, inverse=_quantile_inverse),
    "yeo_johnson": Scaler(
        fit=fit_yeo_johnson, curve=_yeo_johnson_curve, inverse=_yeo_johnson_curve_inverse
    ),
    "none": Scaler(fit=fit_none, ordered=False),
}


def thin(ordered: DoubleArray, most: int) -> DoubleArray:
    """At most `most` of sorted values, evenly by rank."""
    if len(ordered) <= most:
        return ordered
    return ordered[np.linspace(0, len(ordered) - 1, most).round().astype(np.int64)]


def skewness(values: DoubleArray) -> float:
    """Third standardized moment; 0 for a constant."""
    spread = float(values.std())
    if not spread > 0:
        return 0.0
    return float(np.mean(((values - values.mean()) / spread) ** 3))


def choose_scaler(summary: NumberSummary) -> str:
    """The rule of `scale: auto`, from the shape of the training values.

    At most two values, or |skewness| at most 1 and no far tails (the middle 99.8 % spans at
    most 10 times the middle half): zscore. Else log, where that brings |skewness| to at most
    1 and the values are not negative. Else quantile.
    """
    values = thin(summary.ordered, SHAPE_ROWS)
    far_low, low, high, far_high = summary.quantile(np.array([0.001, 0.25, 0.75, 0.999]))
    if summary.low == summary.high or np.isin(values, (summary.low, summary.high)).all():
        return "zscore"
    if abs(skewness(values)) <= 1 and far_high - far_low <= 10 * (high - low):
        return "zscore"
    if summary.low >= 0 and abs(skewness(np.log1p(values))) <= 1:
        return "log"
    return "quantile"


def fit_scaler(method: str, summary: NumberSummary) -> ScaleState:
    """Learn a scaler; `auto` chooses by `choose_scaler`."""
    name = choose_scaler(summary) if method == "auto" else method
    return {"method": name, **choose(SCALERS, name, "normalize.scale").fit(summary)}


def choose_linear_channel(which: str, rows: int) -> str:
    """`normalize.linear_channel` by name; `auto`: `all` below `FEW_ROWS` training rows, which do
    not tell a line from a curve, else `curved`."""
    if which != "auto":
        return which
    return "all" if rows < FEW_ROWS else "curved"


def fit_linear_channel(which: str, scale: ScaleState, summary: NumberSummary) -> ScaleState | None:
    """The uncurved number that goes beside a scaled one, softly clipped, or None.

    Args:
        which: `none`; `curved`, where the scale bends the column; `all`, for every column of more
            than two values; `auto`, by the rows of the summary.
    """
    which = choose_linear_channel(which, summary.rows)
    bent = SCALERS[scale["method"]].curve is not None
    if which == "none" or scale["method"] == "soft_clip" or (which == "curved" and not bent):
        return None
    if not bent and np.isin(summary.ordered, (summary.low, summary.high)).all():
        return None
    return {"method": "soft_clip", **fit_soft_clip(summary)}


def inverse_scale(y: DoubleArray, state: ScaleState) -> DoubleArray:
    """Scaled values (n,) back to the column's own units."""
    curved = y * state["scale"] + state["center"]
    inverse = SCALERS[state["method"]].inverse
    return curved if inverse is None else inverse(curved, state)


class ColumnScaler:
    """Applies the fitted scalers of k columns at once."""

    def __init__(self, states: list[ScaleState]) -> None:
        self._center, self._scale = _vector(states, "center"), _vector(states, "scale")
        self._curves = []
        for name, scaler in SCALERS.items():
            where = [j for j, s in enumerate(states) if s["method"] == name]
            if scaler.curve is not None and where:
                self._curves.append((_span(where), scaler.curve([states[j] for j in where])))

    def __call__(self, x: DoubleArray) -> DoubleArray:
        """(n, k) finite values -> (n, k) scaled, infinite beyond float64; may overwrite `x`."""
        for where, curve in self._curves:
            x[:, where] = curve(x[:, where])
        with np.errstate(over="ignore"):
            return (x - self._center) / self._scale


def _span(places: list[int]) -> IntArray | slice:
    """Places as a slice, where they follow each other: an array would be copied."""
    first, last = places[0], places[-1]
    return slice(first, last + 1) if len(places) == last - first + 1 else np.array(places)
