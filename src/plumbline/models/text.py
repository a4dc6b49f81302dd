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


class TokenLookup(nn.Module):
    """Ids (B, L) to vectors with their marks (B, L, E + 1); those of padding are zeros."""

    def __init__(self, tokens: int, width: int) -> None:
        super().__init__()
        self.table = nn.Embedding(tokens, width, padding_idx=PADDING)
        nn.init.uniform_(self.table.weight, -(width**-0.5), width**-0.5)
        with torch.no_grad():
            self.table.weight[0] = 0

    def forward(self, ids: Tensor) -> Tensor:
        vectors: Tensor = self.table(ids)
        return torch.cat([vectors, (ids != PADDING).to(vectors.dtype)[..., None]], dim=-1)


class TextFeatures(nn.Module):
    """The features of one text: (B, L) ids to (B, width)."""

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

    def drop_shift(self) -> None:
        drop_bias(list(self.body.children())[-1])  # of the layer at its end

    def forward(self, ids: Tensor) -> Tensor:
        looked_up = self.lookup(ids)
        vectors, marks = looked_up[..., :-1], looked_up[..., -1:]
        out: Tensor = self.body(self.dropout(vectors), marks)
        return out

    def attention_map(self, ids: Tensor) -> Tensor | None:
        """How much attention each token gets, (B, L); None where the encoder has none."""
        attend = getattr(self.body, "attention_map", None)
        if attend is None:
            return None
        looked_up = self.lookup(ids)
        attended: Tensor = attend(looked_up[..., :-1], looked_up[..., -1:])
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
