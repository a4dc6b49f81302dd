"""Rows of a table -> tensors. Fitted on training rows; one code for a file and for a row."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from functools import partial
from typing import Any, Self

import numpy as np
import polars as pl
from numpy.typing import NDArray

from plumbline.config.data import NormalizeConfig
from plumbline.errors import DataError, choose
from plumbline.examples import Examples, Inputs, InputSpec, TargetSpec
from plumbline.kinds import BoolArray, ColumnType, FloatArray, IntArray, Role, Task
from plumbline.preprocessing.columns import (
    CategoryState,
    NumberState,
    Settings,
    check_columns,
    fit_number,
    fit_vocabulary,
    needs_order,
    settings_of,
)
from plumbline.preprocessing.crossfit import CrossFit
from plumbline.preprocessing.dates import is_cyclic
from plumbline.preprocessing.encode import (
    ENCODERS,
    EncoderInput,
    standardise,
)
from plumbline.preprocessing.encoding import Encoding, Replace
from plumbline.preprocessing.frames import batches, named
from plumbline.preprocessing.source import Source, code_expression, read_targets, read_weights
from plumbline.preprocessing.summary import (
    SAMPLE_VALUES_PER_MB,
    CategoryCounts,
    NumberSummaries,
)
from plumbline.tables import CellFormat, Column, Schema, rows_at_once

FORMAT = 2  # of the state


class TableTransformer:
    """Scales, imputes and encodes the features of a table.

    Fitted state: `numbers_`, `categories_`, `dropped_` (feature -> why), `spec_`.
    """

    numbers_: list[NumberState]
    categories_: list[CategoryState]
    dropped_: dict[str, str]
    spec_: InputSpec

    def __init__(
        self, schema: Schema, config: NormalizeConfig, *, max_memory_mb: int = 2048
    ) -> None:
        """Raises ParameterError for overrides of what is no feature of the schema.

        Args:
            max_memory_mb: bounds the rows read at once, and the sample of the rows that order
                statistics come from; so it may change their last digits.
        """
        check_columns(config, schema)
        self.schema = schema
        self.config = config
        self._batch_rows = rows_at_once(len(schema.columns), max_memory_mb)
        self._sample_values = max_memory_mb * SAMPLE_VALUES_PER_MB
        self._training: CrossFit | None = None

    # -- learning

    def fit(self, frame: pl.LazyFrame, seed: int, rows: IntArray | None = None) -> Self:
        """Learn from training rows alone: `frame` holds them and the schema's columns.

        One pass, and one more where a column is encoded by the target's mean. Memory is
        bounded but for the different values of category columns.

        Args:
            rows: (n,) their row numbers, for messages; None: positions.

        Raises:
            DataError: no rows, no usable feature, a wrong target or number.
        """
        settings = {c.name: settings_of(self.config, c) for c in self.schema.features}
        source = Source(self.schema, settings)
        ordered = [needs_order(settings[name], self.config) for name, _ in source.numbers]
        numbers = NumberSummaries(
            len(source.numbers),
            seed,
            ordered=np.array(ordered, dtype=bool),
            most_values=self._sample_values,
        )
        counts = {name: CategoryCounts() for name in source.category_names}
        seen = 0
        for batch in batches(frame.select(source.raw(frame)), self._batch_rows):
            numbers.add(source.number_matrix(batch, named(rows, seen, len(batch))))
            seen += len(batch)
            for name, counter in counts.items():
                counter.add(batch[name])
        self.dropped_ = {}
        self._fit_numbers(source, numbers, settings)
        self._fit_categories(frame, counts, settings, seed, rows)
        self._compile()
        if not self.spec_.tensors:
            raise DataError(
                "no feature is left that says anything",
                wanted="a column with at least two values in the training rows",
                got="; ".join(f"{k}: {v}" for k, v in self.dropped_.items()) or "no features",
            )
        return self

    def _fit_numbers(
        self, source: Source, numbers: NumberSummaries, settings: dict[str, Settings]
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
            fitted = fit_vocabulary(*counter.finish(), settings[name])
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
                mean, spread = standardise(table, count)
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
        """Make what was learnt ready to be applied."""
        numbers, categories = self.numbers_, self.categories_
        used = {s.source for s in numbers} | {s.source for s in categories}
        settings = {
            c.name: settings_of(self.config, c) for c in self.schema.features if c.name in used
        }
        self._source = Source(self.schema, settings, [(s.source, s.part) for s in numbers])
        self._code_exprs = [code_expression(s) for s in categories]
        self._formats = {c.name: c.format for c in self.schema.columns}
        self._encoding = Encoding(numbers, categories)
        target = TargetSpec(task=self.schema.task, classes=self.schema.classes)
        self.spec_ = InputSpec(tensors=self._encoding.tensors(), target=target)

    # -- applying

    def transform(self, frame: pl.LazyFrame, rows: IntArray) -> Examples:
        """Examples of the rows of `frame`, whose row numbers are `rows` (n,).

        Without the target column `y` is empty; without the weight column weights are 1.

        Raises:
            DataError: a feature is absent, a number or label is wrong; names the row.
        """
        return _joined(self.transform_batches(frame, rows), len(rows))

    def fit_transform(self, frame: pl.LazyFrame, rows: IntArray, seed: int) -> Examples:
        """`fit`, then the examples of the training rows themselves.

        Differs from `transform` only where the target's mean encodes a column: each training
        row gets the mean of the folds that it is not in.
        """
        self.fit(frame, seed, rows)
        training = np.ones(len(rows), dtype=bool)
        return _joined(self.transform_batches(frame, rows, training=training), len(rows))

    def transform_batches(
        self, frame: pl.LazyFrame, rows: IntArray, *, training: BoolArray | None = None
    ) -> Iterator[Examples]:
        """As `transform`, in batches of bounded size; at least one, which may be empty.

        Args:
            training: (n,) marks the rows of the last `fit`, in its order: they get
                out-of-fold values. None: no row does.
        """
        self._check_fitted()
        columns = set(frame.collect_schema().names())
        raw = self._source.raw(frame, categories=False)
        selected = frame.select(*raw, *self._code_exprs, *self._extras(columns))
        start = seen = 0
        for batch in batches(selected, self._batch_rows):
            stop = start + len(batch)
            assert stop <= len(rows), f"more rows than the {len(rows)} row numbers given"
            fold = None
            if training is not None and self._training is not None:
                mark = training[start:stop]
                fold = np.full(len(batch), -1, dtype=np.int64)
                count = int(mark.sum())
                fold[mark] = self._training.fold(seen, seen + count)
                seen += count
            yield self._apply(batch, rows[start:stop], fold)
            start = stop
        assert start == len(rows), f"{start} rows for {len(rows)} row numbers"
        if start == 0:
            yield self._apply(selected.collect(), rows, None)

    def _check_fitted(self) -> None:
        if not hasattr(self, "spec_"):
            raise DataError("the transformer is not fitted", mend="call fit first")

    def _extras(self, columns: set[str]) -> list[pl.Expr]:
        """Target and weight, where the frame has them."""
        wanted = [*self.schema.names(Role.TARGET), *self.schema.names(Role.WEIGHT)]
        return [pl.col(name) for name in wanted if name in columns]

    def _apply(self, batch: pl.DataFrame, rows: IntArray, fold: IntArray | None) -> Examples:
        codes = [batch[s.source].to_numpy() for s in self.categories_]
        replace: Replace | None = None
        if fold is not None and self._training is not None:
            replace = partial(self._training.out_of_fold, fold)
        inputs = self._encoding(self._source.number_matrix(batch, rows), codes, replace)
        target, weight = self.schema.target, self.schema.one(Role.WEIGHT)
        y: IntArray | FloatArray = np.empty(0, dtype=np.float32)
        if target in batch.columns:
            y = read_targets(batch[target], self.schema, rows)
        weights = np.ones(len(rows), dtype=np.float32)
        if weight is not None and weight in batch.columns:
            weights = read_weights(batch[weight], rows)
        return Examples(inputs=inputs, y=y, rows=rows.astype(np.int64), weight=weights)

    def transform_one(self, values: Mapping[str, Any]) -> Inputs:
        """One row given as column -> value: its tensors, (1, *shape) each.

        Texts are read by the columns' formats, as those of a file are; native values as they
        are. Absent features count as missing.

        Raises:
            DataError: not fitted, or a value that its column cannot hold.
        """
        self._check_fitted()
        codes = self._encoding.codes_of_row(values, self._formats)
        return self._encoding(self._source.number_row(values), codes)

    # -- state

    def to_json(self) -> dict[str, Any]:
        """What was learnt and what it needs to be applied; readable, exact."""
        self._check_fitted()
        return {
            "format": FORMAT,
            "task": str(self.schema.task),
            "classes": list(self.schema.classes),
            "columns": [_column_json(c) for c in self.schema.columns],
            "numbers": [s.to_json() for s in self.numbers_],
            "categories": [s.to_json() for s in self.categories_],
            "dropped": dict(self.dropped_),
        }

    @classmethod
    def from_json(cls, state: Mapping[str, Any]) -> Self:
        """The transformer whose `to_json` this is; applies the same, bit for bit."""
        if state.get("format") != FORMAT:
            raise DataError(
                "the fitted preprocessor is of another format",
                wanted=str(FORMAT),
                got=state.get("format"),
                mend="fit it again: dvc repro normalize --force",
            )
        schema = Schema(
            columns=tuple(
                Column(
                    name=c["name"],
                    type=ColumnType(c["type"]),
                    role=Role(c["role"]),
                    format=CellFormat.from_json(c.get("format", {})),
                    labels=tuple(state["classes"]) if c["role"] == Role.TARGET else (),
                )
                for c in state["columns"]
            ),
            task=Task(state["task"]),
            classes=tuple(state["classes"]),
        )
        self = cls(schema, NormalizeConfig())
        self.numbers_ = [NumberState.from_json(s) for s in state["numbers"]]
        self.categories_ = [CategoryState.from_json(s) for s in state["categories"]]
        self.dropped_ = dict(state["dropped"])
        self._compile()
        return self


def _column_json(column: Column) -> dict[str, Any]:
    """A column; its format is left out where it is the default one."""
    state: dict[str, Any] = {
        "name": column.name,
        "type": str(column.type),
        "role": str(column.role),
    }
    form = column.format.to_json()
    return {**state, "format": form} if form else state


def _joined(parts: Iterator[Examples], rows: int) -> Examples:
    """Batches in one piece, whose memory is taken once: so much is slow to come by."""
    inputs: dict[str, NDArray[Any]] = {}
    beside: dict[str, NDArray[Any]] = {}
    start = 0
    for part in parts:
        count = len(part.rows)
        own = {"y": part.y, "rows": part.rows, "weight": part.weight}
        for whole, arrays in ((inputs, part.inputs), (beside, own)):
            for name, array in arrays.items():
                if name not in whole:  # without the target column `y` stays empty
                    length = rows if len(array) == count else 0
                    whole[name] = np.empty((length, *array.shape[1:]), dtype=array.dtype)
                whole[name][start : start + len(array)] = array
        start += count
    return Examples(inputs=inputs, **beside)


def _column_names(state: CategoryState, schema: Schema, width: int) -> tuple[str, ...]:
    if state.encode == "onehot":
        return tuple(f"{state.source}={value}" for value in state.values)
    if state.encode == "frequency":
        return (f"{state.source}:frequency",)
    if width == 1:
        return (f"{state.source}:target",)
    return tuple(f"{state.source}:target={c}" for c in schema.classes[1:])
