"""Almost equal rows in two parts: copies with noise, rounded copies, repeated measurements.

Rows that lie near each other are no leak by themselves: in a table of few columns every row
has near neighbors. What tells a copy is the gap behind it. Among rows of any honest spread
in m dimensions, the distances to the nearest and the next nearest row are of one size: the
first is RATIO times smaller than the second with probability RATIO^-m, and of the rows with
a neighbor within RATIO times a small distance only the share RATIO^-m has it within that
distance. A copy is near where nothing else is. Rows are reported where there are many more of
them than chance explains; m is read off how fast the number of near rows grows with distance.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl

from plumbline.kinds import ORDERED, BoolArray, ColumnType, DoubleArray, IntArray
from plumbline.leakage.across import MANY
from plumbline.leakage.codes import as_number
from plumbline.leakage.finding import SIDE, Evidence, Finding
from plumbline.leakage.identifier import numbers_rows
from plumbline.preprocessing.duplicates import group_codes, plain
from plumbline.tables import ROW

RATIO = 8.0  # the next row is so many times farther than the copies
NEIGHBORS = 6  # training rows looked at per held-out row: at most five copies
TREE_COLUMNS = 24  # the tree looks at so many columns; pairs are measured on all
HELD = 20_000  # held-out rows looked at
FINER = (1.0, 1 / 4, 1 / 16)  # of near_distance: copies may hide among rows that are near anyway
CHANCE = 1e-4
LEAST = 3  # rows
COUNTED = 15  # rows near, but no copies, that tell how many chance puts nearer still
MAX_DIMENSION = 3.0
DIMENSION_ROWS = 2_000  # that tell the dimension of more columns than these


@dataclass(frozen=True, kw_only=True)
class Space:
    """Rows as points: numbers in standard deviations of the training rows.

    Shapes: `train` (n, d), `held` (m, d), a missing number is 0; `cell` numbers what must
    agree (categories, texts, which numbers are missing); `common` says whether the value of a
    number column occurs in several rows. `dimension` is the number of directions in which the
    training rows vary.
    """

    train: DoubleArray
    held: DoubleArray
    train_cell: IntArray
    held_cell: IntArray
    train_common: BoolArray
    held_common: BoolArray
    dimension: float


def near_rows(evidence: Evidence) -> Sequence[Finding]:
    """Held-out rows that nearly equal a training row where no other row is near."""
    train = evidence.train
    held = evidence.held_out
    if len(held) > HELD:
        held = held[np.sort(evidence.generator("near").permutation(len(held))[:HELD]).tolist()]
    numbers = [
        c.name
        for c in evidence.schema.features
        if c.type in ORDERED and not numbers_rows(train[c.name])
    ]
    images = evidence.schema.of_type(ColumnType.IMAGE)
    others = [
        c.name for c in evidence.schema.features if c.type not in (*ORDERED, ColumnType.IMAGE)
    ]
    values = {name: as_number(pl.concat([train[name], held[name]])) for name in numbers}
    values |= {key: v for n in images for key, v in _pixels(evidence, n, train, held).items()}
    space = _space(train, held, values, others) if values else None
    if space is None or not space.train.shape[1] or min(len(train), len(held)) < 2:
        return []
    bound = evidence.config.near_distance
    distance, index, step = _nearest(space, RATIO * bound)
    for finer in FINER:
        copies = _copies(distance, step, bound * finer, space.dimension)
        if copies.any():
            return [_finding(evidence, train, held, copies, index, bound * finer, distance)]
    return []


def _pixels(
    evidence: Evidence, name: str, train: pl.DataFrame, held: pl.DataFrame
) -> dict[str, DoubleArray]:
    """An image as numbers, those of its thumbnail: a copy that was written or resized anew has
    nearly the same."""
    numbers = np.concatenate([frame[ROW].to_numpy() for frame in (train, held)]).astype(np.int64)
    order = np.argsort(numbers)
    pixels = np.empty((len(numbers), SIDE * SIDE))
    pixels[order] = evidence.thumbnails(name, numbers[order]).reshape(len(numbers), -1)
    return {f"{name} {j}": column for j, column in enumerate(pixels.T)}


def _space(
    train: pl.DataFrame, held: pl.DataFrame, values: Mapping[str, DoubleArray], others: list[str]
) -> Space | None:
    both = pl.concat([train, held])
    columns, common = [], []
    for value in values.values():
        spread = np.nanstd(value[: len(train)]) if np.isfinite(value[: len(train)]).any() else 0
        if spread > 0:
            columns.append(value / spread)
            _, place, count = np.unique(value, return_inverse=True, return_counts=True)
            common.append(count[place] > 1)
    if not columns:
        return None
    x = np.column_stack(columns)
    gaps = np.isnan(x)
    cell = _numbered(gaps[:, gaps.any(axis=0)].astype(np.float64))
    if others:
        words = both.select(plain(both.schema, others)).hash_rows(0)
        cell = group_codes(pl.DataFrame({"gaps": cell, "words": words}).hash_rows(0).to_numpy())
    x = np.where(np.isnan(x), 0.0, x)
    n = len(train)
    return Space(
        train=x[:n],
        held=x[n:],
        train_cell=cell[:n],
        held_cell=cell[n:],
        train_common=np.column_stack(common)[:n],
        held_common=np.column_stack(common)[n:],
        dimension=_dimension(x[:n]),
    )


def _dimension(x: DoubleArray) -> float:
    """Participation ratio of the variances along the principal axes, 1 … MAX_DIMENSION."""
    some = x[:: -(-len(x) // DIMENSION_ROWS)] if x.shape[1] > DIMENSION_ROWS else x
    centered = some - some.mean(axis=0)
    # the two products have the same eigenvalues but for zeros: take the smaller
    wide = centered.shape[1] > len(centered)
    product = centered @ centered.T if wide else centered.T @ centered
    variances = float(np.trace(product)), float((product**2).sum())
    return float(np.clip(variances[0] ** 2 / max(1e-300, variances[1]), 1, MAX_DIMENSION))


def _nearest(space: Space, bound: float) -> tuple[DoubleArray, IntArray, BoolArray]:
    """Nearest training rows of each held-out row, none farther than `bound`.

    The distance is the largest difference of any number. Returns distances (m, k), inf where
    there is no such row; training positions (m, k); and whether the nearest one is an
    ordinary step away: one or two numbers differ, all between values that other rows have.
    """
    from scipy.spatial import cKDTree

    different = [len(np.unique(space.train[:, j])) for j in range(space.train.shape[1])]
    columns = np.argsort(-np.array(different), kind="stable")[:TREE_COLUMNS]
    apart = 4 * bound  # cells lie so far from each other that nothing in another one is near
    points = np.column_stack([space.train[:, columns], space.train_cell * apart])
    query = np.column_stack([space.held[:, columns], space.held_cell * apart])
    whole = np.column_stack([space.train, space.train_cell])
    kept = np.sort(_first_of_each(whole))
    tree = cKDTree(points[kept], balanced_tree=False)
    neighbors = tree.query(query, k=NEIGHBORS, p=np.inf, distance_upper_bound=bound)
    distance: DoubleArray = neighbors[0]
    position = np.minimum(neighbors[1], len(kept) - 1)
    row, place = np.nonzero(np.isfinite(distance))
    at = kept[position]
    apart_by = np.abs(space.held[row] - space.train[at[row, place]])  # (pairs, d)
    distance[row, place] = apart_by.max(axis=1)
    order = np.argsort(distance, axis=1, kind="stable")
    distance = np.take_along_axis(distance, order, axis=1)
    index: IntArray = np.take_along_axis(at, order, axis=1)
    distance[distance > bound] = np.inf
    differs = space.held != space.train[index[:, 0]]
    usual = ~differs | (space.held_common & space.train_common[index[:, 0]])
    step: BoolArray = differs.sum(axis=1) <= 2
    step &= usual.all(axis=1)
    return distance, index, step


def _first_of_each(points: DoubleArray) -> IntArray:
    """Positions of the first of equal rows."""
    return np.unique(_numbered(points), return_index=True)[1].astype(np.int64)


def _numbered(points: DoubleArray) -> IntArray:
    """Equal rows of a matrix, numbered from 0 on."""
    if not points.shape[1]:
        return np.zeros(len(points), dtype=np.int64)
    rows = np.ascontiguousarray(points + 0.0)  # -0.0 is 0.0
    whole = rows.view(np.dtype((np.void, rows.dtype.itemsize * rows.shape[1]))).ravel()
    return np.unique(whole, return_inverse=True)[1].astype(np.int64)


def _copies(distance: DoubleArray, step: BoolArray, bound: float, dimension: float) -> BoolArray:
    """Rows with copies within `bound` and a gap behind them; none where chance would do."""
    nearest = np.where(distance[:, 0] == 0, np.inf, distance[:, 0])  # `duplicates` names these
    with np.errstate(invalid="ignore"):
        gap = (distance[:, :-1] <= bound) & (distance[:, 1:] >= RATIO * distance[:, :-1])
    copies: BoolArray = gap.any(axis=1) & np.isfinite(nearest) & ~step
    copies_found, candidates = int(copies.sum()), int((nearest <= RATIO * bound).sum())
    beside = int(((nearest > bound) & (nearest <= RATIO * bound)).sum())
    half_way = int(((nearest > bound) & (nearest <= RATIO**0.5 * bound)).sum())
    if beside >= COUNTED:  # enough ordinary rows near by to see how their number grows
        growth = max(1.0, beside / (half_way + half_way**0.5 + 1) - 1)
        dimension = min(max(1.0, 2 * np.log(growth) / np.log(RATIO)), MAX_DIMENSION)
    elif 2 * copies_found <= candidates:
        return np.zeros(len(distance), dtype=bool)
    share = RATIO**-dimension
    if (
        copies_found < max(LEAST, 4 * share * candidates)
        or _tail(copies_found, candidates, share) > CHANCE
    ):
        return np.zeros(len(distance), dtype=bool)
    return copies


def _tail(count: int, total: int, share: float) -> float:
    """Probability of at least `count` hits of `total`, each with probability `share`."""
    from scipy.stats import binom

    return float(binom.sf(count - 1, total, share))


def _finding(
    evidence: Evidence,
    train: pl.DataFrame,
    held: pl.DataFrame,
    copies: BoolArray,
    index: IntArray,
    bound: float,
    distance: DoubleArray,
) -> Finding:
    rows = held[ROW].to_numpy()[copies].astype(np.int64)
    near = distance[copies] <= bound
    originals = np.unique(train[ROW].to_numpy()[index[copies][near]].astype(np.int64))
    share = copies.mean()
    sampled = "" if len(held) == evidence.held_out_rows else f" of {len(held):,} looked at"
    return Finding(
        check="near_duplicates",
        columns=evidence.features,
        rows=rows,
        detail=f"{len(rows)} held-out rows{sampled} ({share:.2%}) nearly equal "
        f"{len(originals)} training rows: categories agree, no number differs by more than "
        f"{distance[copies, 0].max():.2g} standard deviations, and the next row is {RATIO:.0f} "
        "times farther or more",
        severity="critical" if share > MANY else "warning",
        hint="find out whether rows were copied, augmented or measured twice before the split; "
        "name what they share in data.group, or set split.leakage.near_duplicates: drop to "
        "leave the training copies out",
        drop_rows=originals,
    )
