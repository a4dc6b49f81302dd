"""Numbers and category codes become vectors.

B rows, N number columns, C category columns, E numbers per embedded column.
"""

from __future__ import annotations

import warnings
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
    """What a number embedding learns of each number column, from the training rows (n, N).

    Piecewise-linear: bin edges, quantiles with equal ones merged, at most `config.bins` bins.
    Any embedding: exactly two edges for a column of at most two values, which needs none
    (`FlatInput` passes it as it is). None where numbers are not embedded.
    """
    if config.number_embedding == "none" or x_num.shape[1] == 0:
        return None
    grid = np.linspace(0, 1, config.bins + 1)
    columns = []
    for j in range(x_num.shape[1]):
        x = np.asarray(x_num[:, j], dtype=np.float64)
        low, high = x.min(), x.max()
        if ((x == low) | (x == high)).all():
            edges = np.array([low, high if high > low else low + max(1.0, 1e-6 * abs(low))])
        elif config.number_embedding == "piecewise_linear":
            # rounded first: quantiles between repeated values differ in their last digits alone
            edges = np.unique(np.quantile(x, grid).astype(np.float32))
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


class FlatInput(nn.Module):
    """Numbers (plain, then embedded) and embedded categories side by side: (B, width).

    A number of two values is not embedded, which in one-hot data saves most of the work, nor is an
    uncurved channel (`InputSpec.num_plain`), which is there to stay linear.
    `chunks` are the widths that each column took, in order.
    """

    plain: Tensor
    chosen: Tensor

    def __init__(self, config: ModelConfig, spec: InputSpec, edges: Edges | None) -> None:
        super().__init__()
        count, categories = len(spec.num_names), len(spec.cat_names)
        make = NUMBER_EMBEDDINGS[config.number_embedding]
        unbent = {j for j, name in enumerate(spec.num_names) if name in spec.num_plain}
        unbent |= {j for j in range(count) if edges is not None and len(edges[j]) == 2}
        embedded = [j for j in range(count) if j not in unbent] if make else []
        plain = sorted(unbent) if make else list(range(count))
        self.register_buffer("plain", torch.tensor(plain, dtype=torch.int64), persistent=False)
        self.register_buffer("chosen", torch.tensor(embedded, dtype=torch.int64), persistent=False)
        self.numbers: nn.Module | None = None
        if make and embedded:
            own = None if edges is None else [edges[j] for j in embedded]
            self.numbers = make(config, len(embedded), config.embedding_dim, own)
        self.all_plain, self.all_chosen = len(plain) == count, len(embedded) == count
        self.categories = (
            CategoryEmbedding(spec.cardinalities, config.category_dim) if categories else None
        )
        self.chunks = [1] * len(plain) + [config.embedding_dim] * len(embedded)
        self.chunks += [config.category_dim] * categories
        self.width = sum(self.chunks)

    def forward(self, x_num: Tensor, x_cat: Tensor) -> Tensor:
        parts = []
        if not self.all_chosen:
            parts.append(x_num if self.all_plain else x_num[:, self.plain])
        if self.numbers is not None:
            chosen = x_num if self.all_chosen else x_num[:, self.chosen]
            parts.append(self.numbers(chosen).flatten(1))
        if self.categories is not None:
            parts.append(self.categories(x_cat).flatten(1))
        return torch.cat(parts, dim=1)


class TokenInput(nn.Module):
    """One vector of `width` per column: (B, N + C, width). An uncurved channel
    (`InputSpec.num_plain`) is never embedded, but times a vector of its own."""

    chosen: Tensor
    plain: Tensor
    order: Tensor

    def __init__(
        self, config: ModelConfig, spec: InputSpec, edges: Edges | None, width: int
    ) -> None:
        super().__init__()
        make = NUMBER_EMBEDDINGS[config.number_embedding]
        numbers = range(len(spec.num_names))
        plain = [j for j in numbers if make and spec.num_names[j] in spec.num_plain]
        chosen = [j for j in numbers if j not in set(plain)]
        where = {"chosen": chosen, "plain": plain, "order": np.argsort([*chosen, *plain])}
        for name, columns in where.items():
            indices = torch.as_tensor(np.asarray(columns, dtype=np.int64))
            self.register_buffer(name, indices, persistent=False)
        self.numbers: nn.Module | None = None
        if chosen:
            own = None if edges is None else [edges[j] for j in chosen]
            self.numbers = (
                make(config, len(chosen), width, own) if make else LinearTokens(len(chosen), width)
            )
        self.linear = LinearTokens(len(plain), width) if plain else None
        self.categories = CategoryEmbedding(spec.cardinalities, width) if spec.cat_names else None

    def forward(self, x_num: Tensor, x_cat: Tensor) -> Tensor:
        parts = []
        if self.numbers is not None:
            embedded = x_num if self.linear is None else x_num[:, self.chosen]
            parts.append(self.numbers(embedded))
        if self.linear is not None:
            kept = x_num if self.numbers is None else x_num[:, self.plain]
            parts.append(self.linear(kept))
        if len(parts) == 2:
            parts = [torch.cat(parts, dim=1)[:, self.order]]
        if self.categories is not None:
            parts.append(self.categories(x_cat))
        return torch.cat(parts, dim=1)
