"""Predictions of few rows, given as column -> value, without a frame: what a service is asked.

The same numbers as of a table, to the bit of what the graph gives; a hundredth of the calls.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from plumbline.examples import TargetSpec
from plumbline.inference.decided import prediction_rows
from plumbline.inference.decision import Decision
from plumbline.inference.onnx_predictor import OnnxPredictor
from plumbline.inference.out_of_distribution import FLAG, SCORE, OutOfDistribution
from plumbline.kinds import Cell
from plumbline.preprocessing.apply import FEW_ROWS
from plumbline.preprocessing.few_rows import RowTransformer

Answers = list[dict[str, Any]]  # a row of the table of predictions each


class FewRows:
    """Predicts at most `FEW_ROWS` rows at once."""

    most = FEW_ROWS

    def __init__(
        self,
        transformer: RowTransformer,
        graph: OnnxPredictor,
        target: TargetSpec,
        decision: Decision,
        unusual: OutOfDistribution | None,
    ) -> None:
        self._transformer, self._graph, self._unusual = transformer, graph, unusual
        self._target, self._decision = target, decision

    def read(self, values: Mapping[str, Any]) -> list[Cell]:
        """The cells of a row in the order of the columns that the model reads, in their types.

        Raises:
            DataError: one cannot be read.
            ValueError: a date that Python does not know: year 12345.
        """
        return self._transformer.read(values)

    def predict(self, rows: Sequence[Sequence[Cell]]) -> Answers | None:
        """An answer per row, as `read` gives them; None where the model makes no number of one."""
        cells = self._transformer.cells(rows)
        inputs = self._transformer.tensors(cells)
        prediction, features = self._graph.at_once(inputs)
        if not np.isfinite(prediction).all():
            return None
        answers = prediction_rows(prediction, self._target, self._decision)
        if self._unusual is not None:
            assert features is not None
            distances = self._unusual.distances(features)
            scores = self._unusual.scores_of(distances, cells).tolist()
            threshold = self._unusual.threshold
            for answer, score in zip(answers, scores, strict=True):
                answer[SCORE] = score
                answer[FLAG] = None if threshold is None else score > threshold
        return answers
