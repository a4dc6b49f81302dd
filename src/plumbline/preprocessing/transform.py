"""Rows of a table -> tensors. Fitted on training rows."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Self

import numpy as np
import polars as pl
from numpy.typing import NDArray

from plumbline.config.data import NormalizeConfig
from plumbline.errors import DataError
from plumbline.examples import Examples, InputSpec, TargetSpec
from plumbline.kinds import BoolArray, ColumnType, DoubleArray, IntArray, Role
from plumbline.preprocessing.columns import check_columns
from plumbline.preprocessing.decoded import DecodedImages
from plumbline.preprocessing.frames import named
from plumbline.preprocessing.preparer import Labels
from plumbline.preprocessing.preparers import PREPARERS, Given, Preparer, columns_by_preparer
from plumbline.preprocessing.states import FORMAT, kept_states, schema_and_states
from plumbline.preprocessing.table_reader import read_targets, read_weights
from plumbline.tables import Schema, batches, rows_at_once


class TableTransformer:
    """Makes tensors of a table's features: the composition of the preparers of their types.

    Fitted state: `preparers_` by name, `dropped_` (feature -> why), `spec_`.
    """

    preparers_: dict[str, Preparer]
    dropped_: dict[str, str]
    spec_: InputSpec

    def __init__(
        self,
        schema: Schema,
        config: NormalizeConfig,
        *,
        max_memory_mb: int = 2048,
        kept: Mapping[str, Any] | None = None,
        decoded: DecodedImages | None = None,
    ) -> None:
        """Raises ParameterError for overrides of what is no feature of the schema.

        Args:
            max_memory_mb: bounds the rows read at once, and the sample of the rows that order
                statistics come from; so it may change their last digits.
            kept: the state of another transformer, of which the preparers of
                `config.from_start` are taken instead of fitted.
            decoded: pixels by row number, which are taken instead of decoded; the rows of `fit`
                and `transform` are then numbered as those of the one table that it is of.
        """
        check_columns(config, schema)
        self._kept = kept_states(schema, config, kept or {})
        self.schema = schema
        self.config = config
        self._max_memory_mb = max_memory_mb
        self._decoded = decoded
        self._batch_rows = rows_at_once(
            len(schema.columns), max_memory_mb, len(schema.of_type(ColumnType.IMAGE))
        )

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
        preparers: dict[str, Preparer] = {
            name: PREPARERS[name].from_json(given, self._kept[name])
            if name in self._kept
            else PREPARERS[name](given)
            for name, given in self._given().items()
        }
        learning = [own for name, own in preparers.items() if name not in self._kept]
        for preparer in learning:
            preparer.begin(seed)
        reads = [expression for own in learning for expression in own.reads(frame)]
        count = 0
        for batch in batches(frame.select(reads), self._batch_rows) if reads else ():
            for preparer in learning:
                preparer.observe(batch, named(rows, count, len(batch)))
            count += len(batch)
        for preparer in learning:
            preparer.finish(frame, rows)
        self._hold(preparers)
        if not self.spec_.tensors:
            raise DataError(
                "no feature is left that says anything",
                wanted="a column with at least two values in the training rows",
                got="; ".join(f"{k}: {v}" for k, v in self.dropped_.items()) or "no features",
            )
        return self

    def _given(self) -> dict[str, Given]:
        return {
            name: Given(
                schema=self.schema,
                columns=columns,
                config=self.config,
                batch_rows=self._batch_rows,
                max_memory_mb=self._max_memory_mb,
                decoded=self._decoded,
            )
            for name, columns in columns_by_preparer(self.schema.features).items()
        }

    def _hold(self, preparers: dict[str, Preparer]) -> None:
        self.preparers_ = preparers
        self.dropped_ = {k: v for own in preparers.values() for k, v in own.dropped_.items()}
        self.spec_ = InputSpec(
            tensors=tuple(tensor for own in preparers.values() for tensor in own.tensors_),
            target=TargetSpec(task=self.schema.task, classes=self.schema.classes),
        )

    def labels(self) -> Labels:
        """What the codes in the tensors stand for, by tensor that has codes."""
        return {k: v for own in self.preparers_.values() for k, v in own.labels().items()}

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
        own = [e for preparer in self.preparers_.values() for e in preparer.selects(frame)]
        selected = frame.select(*own, *self._extras(columns))
        start = count = 0
        for batch in batches(selected, self._batch_rows):
            stop = start + len(batch)
            assert stop <= len(rows), f"more rows than the {len(rows)} row numbers given"
            positions = None
            if training is not None:
                mark = training[start:stop]
                positions = np.full(len(batch), -1, dtype=np.int64)
                positions[mark] = np.arange(count, count + int(mark.sum()))
                count += int(mark.sum())
            yield self._apply(batch, rows[start:stop], positions)
            start = stop
        assert start == len(rows), f"{start} rows for {len(rows)} row numbers"
        if start == 0:
            yield self._apply(selected.collect(), rows, None)

    def transform_frame(self, frame: pl.DataFrame, rows: IntArray) -> Examples:
        """As `transform`, of rows that are in memory, all at once."""
        self._check_fitted()
        lazy = frame.lazy()
        own = [e for preparer in self.preparers_.values() for e in preparer.selects(lazy)]
        selected = frame.select(*own, *self._extras(set(frame.columns)))
        return self._apply(selected, rows, None)

    def _check_fitted(self) -> None:
        if not hasattr(self, "spec_"):
            raise DataError("the transformer is not fitted", hint="call fit first")

    def _extras(self, columns: set[str]) -> list[pl.Expr]:
        """Target and weight, where the frame has them."""
        wanted = [*self.schema.names(Role.TARGET), *self.schema.names(Role.WEIGHT)]
        return [pl.col(name) for name in wanted if name in columns]

    def _apply(self, batch: pl.DataFrame, rows: IntArray, positions: IntArray | None) -> Examples:
        inputs: dict[str, NDArray[Any]] = {}
        for preparer in self.preparers_.values():
            inputs |= preparer.apply(batch, rows, positions)
        target, weight = self.schema.target, self.schema.one(Role.WEIGHT)
        y: IntArray | DoubleArray = np.empty(0)
        if target in batch.columns:
            y = read_targets(batch[target], self.schema, rows)
        weights = np.ones(len(rows), dtype=np.float32)
        if weight is not None and weight in batch.columns:
            weights = read_weights(batch[weight], rows)
        return Examples(inputs=inputs, y=y, rows=rows.astype(np.int64), weight=weights)

    # -- state

    def to_json(self) -> dict[str, Any]:
        """What was learned and what it needs to be applied; readable, exact."""
        self._check_fitted()
        return {
            "format": FORMAT,
            **self.schema.to_json(),
            "preparers": {name: own.to_json() for name, own in self.preparers_.items()},
        }

    @classmethod
    def from_json(cls, state: Mapping[str, Any]) -> Self:
        """The transformer whose `to_json` this is; applies the same, bit for bit."""
        schema, states = schema_and_states(state)
        self = cls(schema, NormalizeConfig())
        given = self._given()
        unknown = [name for name in states if name not in PREPARERS]
        if unknown:
            raise DataError(
                "the fitted preprocessor reads cells of a type that this version does not know",
                wanted=", ".join(PREPARERS),
                got=unknown[0],
            )
        self._hold(
            {name: PREPARERS[name].from_json(given[name], own) for name, own in states.items()}
        )
        return self


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
