"""Texts -> one tensor of token ids per column, by a tokenizer fitted on training rows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Self

import polars as pl

from plumbline.config.data import NormalizeConfig
from plumbline.examples import TensorSpec
from plumbline.kinds import IntArray
from plumbline.preprocessing.preparer import ApplyToFew, Given, Labels, Tensors
from plumbline.preprocessing.table_reader import check_present
from plumbline.preprocessing.tokenizer import MOST_CHARACTERS, SPECIAL, TextTokenizer

CHARACTERS_PER_MB = 20_000  # of `data.max_memory_mb`, kept of a column's training texts


class TextSample:
    """Every k-th text of a column, k a power of two, so that they fit a number of characters.

    Which are kept does not depend on how the rows came in batches.
    """

    def __init__(self, most_characters: int) -> None:
        self.texts: list[str] = []
        self.rows = 0  # with a text
        self.missing = 0
        self.constant: str | None = None  # the only text so far
        self.varies = False
        self._most = most_characters
        self._stride = 1
        self._characters = 0

    def add(self, texts: Sequence[str | None]) -> None:
        for text in texts:
            if text is None:
                self.missing += 1
                continue
            if not self.varies:
                self.varies = self.constant not in (None, text)
                self.constant = text
            if self.rows % self._stride == 0:
                self.texts.append(text)
                self._characters += len(text)
                while self._characters > self._most and len(self.texts) > 1:
                    self._stride *= 2
                    self.texts = self.texts[::2]
                    self._characters = sum(map(len, self.texts))
            self.rows += 1


class TextPreparer:
    """One tensor `text_0`, `text_1` … per column that says something.

    Fitted state besides that of a `Preparer`: `tokenizers_`, by column.
    """

    tensors_: tuple[TensorSpec, ...]
    dropped_: dict[str, str]
    tokenizers_: dict[str, TextTokenizer]

    def __init__(self, given: Given) -> None:
        self.config = given.config
        self._columns = given.columns
        self._most_characters = given.max_memory_mb * CHARACTERS_PER_MB

    # -- learning

    def begin(self, seed: int) -> None:
        self._samples = {c.name: TextSample(self._most_characters) for c in self._columns}

    def reads(self, frame: pl.LazyFrame) -> list[pl.Expr]:
        return _cells(frame, [column.name for column in self._columns])

    def observe(self, batch: pl.DataFrame, rows: IntArray) -> None:
        for name, sample in self._samples.items():
            sample.add(batch[name].to_list())

    def finish(self, frame: pl.LazyFrame, rows: IntArray | None) -> None:
        self.dropped_, self.tokenizers_ = {}, {}
        for name, sample in self._samples.items():
            fitted = fit_tokenizer(self.config, name, sample)
            if isinstance(fitted, str):
                self.dropped_[name] = fitted
            else:
                self.tokenizers_[name] = fitted
        del self._samples
        self._compile()

    def _compile(self) -> None:
        """Make what was learned ready to be applied."""
        self._formats = {c.name: c.format for c in self._columns}
        self.tensors_ = tuple(
            _tensor(f"text_{j}", name, tokenizer)
            for j, (name, tokenizer) in enumerate(self.tokenizers_.items())
        )

    # -- applying

    def selects(self, frame: pl.LazyFrame) -> list[pl.Expr]:
        return _cells(frame, list(self.tokenizers_))

    def apply(self, batch: pl.DataFrame, rows: IntArray, positions: IntArray | None) -> Tensors:
        return self._tensors({name: batch[name].to_list() for name in self.tokenizers_})

    @classmethod
    def few_rows(cls, networks: Sequence[Self]) -> ApplyToFew:
        return lambda cells: [own._tensors(cells) for own in networks]

    def _tensors(self, texts: Mapping[str, Sequence[Any]]) -> Tensors:
        return {
            tensor.name: self.tokenizers_[tensor.sources[0]](texts[tensor.sources[0]])
            for tensor in self.tensors_
        }

    def labels(self) -> Labels:
        return {
            tensor.name: [("", token) for token in self.tokenizers_[tensor.sources[0]].vocabulary()]
            for tensor in self.tensors_
        }

    # -- state

    def to_json(self) -> dict[str, Any]:
        return {
            "columns": [{"name": n, **t.to_json()} for n, t in self.tokenizers_.items()],
            "dropped": dict(self.dropped_),
        }

    @classmethod
    def from_json(cls, given: Given, state: Mapping[str, Any]) -> Self:
        self = cls(given)
        self.tokenizers_ = {own["name"]: TextTokenizer.from_json(own) for own in state["columns"]}
        self.dropped_ = dict(state["dropped"])
        self._compile()
        return self


def fit_tokenizer(config: NormalizeConfig, name: str, sample: TextSample) -> TextTokenizer | str:
    """The tokenizer of a column, or why the column is dropped."""
    if not sample.rows:
        return "no text in the training rows"
    if not sample.varies and not sample.missing:
        return "one text in all training rows"
    own = config.columns.get(name)
    method = None if own is None else own.tokenizer
    text = config.text
    fitted = TextTokenizer.fit(
        sample.texts,
        method=method or text.tokenizer,
        lowercase=text.lowercase,
        most_tokens=text.max_tokens,
        most_length=text.max_length,
    )
    if fitted.tokens <= len(SPECIAL):
        return "no word or sign occurs twice in the training rows"
    return fitted


def _tensor(tensor: str, column: str, tokenizer: TextTokenizer) -> TensorSpec:
    length = tokenizer.length
    return TensorSpec(
        name=tensor,
        kind="text",
        dtype="int64",
        shape=(length,),
        features=tuple(f"{column}[{k}]" for k in range(length)),
        sources=(column,) * length,
        details={"tokens": tokenizer.tokens},
    )


def _cells(frame: pl.LazyFrame, names: Sequence[str]) -> list[pl.Expr]:
    """The part of each text that is read: a cell may hold megabytes."""
    check_present(frame.collect_schema(), names)
    return [pl.col(name).cast(pl.String).str.head(MOST_CHARACTERS) for name in names]
