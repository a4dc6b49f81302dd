"""What a registered model says of the present test rows, by its own preprocessor."""

from __future__ import annotations

import dataclasses
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from plumbline import artifacts
from plumbline.config import Config, Paths
from plumbline.errors import DataError
from plumbline.evaluation.gate import Benefit, Candidate
from plumbline.examples import Examples, Inputs, take_inputs
from plumbline.export.weights_file import read_graph
from plumbline.files import read_json, sha256
from plumbline.inference.decision import Decision
from plumbline.inference.onnx_predictor import OnnxPredictor
from plumbline.inference.version_files import EXTRA
from plumbline.kinds import Role
from plumbline.preprocessing.bagged import load_transformer
from plumbline.preprocessing.frames import take_rows
from plumbline.stages.inputs import load_spec, load_table

TIMED_ROWS, TIMED_RUNS = 1000, 15


class Unfit(Exception):
    """A registered model cannot be scored on the present rows; says why."""


@dataclass(frozen=True, kw_only=True)
class Scored:
    """A model's predictions of the test rows, and its graph with the inputs that it reads."""

    candidate: Candidate
    graph: bytes
    inputs: Inputs


def present_candidate(paths: Paths, test: Examples) -> Scored:
    """The model that was just exported, on prepared test rows."""
    graph = read_graph(paths.onnx / artifacts.GRAPH)
    return _score(graph, test, Decision.read(paths.decision).threshold)


def _score(graph: bytes, test: Examples, threshold: float | None) -> Scored:
    prediction = OnnxPredictor(graph)(test.inputs)
    candidate = Candidate(prediction=prediction, threshold=threshold)
    return Scored(candidate=candidate, graph=graph, inputs=test.inputs)


def registered_candidate(folder: Path, config: Config, paths: Paths, test: Examples) -> Scored:
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
    return _score((folder / artifacts.GRAPH).read_bytes(), test, threshold)


def measure_costs(
    benefit: Benefit, challenger: Scored, champion: Scored
) -> tuple[Candidate, Candidate]:
    """Both with what they cost: bytes of the graph; seconds for one batch of up to 1,000 rows, the
    median of 15 runs, in turns, so that other work on the machine slows both."""
    both = (challenger, champion)
    if benefit == "size":
        costs = [float(len(one.graph)) for one in both]
    else:
        graphs = [OnnxPredictor(one.graph) for one in both]
        batches = [take_inputs(one.inputs, slice(TIMED_ROWS)) for one in both]
        timings: list[list[float]] = []
        for _ in range(TIMED_RUNS + 1):  # the first warms up
            timings.append([])
            for graph, batch in zip(graphs, batches, strict=True):
                begun = time.perf_counter()
                graph(batch)
                timings[-1].append(time.perf_counter() - begun)
        costs = [float(seconds) for seconds in np.median(timings[1:], axis=0)]
    new, old = (
        dataclasses.replace(one.candidate, costs={benefit: cost})
        for one, cost in zip(both, costs, strict=True)
    )
    return new, old


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
        transformer = load_transformer(state)
        target = transformer.schema.one(Role.TARGET)
        if target != schema.target:
            raise Unfit(f"it predicts '{target}', not '{schema.target}'")
        rows = np.asarray(test.rows, dtype=np.int64)
        return transformer.transform(take_rows(table, rows), rows)
    except (DataError, pl.exceptions.PolarsError) as error:
        raise Unfit(f"the data do not fit its preprocessor: {error}") from None
