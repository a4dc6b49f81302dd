"""SHAP values of columns of the data, for any prediction function.

The players of the game are source columns: all prepared columns made from one column of the data
move together, so a category is taken whole and no code between two codes is ever asked about.
A column that is out of a coalition has the value of a background row, the others those of the
explained row (the interventional value function of Lundberg and Lee 2017, "A Unified Approach to
Interpreting Model Predictions", as shap.KernelExplainer has it).

n rows, B background rows, M players, C outputs.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from plumbline.kinds import BoolArray, DoubleArray, FloatArray, IntArray
from plumbline.tables import InputSpec

# numbers (n, d_num), codes (n, d_cat) -> (n, C)
Predict = Callable[[FloatArray, IntArray], DoubleArray]

BLOCK = 16_384  # hybrid rows made at once
ENUMERATED = 6  # so many players have few enough coalitions to ask about all


@dataclass(frozen=True, kw_only=True)
class Inputs:
    """Prepared rows: `num` (n, d_num) float32, `cat` (n, d_cat) int64."""

    num: FloatArray
    cat: IntArray

    def __len__(self) -> int:
        return len(self.num)

    def take(self, positions: IntArray) -> Inputs:
        """The rows at these positions."""
        return Inputs(num=self.num[positions], cat=self.cat[positions])


@dataclass(frozen=True, kw_only=True)
class Players:
    """The columns of the data, in order of first use, and which prepared columns each owns:
    `num` (d_num,) and `cat` (d_cat,) hold the player's number."""

    names: tuple[str, ...]
    num: IntArray
    cat: IntArray

    @classmethod
    def of(cls, spec: InputSpec) -> Players:
        sources = (*spec.num_sources, *spec.cat_sources)
        names = tuple(dict.fromkeys(sources))
        number = {name: i for i, name in enumerate(names)}
        return cls(
            names=names,
            num=np.array([number[s] for s in spec.num_sources], dtype=np.int64),
            cat=np.array([number[s] for s in spec.cat_sources], dtype=np.int64),
        )

    def __len__(self) -> int:
        return len(self.names)

    def mix(self, present: BoolArray, own: Inputs, other: Inputs) -> Inputs:
        """Rows that have `own` values where a player is present (n, M), `other` ones elsewhere.

        `own` and `other` have n rows or one."""
        return Inputs(
            num=np.where(present[:, self.num], own.num, other.num),
            cat=np.where(present[:, self.cat], own.cat, other.cat),
        )

    def add_up(self, num: DoubleArray, cat: DoubleArray) -> DoubleArray:
        """Amounts of prepared columns (..., d_num) and (..., d_cat) added up to (..., M)."""
        out = np.zeros((*num.shape[:-1], len(self)))
        for j, player in enumerate(self.num):
            out[..., player] += num[..., j]
        for j, player in enumerate(self.cat):
            out[..., player] += cat[..., j]
        return out


@dataclass(frozen=True, kw_only=True)
class Attribution:
    """`values` (n, M) and `base` (n,) add up to `prediction` (n,).

    `std_error` (n, M) is the sampling error of the values: 0 where they are exact, None where a
    single pair of permutations does not tell."""

    values: DoubleArray
    base: DoubleArray
    prediction: DoubleArray
    std_error: DoubleArray | None


