"""A registered model answers raw rows: the user's own columns in, a prediction with its
probabilities, interval or set out.

It needs the files of a version and nothing else; imports no torch, MLflow or Great Expectations.
"""

from __future__ import annotations

import contextlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Self

import numpy as np
import polars as pl
import polars.selectors as cs

from plumbline.errors import DataError
from plumbline.examples import Inputs, InputSpec
from plumbline.inference.accepted_kinds import AcceptedKinds
from plumbline.inference.decided import PREDICTED, prediction_columns
from plumbline.inference.feature_reader import MOST_CHARACTERS, PROBLEMS, Extra, FeatureReader
from plumbline.inference.few_rows import FewRows
from plumbline.inference.onnx_predictor import OnnxPredictor
from plumbline.inference.version_files import VersionFiles
from plumbline.kinds import ColumnType, IntArray
from plumbline.preprocessing.bagged import each_transformer, load_transformer
from plumbline.preprocessing.few_rows import RowTransformer
from plumbline.preprocessing.scalars import ScalarPreparer
from plumbline.tables import Column, Schema


class RowPredictor:
    """Raw rows to predictions, as `reports/evaluation/predictions.parquet` has them."""

    def __init__(self, files: VersionFiles) -> None:
        self.decision = files.decision
        self.sha256 = str(files.contract["sha256"])  # of the graph
        self.key = files.key  # of all that a prediction depends on
        self._transformer = load_transformer(files.preprocessor)
        self.graph = OnnxPredictor(files.graph)
        self._unusual = files.out_of_distribution if self.graph.has_features else None
        needed = {source for tensor in self.spec for source in tensor.sources}
        columns = [c for c in self.schema.features if c.name in needed]
        ranges = files.out_of_distribution.ranges.columns if files.out_of_distribution else ()
        self.accepted = AcceptedKinds(columns, self.known_values, {r.name: r for r in ranges})
        self._reader = FeatureReader(
            columns,
            {*files.columns, *(c.name for c in self.schema.columns)},
            self.accepted,
            files.optional,
        )
        self._rows = RowTransformer(self._transformer, self.columns)
        self.few: FewRows | None = None  # images are opened where refusals name them
        if all(column.type is not ColumnType.IMAGE for column in self.columns):
            target = self.spec.target
            self.few = FewRows(self._rows, self.graph, target, self.decision, self._unusual)

    @classmethod
    def load(cls, folder: Path | str) -> Self:
        """The model in a folder that holds a version's files.

        Raises:
            DataError: a file is missing, broken, or of a format that is not known here.
        """
        return cls(VersionFiles.read(Path(folder)))

    @property
    def schema(self) -> Schema:
        """The training data's columns, in their order, with the formats of their cells."""
        return self._transformer.schema

    @property
    def spec(self) -> InputSpec:
        """The tensors that the graph reads, and what it predicts."""
        return self._transformer.spec_

    @property
    def columns(self) -> tuple[Column, ...]:
        """The columns that the model reads."""
        return self._reader.columns

    @property
    def optional(self) -> frozenset[str]:
        """Those of them that a row may lack: its cells are then missing."""
        return self._reader.optional

    @property
    def known_columns(self) -> frozenset[str]:
        """The training data's columns, also those that a row need not have."""
        return self._reader.known

    @property
    def known_values(self) -> dict[str, tuple[str, ...]]:
        """The values of each category column that training rows had, the frequent ones."""
        known: dict[str, dict[str, None]] = {}  # of a bag by any of its networks
        for transformer in each_transformer(self._transformer):
            scalars = transformer.preparers_.get("scalars")
            for state in scalars.categories_ if isinstance(scalars, ScalarPreparer) else []:
                known.setdefault(state.source, {}).update(dict.fromkeys(state.values))
        return {name: tuple(values) for name, values in known.items()}

    def check_columns(self, frame: pl.DataFrame | pl.LazyFrame, extra: Extra = "refuse") -> None:
        """Refuse a frame whose columns do not fit.

        Raises:
            DataError: a column is missing, unknown or of a wrong type; names it.
        """
        self._reader.check(frame, extra)

    def typed(self, frame: pl.DataFrame) -> pl.DataFrame:
        """The columns that the model reads, in their types; what cannot be read is null."""
        return self._reader.typed(frame)

    def inputs(self, frame: pl.DataFrame) -> Inputs:
        """The tensors of rows that can be read."""
        values = self._reader.typed(self._reader.completed(frame))
        return self._transformer.transform_frame(values, np.arange(len(values))).inputs

    def predict(
        self,
        frame: pl.DataFrame,
        *,
        extra: Extra = "refuse",
        image_folder: Path | None = None,
    ) -> pl.DataFrame:
        """A prediction per row, in order.

        Columns: `predicted` (label or value), then for classes `p_<class>` and `prediction_set`
        (labels), for values `low` and `high` (null where no interval can be promised); then
        `out_of_distribution_score` and `out_of_distribution` (whether the row is flagged), unless
        the version was registered without.

        Args:
            frame: has the columns of the training data that the model reads, but for `optional`
                ones; other columns of the training data are not looked at. Text is read as the
                cells of a file are.
            extra: what becomes of columns that the training data had not.
            image_folder: that the paths in image columns are relative to.

        Raises:
            DataError: a column is missing, unknown or of a wrong type, or a cell cannot be read;
                names column and row.
        """
        table, problems = self.predict_readable(frame, extra=extra, image_folder=image_folder)
        if len(problems):
            row, column, value, reason = problems.row(0)
            more = f"; {len(problems) - 1} more cells cannot be read" if len(problems) > 1 else ""
            raise DataError(
                f"{reason}{more}",
                where=f"column '{column}', row {row}",
                got=value,
                hint="write it as the training data write it, or leave the cell empty",
            )
        return table

    def predict_readable(
        self,
        frame: pl.DataFrame,
        *,
        extra: Extra = "refuse",
        image_folder: Path | None = None,
    ) -> tuple[pl.DataFrame, pl.DataFrame]:
        """As `predict`, but a row with a cell that cannot be read has nulls and stops nothing.

        Returns:
            The predictions, a row per row of the frame; and the cells that cannot be read: `row`
            (position in the frame), `column`, `value`, `reason`.

        Raises:
            DataError: a column is missing, unknown or of a wrong type.
        """
        self.check_columns(frame, extra)
        frame = self._reader.completed(frame)
        frame, refused = self._reader.with_files(frame, image_folder)
        values = self._reader.typed(frame)
        problems = self._reader.problems(frame, values)
        good = _others(len(frame), problems)
        try:
            kept = _rows(values, good)
            inputs = self._inputs(kept, good)
        except DataError:  # an image: they are opened here, once
            problems = pl.concat([problems, self._reader.broken_images(frame)])
            problems = problems.unique(["row", "column"])
            good = _others(len(frame), problems)
            kept = _rows(values, good)
            inputs = self._inputs(kept, good)
        if len(problems):
            problems = _with_reasons(problems.sort("row", "column"), refused)
        table = self._table(inputs, kept)
        finite = _finite(table, self.spec.target.classes)
        if not finite.all():
            overflowing = _overflowing(kept.filter(~finite), good[~finite.to_numpy()])
            problems = pl.concat([problems, overflowing]).sort("row", "column")
            table, good = table.filter(finite), good[finite.to_numpy()]
        if len(good) < len(frame):
            place = np.full(len(frame), -1, dtype=np.int64)
            place[good] = np.arange(len(good))
            positions = pl.Series(place).replace(-1, None)
            table = table.select(pl.all().gather(positions))
        return table, problems

    def _inputs(self, values: pl.DataFrame, rows: IntArray) -> Inputs:
        """The tensors of typed rows; of one row by the way that is short for one."""
        if len(values) == 1:
            with contextlib.suppress(ValueError):  # a date that Python does not know: year 12345
                return self._rows(values.row(0, named=True))
        return self._transformer.transform_frame(values, rows).inputs

    def _table(self, inputs: Inputs, values: pl.DataFrame) -> pl.DataFrame:
        """What is outputs of prepared rows: a column each.

        Args:
            values: the same rows, typed.
        """
        target, width = self.spec.target, self.spec.target.n_predicted
        if not len(values):
            nothing = np.empty((0, width))
            columns = prediction_columns(nothing, target, self.decision)
            scores = np.empty(0)
        elif self._unusual is None:
            columns = prediction_columns(self.graph(inputs), target, self.decision)
        else:
            distances, predicted = [], []
            for prediction, features in self.graph.with_features(inputs):
                predicted.append(prediction)
                distances.append(self._unusual.distances(features))
            columns = prediction_columns(np.concatenate(predicted), target, self.decision)
            scores = self._unusual.scores(np.concatenate(distances), values)
        if self._unusual is not None:
            columns |= self._unusual.columns(scores)
        return pl.DataFrame(columns)


