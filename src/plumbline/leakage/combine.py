"""A numeric target as a sum, difference, product or ratio of columns, exactly or but for little.

What is searched, in this order, among sums and then among products (sums of logarithms):

1. an exact formula: least squares on few columns leaves at most 1 % of the target's standard
   deviation
2. a formula of plain weights (±1, or a power of ten for other units) whose remainder takes few
   values, or is small where large columns cancel (remainder.py)

Columns enter by orthogonal matching pursuit and leave again where the fit holds without them.
The formula is found on one half of the rows and must hold on the other.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from plumbline.kinds import BoolArray, DoubleArray, IntArray
from plumbline.leakage.remainder import Remainder, find_remainder, last_digit

EXACT = 1e-5  # residual standard deviation over the target's: below it nothing is left
NEARLY = 0.003  # the same: hardly anything is left, as between a smooth series and its past
ROUNDED = 0.01  # the same, where it is no more than rounding makes
MAX_TERMS = 12  # of a formula
STEPS = 40  # columns tried on the way to it
PER_TERM = 10  # rows per column tried, at least
ROWS = 10_000


@dataclass(frozen=True, kw_only=True)
class Formula:
    """target = intercept + Σ weight · column, or the same between logarithms, and a remainder.

    `residual` is the standard deviation of what is left over that of the target, on rows that
    the formula was not found with; `exact` whether that is nothing, rounding, or one of few
    values; `remainder` what is known of it where weights are plain; `holds` (n,) the rows in
    which the formula holds.
    """

    columns: tuple[int, ...]
    weights: tuple[float, ...]
    intercept: float
    logarithmic: bool
    residual: float
    exact: bool
    holds: BoolArray
    remainder: Remainder | None = None

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
        text = "".join(sorted(parts, key=lambda part: part[1] in "-/"))
        if self.logarithmic:
            factor = float(f"{np.exp(self.intercept):.4g}")
            return f"{'' if factor == 1 else f'{factor} · '}{text.removeprefix(' · ')}".strip()
        sign = " - " if self.intercept < 0 else " + "
        constant = "" if abs(self.intercept) < 1e-6 else f"{sign}{abs(self.intercept):.4g}"
        return text.removeprefix(" + ").strip() + constant


def find_formula(values: DoubleArray, target: DoubleArray) -> Formula | None:
    """The shortest formula of at most `MAX_TERMS` columns, if there is one.

    Args:
        values: (n, d), NaN where missing; target: (n,).
    """
    some = np.unique(np.linspace(0, len(target) - 1, min(ROWS, len(target))).astype(np.int64))
    for logarithmic in (False, True):
        x, y = values, target
        if logarithmic:
            if not (target > 0).all():
                return None
            with np.errstate(divide="ignore", invalid="ignore"):
                x, y = np.log(np.where(values > 0, values, np.nan)), np.log(target)
        formula = _search(x, y, some, logarithmic=logarithmic)
        if formula is not None:
            return formula
    return None


def _search(x: DoubleArray, y: DoubleArray, some: IntArray, *, logarithmic: bool) -> Formula | None:
    """Exact formulas, then those with a remainder, of the columns that the pursuit tries."""
    values, target = x[some], y[some]
    taught = np.arange(len(some)) % 2 == 0
    path = _pursue(values[taught], target[taught])
    if not path:
        return None
    formula = _fitted(x, y, some, _shorten(values[taught], target[taught], path), logarithmic)
    if formula is not None and formula.exact:
        return formula
    residue = find_remainder(x, y, some, path, logarithmic=logarithmic)
    if residue is None:
        return formula
    return Formula(
        columns=residue.columns,
        weights=residue.weights,
        intercept=0.0,
        logarithmic=logarithmic,
        residual=residue.residual,
        exact=residue.exact,
        holds=residue.holds,
        remainder=residue,
    )


def _fitted(
    x: DoubleArray,
    y: DoubleArray,
    some: IntArray,
    fit: tuple[list[int], DoubleArray, float] | None,
    logarithmic: bool,
) -> Formula | None:
    """The formula, where it holds on the rows that it was not fitted on."""
    if fit is None:
        return None
    columns, weights, intercept = fit
    left = np.abs(y - intercept - x[:, columns] @ weights)
    query = some[1::2]
    query = query[np.isfinite(left[query])]
    spread = float(y[some].std())
    residual = float(np.sqrt((left[query] ** 2).mean())) / spread
    rounding = 1.2 * _rounding(x[:, columns], y, weights, logarithmic=logarithmic)
    rounded = float((left[query] <= rounding[query]).mean()) >= 0.999
    if residual > (ROUNDED if rounded else NEARLY):
        return None
    return Formula(
        columns=tuple(int(j) for j in columns),
        weights=tuple(float(w) for w in weights),
        intercept=intercept,
        logarithmic=logarithmic,
        residual=residual,
        exact=rounded or residual <= EXACT,
        holds=left <= np.maximum(rounding, 4 * residual * spread),
    )


def _rounding(
    part: DoubleArray, y: DoubleArray, weights: DoubleArray, *, logarithmic: bool
) -> DoubleArray:
    """How far rounding of the target and of the columns can put the two sides apart; (n,).

    Whole numbers with whole weights make a whole number: then nothing.
    """
    if logarithmic:
        number = np.exp(y)
        sides = [last_digit(number) / number]
        for j, w in enumerate(weights):
            value = np.exp(part[:, j])
            sides.append(abs(w) * last_digit(value[np.isfinite(value)]) / value)
    else:
        unit = last_digit(y)
        sides = [np.full(len(y), unit)]
        steps = [
            abs(w) * last_digit(part[np.isfinite(part[:, j]), j]) for j, w in enumerate(weights)
        ]
        if unit and all(s and abs(s / unit - round(s / unit)) < 0.01 for s in steps):
            return np.zeros(len(y))
        sides += [np.full(len(y), s) for s in steps]
    half: DoubleArray = 0.5 * np.sum(sides, axis=0)
    return half


def _pursue(values: DoubleArray, target: DoubleArray) -> list[int]:
    """Columns in the order in which each explains most of what those before it leave.

    Ends where nothing is left, and after `STEPS`.
    """
    there = np.isfinite(values)
    rows = there.sum(axis=0)
    mean = np.divide(np.where(there, values, 0).sum(0), np.maximum(rows, 1))
    filled = np.where(there, values - mean, 0.0)
    scale = np.sqrt((filled**2).sum(axis=0))
    enough = rows >= max(0.5 * len(target), 15)
    usable = enough & (scale > 1e-9 * np.maximum(1e-9, np.abs(mean)) * np.sqrt(len(target)))
    rest = target - target.mean()
    size = float(np.linalg.norm(rest))
    if not usable.any() or size == 0:
        return []
    x = np.where(usable, filled / np.where(usable, scale, 1.0), 0.0)
    basis = np.zeros((len(target), 0))
    selected: list[int] = []
    for _ in range(min(STEPS, int(usable.sum()), len(target) // PER_TERM)):
        gain = np.abs(x.T @ rest)
        gain[selected] = -1
        best = int(np.argmax(gain))
        new = x[:, best] - basis @ (basis.T @ x[:, best])
        new -= basis @ (basis.T @ new)
        length = float(np.linalg.norm(new))
        if gain[best] <= 1e-10 * size:
            break
        x[:, best] = 0.0 if length < 1e-7 else x[:, best]
        if length < 1e-7:  # the same as those before it
            continue
        selected.append(best)
        basis = np.column_stack([basis, new / length])
        rest = rest - basis[:, -1] * (basis[:, -1] @ rest)
        if np.linalg.norm(rest) <= 1e-9 * size:
            break
    return selected


def _fit(
    values: DoubleArray, target: DoubleArray, selected: list[int]
) -> tuple[DoubleArray, float, float] | None:
    """Least squares on the rows without gaps: weights, intercept, relative residual."""
    part = values[:, selected]
    whole = np.isfinite(part).all(axis=1)
    if whole.sum() < max(15, PER_TERM * len(selected)) or whole.mean() < 0.5:
        return None
    part, y = part[whole], target[whole]
    center, scale = part.mean(axis=0), part.std(axis=0)
    scale = np.where(scale > 0, scale, 1.0)
    weights = np.linalg.lstsq((part - center) / scale, y - y.mean(), rcond=None)[0] / scale
    intercept = float(y.mean() - center @ weights)
    left = y - part @ weights - intercept
    return weights, intercept, float(left.std() / max(y.std(), 1e-300))


def _shorten(
    values: DoubleArray, target: DoubleArray, path: list[int]
) -> tuple[list[int], DoubleArray, float] | None:
    """The fewest columns of the path whose fit is exact, in the order of the table."""
    fit = _fit(values, target, path)
    for steps in range(1, len(path) + 1):
        fit = _fit(values, target, path[:steps])
        if fit is None:
            return None
        if fit[2] <= EXACT:
            break
    if fit is None or fit[2] > ROUNDED:
        return None
    kept = sorted(path[:steps])
    bound = max(EXACT / 10, 2 * fit[2])
    for column in path[:steps]:
        fewer = [j for j in kept if j != column]
        shorter = _fit(values, target, fewer) if fewer else None
        if shorter is not None and shorter[2] <= bound:
            kept = fewer
    final = _fit(values, target, kept)
    if final is None or len(kept) > MAX_TERMS:
        return None
    return kept, final[0], final[1]
