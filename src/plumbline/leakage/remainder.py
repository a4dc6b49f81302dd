"""A target as a sum of columns with plain weights, up to a remainder that says little.

A total that holds the target as one of its parts gives it away, though some other part is
missing: fare + tip + tolls + one of five surcharges = total. Least squares shows weights near
one, and a remainder that takes few values; or, where large columns cancel and leave the target,
a remainder that is small beside it. An honest sum with noise does neither: its noise takes many
values, and its columns do not cancel.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from plumbline.kinds import BoolArray, DoubleArray, IntArray

VALUES = 16  # that a remainder takes, at most
COVERED = 0.98  # share of rows whose remainder is one of them
BY_CHANCE = 0.5  # the same of a shuffled target, or of the target itself: at most
PER_VALUE = 10  # values that the target takes, for each of the remainder's; no fewer than LEVELS
LEVELS = 20
SPARSE, BESIDE = 3, 3  # steps between the remainder's values for each; so few may lie side by side
ROWS, LEAST = 4_000, 80
MAX_TERMS = 12
WHOLE = 0.9  # share of rows that a column must fill
OFF = 0.15  # of a weight from a plain one, relative
SURE = 8.0  # standard errors of a weight above nothing
SMALL, TINY = 0.1, 0.03  # remainder over target, in standard deviations: warning, critical
NEAR = 0.03  # of weights, where the remainder is only small
CANCEL = 4.0  # variance of the columns over that of the target
PLAIN = tuple(10.0**k for k in range(-4, 5))
PLAIN_POWERS = (1.0, 2.0, 0.5)
ON_GRID = 1e-9


@dataclass(frozen=True, kw_only=True)
class Remainder:
    """The columns, their plain weights, and what is left of the target without them.

    `values`: the few values that it takes (factors where logarithmic), the most frequent first;
    empty where it is only small. `covered`: share of rows not used in the search in which it is
    one of them. `residual`: its standard deviation over the target's. `holds`: rows (n,).
    """

    columns: tuple[int, ...]
    weights: tuple[float, ...]
    values: tuple[float, ...]
    covered: float
    residual: float
    holds: BoolArray

    @property
    def exact(self) -> bool:
        """Whether few values are left, or next to nothing."""
        return bool(self.values) or self.residual <= TINY

    def text(self) -> str:
        """What is left, in words."""
        if not self.values:
            return f"up to a remainder of {self.residual:.1%} of its standard deviation"
        least = 1e-6 * max(abs(v) for v in self.values) if len(self.values) > 1 else 1e-9
        near = (0.0 if abs(v) <= least else v for v in sorted(self.values))
        shown = ", ".join(f"{v:.4g}" for v in list(near)[:6])
        more = ", …" if len(self.values) > 6 else ""
        if len(self.values) == 1:
            return f"up to the constant {shown} in {self.covered:.1%} of the rows"
        what = f"one of {len(self.values)} values ({shown}{more})"
        return f"up to {what} in {self.covered:.1%} of the rows"


def find_remainder(
    x: DoubleArray, y: DoubleArray, some: IntArray, path: list[int], *, logarithmic: bool
) -> Remainder | None:
    """The fewest columns with plain weights whose remainder is one of few values, or small.

    Args:
        x: (n, d) and y: (n,), logarithms where `logarithmic`; some: rows to search in;
        path: columns to search among, the most telling first.
    """
    some = some[:: -(-len(some) // ROWS)]
    path = [j for j in path if np.isfinite(x[some, j]).mean() >= WHOLE]
    some = some[np.isfinite(x[some][:, path]).all(axis=1)]
    if len(some) < LEAST or not path:
        return None
    sampled, target = x[some], y[some]
    unit = last_digit(np.exp(y) if logarithmic else y)
    best: tuple[dict[int, float], Residue] | None = None
    for terms in _candidates(sampled, target, unit, path, logarithmic=logarithmic):
        candidate = _shortest(sampled, target, unit, terms, logarithmic=logarithmic)
        if candidate is not None and (best is None or _rank(candidate) < _rank(best)):
            best = candidate
    if best is None or len(best[0]) > MAX_TERMS:
        return None
    terms, residue = best
    left = y - _sum(x, terms)
    holds = np.isfinite(left)
    if len(residue.values):
        with np.errstate(invalid="ignore"):
            close = _tolerance(y, left, unit, logarithmic=logarithmic)
            holds &= _distance(left, residue.values) <= close
    return Remainder(
        columns=tuple(sorted(terms)),
        weights=tuple(terms[j] for j in sorted(terms)),
        values=tuple(float(v) for v in (np.exp(residue.values) if logarithmic else residue.values)),
        covered=residue.covered,
        residual=residue.residual,
        holds=holds,
    )


@dataclass(frozen=True, kw_only=True)
class Residue:
    """What a sum of columns leaves of the target: few values (or none), the rows they cover."""

    values: DoubleArray
    covered: float
    residual: float


def _rank(candidate: tuple[dict[int, float], Residue]) -> tuple[bool, int, int]:
    """Few values before a small remainder; then few columns, then the fewest values."""
    terms, residue = candidate
    return not len(residue.values), len(terms), len(residue.values)


def last_digit(number: DoubleArray) -> float:
    """The last digit that numbers are written with, 0 where they have too many."""
    close = ON_GRID * max(1, float(np.abs(number).max(initial=0)))
    for digits in range(5):
        if np.abs(number - np.round(number, digits)).max(initial=0) <= close:
            return float(10.0**-digits)
    return 0.0


def _tolerance(y: DoubleArray, left: DoubleArray, unit: float, *, logarithmic: bool) -> DoubleArray:
    """How far two equal remainders may lie apart: by rounding of the target, or of floats; (n,)."""
    number = np.exp(y) if logarithmic else y
    bare = 1e-7 * np.maximum(unit, 1e-3 * float(np.std(number)))
    known = left[np.isfinite(left)]
    if unit and not logarithmic and np.abs(known / unit - np.round(known / unit)).max() < 1e-3:
        return np.full(len(y), max(bare, 1e-3 * unit))
    half = np.maximum(0.5001 * unit, bare)
    return half / np.abs(number) if logarithmic else np.broadcast_to(half, y.shape)


def _candidates(
    x: DoubleArray, y: DoubleArray, unit: float, path: list[int], *, logarithmic: bool
) -> Iterator[dict[int, float]]:
    """Sums to judge: of all columns, and of those written with the target's digits alone.

    A fare that follows from a distance is hard to tell from it; but it is in cents, as tips are.
    """
    sets = [path]
    if unit and not logarithmic:
        alike = [j for j in path if last_digit(x[:, j]) >= 0.999 * unit]
        sets += [alike] if 0 < len(alike) < len(path) else []
    for among in sets:
        yield from _plain_sums(x[:, among], y, among, logarithmic=logarithmic)


def _plain_sums(
    x: DoubleArray, y: DoubleArray, path: list[int], *, logarithmic: bool
) -> Iterator[dict[int, float]]:
    """Sums of columns with plain weights that least squares shows.

    The target may be a part: of the target on a total, least squares makes too little where the
    total has other parts too. So each column is asked in turn what it is the sum of.
    """
    table = np.column_stack([y, x])
    scale = table.std(axis=0)
    scale = np.where(scale > 0, scale, 1.0)
    z = (table - table.mean(axis=0)) / scale
    covariance = z.T @ z / len(z)
    shown: set[tuple[tuple[int, float], ...]] = set()
    for response in range(table.shape[1]):
        weights = _eliminate(covariance, scale, response, len(z), logarithmic=logarithmic)
        if response:
            part = weights.pop(0, None)
            if part is None:
                continue
            weights = {response: 1.0 / part, **{j: -w / part for j, w in weights.items()}}
        terms = {path[j - 1]: w for j, w in weights.items()}
        key = tuple(sorted(terms.items()))
        if terms and key not in shown:
            shown.add(key)
            yield terms


def _eliminate(
    covariance: DoubleArray, scale: DoubleArray, response: int, rows: int, *, logarithmic: bool
) -> dict[int, float]:
    """Columns that make up the response with plain weights; those least sure leave one by one."""
    kept = [j for j in range(len(scale)) if j != response]
    while kept:
        inner = covariance[np.ix_(kept, kept)] + 1e-12 * np.eye(len(kept))
        inverse = np.linalg.inv(inner)
        fitted = inverse @ covariance[kept, response]
        left = float(covariance[response, response] - fitted @ covariance[kept, response])
        error = np.sqrt(
            max(1e-15, left) / max(1, rows - len(kept)) * np.maximum(0, np.diag(inverse))
        )
        sure = np.abs(fitted) / np.maximum(error, 1e-15)
        if sure.min() < SURE:
            kept.pop(int(np.argmin(sure)))
            continue
        unscaled = scale[response] / scale[kept]
        weights = fitted * unscaled
        plain = np.array([_plain(w, logarithmic=logarithmic) for w in weights])
        off = np.abs(weights - plain) / np.maximum(OFF * np.abs(plain), 4 * error * unscaled)
        if off.max() <= 1:
            return dict(zip(kept, plain.tolist(), strict=True))
        kept.pop(int(np.argmax(off)))
    return {}


def _plain(weight: float, *, logarithmic: bool) -> float:
    among = np.array(PLAIN_POWERS if logarithmic else PLAIN)
    best = among[np.argmin(np.abs(np.log(among) - np.log(max(abs(weight), 1e-12))))]
    return float(np.copysign(best, weight))


def _sum(x: DoubleArray, terms: dict[int, float]) -> DoubleArray:
    columns = list(terms)
    total: DoubleArray = x[:, columns] @ np.array([terms[j] for j in columns])
    return total


def _shortest(
    x: DoubleArray, y: DoubleArray, unit: float, terms: dict[int, float], *, logarithmic: bool
) -> tuple[dict[int, float], Residue] | None:
    """The sum without the columns that it holds without, and what it leaves; None: too much."""
    residue = _residue(x, y, unit, terms, logarithmic=logarithmic)
    if residue is None:
        return None
    for column in sorted(terms, reverse=True):
        fewer = {j: w for j, w in terms.items() if j != column}
        shorter = _residue(x, y, unit, fewer, logarithmic=logarithmic) if fewer else None
        if shorter is None or shorter.residual > 1.01 * residue.residual:
            continue
        if len(shorter.values) <= len(residue.values) and bool(len(shorter.values)) == bool(
            len(residue.values)
        ):
            terms, residue = fewer, shorter
    return terms, residue


def _residue(
    x: DoubleArray, y: DoubleArray, unit: float, terms: dict[int, float], *, logarithmic: bool
) -> Residue | None:
    """What a sum leaves, where that is one of few values or small; else None.

    Values are learned on one half of the rows and must cover the other.
    """
    total = _sum(x, terms)
    left, spread = y - total, float(y.std())
    residual = float(left.std()) / spread
    close = _tolerance(y, left, unit, logarithmic=logarithmic)
    taught = np.arange(len(y)) % 2 == 0
    values = few_values(left[taught], close[taught])
    covered = float((_distance(left[~taught], values) <= close[~taught]).mean())
    levels = max(LEVELS, PER_VALUE * len(values))
    if covered >= COVERED and len(np.unique(y)) >= levels:
        step = max(0.0 if logarithmic else unit, 2 * float(np.median(close)))
        steps = float(np.ptp(values)) / step + 1
        few = len(values) == 1 or (len(terms) > 1 and len(values) <= BESIDE)
        if few or steps >= SPARSE * len(values):
            shuffled = np.random.default_rng(0).permutation(y) - total
            wide = _tolerance(y, shuffled, unit, logarithmic=logarithmic)
            by_chance = (_covered(shuffled, wide, len(values)), _covered(y, close, len(values)))
            if max(by_chance) <= BY_CHANCE:
                return Residue(values=values, covered=covered, residual=residual)
    if residual <= SMALL and _cancels(x, y, terms):
        return Residue(values=np.zeros(0), covered=1.0, residual=residual)
    return None


def _cancels(x: DoubleArray, y: DoubleArray, terms: dict[int, float]) -> bool:
    """Whether large columns cancel and leave the target, with weights that are plain indeed."""
    columns, weights = list(terms), np.array(list(terms.values()))
    part = x[:, columns] - x[:, columns].mean(axis=0)
    if len(columns) < 2 or len({abs(w) for w in terms.values()}) > 1:
        return False
    if float((part.var(axis=0) * weights**2).sum()) < CANCEL * float(y.var()):
        return False
    free = np.linalg.lstsq(part, y - y.mean(), rcond=None)[0]
    return bool(np.abs(free / weights - 1).max() <= NEAR)


def _covered(left: DoubleArray, close: DoubleArray, count: int) -> float:
    values = few_values(left, close, count)
    return float((_distance(left, values) <= close).mean())


def few_values(left: DoubleArray, close: DoubleArray, count: int = VALUES) -> DoubleArray:
    """At most so many values that cover most rows, each row by one no farther than `close`.

    Greedy: the value that covers most rows, then that which covers most of the others. Values
    that cover less than a thousandth are left out.
    """
    values: list[float] = []
    order = np.argsort(left, kind="stable")
    left, close = left[order], close[order]
    while len(left) and len(values) < count:
        low, high = np.sort(left - close), np.sort(left + close)
        # at each start of an interval: how many have begun, less how many have ended
        inside = np.arange(1, len(low) + 1) - np.searchsorted(high, low, side="left")
        best = int(np.argmax(inside))
        if inside[best] < max(2, 0.001 * len(order)):
            break
        covers = (left - close <= low[best]) & (left + close >= low[best])
        inner = (float((left - close)[covers].max()), float((left + close)[covers].min()))
        values.append(sum(inner) / 2)
        left, close = left[~covers], close[~covers]
    return np.array(values)


def _distance(left: DoubleArray, values: DoubleArray) -> DoubleArray:
    """To the nearest of the values; inf without any."""
    if not len(values):
        return np.full(len(left), np.inf)
    ordered = np.sort(values)
    place = np.clip(np.searchsorted(ordered, left), 1, max(1, len(ordered) - 1))
    below = np.abs(left - ordered[place - 1])
    above = np.abs(left - ordered[np.minimum(place, len(ordered) - 1)])
    nearest: DoubleArray = np.minimum(below, above)
    return nearest
