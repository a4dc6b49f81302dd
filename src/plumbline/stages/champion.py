"""What a registered model says of the present test rows, by its own preprocessor."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from plumbline import artifacts
from plumbline.config import Config, Paths
from plumbline.errors import DataError
from plumbline.evaluation.gate import Candidate
from plumbline.examples import Examples
from plumbline.files import read_json, sha256
from plumbline.inference.decision import Decision
from plumbline.inference.onnx_predictor import OnnxPredictor
from plumbline.inference.version_files import EXTRA
from plumbline.kinds import Role
from plumbline.preprocessing.frames import take_rows
from plumbline.preprocessing.transform import TableTransformer
from plumbline.stages.inputs import load_spec, load_table


class Unfit(Exception):
    """A registered model cannot be scored on the present rows; says why."""


def present_candidate(paths: Paths, test: Examples) -> Candidate:
    """The model that was just exported, on prepared test rows."""
    return Candidate(
        prediction=OnnxPredictor((paths.onnx / artifacts.GRAPH).read_bytes())(test.inputs),
        threshold=Decision.read(paths.decision).threshold,
    )


def registered_candidate(folder: Path, config: Config, paths: Paths, test: Examples) -> Candidate:
    """A registered model on the same rows: from the data, through its own preprocessor.

    Args:
        folder: of the version's model, as MLflow keeps it.
        test: the prepared test rows of the present; name the rows.

    Raises:
        Unfit: it answers another question, or the data lack what it needs.
    """
    extra, contract = folder / EXTRA, contract_of(folder)
    try:
        threshold = Decision.read(extra).threshold
        own = read_json(extra / artifacts.PREPROCESSOR)
    except (OSError, ValueError, KeyError) as error:
        raise Unfit(f"its files cannot be read: {error}") from None
    spec = load_spec(paths)
    if contract["task"] != str(spec.task) or contract["classes"] != list(spec.classes):
        was = f"{contract['task']} {', '.join(contract['classes'])}".strip()
        raise Unfit(f"it answers another question ({was})")
    if sha256(extra / artifacts.PREPROCESSOR) != sha256(paths.model / artifacts.PREPROCESSOR):
        test = _prepare(own, config, paths, test)
    graph = OnnxPredictor((folder / artifacts.GRAPH).read_bytes())
    return Candidate(prediction=graph(test.inputs), threshold=threshold)


def contract_of(folder: Path | None) -> dict[str, Any]:
    """The contract of a registered model, whose graph is held against it.

    Args:
        folder: of the version's model; None where MLflow has it no more.

    Raises:
        Unfit: the files are gone, or the graph is not the one that was exported.
    """
    if folder is None:
        raise Unfit("its files are not where MLflow says")
    try:
        contract: dict[str, Any] = read_json(folder / EXTRA / artifacts.CONTRACT)
        digest = sha256(folder / artifacts.GRAPH)
    except (OSError, ValueError) as error:
        raise Unfit(f"its files cannot be read: {error}") from None
    if digest != contract["sha256"]:
        raise Unfit("its model.onnx is not the file that was exported")
    return contract


def _prepare(state: dict[str, object], config: Config, paths: Paths, test: Examples) -> Examples:
    """The same rows, prepared as the registered model learned it."""
    table, schema = load_table(config, paths)
    try:
        transformer = TableTransformer.from_json(state)
        target = transformer.schema.one(Role.TARGET)
        if target != schema.target:
            raise Unfit(f"it predicts '{target}', not '{schema.target}'")
        rows = np.asarray(test.rows, dtype=np.int64)
        return transformer.transform(take_rows(table, rows), rows)
    except (DataError, pl.exceptions.PolarsError) as error:
        raise Unfit(f"the data do not fit its preprocessor: {error}") from None
