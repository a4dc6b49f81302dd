"""Numbers, dates and categories -> the tensors `num` and `cat`.

They have one preparer: a date is several numbers, a number of few values is a category too, and an
encoded category is numbers.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any, Self

import numpy as np
import polars as pl

from plumbline.config.data import NormalizeConfig
from plumbline.errors import choose
from plumbline.examples import TensorSpec
from plumbline.kinds import IntArray
from plumbline.preprocessing.apply import Encoding, Replace
from plumbline.preprocessing.columns import (
    CategoryState,
    NumberState,
    Settings,
    fit_number,
    fit_vocabulary,
    needs_order,
    settings_of,
)
from plumbline.preprocessing.crossfit import CrossFit
from plumbline.preprocessing.dates import is_cyclic
from plumbline.preprocessing.encode import ENCODERS, EncoderInput, standardize
from plumbline.preprocessing.preparer import ApplyToFew, Given, Labels, Tensors
from plumbline.preprocessing.scalar_rows import ScalarRows
from plumbline.preprocessing.summary import (
    SAMPLE_VALUES_PER_MB,
    CategoryCounts,
    NumberSummaries,
)
from plumbline.preprocessing.table_reader import TableReader, code_expression
from plumbline.tables import Schema


class ScalarPreparer:
    """Scales, imputes and encodes; order statistics of so many rows come from a sample.

    Fitted state besides that of a `Preparer`: `numbers_`, `categories_`.
    """

    tensors_: tuple[TensorSpec, ...]
    dropped_: dict[str, str]
    numbers_: list[NumberState]
    categories_: list[CategoryState]

    def __init__(self, given: Given) -> None:
        self.schema, self.config = given.schema, given.config
        self._columns = given.columns
        self._batch_rows = given.batch_rows
        self._sample_values = given.max_memory_mb * SAMPLE_VALUES_PER_MB
        self._training: CrossFit | None = None

    # -- learning

    def begin(self, seed: int) -> None:
        self._seed = seed
        self._settings = {c.name: settings_of(self.config, c) for c in self._columns}
        self._learning = source = TableReader(self.schema, self._settings)
        ordered = [needs_order(self._settings[name], self.config) for name, _ in source.numbers]
        self._numbers = NumberSummaries(
            len(source.numbers),
            seed,
            ordered=np.array(ordered, dtype=bool),
            most_values=self._sample_values,
        )
        self._counts = {name: CategoryCounts() for name in source.category_names}

    def reads(self, frame: pl.LazyFrame) -> list[pl.Expr]:
        return self._learning.raw(frame)

    def observe(self, batch: pl.DataFrame, rows: IntArray) -> None:
        self._numbers.add(self._learning.number_matrix(batch, rows))
        for name, counter in self._counts.items():
            counter.add(batch[name])

    def finish(self, frame: pl.LazyFrame, rows: IntArray | None) -> None:
        self.dropped_ = {}
        self._fit_numbers(self._learning, self._numbers, self._settings)
        self._fit_categories(frame, self._counts, self._settings, self._seed, rows)
        del self._learning, self._numbers, self._counts
        self._compile()

    def _fit_numbers(
        self, source: TableReader, numbers: NumberSummaries, settings: dict[str, Settings]
    ) -> None:
        self.numbers_ = []
        marked: set[str] = set()  # a date's numbers are missing together: one indicator
        for (name, part), summary in zip(source.numbers, numbers.finish(), strict=True):
            state = fit_number(
                name,
                part,
                settings[name],
                self.config,
                summary,
                indicator=settings[name].indicator and name not in marked,
                fixed=part is not None and is_cyclic(part),
            )
            if isinstance(state, str):
                self.dropped_[name if part is None else f"{name}.{part}"] = state
                continue
            if state.indicator:
                marked.add(name)
            self.numbers_.append(state)

    def _fit_categories(
        self,
        frame: pl.LazyFrame,
        counts: dict[str, CategoryCounts],
        settings: dict[str, Settings],
        seed: int,
        rows: IntArray | None,
    ) -> None:
        self.categories_, code_counts = [], []
        for name, counter in counts.items():
            own = self.config.columns.get(name)
            exact = own is not None and own.min_count is not None
            fitted = fit_vocabulary(*counter.finish(), settings[name], exact=exact)
            if isinstance(fitted, str):
                self.dropped_[name] = fitted
                continue
            values, count = fitted
            encode = settings[name].encode
            if encode == "onehot" and len(values) > self.config.onehot_max:
                encode = "ordinal"
            self.categories_.append(CategoryState(source=name, encode=encode, values=values))
            code_counts.append(count)
        self._training = CrossFit(
            folds=self.config.target_mean_folds, seed=seed, batch_rows=self._batch_rows
        )
        by_target = {j: s for j, s in enumerate(self.categories_) if s.encode == "target_mean"}
        if by_target:
            self._training.learn(frame, self.schema, by_target, rows)
        for j, (state, count) in enumerate(zip(self.categories_, code_counts, strict=True)):
            sums = self._training.sums.get(j)
            table = choose(ENCODERS, state.encode, "normalize.encode")(
                EncoderInput(count=count, sums=sums, smoothing=self.config.target_mean_smoothing)
            )
            if table is None:
                continue
            if state.encode != "onehot":
                mean, spread = standardize(table, count)
                table = (table - mean) / spread
                if sums is not None:
                    self._training.set_out_of_fold(
                        j, self.config.target_mean_smoothing, mean, spread
                    )
            self.categories_[j] = replace(
                state,
                columns=_column_names(state, self.schema, table.shape[1]),
                table=tuple(tuple(row) for row in table.tolist()),
            )

    def _compile(self) -> None:
        """Make what was learned ready to be applied."""
        numbers, categories = self.numbers_, self.categories_
        used = {s.source for s in numbers} | {s.source for s in categories}
        settings = {c.name: settings_of(self.config, c) for c in self._columns if c.name in used}
        self._source = TableReader(self.schema, settings, [(s.source, s.part) for s in numbers])
        self._code_exprs = [code_expression(s) for s in categories]
        self._encoding = Encoding(numbers, categories)
        self.tensors_ = self._encoding.tensors()

    # -- applying

    def selects(self, frame: pl.LazyFrame) -> list[pl.Expr]:
        return [*self._source.raw(frame, categories=False), *self._code_exprs]

    def apply(self, batch: pl.DataFrame, rows: IntArray, positions: IntArray | None) -> Tensors:
        codes = np.array([batch[s.source].to_numpy() for s in self.categories_], dtype=np.int64)
        replace: Replace | None = None
        if positions is not None and self._training is not None:
            fold = np.full(len(batch), -1, dtype=np.int64)
            own = positions >= 0
            if own.any():
                first = int(positions[own][0])
                fold[own] = self._training.fold(first, first + int(own.sum()))
            replace = partial(self._training.out_of_fold, fold)
        return self._encoding(self._source.number_matrix(batch, rows), codes, replace)

    @classmethod
    def few_rows(cls, networks: Sequence[Self]) -> ApplyToFew:
        return ScalarRows([(own.numbers_, own.categories_) for own in networks])

    def labels(self) -> Labels:
        return self._encoding.labels()

    # -- state

    def to_json(self) -> dict[str, Any]:
        return {
            "numbers": [s.to_json() for s in self.numbers_],
            "categories": [s.to_json() for s in self.categories_],
            "dropped": dict(self.dropped_),
        }

    @classmethod
    def from_json(cls, given: Given, state: Mapping[str, Any]) -> Self:
        self = cls(replace(given, config=NormalizeConfig()))
        self.numbers_ = [NumberState.from_json(s) for s in state["numbers"]]
        self.categories_ = [CategoryState.from_json(s) for s in state["categories"]]
        self.dropped_ = dict(state["dropped"])
        self._compile()
        return self


def _column_names(state: CategoryState, schema: Schema, width: int) -> tuple[str, ...]:
    if state.encode == "onehot":
        return tuple(f"{state.source}={value}" for value in state.values)
    if state.encode == "frequency":
        return (f"{state.source}:frequency",)
    if width == 1:
        return (f"{state.source}:target",)
    return tuple(f"{state.source}:target={c}" for c in schema.classes[1:])
