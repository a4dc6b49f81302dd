"""How much asking a model may cost: the same on every machine, so that results are too."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from plumbline.evaluation.attribution import ENUMERATED
from plumbline.evaluation.distinct import KINDS
from plumbline.examples import Inputs, InputSpec, take_inputs
from plumbline.models.input_gradients import encoders_of

BUDGET = 2.5e11  # floating-point operations of SHAP: 5 to 20 seconds of one core
PART = 0.4  # of it: gradients, the deletion test, words and patches each
PAIRS = 2  # pairs of orders per background row, where the budget allows
FEWEST = 10  # background rows, whatever the budget
FEWEST_ROWS = 20  # that are explained, whatever the budget
PASSES = 100  # predictions that the gradients of a row along its path are worth
FEWEST_TESTED = 20  # rows of the deletion test, whatever the budget
CELL_PAIRS = 32  # pairs of orders of the parts of a cell, where the budget allows
FEWEST_CELL_PAIRS = 4
GRADIENTS = 400  # predictions that a pass with gradients over a cell's path is worth
CELL_METHODS = 5
TESTED = 3  # methods that the deletion test is run for, but for LIME's few rows and attention

# how often the weights of a layer are used, from what it gives; others: once per row
PLACES: dict[type[nn.Module], Callable[[Any], float]] = {
    nn.Linear: lambda out: out.numel() / out.shape[-1],
    **dict.fromkeys((nn.Conv1d, nn.Conv2d), lambda out: out.numel() / out.shape[1]),
    **dict.fromkeys((nn.RNN, nn.LSTM, nn.GRU), lambda out: out[0].numel() / out[0].shape[-1]),
}


@dataclass(frozen=True, kw_only=True)
class Effort:
    """Rows, background rows, pairs of orders for each of them, and rows of the deletion test."""

    rows: int
    background: int
    pairs: int
    tested: int


@dataclass(frozen=True, kw_only=True)
class CellEffort:
    """How many rows have their cells opened, pairs of orders of a cell's parts, and LIME's
    samples."""

    rows: int
    pairs: int
    samples: int


@torch.no_grad()
def operations(model: nn.Module, spec: InputSpec, changing: Collection[str] = KINDS) -> float:
    """About how many floating-point operations the prediction of a row takes; at least 1.

    Args:
        changing: kinds of cells, of `KINDS`, that are others in each row; the rest are encoded
            once (`distinct`).

    Two per weight, times the places that it is applied at (tokens, members, pixels). Torch's own
    counters import its compiler for it, which takes seconds.
    """
    rows, counted = 2, [1.0]

    def count(module: nn.Module, given: object, out: Any) -> None:
        weights = sum(p.numel() for p in module.parameters(recurse=False))
        places_of = PLACES.get(type(module))
        places = rows if places_of is None else places_of(out)
        counted.append(2.0 * weights * places / rows)

    once = [encoders_of(model)[t.name] for t in spec if t.kind in {*KINDS} - {*changing}]
    left_out = {module for encoder in once for module in encoder.modules()}
    own = [m for m in model.modules() if not isinstance(m, nn.Embedding) and m not in left_out]
    weighted = [m for m in own if next(m.parameters(recurse=False), None) is not None]
    _watch(model, weighted, count, spec.empty(rows))
    return sum(counted)


@torch.no_grad()
def activation_bytes(model: nn.Module, rows: Inputs) -> int:
    """About how many bytes a pass with gradients takes for one of these rows: what all modules
    that hold no others give, and as much again for what is made between them."""
    counted = [1]

    def count(module: nn.Module, given: object, out: object) -> None:
        if isinstance(out, Tensor):
            counted.append(2 * out.numel() * out.element_size())

    leaves = [m for m in model.modules() if next(m.children(), None) is None]
    _watch(model, leaves, count, take_inputs(rows, slice(0, 1)))
    return sum(counted)


def _watch(
    model: nn.Module, modules: Iterable[nn.Module], hook: Callable[..., None], rows: Inputs
) -> None:
    """Call `hook` with what each of the modules gives in a forward pass."""
    hooks = [module.register_forward_hook(hook) for module in modules]
    try:
        model(**{name: torch.tensor(array) for name, array in rows.items()})
    finally:
        for each in hooks:
            each.remove()


@contextmanager
def one_thread() -> Iterator[None]:
    """A single thread for torch: thousands of small batches lose more to waiting for each other
    than a second thread gains, on a busy machine by a factor of ten."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def plan(
    cost: float,
    *,
    gradients: float,
    rows: int,
    features: int,
    background: int,
    tested: int,
    deletions: int,
) -> Effort:
    """Fewer orders for a model that costs more, then fewer background rows; fewer rows of the
    deletion test; and fewer rows for one whose gradients cost more.

    Args:
        cost: operations of a prediction of one row, whose texts and images are encoded already.
        gradients: the same of a row whose are not, for passes with gradients.
        rows: to be explained.
        background: background rows at hand.
        tested: rows at hand for the deletion test.
        deletions: predictions that it takes per row, of `TESTED` methods.
    """
    rows = min(rows, max(FEWEST_ROWS, int(PART * BUDGET / (PASSES * gradients))))
    queries = 2.0**features if features <= ENUMERATED else 2.0 * (features - 1)
    affordable = int(BUDGET / (queries * rows * cost))  # background rows, with a pair each
    tests = int(PART * BUDGET / (deletions * cost))
    tested = min(tested, rows, max(FEWEST_TESTED, tests))
    if affordable >= background:
        pairs = max(1, min(PAIRS, affordable // background))
        return Effort(rows=rows, background=background, pairs=pairs, tested=tested)
    background = min(background, max(FEWEST, affordable))
    return Effort(rows=rows, background=background, pairs=1, tested=tested)


def plan_cells(
    cost: float, *, rows: int, fewest: int, columns: int, parts: int, samples: int, deletions: int
) -> CellEffort:
    """Fewer orders of the parts for a model that costs more, then fewer rows, but never fewer than
    `fewest`: those that are shown.

    Args:
        rows: whose cells may be opened.
        columns: cells of a row.
        parts: of a cell.
        samples: of LIME.
        deletions: predictions that the deletion test takes per cell, of `CELL_METHODS`.
    """
    # predictions per cell of a row, over all rows
    affordable = PART * BUDGET / (cost * max(columns, 1))
    pair = 2 * max(parts - 1, 1)
    fixed = samples + deletions + GRADIENTS
    pairs = int((affordable / max(rows, 1) - fixed) / pair)
    if pairs < FEWEST_CELL_PAIRS:
        possible = int(affordable / (fixed + FEWEST_CELL_PAIRS * pair))
        rows, pairs = min(rows, max(fewest, possible)), FEWEST_CELL_PAIRS
    return CellEffort(rows=rows, pairs=min(pairs, CELL_PAIRS), samples=samples)


def used(requested: int, at_hand: int, count: int, what: str) -> dict[str, Any]:
    """How many of what params.yaml asks for were used, and what kept it from more, for reports.

    Args:
        at_hand: how many there are; `what` says of what.
        count: how many were used.
    """
    limit = None
    if count < requested:
        limit = "computing budget" if count < at_hand else f"only {at_hand:,} {what}"
    return {"requested": requested, "used": count, "limited_by": limit}
