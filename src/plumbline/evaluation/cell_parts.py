"""One cell, explained part by part: the words of a text.

The game of a cell is played inside its row: its parts are the players, and the rest of the row
keeps its own values. With all parts the prediction is the row's own, with none it is that of the
row whose cell says nothing, and SHAP values add up to the difference. Every method of
`explanation` is asked the same question and put to the same deletion test.

L tokens, M parts of a cell.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from plumbline.evaluation.attribution import ENUMERATED, exact_shapley, sampled_shapley
from plumbline.evaluation.explanation import Case
from plumbline.evaluation.explanation_budget import CellEffort
from plumbline.evaluation.faithfulness import Faithfulness, deletion_areas, summarize
from plumbline.evaluation.gradients import (
    Spread,
    integrated_gradients,
    saliency,
    spread_of_tokens,
)
from plumbline.evaluation.lime_local import explain_row
from plumbline.evaluation.masker import Masker, TensorMasker, TokenMasker
from plumbline.examples import PADDING, UNKNOWN, take_inputs
from plumbline.kinds import DoubleArray, IntArray
from plumbline.models.input_gradients import attention_map
from plumbline.preprocessing.tokenizer import TextTokenizer
from plumbline.preprocessing.words import split_words

MOST_PARTS = 30  # of a cell; more words become runs of words
MOST_TEXT = 300  # characters of a part that are kept
LEARNED = 0.01  # of the training tokens are unknown ones: the model has learned what they mean


@dataclass(frozen=True, kw_only=True)
class CellPart:
    """A part of a cell: its text, where it stands in the cell, in characters, and whether any of
    it is in the vocabulary."""

    text: str
    start: int
    end: int
    known: bool


@dataclass(frozen=True, kw_only=True)
class OpenCell:
    """A cell taken apart.

    Attributes:
        position: of its row among the explained ones.
        absent: (1, *shape), the cell without any part.
        spread: how gradients of its tensor are scaled.
        size, read: characters that the cell has, and how many of them the model reads.
    """

    column: str
    tensor: str
    position: int
    masker: TensorMasker
    absent: NDArray[Any]
    spread: Spread
    parts: tuple[CellPart, ...]
    size: int
    read: int


@dataclass(frozen=True, kw_only=True)
class CellExplanation:
    """Values (M,) by method, `shap` first, which add up to `prediction` minus `base`; and for
    each method the areas (3,) of its deletion test."""

    cell: OpenCell
    base: float
    prediction: float
    std_error: float | None
    r2: float
    values: Mapping[str, DoubleArray]
    areas: Mapping[str, DoubleArray]


def open_text(
    column: str,
    tensor: str,
    position: int,
    text: str | None,
    tokenizer: TextTokenizer,
    own: IntArray,
    *,
    cut: bool,
) -> OpenCell | None:
    """The words of a text that the tokenizer reads, as runs where there are more than
    `MOST_PARTS`; None where it reads none.

    Args:
        own: (L,) the ids that the row has.
        cut: an absent word is cut out; otherwise it becomes unknown tokens (`cuts`).
    """
    whole = text or ""
    ids, spans = tokenizer.spans(text)
    assert np.array_equal(ids, own[own != PADDING]), "the row was made from another text"
    words = split_words(whole[: int(spans[-1, 1])]) if len(ids) else []
    if not words:
        return None
    starts = np.array([start for start, _ in words])
    word = np.maximum(np.searchsorted(starts, spans[:, 0], side="right") - 1, 0)  # (T,)
    with_token = np.unique(word)
    count = min(len(with_token), MOST_PARTS)
    part_of = np.arange(len(with_token)) * count // len(with_token)
    owner = np.full(tokenizer.length, -1, dtype=np.int64)
    owner[: len(ids)] = part_of[np.searchsorted(with_token, word)]
    # a word without a token belongs to the part before it
    begins = [int(starts[with_token[part_of == k][0]]) for k in range(count)]
    begins[0] = int(starts[0])
    ends = [*begins[1:], words[-1][1]]
    masker = TokenMasker(owner, tuple(map(str, range(count))), cut=cut)
    known = masker.pool((own != UNKNOWN).astype(np.float64)) > 0
    nobody = np.zeros((1, count), dtype=bool)
    return OpenCell(
        column=column,
        tensor=tensor,
        position=position,
        masker=masker,
        absent=masker.mix(nobody, own[None], own[None]),
        spread=spread_of_tokens,
        parts=tuple(_part(whole, *each) for each in zip(begins, ends, known.tolist(), strict=True)),
        size=len(whole.rstrip()),
        read=words[-1][1],
    )


def cuts(background: IntArray) -> bool:
    """Whether absent words are cut out, as the ids (B, L) of training texts have too few unknown
    tokens for the model to have learned what one means."""
    tokens = background[background != PADDING]
    return len(tokens) == 0 or bool((tokens == UNKNOWN).mean() < LEARNED)


def _part(text: str, start: int, end: int, known: bool) -> CellPart:
    shown = text[start:end].rstrip()
    end = start + len(shown)
    if len(shown) > MOST_TEXT:
        shown = shown[:MOST_TEXT] + "…"
    return CellPart(text=" ".join(shown.split()), start=start, end=end, known=known)


def explain_cells(
    case: Case, cells: Iterable[OpenCell], effort: CellEffort
) -> list[CellExplanation]:
    """Explain each cell by every method that its encoder allows."""
    return [_explain(case, cell, effort) for cell in cells]


def _explain(case: Case, cell: OpenCell, effort: CellEffort) -> CellExplanation:
    i = cell.position
    row, outputs = take_inputs(case.rows, slice(i, i + 1)), case.outputs[i : i + 1]
    none = {**row, cell.tensor: cell.absent}
    masker = Masker.inside(cell.tensor, cell.masker, row)
    arguments = (case.predict, row, none, masker, outputs)
    seed = int(np.random.SeedSequence((case.seed, int(case.numbers[i]))).generate_state(1)[0])
    shap = (
        exact_shapley(*arguments)
        if len(masker) <= ENUMERATED
        else sampled_shapley(*arguments, pairs=effort.pairs, seed=seed)
    )
    local = explain_row(*arguments[:4], int(outputs[0]), samples=effort.samples, seed=seed)
    inside = (row, none, masker, outputs)
    spreads = {cell.tensor: cell.spread}
    values = {
        "shap": shap.values[0],
        "lime": local.weights,
        "integrated_gradients": integrated_gradients(case.deployed, *inside)[0],
        "saliency": saliency(case.deployed, row, case.background, masker, outputs, spreads)[0],
    }
    attended = attention_map(case.architecture, cell.tensor, torch.tensor(row[cell.tensor]))
    if attended is not None:
        values["attention"] = cell.masker.pool(attended[0].double().numpy())
    error = shap.std_error
    return CellExplanation(
        cell=cell,
        base=float(shap.base[0]),
        prediction=float(shap.prediction[0]),
        std_error=None if error is None else float(np.sqrt(np.square(error).mean())),
        r2=local.r2,
        values=values,
        areas={
            method: deletion_areas(*arguments, own[None], seed=seed)[:, 0]
            for method, own in values.items()
        },
    )


def faithfulness_of(cells: Sequence[CellExplanation]) -> dict[str, dict[str, Faithfulness]]:
    """Column -> method -> what the deletion test says over the cells of the column."""
    columns = dict.fromkeys(each.cell.column for each in cells)
    tested = {}
    for column in columns:
        own = [each for each in cells if each.cell.column == column]
        tested[column] = {
            method: summarize(np.stack([each.areas[method] for each in own], axis=1))
            for method in own[0].areas
        }
    return tested
