"""An exported graph, asked by ONNX Runtime. Imports no torch."""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from functools import cached_property
from typing import Any

import numpy as np

# before it is imported: it begins a file of usage events then, also where MLflow loads a version
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")

import onnxruntime

from plumbline.examples import Inputs, count_rows
from plumbline.inference import BATCH_ROWS, FEATURES, PREDICTION, Featured, batches
from plumbline.kinds import DoubleArray, FloatArray

DTYPES = {"tensor(float)": np.float32, "tensor(int64)": np.int64, "tensor(uint8)": np.uint8}


def open_session(graph: bytes) -> onnxruntime.InferenceSession:
    """ONNX Runtime on the CPU with a single thread: the same input gives the same bits."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 3  # errors
    return onnxruntime.InferenceSession(graph, options, providers=["CPUExecutionProvider"])


class OnnxPredictor:
    """Tensors (n, *shape) to the graph's calibrated prediction (n, C)."""

    def __init__(self, graph: bytes, *, batch_rows: int = BATCH_ROWS, threads: int = 1) -> None:
        """Args:
        graph: bytes of an .onnx file that `export` wrote.
        threads: batches at a time, of many rows; whichever takes a batch, its bits are the same.
        """
        self._session = open_session(graph)
        self._batch_rows, self._threads = batch_rows, threads
        self._inputs = {i.name: (DTYPES[i.type], i.shape[1:]) for i in self._session.get_inputs()}

    def __call__(self, inputs: Inputs) -> DoubleArray:
        given = list(batches(inputs, self._batch_rows))
        if (threads := min(self._threads, len(given))) == 1:
            parts = [self._predict(batch) for batch in given]
        else:
            with ThreadPoolExecutor(threads) as pool:
                parts = list(pool.map(self._predict, given))
        return np.concatenate(parts).astype(np.float64)

    @cached_property
    def has_features(self) -> bool:
        """Whether the graph gives the network's features; those of before do not."""
        return any(output.name == FEATURES for output in self._session.get_outputs())

    def with_features(self, inputs: Inputs) -> Featured:
        """Predictions and features, a batch at a time."""
        for batch in batches(inputs, self._batch_rows):
            prediction, features = self._run(batch, PREDICTION, FEATURES)
            yield prediction.astype(np.float64), features

    def at_once(self, inputs: Inputs) -> tuple[DoubleArray, FloatArray | None]:
        """Predictions and features, if the graph gives them, of few rows."""
        outputs = [PREDICTION, FEATURES] if self.has_features else [PREDICTION]
        if inputs.keys() == self._inputs.keys():
            prediction, *features = self._session.run(outputs, inputs)
        else:
            prediction, *features = self._run(inputs, *outputs)
        return prediction.astype(np.float64), features[0] if features else None

    def _predict(self, batch: Inputs) -> FloatArray:
        prediction: FloatArray = self._run(batch, PREDICTION)[0]
        return prediction

    def _run(self, batch: Inputs, *outputs: str) -> list[Any]:
        rows, feed = count_rows(batch), {}
        for name, (dtype, shape) in self._inputs.items():
            # graphs of before have an input of width 0 where there is no column of its kind
            array = batch[name] if name in batch or 0 not in shape else np.empty((rows, *shape))
            feed[name] = np.ascontiguousarray(array, dtype=dtype)
        arrays: list[Any] = self._session.run(list(outputs), feed)
        return arrays
