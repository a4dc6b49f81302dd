"""What MLflow loads of a version: rows as users have them in, predictions out.

Every version carries this module and what it imports (`carried`), so it imports neither torch nor
what trains, judges or registers.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast, get_args

import pandas as pd
from mlflow.exceptions import MlflowException
from mlflow.protos.databricks_pb2 import INVALID_PARAMETER_VALUE

from plumbline.errors import DataError, ParameterError, UserError
from plumbline.inference.feature_reader import Extra
from plumbline.inference.rows import RowPredictor
from plumbline.store.given import given_rows

EXTRA = "extra"  # parameter of a call: `refuse` or `ignore` columns that the training data had not


class RowModel:
    """A version, ready to answer."""

    def __init__(self, predictor: RowPredictor) -> None:
        self._predictor = predictor

    def predict(self, data: Any, params: Mapping[str, Any] | None = None) -> pd.DataFrame:
        """Predictions of rows, a row each, in their order.

        Args:
            data: a frame of pandas or polars; a list of rows, column -> value; or column -> values.
                Columns as in the data that the model was trained on; cells typed, or written as
                there. An image is its bytes, its bytes in base64, or the path of a file.
            params: `extra`: `ignore` takes columns that the training data had not.

        Raises:
            MlflowException: a column is missing or unknown, or holds a value of another type.
        """
        try:
            predictor = self._predictor
            required = {column.name for column in predictor.columns} - predictor.optional
            rows = given_rows(data, predictor.schema, predictor.accepted, required)
            if not rows.width and not len(data):
                raise DataError("there are no rows", wanted="a row or more, with their columns")
            predicted = predictor.predict(rows, extra=_extra(params or {}))
        except UserError as error:
            raise MlflowException(str(error), error_code=INVALID_PARAMETER_VALUE) from None
        columns = {column.name: column.to_list() for column in predicted.iter_columns()}
        return pd.DataFrame(columns, index=data.index if isinstance(data, pd.DataFrame) else None)


def _extra(params: Mapping[str, Any]) -> Extra:
    extra = params.get(EXTRA, "refuse")
    if extra not in get_args(Extra):
        raise ParameterError("no such choice", where=EXTRA, wanted="refuse or ignore", got=extra)
    return cast("Extra", extra)


def _load_pyfunc(path: str) -> RowModel:
    """The version in a folder; MLflow calls this."""
    return RowModel(RowPredictor.load(Path(path)))
