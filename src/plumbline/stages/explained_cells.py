"""The cells of single rows that are explained part by part, as the explain stage writes them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from plumbline.artifacts import WordExplanations
from plumbline.evaluation.cell_parts import (
    MOST_PARTS,
    CellExplanation,
    OpenCell,
    cuts,
    explain_cells,
    faithfulness_of,
    open_text,
)
from plumbline.evaluation.explanation import Case, Pick
from plumbline.evaluation.explanation_budget import CellEffort, plan_cells
from plumbline.evaluation.faithfulness import DRAWS, deletions
from plumbline.examples import InputSpec
from plumbline.kinds import ColumnType
from plumbline.preprocessing.preparers import PREPARER_OF
from plumbline.preprocessing.text import TextPreparer
from plumbline.preprocessing.transform import TableTransformer

MOST_COLUMNS = 3  # text columns whose cells are opened
CUT, AS_UNKNOWN = "cut out", "unknown token"  # what becomes of an absent word


def text_columns(spec: InputSpec) -> dict[str, str]:
    """Text columns that the model reads, with the tensor of each."""
    return {tensor.sources[0]: tensor.name for tensor in spec.of_kind("text")}


def plan_words(cost: float, spec: InputSpec, rows: int, fewest: int, samples: int) -> CellEffort:
    """Rows whose texts are opened, and how much is asked about each text."""
    return plan_cells(
        cost,
        rows=rows,
        fewest=min(rows, fewest),
        columns=min(len(text_columns(spec)), MOST_COLUMNS),
        parts=MOST_PARTS,
        samples=samples,
        deletions=deletions(MOST_PARTS) // DRAWS,  # there is one empty cell, and no background
    )


def explain_words(
    case: Case,
    spec: InputSpec,
    preprocessor: Mapping[str, Any],
    picks: Sequence[Pick],
    ranking: Sequence[str],
    effort: CellEffort,
    budget: Mapping[str, Any],
) -> WordExplanations:
    """The texts of these rows by their words; of many text columns, those that SHAP ranks first.

    Args:
        preprocessor: the state that the model was saved with.
        ranking: columns, the most important first.
    """
    tensors = text_columns(spec)
    ranked = [column for column in ranking if column in tensors]
    columns = ranked[:MOST_COLUMNS] if picks else []
    absent = {c: CUT if cuts(case.background[tensors[c]]) else AS_UNKNOWN for c in columns}
    opened: list[tuple[Pick, OpenCell]] = []
    if columns:
        preparer = TableTransformer.from_json(preprocessor).preparers_[PREPARER_OF[ColumnType.TEXT]]
        assert isinstance(preparer, TextPreparer)
        for pick in picks:
            for column in columns:
                cell = open_text(
                    column,
                    tensors[column],
                    pick.position,
                    pick.values[column],
                    preparer.tokenizers_[column],
                    case.rows[tensors[column]][pick.position],
                    cut=absent[column] == CUT,
                )
                if cell is not None:
                    opened.append((pick, cell))
    explained = explain_cells(case, [cell for _, cell in opened], effort)
    return WordExplanations(
        of=case.of,
        columns=columns,
        absent=absent,
        others=[column for column in ranked if column not in columns],
        rows=[_row(case, pick, cell) for (pick, _), cell in zip(opened, explained, strict=True)],
        faithfulness={
            column: {method: test.to_json() for method, test in tests.items()}
            for column, tests in faithfulness_of(explained).items()
        },
        budget=dict(budget),
    )


def _row(case: Case, pick: Pick, explained: CellExplanation) -> dict[str, Any]:
    cell = explained.cell
    return {
        "row": int(case.numbers[pick.position]),
        "column": cell.column,
        "reason": pick.reason,
        "actual": pick.actual,
        "predicted": pick.predicted,
        "class": case.classes[case.outputs[pick.position]] if case.classes else None,
        "prediction": explained.prediction,
        "without_words": explained.base,
        "std_error": explained.std_error,
        "r2": explained.r2,
        "characters": cell.size,
        "characters_read": cell.read,
        "words": [
            {
                "text": part.text,
                "start": part.start,
                "end": part.end,
                "known": part.known,
                **{method: float(values[k]) for method, values in explained.values.items()},
            }
            for k, part in enumerate(cell.parts)
        ],
    }
