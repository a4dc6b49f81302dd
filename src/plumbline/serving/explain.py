"""What each column of a row contributes to its prediction: Shapley values, sampled.

The reference is a row whose every cell is missing, as the version's own preparation fills missing
cells (numbers with the training rows' median, say). A contribution is the mean change of the
prediction when the column's cell appears, over random orders in which cells appear (Castro,
Gómez and Tejada 2009), each order with its reverse. Per row the contributions add up to the
prediction minus that of the reference.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl

from plumbline.inference.decided import PREDICTED
from plumbline.kinds import DoubleArray
from plumbline.serving.answers import PROBABILITY
from plumbline.serving.refused import Refused, refuse_cells
from plumbline.serving.request_rows import Row
from plumbline.serving.served import Served


@dataclass(frozen=True, kw_only=True)
class RowExplanation:
    """Contributions to one row's prediction.

    Attributes:
        output: what is explained: `p_<class>` of the predicted class, or `predicted`.
        value: of the row; `reference`: of a row of missing cells.
        standard_errors: of the contributions, from their spread; None of a single pair.
        permutations: how many were drawn.
    """

    predicted: str | float
    output: str
    value: float
    reference: float
    contributions: dict[str, float]
    standard_errors: dict[str, float] | None
    permutations: int


def explain_rows(served: Served, rows: Sequence[Row], evaluations: int) -> list[RowExplanation]:
    """Explain parsed rows.

    Args:
        evaluations: rows that the model predicts for it, at most.

    Raises:
        Refused: 422, a cell cannot be read, or there are too many columns for so few evaluations.
    """
    table, wrong = served.predict_table(rows)
    if wrong:
        raise refuse_cells(wrong)
    names = [column.name for column in served.parser.columns]
    each = 2 * (len(names) + 1)  # an order and its reverse
    pairs = evaluations // (len(rows) * each)
    if not pairs:
        raise Refused(
            422,
            f"explaining {len(rows)} rows of {len(names)} columns takes {len(rows) * each} "
            f"evaluations, wanted at most {evaluations} (serve.explain_evaluations); "
            "send fewer rows",
        )
    rng = np.random.default_rng(0)  # the same request gets the same answer
    return [
        _explain(served, row, predicted, names, pairs, rng)
        for row, predicted in zip(rows, table[PREDICTED], strict=True)
    ]


def _explain(
    served: Served,
    row: Row,
    predicted: str | float,
    names: Sequence[str],
    pairs: int,
    rng: np.random.Generator,
) -> RowExplanation:
    drawn = [rng.permutation(len(names)) for _ in range(pairs)]
    permutations = [order for one in drawn for order in (one, one[::-1])]
    output = f"{PROBABILITY}{predicted}" if isinstance(predicted, str) else PREDICTED
    values = _values(served, row, names, permutations, output)  # (permutations, columns + 1)
    steps = np.empty((len(permutations), len(names)))
    for number, order in enumerate(permutations):
        steps[number, order] = np.diff(values[number])
    by_pair = steps.reshape(pairs, 2, -1).mean(axis=1)
    errors = by_pair.std(axis=0, ddof=1) / np.sqrt(pairs) if pairs > 1 else None
    return RowExplanation(
        predicted=predicted,
        output=output,
        value=float(values[0, -1]),
        reference=float(values[0, 0]),
        contributions=dict(zip(names, by_pair.mean(axis=0).tolist(), strict=True)),
        standard_errors=None if errors is None else dict(zip(names, errors.tolist(), strict=True)),
        permutations=len(permutations),
    )


def _values(
    served: Served, row: Row, names: Sequence[str], permutations: Sequence[np.ndarray], output: str
) -> DoubleArray:
    """The prediction while the row's cells appear one by one: (permutations, columns + 1)."""
    steps: list[Row] = []
    for order in permutations:
        shown: Row = dict.fromkeys(names)
        steps.append(dict(shown))
        for position in order:
            name = names[position]
            shown[name] = row[name]
            steps.append(dict(shown))
    table, _ = served.predict_table(steps)
    values = table[output].cast(pl.Float64).to_numpy()
    return np.asarray(values).reshape(len(permutations), len(names) + 1)
