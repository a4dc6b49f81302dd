"""A numeric target as an exact sum, difference, product or ratio of columns."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from plumbline.kinds import DoubleArray, IntArray

EXACT = 0.01  # residual standard deviation over the target's: below it the formula is the target
MAX_TERMS = 6
ROWS = 20_000


@dataclass(frozen=True, kw_only=True)
class Formula:
    """target = intercept + Σ weight · column, or the same between logarithms.

    `residual` is the standard deviation of what is left over that of the target.
    """

    columns: tuple[int, ...]
    weights: tuple[float, ...]
    intercept: float
    logarithmic: bool
    residual: float

    def text(self, names: tuple[str, ...]) -> str:
        """The formula in words: `'casual' + 'registered'`."""
        parts = []
        for name, weight in zip(names, self.weights, strict=True):
            near = round(weight)
            plain = near != 0 and abs(weight - near) < 0.005
            if self.logarithmic:
                sign = " / " if plain and near < 0 else " · "
                size = abs(near) if plain else round(weight, 3)
                parts.append(f"{sign}'{name}'" + (f"^{size}" if size != 1 else ""))
            else:
                sign = " - " if weight < 0 else " + "
                size = abs(near) if plain else float(f"{abs(weight):.4g}")
                parts.append(f"{sign}{'' if size == 1 else f'{size} · '}'{name}'")
        text = "".join(parts)
        if self.logarithmic:
            factor = float(f"{np.exp(self.intercept):.4g}")
            return f"{'' if factor == 1 else f'{factor} · '}{text.removeprefix(' · ')}".strip()
        sign = " - " if self.intercept < 0 else " + "
        constant = "" if abs(self.intercept) < 1e-6 else f"{sign}{abs(self.intercept):.4g}"
        return text.removeprefix(" + ").strip() + constant


def find_formula(values: DoubleArray, target: DoubleArray) -> Formula | None:
    """The shortest exact formula of at most `MAX_TERMS` columns, if there is one.

    Columns enter by orthogonal matching pursuit and leave again where the fit holds without
    them.

    Args:
        values: (n, d), NaN where missing; target: (n,).
    """
    values, target = values[:ROWS], target[:ROWS]
    linear = _pursue(values, target, logarithmic=False)
    if linear is not None or not (target > 0).all():
        return linear
    positive = np.where(values > 0, values, np.nan)
    usable = np.isfinite(positive).mean(axis=0) > 0.9
    if not usable.any():
        return None
    with np.errstate(divide="ignore", invalid="ignore"):
        logs = np.log(np.where(usable, positive, np.nan))
    return _pursue(logs, np.log(target), logarithmic=True)


def _pursue(values: DoubleArray, target: DoubleArray, *, logarithmic: bool) -> Formula | None:
    spread = float(target.std())
    there = np.isfinite(values)
    mean = np.divide(np.where(there, values, 0).sum(0), np.maximum(there.sum(0), 1))
    filled = np.where(there, values, mean) - mean
    scale = filled.std(axis=0)
    usable = (scale > 1e-12 * np.maximum(1, np.abs(mean))) & (there.mean(axis=0) > 0.5)
    if not usable.any() or spread == 0:
        return None
    x = np.where(usable, filled / np.where(usable, scale, 1), 0.0)
    chosen: list[int] = []
    rest = target - target.mean()
    for _ in range(min(MAX_TERMS, int(usable.sum()), len(target) // 10)):
        gain = np.abs(x.T @ rest)
        gain[chosen] = -1
        chosen.append(int(np.argmax(gain)))
        fit = _fit(values, target, chosen)
        if fit is None:
            return None
        weights, _, residual = fit
        rest = target - target.mean() - x[:, chosen] @ (weights * scale[chosen])
        if residual <= EXACT:
            return _shorten(values, target, chosen, logarithmic)
    return None


def _fit(
    values: DoubleArray, target: DoubleArray, chosen: list[int]
) -> tuple[DoubleArray, float, float] | None:
    """Least squares on the rows without gaps: weights, intercept, relative residual."""
    part = values[:, chosen]
    whole = np.isfinite(part).all(axis=1)
    if whole.sum() < max(30, 10 * len(chosen)) or whole.mean() < 0.5:
        return None
    part, y = part[whole], target[whole]
    center = part.mean(axis=0)
    weights = np.linalg.lstsq(part - center, y - y.mean(), rcond=None)[0]
    intercept = float(y.mean() - center @ weights)
    left = y - part @ weights - intercept
    return weights, intercept, float(left.std() / max(y.std(), 1e-300))


def _shorten(
    values: DoubleArray, target: DoubleArray, chosen: list[int], logarithmic: bool
) -> Formula:
    """Leave out what the fit holds without; order as in the table."""
    kept = sorted(chosen)
    fit = _fit(values, target, kept)
    assert fit is not None
    bound = max(EXACT / 10, 2 * fit[2])
    for column in chosen:
        fewer = [j for j in kept if j != column]
        shorter = _fit(values, target, fewer) if fewer else None
        if shorter is not None and shorter[2] <= bound:
            kept, fit = fewer, shorter
    weights, intercept, residual = fit
    order: IntArray = np.array(kept)
    return Formula(
        columns=tuple(int(j) for j in order),
        weights=tuple(float(w) for w in weights),
        intercept=intercept,
        logarithmic=logarithmic,
        residual=residual,
    )
