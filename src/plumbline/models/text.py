"""How the tokens of a text become features: what all text encoders share, and which there are.

A text is looked up once; with each token's vector goes a mark, 1 for a token and 0 for padding, so
that whoever puts other vectors in place of those looked up (integrated gradients) says what is
padding, too. No encoder's answer depends on how much padding follows a text.

B rows, L tokens, E numbers per token.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from plumbline.config.model import ModelConfig, TextEncoderConfig
from plumbline.errors import choose
from plumbline.examples import PADDING, TensorSpec
from plumbline.kinds import DoubleArray
from plumbline.models.layers import DropoutContext, SampleDropout, drop_bias
from plumbline.models.text_cnn import TextCNN
from plumbline.models.text_mean import TextMean
from plumbline.models.text_recurrent import GRU, LSTM, RNN
from plumbline.models.text_transformer import TextTransformer

Build = Callable[[TextEncoderConfig, int], nn.Module]  # of the section and the length L

# each takes vectors (B, L, E) and marks (B, L, 1) and gives (B, width)
TEXT_ENCODERS: dict[str, Build] = {
    "mean": TextMean,
    "cnn": TextCNN,
    "rnn": RNN,
    "lstm": LSTM,
    "gru": GRU,
    "transformer": TextTransformer,
}
MOST_WIDE_WEIGHTS = 4_000_000  # tokens × outputs: a linear model of more takes minutes


def token_norm(count: Tensor) -> Tensor:
    """What a sum over so many tokens is divided by, so that it says how they are, not how many."""
    return count.clamp_min(1.0).sqrt()


class TokenLookup(nn.Module):
    """Ids (B, L) to vectors with their marks (B, L, E + 1); those of padding are zeros. Once
    `widen` was called, each token has a weight per output, too: (B, L, E + outputs + 1)."""

    def __init__(self, tokens: int, width: int) -> None:
        super().__init__()
        self.table = nn.Embedding(tokens, width, padding_idx=PADDING)
        nn.init.uniform_(self.table.weight, -(width**-0.5), width**-0.5)
        with torch.no_grad():
            self.table.weight[0] = 0
        self.wide: nn.Embedding | None = None

    def widen(self, outputs: int) -> None:
        """Give the tokens their weights, which are zeros."""
        tokens = self.table.num_embeddings
        weights = torch.zeros(tokens, outputs)
        self.wide = nn.Embedding(tokens, outputs, padding_idx=PADDING, _weight=weights)

    def forward(self, ids: Tensor) -> Tensor:
        vectors: Tensor = self.table(ids)
        weights = [] if self.wide is None else [self.wide(ids)]
        marks = (ids != PADDING).to(vectors.dtype)[..., None]
        return torch.cat([vectors, *weights, marks], dim=-1)


class TextFeatures(nn.Module):
    """The features of one text: (B, L) ids to (B, width); once `widen` was called, (B, width) and
    the wide part (B, outputs): each output's weights of the tokens, added up and divided by the
    square root of their number."""

    def __init__(self, config: ModelConfig, tensor: TensorSpec, learned: Any) -> None:
        super().__init__()
        own = config.text.of(tensor.sources[0])
        build = choose(TEXT_ENCODERS, own.encoder, "model.text.encoder")
        self.lookup = TokenLookup(tensor.details["tokens"], own.embedding_dim)
        # the model that this becomes part of puts its own context here
        self.dropout = SampleDropout(own.dropout, DropoutContext(seed=0))
        (length,) = tensor.shape
        assert length is not None
        self.body = build(own, length)
        with torch.no_grad():
            self.lookup.table.weight.mul_(getattr(self.body, "token_scale", 1.0))
        self.chunks = [own.width]
        self._wide, self._vector = own.wide, own.embedding_dim
        self.wide_bias: nn.Parameter | None = None

    def drop_shift(self) -> None:
        drop_bias(list(self.body.children())[-1])  # of the layer at its end

    def widen(self, outputs: int) -> None:
        """Add the wide part, if the section wants it and its weights are not too many."""
        if self._wide and self.tokens * outputs <= MOST_WIDE_WEIGHTS:
            self.lookup.widen(outputs)
            self.wide_bias = nn.Parameter(torch.zeros(outputs))

    @property
    def is_wide(self) -> bool:
        """Whether there is a wide part."""
        return self.wide_bias is not None

    @property
    def tokens(self) -> int:
        """Size of the vocabulary."""
        return self.lookup.table.num_embeddings

    @torch.no_grad()
    def set_wide(self, weights: DoubleArray, bias: DoubleArray) -> None:
        """Set the wide part's weights (tokens, outputs) and bias (outputs,)."""
        assert self.lookup.wide is not None and self.wide_bias is not None
        self.lookup.wide.weight.copy_(torch.from_numpy(weights))
        self.wide_bias.copy_(torch.from_numpy(bias))

    def forward(self, ids: Tensor) -> Tensor | tuple[Tensor, Tensor]:
        looked_up = self.lookup(ids)
        vectors, marks = looked_up[..., : self._vector], looked_up[..., -1:]
        out: Tensor = self.body(self.dropout(vectors), marks)
        if self.wide_bias is None:
            return out
        weights = looked_up[..., self._vector : -1]
        return out, (weights * marks).sum(1) / token_norm(marks.sum(1)) + self.wide_bias

    def attention_map(self, ids: Tensor) -> Tensor | None:
        """How much attention each token gets, (B, L); None where the encoder has none."""
        attend = getattr(self.body, "attention_map", None)
        if attend is None:
            return None
        looked_up = self.lookup(ids)
        attended: Tensor = attend(looked_up[..., : self._vector], looked_up[..., -1:])
        return attended


class BagOfTokens(nn.Module):
    """A weight per token and output, added up: (B, L) ids to (B, outputs)."""

    def __init__(self, tensor: TensorSpec, outputs: int) -> None:
        super().__init__()
        self.lookup = nn.Embedding(tensor.details["tokens"], outputs, padding_idx=PADDING)
        nn.init.normal_(self.lookup.weight, std=0.01)
        with torch.no_grad():
            self.lookup.weight[0] = 0

    def forward(self, ids: Tensor) -> Tensor:
        added: Tensor = self.lookup(ids).sum(1)
        return added