def exact_shapley(
    predict: Predict, rows: Inputs, background: Inputs, players: Players, outputs: IntArray
) -> Attribution:
    """SHAP values by asking about all 2^M coalitions; for few players.

    Args:
        outputs: (n,) which output of `predict` is explained in each row.
    """
    count = len(players)
    coalitions = (np.arange(2**count)[:, None] >> np.arange(count) & 1).astype(bool)
    size = coalitions.sum(1)
    weight = np.array([1 / (count * math.comb(count - 1, s)) for s in range(count)])
    step = max(1, BLOCK // len(background))
    values = np.zeros((len(rows), count))
    worth = np.zeros((len(rows), 2**count))
    for start in range(0, 2**count, step):
        block = coalitions[start : start + step]
        present = np.repeat(block, len(background), axis=0)
        others = _tile(background, len(block))
        for i in range(len(rows)):
            asked = players.mix(present, _row(rows, i), others)
            told = predict(asked.num, asked.cat)[:, outputs[i]]
            worth[i, start : start + step] = told.reshape(len(block), -1).mean(1)
    for j in range(count):
        without = np.flatnonzero(~coalitions[:, j])
        gain = worth[:, without | 1 << j] - worth[:, without]
        values[:, j] = gain @ weight[size[without]]
    return Attribution(
        values=values, base=worth[:, 0], prediction=worth[:, -1], std_error=np.zeros_like(values)
    )


def sampled_shapley(
    predict: Predict,
    rows: Inputs,
    background: Inputs,
    players: Players,
    outputs: IntArray,
    *,
    pairs: int,
    seed: int,
) -> Attribution:
    """SHAP values from sampled orders of the players.

    Each background row gets `pairs` random orders of its own, each with its reverse (Castro et
    al. 2009; Mitchell et al. 2022, "Sampling Permutations for Shapley Value Estimation", for the
    reverse). Every background row counts the same and a reversed pair is exact where no more
    than two players interact, so what is left to chance is small; and a row costs
    B · pairs · 2 (M - 1) predictions where KernelExplainer asks for B · (2 M + 2048).

    The values of a row add up to its prediction minus the mean over the background whatever the
    orders. All rows share them.

    Args:
        outputs: (n,) which output of `predict` is explained in each row.
        pairs: per background row, at least 1.
    """
    count, rng = len(players), np.random.default_rng(seed)
    orders = rng.permuted(
        np.broadcast_to(np.arange(count), (len(background), pairs, count)), axis=-1
    )
    at_base = predict(background.num, background.cat)
    own = predict(rows.num, rows.cat)[np.arange(len(rows)), outputs]
    total = np.zeros((len(rows), count))
    spread = np.zeros((len(rows), count))
    step = max(1, BLOCK // (pairs * 2 * max(count - 1, 1)))
    for start in range(0, len(background), step):
        some = slice(start, start + step)
        order = orders[some]  # (b, pairs, M)
        # the first k of an order, k = 1 … M - 1, and all but them: (2, b, pairs, M - 1, M)
        first = np.argsort(order, axis=-1)[..., None, :] < np.arange(1, count)[:, None]
        present = np.stack([first, ~first])
        shape, flat = present.shape[:-1], present.reshape(-1, count)
        which = np.broadcast_to(np.arange(len(order))[:, None, None], shape[1:])
        index = np.broadcast_to(which, shape).reshape(-1) + start
        others = Inputs(num=background.num[index], cat=background.cat[index])
        for i in range(len(rows)):
            asked = players.mix(flat, _row(rows, i), others)
            told = predict(asked.num, asked.cat)[:, outputs[i]] if len(flat) else np.zeros(0)
            base = at_base[some, outputs[i]]
            gains = _gains(told.reshape(shape), base, own[i])
            by_player = np.zeros(order.shape)
            np.put_along_axis(by_player, order, gains, axis=-1)
            total[i] += by_player.mean(1).sum(0)
            if pairs > 1:
                spread[i] += by_player.var(1, ddof=1).sum(0) / pairs
    base = at_base.mean(0)[outputs]
    return Attribution(
        values=total / len(background),
        base=base,
        prediction=own,
        std_error=np.sqrt(spread) / len(background) if pairs > 1 else None,
    )


def _gains(told: DoubleArray, base: DoubleArray, own: float) -> DoubleArray:
    """What the k-th player of each order adds, mean of the order and its reverse: (b, pairs, M).

    `told` (2, b, pairs, M - 1): the first k players present, and all but them; `base` (b,) with
    none and `own` with all present.
    """
    none = np.broadcast_to(base[:, None, None], (*told.shape[1:3], 1))
    everyone = np.full(none.shape, own)
    forward = np.diff(np.concatenate([none, told[0], everyone], axis=-1), axis=-1)
    backward = -np.diff(np.concatenate([everyone, told[1], none], axis=-1), axis=-1)
    return np.asarray((forward + backward) / 2, dtype=np.float64)


def _row(rows: Inputs, i: int) -> Inputs:
    return Inputs(num=rows.num[i : i + 1], cat=rows.cat[i : i + 1])


def _tile(rows: Inputs, times: int) -> Inputs:
    return Inputs(num=np.tile(rows.num, (times, 1)), cat=np.tile(rows.cat, (times, 1)))
