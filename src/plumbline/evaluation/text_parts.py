"""The words of a text as parts of a cell.

L tokens, M parts of a cell.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from plumbline.evaluation.cell_parts import OpenCell
from plumbline.evaluation.gradients import spread_of_tokens
from plumbline.evaluation.masker import TokenMasker
from plumbline.examples import PADDING, UNKNOWN
from plumbline.kinds import IntArray
from plumbline.preprocessing.tokenizer import TextTokenizer
from plumbline.preprocessing.words import split_words

MOST_PARTS = 30  # of a text; more words become runs of words
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
class OpenText(OpenCell):
    """A text by its words; `size`, `read`: characters that it has, and how many of them the model
    reads."""

    parts: tuple[CellPart, ...]
    size: int
    read: int


def open_text(
    column: str,
    position: int,
    text: str | None,
    tokenizers: Mapping[str, TextTokenizer],
    own: Mapping[str, IntArray],
    *,
    cut: bool,
) -> OpenText | None:
    """The words of a text that a tokenizer reads, as runs where there are more than
    `MOST_PARTS`; None where none is read.

    Args:
        tokenizers: by tensor, one per network of a bag.
        own: by tensor (L,) the ids that the row has.
        cut: an absent word is cut out; otherwise it becomes unknown tokens (`cuts`).
    """
    whole = text or ""
    spans = {tensor: _spans(tokenizers[tensor], text, own[tensor]) for tensor in own}
    end = max((int(each[-1, 1]) for each in spans.values() if len(each)), default=0)
    words = split_words(whole[:end])
    if not words:
        return None
    starts = np.array([start for start, _ in words])
    word = {
        tensor: np.maximum(np.searchsorted(starts, each[:, 0], side="right") - 1, 0)
        for tensor, each in spans.items()
    }
    with_token = np.unique(np.concatenate(list(word.values())))
    count = min(len(with_token), MOST_PARTS)
    part_of = np.arange(len(with_token)) * count // len(with_token)
    # a word without a token belongs to the part before it
    begins = [int(starts[with_token[part_of == k][0]]) for k in range(count)]
    begins[0] = int(starts[0])
    ends = [*begins[1:], words[-1][1]]
    maskers, known = {}, np.zeros(count, dtype=bool)
    for tensor, each in word.items():
        owner = np.full(tokenizers[tensor].length, -1, dtype=np.int64)
        owner[: len(each)] = part_of[np.searchsorted(with_token, each)]
        masker = TokenMasker(owner, tuple(map(str, range(count))), cut=cut)
        maskers[tensor] = masker
        known |= masker.pool((own[tensor] != UNKNOWN).astype(np.float64)) > 0
    nobody = np.zeros((1, count), dtype=bool)
    return OpenText(
        column=column,
        position=position,
        maskers=maskers,
        absent={t: masker.mix(nobody, own[t][None], own[t][None]) for t, masker in maskers.items()},
        spread=spread_of_tokens,
        parts=tuple(_part(whole, *each) for each in zip(begins, ends, known.tolist(), strict=True)),
        size=len(whole.rstrip()),
        read=words[-1][1],
    )


def _spans(tokenizer: TextTokenizer, text: str | None, own: IntArray) -> IntArray:
    """(T, 2) where each token that is read stands in the text."""
    ids, spans = tokenizer.spans(text)
    assert np.array_equal(ids, own[own != PADDING]), "the row was made from another text"
    return spans


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