def _rows(values: pl.DataFrame, rows: IntArray) -> pl.DataFrame:
    """The typed rows at some positions."""
    return values if len(rows) == len(values) else values[rows]


def _others(rows: int, problems: pl.DataFrame) -> IntArray:
    """The rows that no problem is of."""
    return np.setdiff1d(np.arange(rows), problems["row"].to_numpy())


def _finite(table: pl.DataFrame, classes: Sequence[str]) -> pl.Series:
    """The rows whose probabilities or value are numbers."""
    outputs = [table[name].to_numpy() for name in [f"p_{name}" for name in classes] or [PREDICTED]]
    return pl.Series(np.isfinite(outputs).all(axis=0))


def _overflowing(values: pl.DataFrame, rows: IntArray) -> pl.DataFrame:
    """The largest number of each row, of which the model makes no number.

    Args:
        values: typed rows.
        rows: their positions.
    """
    numbers = values.select(cs.numeric().cast(pl.Float64))
    listed = []
    for row, cells in zip(rows, numbers.iter_rows(named=True), strict=True):
        column = max(cells, key=lambda name: abs(cells[name] or 0.0), default="")
        reason = "is so large that the model makes no number of the row"
        listed.append((row, column, str(cells.get(column)), reason))
    return pl.DataFrame(listed, schema=PROBLEMS, orient="row")


def _with_reasons(problems: pl.DataFrame, refused: Mapping[str, str]) -> pl.DataFrame:
    """Why a file that is there was not read."""
    if not refused:
        return problems
    paths, reasons = list(refused), list(refused.values())
    own = pl.col("value").replace_strict(
        [path[:MOST_CHARACTERS] for path in paths], reasons, default=pl.col("reason")
    )
    return problems.with_columns(own.alias("reason"))
