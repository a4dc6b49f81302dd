"""One cell, explained part by part: the words of a text, the patches of an image.

The game of a cell is played inside its row: its parts are the players, and the rest of the row
keeps its own values. With all parts the prediction is the row's own, with none it is that of the
row whose cell says nothing, and SHAP values add up to the difference. Every method of
`explanation` is asked the same question and put to the same deletion test.

M parts of a cell.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

import numpy as np
import torch

from plumbline.evaluation.attribution import ENUMERATED, exact_shapley, sampled_shapley
from plumbline.evaluation.explanation import Case
from plumbline.evaluation.explanation_budget import CellEffort
from plumbline.evaluation.faithfulness import Faithfulness, deletion_areas, summarize
from plumbline.evaluation.gradients import (
    CELL_STEPS,
    Spread,
    integrated_gradients,
    saliency,
)
from plumbline.evaluation.lime_local import explain_row
from plumbline.evaluation.masker import Masker, TensorMasker
from plumbline.examples import Inputs, take_inputs
from plumbline.kinds import DoubleArray
from plumbline.models.input_gradients import attention_map


@dataclass(frozen=True, kw_only=True)
class OpenCell:
    """A cell taken apart.

    Attributes:
        position: of its row among the explained ones.
        maskers: by tensor that the cell is read as, one per network of a bag: the same players.
        absent: by tensor (1, *shape), the cell without any part.
        spread: how gradients of its tensors are scaled.
    """

    column: str
    position: int
    maskers: Mapping[str, TensorMasker]
    absent: Inputs
    spread: Spread


AnyCell = TypeVar("AnyCell", bound=OpenCell)


@dataclass(frozen=True, kw_only=True)
class CellExplanation(Generic[AnyCell]):
    """Values (M,) by method, `shap` first, which add up to `prediction` minus `base`; and for
    each method the areas (3,) of its deletion test."""

    cell: AnyCell
    base: float
    prediction: float
    std_error: float | None
    r2: float
    values: Mapping[str, DoubleArray]
    areas: Mapping[str, DoubleArray]


def explain_cells(
    case: Case, cells: Iterable[AnyCell], effort: CellEffort
) -> list[CellExplanation[AnyCell]]:
    """Explain each cell by every method that its encoder allows."""
    return [_explain(case, cell, effort) for cell in cells]


def _explain(case: Case, cell: AnyCell, effort: CellEffort) -> CellExplanation[AnyCell]:
    i = cell.position
    row, outputs = take_inputs(case.rows, slice(i, i + 1)), case.outputs[i : i + 1]
    none = {**row, **cell.absent}
    masker = Masker.inside(cell.maskers, row)
    arguments = (case.predict, row, none, masker, outputs)
    seed = int(np.random.SeedSequence((case.seed, int(case.numbers[i]))).generate_state(1)[0])
    shap = (
        exact_shapley(*arguments)
        if len(masker) <= ENUMERATED
        else sampled_shapley(*arguments, pairs=effort.pairs, seed=seed)
    )
    local = explain_row(*arguments[:4], int(outputs[0]), samples=effort.samples, seed=seed)
    inside = (row, none, masker, outputs)
    spreads = dict.fromkeys(cell.maskers, cell.spread)
    values = {
        "shap": shap.values[0],
        "lime": local.weights,
        "integrated_gradients": integrated_gradients(case.deployed, *inside, CELL_STEPS)[0],
        "saliency": saliency(case.deployed, row, case.background, masker, outputs, spreads)[0],
    }
    attended = _attention(case, cell, row)
    if attended is not None:
        values["attention"] = attended
    importances = {method: own[None] for method, own in values.items()}
    areas = deletion_areas(*arguments, importances, seed=seed)
    error = shap.std_error
    return CellExplanation(
        cell=cell,
        base=float(shap.base[0]),
        prediction=float(shap.prediction[0]),
        std_error=None if error is None else float(np.sqrt(np.square(error).mean())),
        r2=local.r2,
        values=values,
        areas={method: own[:, 0] for method, own in areas.items()},
    )


def _attention(case: Case, cell: OpenCell, row: Inputs) -> DoubleArray | None:
    """To each part, the mean over the networks that read the cell; None where an encoder has
    none."""
    pooled = []
    for tensor, masker in cell.maskers.items():
        attended = attention_map(case.architecture, tensor, torch.tensor(row[tensor]))
        if attended is None:
            return None
        pooled.append(masker.pool(attended[0].double().numpy()))
    mean: DoubleArray = np.mean(pooled, axis=0)
    return mean


def faithfulness_of(
    cells: Sequence[CellExplanation[AnyCell]],
) -> dict[str, dict[str, Faithfulness]]:
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
