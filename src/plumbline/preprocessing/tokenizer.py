"""How a text becomes numbers of tokens: normalized, cut, looked up in what training rows had.

The library `tokenizers` does the work; its state is JSON. A text that spells a special token is no
special token: the special ones are entries of the vocabulary alone.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from tokenizers import Regex, Tokenizer, models, normalizers, pre_tokenizers, trainers

from plumbline.errors import choose
from plumbline.examples import PADDING, UNKNOWN
from plumbline.kinds import IntArray

SPECIAL = ["[PAD]", "[UNK]"]
MOST_CHARACTERS = 10_000  # of a cell are read
AT_ONCE = 4096  # texts, which bounds memory
MIN_COUNT = 2  # a token of one occurrence in the training rows says nothing
LENGTH_QUANTILE = 0.95  # so many of the training texts are read whole
PIECE = "##"  # stands before a piece that continues a word


Train = Callable[[Tokenizer, Sequence[str], int], None]


@dataclass(frozen=True, kw_only=True)
class TokenizerMethod:
    """How a tokenizer is built and trained, to a vocabulary of at most so many tokens."""

    model: Callable[[], models.Model]
    cut: Callable[[], pre_tokenizers.PreTokenizer]
    train: Train


def _words() -> pre_tokenizers.PreTokenizer:
    """Runs of letters and digits; every other sign on its own."""
    parts = [
        pre_tokenizers.WhitespaceSplit(),
        pre_tokenizers.Split(Regex(r"[\w']+|[^\w\s]"), "isolated"),
    ]
    return pre_tokenizers.Sequence(parts)


def _characters() -> pre_tokenizers.PreTokenizer:
    return pre_tokenizers.Split(Regex(r"[\s\S]"), "isolated")


def _train_words(tokenizer: Tokenizer, texts: Sequence[str], most_tokens: int) -> None:
    trainer = trainers.WordLevelTrainer(
        vocab_size=most_tokens,
        min_frequency=MIN_COUNT,
        special_tokens=SPECIAL,
        show_progress=False,
    )
    tokenizer.train_from_iterator(_batches(texts), trainer=trainer)


def _train_pieces(make: type[Any]) -> Train:
    """The trainers of pieces number the characters within words in the order of a hash map, by
    which ties are then broken; so characters are counted here and given in order."""

    def train(tokenizer: Tokenizer, texts: Sequence[str], most_tokens: int) -> None:
        alphabet, inside = _alphabet(tokenizer, texts, most_tokens // 4)
        trainer = make(
            vocab_size=most_tokens,
            min_frequency=MIN_COUNT,
            special_tokens=[*SPECIAL, *(PIECE + character for character in inside)],
            initial_alphabet=alphabet,
            limit_alphabet=len(alphabet),
            continuing_subword_prefix=PIECE,
            show_progress=False,
        )
        tokenizer.train_from_iterator(_batches(texts), trainer=trainer)

    return train


def _alphabet(tokenizer: Tokenizer, texts: Sequence[str], most: int) -> tuple[list[str], list[str]]:
    """The most frequent characters, and those of them that continue a word."""
    words: Counter[str] = Counter()
    for part in _batches(texts):
        for text in part:
            words.update(tokenizer.normalizer.normalize_str(text).split())
    characters: Counter[str] = Counter()
    inside: set[str] = set()
    for word, count in words.items():
        for piece, _ in tokenizer.pre_tokenizer.pre_tokenize_str(word):
            characters.update(dict.fromkeys(piece, count))
            inside.update(piece[1:])
    often = [c for c, count in characters.items() if count >= MIN_COUNT]
    alphabet = sorted(often, key=lambda c: (-characters[c], c))[:most]
    return alphabet, [c for c in alphabet if c in inside]


METHODS: dict[str, TokenizerMethod] = {
    # Sennrich et al. 2016, "Neural Machine Translation of Rare Words with Subword Units"
    "bpe": TokenizerMethod(
        model=lambda: models.BPE(
            unk_token=SPECIAL[UNKNOWN], fuse_unk=True, continuing_subword_prefix=PIECE
        ),
        cut=_words,
        train=_train_pieces(trainers.BpeTrainer),
    ),
    # Schuster and Nakajima 2012; Devlin et al. 2019
    "wordpiece": TokenizerMethod(
        model=lambda: models.WordPiece(unk_token=SPECIAL[UNKNOWN], continuing_subword_prefix=PIECE),
        cut=_words,
        train=_train_pieces(trainers.WordPieceTrainer),
    ),
    "words": TokenizerMethod(
        model=lambda: models.WordLevel(unk_token=SPECIAL[UNKNOWN]), cut=_words, train=_train_words
    ),
    "characters": TokenizerMethod(
        model=lambda: models.WordLevel(unk_token=SPECIAL[UNKNOWN]),
        cut=_characters,
        train=_train_words,
    ),
}


class TextTokenizer:
    """Texts to ids (n, length): 0 fills what a text has not, 1 is a token that is not known."""

    def __init__(self, tokenizer: Tokenizer, length: int) -> None:
        self._tokenizer = tokenizer
        self.length = length

    @classmethod
    def fit(
        cls,
        texts: Sequence[str],
        *,
        method: str,
        lowercase: bool,
        most_tokens: int,
        most_length: int,
    ) -> Self:
        """Learn from training texts.

        Args:
            most_tokens: of the vocabulary, the two special ones included.
            most_length: tokens read of a text; fewer where `LENGTH_QUANTILE` of the training
                texts have fewer.
        """
        own = choose(METHODS, method, "normalize.text.tokenizer")
        tokenizer = Tokenizer(own.model())
        cased = [normalizers.Lowercase()] if lowercase else []
        tokenizer.normalizer = normalizers.Sequence(
            [
                normalizers.NFKC(),
                normalizers.BertNormalizer(  # control characters out, one word per ideograph
                    clean_text=True,
                    handle_chinese_chars=True,
                    strip_accents=False,
                    lowercase=False,
                ),
                *cased,
            ]
        )
        tokenizer.pre_tokenizer = own.cut()
        own.train(tokenizer, texts, most_tokens)
        state = json.loads(tokenizer.to_str())
        state["added_tokens"] = []
        made = cls(Tokenizer.from_str(json.dumps(state)), most_length)
        counts = np.concatenate([[1], *(made._counts(part) for part in _batches(texts))])
        longest = int(np.ceil(np.quantile(counts, LENGTH_QUANTILE)))
        made.length = min(max(longest, 1), most_length)
        return made

    def _counts(self, texts: list[str]) -> IntArray:
        counts = [len(e.ids) for e in self._tokenizer.encode_batch_fast(texts)]
        return np.array(counts, dtype=np.int64)

    @property
    def tokens(self) -> int:
        """Size of the vocabulary, the special ones included."""
        return int(self._tokenizer.get_vocab_size())

    def vocabulary(self) -> list[str]:
        """The tokens in the order of their ids."""
        ids = self._tokenizer.get_vocab()
        return sorted(ids, key=lambda token: ids[token])

    def __call__(self, texts: Sequence[str | None]) -> IntArray:
        """(n, length) ids; a missing text is an empty one."""
        ids = np.full((len(texts), self.length), PADDING, dtype=np.int64)
        for start in range(0, len(texts), AT_ONCE):
            part = [clean(text) for text in texts[start : start + AT_ONCE]]
            for row, encoding in enumerate(self._tokenizer.encode_batch_fast(part), start):
                own = encoding.ids[: self.length]
                ids[row, : len(own)] = own
        return ids

    def pieces(self, text: str | None) -> list[str]:
        """The tokens of one text as the vocabulary writes them, at most `length`."""
        return list(self._tokenizer.encode(clean(text)).tokens[: self.length])

    def spans(self, text: str | None) -> tuple[IntArray, IntArray]:
        """Ids (T,) of the tokens of one text that are read, and where each stands in it: start and
        end in characters (T, 2)."""
        encoding = self._tokenizer.encode(clean(text))
        ids = np.array(encoding.ids[: self.length], dtype=np.int64)
        offsets = np.array(encoding.offsets[: self.length], dtype=np.int64)
        return ids, offsets.reshape(-1, 2)

    def to_json(self) -> dict[str, Any]:
        return {"length": self.length, "tokenizer": json.loads(self._tokenizer.to_str())}

    @classmethod
    def from_json(cls, state: dict[str, Any]) -> Self:
        return cls(Tokenizer.from_str(json.dumps(state["tokenizer"])), int(state["length"]))


def clean(text: str | None) -> str:
    """The part of a text that is read; what no file can hold is replaced."""
    own = (text or "")[:MOST_CHARACTERS]
    return own if own.isascii() else own.encode("utf-8", "replace").decode("utf-8")


def _batches(texts: Sequence[str]) -> Iterator[list[str]]:
    for start in range(0, len(texts), AT_ONCE):
        yield [clean(text) for text in texts[start : start + AT_ONCE]]
