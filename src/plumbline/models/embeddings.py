"""Numbers and category codes become vectors.

B rows, N number columns, C category columns, E numbers per embedded column.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import torch
from rtdl_num_embeddings import PeriodicEmbeddings, PiecewiseLinearEmbeddings
from torch import Tensor, nn

from plumbline.config.model import ModelConfig
from plumbline.kinds import FloatArray
from plumbline.tables import InputSpec

Edges = Sequence[Sequence[float]]


def number_edges(config: ModelConfig, x_num: FloatArray) -> list[list[float]] | None:
    """Bin edges of each number column, from the training rows `x_num` (n, N).

    Quantiles, equal ones merged, at most `config.bins` bins; a constant column gets one bin.
    None where the number embedding needs no bins.
    """
    if config.number_embedding != "piecewise_linear" or x_num.shape[1] == 0:
        return None
    grid = np.linspace(0, 1, config.bins + 1)
    columns = []
    for j in range(x_num.shape[1]):
        edges = np.unique(np.quantile(np.asarray(x_num[:, j], dtype=np.float64), grid))
        if len(edges) < 2:
            edges = np.array([edges[0], edges[0] + 1])
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


class FlatInput(nn.Module):
    """Numbers (plain or embedded) and embedded categories side by side: (B, width).

    `chunks` are the widths that each column of the data took, in order.
    """

    def __init__(self, config: ModelConfig, spec: InputSpec, edges: Edges | None) -> None:
        super().__init__()
        numbers, categories = len(spec.num_names), len(spec.cat_names)
        make = NUMBER_EMBEDDINGS[config.number_embedding]
        self.numbers = (
            make(config, numbers, config.embedding_dim, edges) if make and numbers else None
        )
        self.categories = (
            CategoryEmbedding(spec.cardinalities, config.category_dim) if categories else None
        )
        self.chunks = [config.embedding_dim if self.numbers is not None else 1] * numbers
        self.chunks += [config.category_dim] * categories
        self.width = sum(self.chunks)

    def forward(self, x_num: Tensor, x_cat: Tensor) -> Tensor:
        parts = [x_num if self.numbers is None else self.numbers(x_num).flatten(1)]
        if self.categories is not None:
            parts.append(self.categories(x_cat).flatten(1))
        return torch.cat(parts, dim=1)


class TokenInput(nn.Module):
    """One vector of `width` per column: (B, N + C, width)."""

    def __init__(
        self, config: ModelConfig, spec: InputSpec, edges: Edges | None, width: int
    ) -> None:
        super().__init__()
        numbers = len(spec.num_names)
        make = NUMBER_EMBEDDINGS[config.number_embedding]
        self.numbers: nn.Module | None = None
        if numbers:
            self.numbers = (
                make(config, numbers, width, edges) if make else LinearTokens(numbers, width)
            )
        self.categories = CategoryEmbedding(spec.cardinalities, width) if spec.cat_names else None

    def forward(self, x_num: Tensor, x_cat: Tensor) -> Tensor:
        parts = []
        if self.numbers is not None:
            parts.append(self.numbers(x_num))
        if self.categories is not None:
            parts.append(self.categories(x_cat))
        return torch.cat(parts, dim=1)
