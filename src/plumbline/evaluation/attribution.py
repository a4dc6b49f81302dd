"""SHAP values of columns of the data, for any prediction function.

The players of the game are those of a `Masker`: columns of the data, or parts of a cell.
A player that is out of a coalition has the value of a background row, the others those of the
explained row (the interventional value function of Lundberg and Lee 2017, "A Unified Approach to
Interpreting Model Predictions", as shap.KernelExplainer has it).

n rows, B background rows, M players, C outputs.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from plumbline.evaluation.masker import Masker
from plumbline.evaluation.mixed import predict_mixed
from plumbline.examples import Inputs, count_rows, take_inputs
from plumbline.inference import Predict
from plumbline.kinds import DoubleArray, IntArray

BLOCK = 16_384  # mixed rows planned at once
BEGUN = 4  # orders that are one, begun at other players
ENUMERATED = 6  # so many players have few enough coalitions to ask about all


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
    predict: Predict, rows: Inputs, background: Inputs, masker: Masker, outputs: IntArray
) -> Attribution:
    """SHAP values by asking about all 2^M coalitions; for few players.

    Args:
        outputs: (n,) which output of `predict` is explained in each row.
    """
    count = len(masker)
    coalitions = (np.arange(2**count)[:, None] >> np.arange(count) & 1).astype(bool)
    size = coalitions.sum(1)
    weight = np.array([1 / (count * math.comb(count - 1, s)) for s in range(count)])
    step = max(1, BLOCK // count_rows(background))
    values = np.zeros((count_rows(rows), count))
    worth = np.zeros((count_rows(rows), 2**count))
    for start in range(0, 2**count, step):
        block = coalitions[start : start + step]
        present = np.repeat(block, count_rows(background), axis=0)
        index = np.tile(np.arange(count_rows(background)), len(block))
        for i in range(count_rows(rows)):
            row = take_inputs(rows, slice(i, i + 1))
            arguments = (present, row, background, index, int(outputs[i]))
            answer = predict_mixed(predict, masker, *arguments)
            worth[i, start : start + step] = answer.reshape(len(block), -1).mean(1)
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
    masker: Masker,
    outputs: IntArray,
    *,
    pairs: int,
    seed: int,
) -> Attribution:
    """SHAP values from sampled orders of the players.

    Each background row gets `pairs` random orders of its own, each with its reverse (Castro et
    al. 2009; Mitchell et al. 2022, "Sampling Permutations for Shapley Value Estimation", for the
    reverse). Up to four are one order begun at other players, so that each player is early in
    some and late in others: a tenth less error than independent orders at 12 and 16 players, while
    `std_error` takes them for independent. Every background row counts the same and a reversed
    pair is exact where no more than two players interact, so what is left to chance is small; and
    a row costs B · pairs · 2 (M - 1) predictions where KernelExplainer asks for B · (2 M + 2048).

    The values of a row add up to its prediction minus the mean over the background whatever the
    orders. All rows share them.

    Args:
        outputs: (n,) which output of `predict` is explained in each row.
        pairs: per background row, at least 1.
    """
    count, rng = len(masker), np.random.default_rng(seed)
    permutations = _permutations(rng, count_rows(background), pairs, count)
    at_base = predict(background)
    own = predict(rows)[np.arange(count_rows(rows)), outputs]
    total = np.zeros((count_rows(rows), count))
    spread = np.zeros((count_rows(rows), count))
    step = max(1, BLOCK // (pairs * 2 * max(count - 1, 1)))
    for start in range(0, count_rows(background), step):
        some = slice(start, start + step)
        order = permutations[some]  # (b, pairs, M)
        # the first k of an order, k = 1 … M - 1, and all but them: (2, b, pairs, M - 1, M)
        first = np.argsort(order, axis=-1)[..., None, :] < np.arange(1, count)[:, None]
        present = np.stack([first, ~first])
        shape, flat = present.shape[:-1], present.reshape(-1, count)
        which = np.broadcast_to(np.arange(len(order))[:, None, None], shape[1:])
        index = np.broadcast_to(which, shape).reshape(-1) + start
        for i in range(count_rows(rows)):
            row = take_inputs(rows, slice(i, i + 1))
            arguments = (flat, row, background, index, int(outputs[i]))
            answer = predict_mixed(predict, masker, *arguments)
            base = at_base[some, outputs[i]]
            gains = _gains(answer.reshape(shape), base, own[i])
            by_player = np.zeros(order.shape)
            np.put_along_axis(by_player, order, gains, axis=-1)
            total[i] += by_player.mean(1).sum(0)
            if pairs > 1:
                spread[i] += by_player.var(1, ddof=1).sum(0) / pairs
    base = at_base.mean(0)[outputs]
    return Attribution(
        values=total / count_rows(background),
        base=base,
        prediction=own,
        std_error=np.sqrt(spread) / count_rows(background) if pairs > 1 else None,
    )


def _permutations(rng: np.random.Generator, rows: int, pairs: int, count: int) -> IntArray:
    """Orders of the players: (rows, pairs, M)."""
    each = np.broadcast_to(np.arange(count), (rows, math.ceil(pairs / BEGUN), count))
    drawn = rng.permuted(each, axis=-1)
    begun = min(pairs, BEGUN)
    turned = [np.roll(drawn, k * count // begun, axis=-1) for k in range(begun)]
    return np.stack(turned, axis=2).reshape(rows, -1, count)[:, :pairs]


def _gains(answer: DoubleArray, base: DoubleArray, own: float) -> DoubleArray:
    """What the k-th player of each order adds, mean of the order and its reverse: (b, pairs, M).

    `answer` (2, b, pairs, M - 1): the first k players present, and all but them; `base` (b,) with
    none and `own` with all present.
    """
    none = np.broadcast_to(base[:, None, None], (*answer.shape[1:3], 1))
    everyone = np.full(none.shape, own)
    forward = np.diff(np.concatenate([none, answer[0], everyone], axis=-1), axis=-1)
    backward = -np.diff(np.concatenate([everyone, answer[1], none], axis=-1), axis=-1)
    return np.asarray((forward + backward) / 2, dtype=np.float64)
