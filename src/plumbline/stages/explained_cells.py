"""The cells of single rows that are explained part by part, as the explain stage writes them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, TypeVar

import numpy as np

from plumbline.artifacts import CellExplanations, PatchExplanations, WordExplanations
from plumbline.evaluation.cell_parts import (
    AnyCell,
    CellExplanation,
    explain_cells,
    faithfulness_of,
)
from plumbline.evaluation.explanation import Case, Pick
from plumbline.evaluation.explanation_budget import CELL_METHODS, CellEffort, plan_cells
from plumbline.evaluation.faithfulness import DRAWS, FEW, deletions
from plumbline.evaluation.image_parts import OpenImage, count_patches, open_image
from plumbline.evaluation.text_parts import MOST_PARTS, OpenText, cuts, open_text
from plumbline.examples import InputSpec, TensorSpec
from plumbline.images import as_data_uri
from plumbline.kinds import ByteArray, ColumnType
from plumbline.preprocessing.bagged import each_transformer, load_transformer
from plumbline.preprocessing.preparers import PREPARER_OF
from plumbline.preprocessing.text import TextPreparer
from plumbline.preprocessing.tokenizer import TextTokenizer
from plumbline.preprocessing.transform import TableTransformer

Written = TypeVar("Written", bound=CellExplanations)

MOST_COLUMNS = 3  # of a kind, whose cells are opened
MOST_SIDE = 96  # pixels of the pictures that are kept
CUT, AS_UNKNOWN = "cut out", "unknown token"  # what becomes of an absent word
MEAN_IMAGE = "mean of the training images"  # what an absent patch shows


def columns_of(spec: InputSpec, kind: str) -> dict[str, list[TensorSpec]]:
    """Columns of a kind that the model reads, with the tensor of each, one per network of a
    bag."""
    columns: dict[str, list[TensorSpec]] = {}
    for tensor in spec.of_kind(kind):
        columns.setdefault(tensor.sources[0], []).append(tensor)
    return columns


def plan_words(cost: float, spec: InputSpec, rows: int, fewest: int, samples: int) -> CellEffort:
    """Rows whose texts are opened, and how much is asked about each text. Never fewer than tell
    how faithful a method is: to read a text costs little."""
    return _plan(cost, spec, "text", MOST_PARTS, rows, max(fewest, FEW), samples)


def plan_patches(cost: float, spec: InputSpec, rows: int, fewest: int, samples: int) -> CellEffort:
    """Rows whose images are opened, and how much is asked about each image."""
    sides = [tensor.empty(1).shape[2:] for tensor in spec.of_kind("image")]
    parts = max((count_patches(*each) for each in sides), default=1)
    return _plan(cost, spec, "image", parts, rows, fewest, samples)


def _plan(
    cost: float, spec: InputSpec, kind: str, parts: int, rows: int, fewest: int, samples: int
) -> CellEffort:
    columns = columns_of(spec, kind)
    rows = rows if columns else 0
    return plan_cells(
        cost,
        rows=rows,
        fewest=min(rows, fewest),
        columns=min(len(columns), MOST_COLUMNS),
        parts=parts,
        samples=samples,
        deletions=deletions(parts, CELL_METHODS)
        // DRAWS,  # there is one empty cell, and no background
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
    tensors = columns_of(spec, "text")
    columns, others = _ranked(tensors, picks, ranking)
    absent = {
        column: CUT if any(cuts(case.background[t.name]) for t in tensors[column]) else AS_UNKNOWN
        for column in columns
    }
    networks = each_transformer(load_transformer(preprocessor)) if columns else ()
    tokenizers = {
        column: {t.name: _tokenizer(networks[t.network or 0], column) for t in tensors[column]}
        for column in columns
    }
    opened: list[tuple[Pick, OpenText]] = []
    for pick in picks:
        for column, own in tokenizers.items():
            cell = open_text(
                column,
                pick.position,
                pick.values[column],
                own,
                {tensor: case.rows[tensor][pick.position] for tensor in own},
                cut=absent[column] == CUT,
            )
            if cell is not None:
                opened.append((pick, cell))
    explained = explain_cells(case, [cell for _, cell in opened], effort)
    rows = [_text(case, pick, cell) for (pick, _), cell in zip(opened, explained, strict=True)]
    return _written(WordExplanations, case, rows, explained, absent, others, budget)


def _tokenizer(transformer: TableTransformer, column: str) -> TextTokenizer:
    preparer = transformer.preparers_[PREPARER_OF[ColumnType.TEXT]]
    assert isinstance(preparer, TextPreparer)
    return preparer.tokenizers_[column]


def explain_patches(
    case: Case,
    spec: InputSpec,
    absent: Mapping[str, ByteArray],
    picks: Sequence[Pick],
    ranking: Sequence[str],
    effort: CellEffort,
    budget: Mapping[str, Any],
) -> PatchExplanations:
    """The images of these rows by their patches; of many image columns, those that SHAP ranks
    first.

    Args:
        absent: tensor -> what an absent patch shows.
        ranking: columns, the most important first.
    """
    tensors = columns_of(spec, "image")
    columns, others = _ranked(tensors, picks, ranking)
    opened: list[tuple[Pick, OpenImage]] = []
    for pick in picks:
        for column in columns:
            own = {t.name: case.rows[t.name][pick.position] for t in tensors[column]}
            cell = open_image(column, pick.position, own, absent)
            if cell is not None:
                opened.append((pick, cell))
    explained = explain_cells(case, [cell for _, cell in opened], effort)
    rows = [_image(case, pick, cell) for (pick, _), cell in zip(opened, explained, strict=True)]
    shown = dict.fromkeys(columns, MEAN_IMAGE)
    return _written(PatchExplanations, case, rows, explained, shown, others, budget)


def _written(
    kind: type[Written],
    case: Case,
    rows: Sequence[Mapping[str, Any]],
    explained: Sequence[CellExplanation[AnyCell]],
    absent: Mapping[str, str],
    others: Sequence[str],
    budget: Mapping[str, Any],
) -> Written:
    """The record; the keys of `absent` are the columns whose cells were opened."""
    tests = faithfulness_of(explained)
    return kind(
        of=case.of,
        columns=list(absent),
        others=others,
        absent=absent,
        rows=rows,
        faithfulness={
            column: {method: test.to_json() for method, test in own.items()}
            for column, own in tests.items()
        },
        budget=dict(budget),
    )


def _ranked(
    tensors: Mapping[str, Any], picks: Sequence[Pick], ranking: Sequence[str]
) -> tuple[list[str], list[str]]:
    """Which columns are opened, and which are not."""
    ranked = [column for column in ranking if column in tensors]
    columns = ranked[:MOST_COLUMNS] if picks else []
    return columns, [column for column in ranked if column not in columns]


def _outcome(case: Case, pick: Pick, explained: CellExplanation[AnyCell]) -> dict[str, Any]:
    return {
        "row": int(case.numbers[pick.position]),
        "column": explained.cell.column,
        "reason": pick.reason,
        "actual": pick.actual,
        "predicted": pick.predicted,
        "class": case.classes[case.outputs[pick.position]] if case.classes else None,
        "prediction": explained.prediction,
    }


def _text(case: Case, pick: Pick, explained: CellExplanation[OpenText]) -> dict[str, Any]:
    cell = explained.cell
    return {
        **_outcome(case, pick, explained),
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


def _image(case: Case, pick: Pick, explained: CellExplanation[OpenImage]) -> dict[str, Any]:
    cell = explained.cell
    down, across = cell.edges
    shape = (len(down) - 1, len(across) - 1)
    return {
        **_outcome(case, pick, explained),
        "without_patches": explained.base,
        "std_error": explained.std_error,
        "r2": explained.r2,
        "height": int(down[-1]),
        "width": int(across[-1]),
        "down": list(down),
        "across": list(across),
        "picture": as_data_uri(cell.pixels, MOST_SIDE),
        "patches": {
            method: np.asarray(values).reshape(shape).tolist()
            for method, values in explained.values.items()
        },
    }
