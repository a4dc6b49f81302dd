"""What each column of a row contributes to its prediction: Shapley values, sampled.

The reference is a row whose every cell is missing, as the version's own preparation fills missing
cells (numbers with the training rows' median, say). A contribution is the mean change of the
prediction when the column's cell appears, over random permutations in which cells appear (Castro,
Gómez and Tejada 2009), each order with its reverse. Per row the contributions add up to the
prediction minus that of the reference.

Cells are read, and images decoded, once: every feature is made from one column, so the tensors of
the row and of the reference make those of any row between.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from plumbline.evaluation.masker import Masker
from plumbline.evaluation.mixed import predict_mixed
from plumbline.examples import take_inputs
from plumbline.inference.decided import PREDICTED
from plumbline.kinds import DoubleArray
from plumbline.serving.answers import PROBABILITY
from plumbline.serving.refused import Refused, refuse_cells
from plumbline.serving.request_rows import Row
from plumbline.serving.served import Served

AT_ONCE = 256  # rows predicted between two looks at the clock


@dataclass(frozen=True, kw_only=True)
class RowExplanation:
    """Contributions to one row's prediction.

    Attributes:
        output: what is explained: `p_<class>` of the predicted class, or `predicted`.
        value: of the row; `reference`: of a row of missing cells.
        standard_errors: of the contributions, from their spread; None of a single pair.
        permutations: how many were drawn.
        limited_by: what ended the drawing.
    """

    predicted: str | float
    output: str
    value: float
    reference: float
    contributions: dict[str, float]
    standard_errors: dict[str, float] | None
    permutations: int
    limited_by: Literal["evaluations", "time"]


def explain_rows(
    served: Served, rows: Sequence[Row], *, evaluations: int, seconds: float, until: float
) -> list[RowExplanation]:
    """Explain parsed rows. Where the time is up, with the orders that were drawn by then.

    Args:
        evaluations: rows that the model predicts for it, at most.
        seconds: that it may take.
        until: when it has to be done, whatever `seconds` is; of `time.perf_counter`.

    Raises:
        Refused: 422, a cell cannot be read, or there are too many columns for so few evaluations;
            503, the time was up before a pair of orders was done for every row.
    """
    end = min(time.perf_counter() + seconds, until)
    table, wrong = served.predict_table(rows)
    if wrong:
        raise refuse_cells(wrong)
    masker = Masker.of(served.predictor.spec)
    each = 2 * (len(masker) + 1)  # an order and its reverse
    pairs = evaluations // (len(rows) * each)
    if not pairs:
        raise Refused(
            422,
            f"explaining {len(rows)} rows of {len(masker)} columns takes {len(rows) * each} "
            f"evaluations, wanted at most {evaluations} (serve.explain_evaluations); "
            "send fewer rows",
        )
    explained = []
    for number, (row, predicted) in enumerate(zip(rows, table[PREDICTED], strict=True)):
        now = time.perf_counter()
        own = _explain(
            served, masker, row, predicted, pairs, now + (end - now) / (len(rows) - number)
        )
        if own is None:
            raise Refused(
                503,
                f"the time was up before row {number} of {len(rows)} was explained "
                f"(serve.explain_seconds: {seconds:g}); send fewer rows, or send them again later",
                retry_after=1,
            )
        explained.append(own)
    return explained


def _explain(
    served: Served, masker: Masker, row: Row, predicted: str | float, pairs: int, end: float
) -> RowExplanation | None:
    """None: the time was up before there was a pair."""
    output = f"{PROBABILITY}{predicted}" if isinstance(predicted, str) else PREDICTED
    by_pair: list[DoubleArray] = []  # contributions (columns,)
    ends = np.empty(2)
    for permutations, values in _drawn(served, masker, row, predicted, pairs, end):
        steps = np.empty(permutations.shape)  # (permutations, columns)
        np.put_along_axis(steps, permutations, np.diff(values), axis=1)
        by_pair += list(steps.reshape(-1, 2, len(masker)).mean(axis=1))
        ends = values[0, [0, -1]]
    if not by_pair:
        return None
    drawn, names = np.array(by_pair), [column.name for column in served.parser.columns]
    place = [masker.names.index(name) for name in names]
    means, errors = drawn.mean(axis=0)[place], None
    if len(drawn) > 1:
        spread = drawn.std(axis=0, ddof=1)[place] / np.sqrt(len(drawn))
        errors = dict(zip(names, spread.tolist(), strict=True))
    return RowExplanation(
        predicted=predicted,
        output=output,
        value=float(ends[1]),
        reference=float(ends[0]),
        contributions=dict(zip(names, means.tolist(), strict=True)),
        standard_errors=errors,
        permutations=2 * len(drawn),
        limited_by="evaluations" if len(drawn) == pairs else "time",
    )


def _drawn(
    served: Served, masker: Masker, row: Row, predicted: str | float, pairs: int, end: float
) -> Iterator[tuple[NDArray[np.int64], DoubleArray]]:
    """Orders (n, columns), each followed by its reverse, and the prediction while the row's cells
    appear in them (n, columns + 1); some at a time until there are `pairs` or the time is up."""
    predictor, count = served.predictor, len(masker)
    classes = predictor.schema.classes
    output = classes.index(predicted) if isinstance(predicted, str) else 0
    both = served.inputs([row, dict.fromkeys(row)])
    own, reference = take_inputs(both, slice(0, 1)), take_inputs(both, slice(1, 2))
    rng = np.random.default_rng(0)  # the same request gets the same answer
    left, some, most = pairs, 1, max(1, AT_ONCE // (2 * (count + 1)))
    while left:  # a pair first, which may be all that there is time for
        some = min(some, most, left)
        drawn = [rng.permutation(count) for _ in range(some)]
        permutations = np.array([order for one in drawn for order in (one, one[::-1])])
        ranks = np.argsort(permutations, axis=1)[:, None, :]  # when each column's cell appears
        present = (ranks < np.arange(count + 1)[:, None]).reshape(-1, count)
        values = np.empty(len(present))
        for first in range(0, len(present), AT_ONCE):
            if time.perf_counter() > end:
                return
            part = present[first : first + AT_ONCE]
            values[first : first + AT_ONCE] = predict_mixed(
                predictor.graph, masker, part, own, reference, np.zeros(len(part), int), output
            )
        yield permutations, values.reshape(len(permutations), count + 1)
        left, some = left - some, 2 * some
