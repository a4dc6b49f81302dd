"""How numbers and category codes become vectors.

B rows, N number columns, C category columns, E numbers per embedded column.
"""

from __future__ import annotations

import contextlib
import sys
import warnings
from collections.abc import Callable, Iterator, Sequence
from typing import Literal

import numpy as np
import torch
from torch import Tensor, nn

from plumbline.config.model import ModelConfig, NumberEmbedding
from plumbline.kinds import FloatArray


@contextlib.contextmanager
def absent(module: str) -> Iterator[None]:
    """Inside, `module` is as if it were not installed, unless it is imported already."""
    if module in sys.modules:
        yield
        return
    sys.modules[module] = None  # type: ignore[assignment]
    try:
        yield
    finally:
        del sys.modules[module]


# for bins by decision trees, which are not used here; it would take longer to import than torch
with absent("sklearn.tree"):
    from rtdl_num_embeddings import PeriodicEmbeddings, PiecewiseLinearEmbeddings

Edges = Sequence[Sequence[float]]


FEW_ROWS = 10_000  # training rows below which `auto` takes the piecewise-linear embedding


def choose_embedding(wanted: NumberEmbedding | Literal["auto"], rows: int) -> NumberEmbedding:
    """`model.number_embedding` by name. `auto`: few rows do not tell frequencies, but quantiles."""
    if wanted != "auto":
        return wanted
    return "piecewise_linear" if rows < FEW_ROWS else "periodic"


def number_edges(config: ModelConfig, x: FloatArray) -> list[list[float]] | None:
    """What a number embedding learns of each number column, from the training rows (n, N).

    Piecewise-linear: bin edges, quantiles with equal ones merged, at most `config.bins` bins.
    Any embedding: exactly two edges for a column of at most two values, which needs none
    (`NumberFeatures` passes it as it is). None where numbers are not embedded.
    """
    if config.number_embedding == "none" or x.shape[1] == 0:
        return None
    grid = np.linspace(0, 1, config.bins + 1)
    columns = []
    for j in range(x.shape[1]):
        values = np.asarray(x[:, j], dtype=np.float64)
        low, high = values.min(), values.max()
        if ((values == low) | (values == high)).all():
            edges = np.array([low, high if high > low else low + max(1.0, 1e-6 * abs(low))])
        elif config.number_embedding == "piecewise_linear":
            # rounded first: quantiles between repeated values differ in their last digits alone
            edges = np.unique(np.quantile(values, grid).astype(np.float32))
            if len(edges) < 3:  # nearly all rows hold one of two values
                edges = np.unique(np.array([low, *edges, high], dtype=np.float32))
        else:
            edges = np.array([])
        columns.append([float(e) for e in edges.astype(np.float32)])
    return columns


class LinearTokens(nn.Module):
    """Each number times its own vector, plus its own vector: (B, N) to (B, N, E).

    The feature tokenizer of FT-Transformer (Gorishniy et al. 2021, section 3.3).
    """

    def __init__(self, count: int, width: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(count, width))
        self.bias = nn.Parameter(torch.empty(count, width))
        for parameter in (self.weight, self.bias):
            nn.init.uniform_(parameter, -(width**-0.5), width**-0.5)

    def forward(self, x: Tensor) -> Tensor:
        return x[..., None] * self.weight + self.bias


def _periodic(config: ModelConfig, count: int, width: int, edges: Edges | None) -> nn.Module:
    made: nn.Module = PeriodicEmbeddings(
        count,
        width,
        n_frequencies=config.frequencies,
        frequency_init_scale=config.frequency_scale,
        activation=True,
        lite=True,
    )
    return made


def _piecewise(config: ModelConfig, count: int, width: int, edges: Edges | None) -> nn.Module:
    assert edges is not None and len(edges) == count
    bins = [torch.tensor(e, dtype=torch.float32) for e in edges]
    with warnings.catch_warnings():  # one bin is meant where a column has two values
        warnings.filterwarnings("ignore", message=".*just two bin edges")
        made: nn.Module = PiecewiseLinearEmbeddings(bins, width, activation=False, version="B")
    return made


# Periodic and piecewise-linear: Gorishniy et al. 2022, "On Embeddings for Numerical Features in
# Tabular Deep Learning", by the authors' package.
NUMBER_EMBEDDINGS: dict[str, Callable[[ModelConfig, int, int, Edges | None], nn.Module] | None] = {
    "none": None,
    "periodic": _periodic,
    "piecewise_linear": _piecewise,
}


class CategoryEmbedding(nn.Module):
    """Codes (B, C) to vectors (B, C, E). Code 0, the unknown or missing slot, starts at zero."""

    offsets: Tensor

    def __init__(self, cardinalities: Sequence[int], width: int) -> None:
        super().__init__()
        starts = np.concatenate([[0], np.cumsum(cardinalities)[:-1]]).astype(np.int64)
        self.register_buffer("offsets", torch.from_numpy(starts), persistent=False)
        self.table = nn.Embedding(int(sum(cardinalities)), width)
        nn.init.uniform_(self.table.weight, -(width**-0.5), width**-0.5)
        with torch.no_grad():
            self.table.weight[self.offsets] = 0

    def forward(self, codes: Tensor) -> Tensor:
        embedded: Tensor = self.table(codes + self.offsets)
        return embedded
