"""Two columns that together give away what neither does alone.

All pairs are screened by what a coarse grid of the two knows beyond the better one (mutual
information, less what chance adds); differences of columns that run side by side do not show
on a grid and are tried as well. The few that remain are asked honestly, as columns are.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import combinations

import numpy as np
import polars as pl

from plumbline.kinds import DoubleArray, IntArray, TargetKind
from plumbline.leakage.codes import Target, as_number, encode, knowledge
from plumbline.leakage.exact import is_code, is_copy, is_step
from plumbline.leakage.finding import Finding
from plumbline.leakage.inquiry import DOMINANT, Inquiry

ROWS = 6_000
COLUMNS = 120  # the best alone; more are not paired
GRID, FINE = 8, 20  # codes per column for the screen; for the pairs that remain
TARGET_BINS = 8  # of a numeric target, or so many of the largest classes
SCREENED, SIDE_BY_SIDE = 40, 20  # pairs that remain
SYNERGY = 0.05  # share of the target's entropy that the grid adds, at least
CORRELATED = 0.9
ASKED = 20  # pairs held against all other columns
KNOWN = {"class": 0.9, "number": 0.95}  # share of the target's entropy, or of its ranks' variance
KNOWN_EXACT = 0.5  # the same, before it is asked whether a pair is exact
TOGETHER = "together"


@dataclass(frozen=True, kw_only=True)
class Pair:
    """How two columns are best joined, and what they then know of class c."""

    columns: tuple[str, str]
    how: str
    c: int
    score: float
    known: float
    exact: bool


def pairs(inquiry: Inquiry, clear: list[str]) -> list[Finding]:
    """Pairs of columns that know more than all others, where neither does alone."""
    few = inquiry.few[:: max(1, len(inquiry.few) // ROWS)]
    target = inquiry.target.take(few)
    frame = inquiry.frame[few]
    best = sorted(clear, key=lambda n: -float(inquiry.alone[n].known.max()))[:COLUMNS]
    numbers = {
        n: as_number(frame[n])
        for n in best
        if (frame[n].dtype.is_numeric() or frame[n].dtype.is_temporal()) and frame[n].n_unique() > 2
    }
    fine = {n: encode(frame[n], bins=FINE, values=FINE) for n in best}
    findings: list[Finding] = []
    flagged: set[str] = set()
    tried = 0
    for a, b in _candidates(frame, best, numbers, target):
        if flagged & {a, b}:
            continue
        for pair in _joined(a, b, fine, numbers, inquiry, target):
            alone, others = (True, 0.0) if pair.exact else (False, 0.0)
            if not pair.exact and tried < ASKED:
                tried += 1
                alone, others = inquiry.dominated(pair.c, pair.known, [a, b])
            if alone:
                findings.append(_finding(inquiry, pair, others))
                flagged |= {a, b}
                break
    return findings


def _candidates(
    frame: pl.DataFrame, names: list[str], numbers: dict[str, DoubleArray], target: Target
) -> list[tuple[str, str]]:
    """Pairs worth asking, the most promising first."""
    y = _label(target)
    coarse = {n: encode(frame[n], bins=GRID, values=GRID) for n in names}
    before = _entropy(np.bincount(y), len(y))
    alone = {n: _shared(coarse[n], y) for n in names}
    gain = {
        (a, b): _shared(coarse[a] * (int(coarse[b].max()) + 1) + coarse[b], y)
        - max(alone[a], alone[b])
        for a, b in combinations(names, 2)
    }
    joint = sorted((p for p in gain if gain[p] > SYNERGY * before), key=lambda p: -gain[p])
    beside = _side_by_side(numbers)
    return list(dict.fromkeys([*joint[:SCREENED], *beside]))


def _label(target: Target) -> IntArray:
    """The target in a few codes."""
    if target.kind is TargetKind.NUMBERS:
        return np.minimum(target.onehot[:, 0] * TARGET_BINS, TARGET_BINS - 1).astype(np.int64)
    number = target.onehot.argmax(axis=1)
    order = np.argsort(-np.bincount(number), kind="stable")
    place = np.empty(len(order), dtype=np.int64)
    place[order] = np.minimum(np.arange(len(order)), TARGET_BINS - 1)
    label: IntArray = place[number]
    return label


def _shared(codes: IntArray, y: IntArray) -> float:
    """Mutual information in nats, less its bias in small samples (Miller, 1955)."""
    rows, classes = len(y), int(y.max()) + 1
    inside = np.bincount(codes * classes + y)
    each = np.bincount(codes)
    known = _entropy(np.bincount(y), rows) + _entropy(each, rows) - _entropy(inside, rows)
    spare = (inside > 0).sum() - (each > 0).sum() - (np.bincount(y) > 0).sum() + 1
    return known - float(spare) / (2 * rows)


def _entropy(count: IntArray, rows: int) -> float:
    share = count[count > 0] / rows
    return float(-(share * np.log(share)).sum())


def _side_by_side(numbers: dict[str, DoubleArray]) -> list[tuple[str, str]]:
    """The pairs of numbers that correlate most."""
    names = list(numbers)
    if len(names) < 2:
        return []
    x = np.column_stack(list(numbers.values()))
    there = np.isfinite(x)
    many = np.maximum(there.sum(axis=0), 1)
    centered = np.where(there, x - np.where(there, x, 0).sum(axis=0) / many, 0)
    spread = np.sqrt((centered**2).sum(axis=0))
    z = centered / np.where(spread > 0, spread, 1)
    correlation = np.triu(np.abs(z.T @ z), 1)
    order = np.argsort(-correlation, axis=None, kind="stable")[:SIDE_BY_SIDE]
    places = [divmod(int(i), len(names)) for i in order if correlation.flat[i] >= CORRELATED]
    return [(names[i], names[j]) for i, j in places]


def _joined(
    a: str,
    b: str,
    fine: dict[str, IntArray],
    numbers: dict[str, DoubleArray],
    inquiry: Inquiry,
    target: Target,
) -> list[Pair]:
    """Per class the best way to join two columns, where it knows enough to be flagged."""
    ways = {TOGETHER: fine[a] * (int(fine[b].max()) + 1) + fine[b]}
    joined: dict[str, DoubleArray] = {}
    if a in numbers and b in numbers:
        with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
            joined = {
                f"'{a}' - '{b}'": numbers[a] - numbers[b],
                f"'{a}' + '{b}'": numbers[a] + numbers[b],
                f"'{a}' / '{b}'": numbers[a] / numbers[b],
                f"'{a}' · '{b}'": numbers[a] * numbers[b],
            }
        ways |= {how: encode(pl.Series(value)) for how, value in joined.items()}
    few = all(len(np.unique(fine[n])) <= FINE // 2 for n in (a, b))
    pairs_found: dict[int, Pair] = {}
    for how, codes in ways.items():
        learned = knowledge(codes, target, ordered=how in joined)
        exact = False
        if float(learned.known.max()) >= KNOWN_EXACT:
            exact = _cuts(joined[how], target) if how in joined else few and _decides(codes, target)
        for c in inquiry.classes:
            score, known = float(learned.score[c]), float(learned.known[c])
            better = c not in pairs_found or (pairs_found[c].exact, pairs_found[c].known) < (
                exact,
                known,
            )
            if better and (exact or _enough(known, c, (a, b), inquiry)):
                pairs_found[c] = Pair(
                    columns=(a, b), how=how, c=c, score=score, known=known, exact=exact
                )
    return sorted(pairs_found.values(), key=lambda pair: not pair.exact)


def _decides(codes: IntArray, target: Target) -> bool:
    """Whether each pair of values stands in rows of one class only."""
    is_named = target.kind is TargetKind.CLASSES
    return is_named and is_code(
        np.unique(codes, return_inverse=True)[1], target.value.astype(np.int64)
    )


def _cuts(number: DoubleArray, target: Target) -> bool:
    """Whether the target is this number, or is cut from it."""
    return CUTS[target.kind](number, target.value)


CUTS: dict[TargetKind, Callable[[DoubleArray, DoubleArray], bool]] = {
    TargetKind.CLASSES: lambda number, value: is_step(number, value.astype(np.int64)),
    TargetKind.NUMBERS: is_copy,
}


def _enough(known: float, c: int, columns: tuple[str, str], inquiry: Inquiry) -> bool:
    """Nearly all is known, and less than half of it by the better of the two."""
    alone = max(float(inquiry.alone[n].known[c]) for n in columns)
    least = KNOWN["number" if inquiry.numeric else "class"]
    return known >= least and 1 - known <= DOMINANT * (1 - alone)


def _finding(inquiry: Inquiry, pair: Pair, others: float) -> Finding:
    a, b = pair.columns
    text = f"'{a}' and '{b}' together" if pair.how == TOGETHER else pair.how
    measure = "R² of the ranks" if inquiry.numeric else "ROC-AUC"
    both = (inquiry.codes[a] > 0) & (inquiry.codes[b] > 0)
    detail = (
        f"{text} predicts {inquiry.label(pair.c)}: {measure} {pair.score:.4f}, which explains "
        f"{pair.known:.0%} of its {inquiry.uncertainty}; all other columns together explain "
        f"{others:.0%}"
    )
    if pair.exact:
        detail = f"{text} decides the target without an error in {both.sum():,} rows"
    return Finding(
        check="giveaway",
        columns=pair.columns,
        rows=inquiry.rows(both),
        examined=len(inquiry.frame),
        detail=detail,
        severity="critical" if pair.exact or pair.score > inquiry.threshold else "warning",
        hint="find out whether the target is computed from these two columns; if so, give them "
        "role ignore in expectations.yaml, or set split.leakage.giveaway: drop",
        drop_columns=pair.columns,
    )
