"""A version as MLflow keeps it: the graph, and a model that takes the user's own rows.

`mlflow.pyfunc` loads the second, by the code that the version carries; `mlflow.onnx` the first.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import mlflow
import numpy as np
import onnx
import polars as pl
from mlflow.models import Model, ModelSignature
from mlflow.types import ColSpec, DataType, ParamSchema, ParamSpec, Schema
from mlflow.types.schema import Array

from plumbline.artifacts import GRAPH, PREDICTIONS
from plumbline.errors import GateError
from plumbline.inference.rows import RowPredictor
from plumbline.kinds import ColumnType, DoubleArray
from plumbline.store.carried import write_package
from plumbline.store.loader import EXTRA
from plumbline.tables import Column

LOADER = "plumbline.store.loader"
CODE = "code"
TYPES = {
    ColumnType.NUMBER: DataType.double,
    ColumnType.INTEGER: DataType.long,
    ColumnType.BOOLEAN: DataType.boolean,
    ColumnType.CATEGORY: DataType.string,
    ColumnType.TEXT: DataType.string,
    ColumnType.DATE: DataType.datetime,
    ColumnType.IMAGE: DataType.binary,
}


@dataclass(frozen=True, kw_only=True)
class RawModel:
    """What MLflow's `Model.log` takes for a flavor: something that saves a model.

    Attributes:
        graph: bytes of an .onnx file that holds its weights.
        files: preprocessor, contract, decision, … that turn rows into its inputs.
        gaps: the columns that have missing cells in training rows; a row may lack them.
        example: typed rows of the test part; those of their columns that the model reads are kept.
        expected: numbers that were predicted for these rows when the model was evaluated, and
            `allowed`, how far the version's may be from them: (rows,) by column.
    """

    graph: bytes
    files: Sequence[Path]
    gaps: Collection[str]
    example: pl.DataFrame
    expected: pl.DataFrame
    allowed: Mapping[str, DoubleArray]

    def save_model(self, path: str, mlflow_model: Model) -> None:
        """Write the model into a folder, which MLflow then takes into the store."""
        with tempfile.TemporaryDirectory() as temporary:
            predictor = self._predictor(Path(temporary) / "files")
            example = self.example.select(column.name for column in predictor.columns)
            carried = write_package(LOADER, Path(temporary))
            mlflow.onnx.save_model(
                onnx.load_from_string(self.graph),
                path,
                mlflow_model=mlflow_model,
                signature=False,  # ours is of rows, not of the graph
                input_example=example.to_dicts(),
                pip_requirements=list(carried.requirements),
                onnx_execution_providers=["CPUExecutionProvider"],
                save_as_external_data=False,
                extra_files=[str(file) for file in self.files],
            )
            shutil.copytree(carried.folder, Path(path) / CODE / carried.folder.name)
        mlflow.pyfunc.add_to_model(
            mlflow_model,
            loader_module=carried.module,
            code=CODE,
            conda_env="conda.yaml",
            python_env="python_env.yaml",
        )
        mlflow_model.signature = self._signature(predictor, example)
        mlflow_model.save(str(Path(path) / "MLmodel"))

    def _predictor(self, folder: Path) -> RowPredictor:
        folder.mkdir()
        (folder / GRAPH).write_bytes(self.graph)
        for file in self.files:
            shutil.copy(file, folder)
        return RowPredictor.load(folder)

    def _signature(self, predictor: RowPredictor, example: pl.DataFrame) -> ModelSignature:
        predicted = predictor.predict(example)
        self._refuse_other(predicted)
        signature = ModelSignature(
            inputs=Schema([_input(c, c.name in self.gaps) for c in predictor.columns]),
            outputs=Schema([_output(column) for column in predicted.iter_columns()]),
            params=ParamSchema([ParamSpec(EXTRA, DataType.string, "refuse")]),
        )
        # Rows then come to the loader as they are, which checks them itself. MLflow would refuse
        # whole numbers where a number is wanted, drop columns that it does not know, and read
        # `null` as false and 0.7 as 0 in what a server gets.
        signature._is_signature_from_type_hint = True
        return signature

    def _refuse_other(self, predicted: pl.DataFrame) -> None:
        """Raises GateError where raw rows are answered otherwise than the prepared ones were."""
        for name, allowed in self.allowed.items():
            own, wanted = (
                frame[name].cast(pl.Float64).fill_null(np.nan).to_numpy()
                for frame in (predicted, self.expected)
            )
            away = np.where(np.isnan(own) & np.isnan(wanted), 0.0, np.abs(own - wanted))
            if not (away <= allowed).all():
                row = int(np.argmax(np.where(np.isnan(away), np.inf, away - allowed)))
                raise GateError(
                    f"register: the version answers a raw row with {name} = {own[row]:.9g}, the "
                    f"evaluation says {wanted[row]:.9g}.",
                    report=PREDICTIONS,
                    hint="Rerun `plumbline repro`; if it says so again, it is a defect: report it",
                )


def _input(column: Column, gaps: bool) -> ColSpec:
    kind = TYPES[column.type]
    if gaps and kind is DataType.long:  # pandas holds them as floating-point numbers
        kind = DataType.double
    return ColSpec(kind, column.name, required=not gaps)


def _output(column: pl.Series) -> ColSpec:
    kinds = {
        pl.String: DataType.string,
        pl.Boolean: DataType.boolean,
        pl.List(pl.String): Array(DataType.string),
    }
    kind: Any = kinds.get(column.dtype, DataType.double)
    return ColSpec(kind, column.name)
