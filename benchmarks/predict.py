"""Predicting raw rows: `plumbline predict` beside `mlflow.pyfunc` with the same graph.

Both get the same Parquet file of 30 columns and write a table of predictions; each is a process of
its own. The peer gives the graph prepared tensors, 10,000 rows at a time, as MLflow's own model
does: the preparation of its tensors is plumbline's and is not counted. PLUMBLINE_BENCH_ROWS sets
the number of rows.
"""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl

from benchmarks.result import Figure, Result, Table
from benchmarks.size import Taken, make_rows
from plumbline.kinds import ColumnType, Role, Task
from plumbline.tables import Column, Schema

if TYPE_CHECKING:
    from torch import nn

    from plumbline.examples import InputSpec

ROWS = 5_000_000
BATCH = 10_000
TRAINING_ROWS = 20_000
LABELS = ("no", "yes")
PROMISED_GB = 1.0


def run() -> Result:
    """Fit a preprocessor, export a network, predict."""
    rows = int(os.environ.get("PLUMBLINE_BENCH_ROWS", ROWS))
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        make_rows(folder / "rows.parquet", rows)
        make_version(folder)
        ours = measure([*command(folder), "--output", str(folder / "ours.parquet")])
        whole = measure([sys.executable, "-m", "benchmarks.predict", str(folder)])
        seconds, processor = map(float, (folder / "seconds").read_text().split())
        compare(folder, rows)
    theirs = Taken(seconds=seconds, processor=processor, peak=whole.peak)
    both = {"plumbline predict": ours, "mlflow.pyfunc": theirs}
    return Result(
        title="Prediction",
        figures=[
            Figure(
                name=f"plumbline predict: peak memory at {rows:,} rows",
                reached=ours.peak / 1e9,
                unit="GB",
                target=f"≤ {PROMISED_GB:g} GB",
                holds=ours.peak <= PROMISED_GB * 1e9,
            ),
            Figure(
                name="plumbline predict: rows per second, the whole command",
                reached=rows / ours.seconds,
                unit="rows/s",
            ),
            Figure(
                name="rows per second beside mlflow.pyfunc with prepared tensors",
                reached=theirs.seconds / ours.seconds,
                unit="×",
            ),
        ],
        tables=[
            Table(
                title=f"{rows:,} rows of 20 numbers and 10 categories, an MLP of 2 × 256",
                columns=["", "rows per second", "per second of the processor", "peak memory"],
                rows=[
                    [
                        name,
                        f"{rows / own.seconds:,.0f}",
                        f"{rows / own.processor:,.0f}",
                        f"{own.peak / 1e9:.2f} GB",
                    ]
                    for name, own in both.items()
                ],
            )
        ],
        notes=[
            "plumbline: raw rows to a written table, imports included; the peer: the graph in "
            f"batches of {BATCH:,} prepared rows, imports and the making of tensors left out",
        ],
    )


def command(folder: Path) -> list[str]:
    """`plumbline predict` without its output."""
    own = [sys.executable, "-m", "plumbline", "predict", str(folder / "rows.parquet")]
    return [*own, "--model", str(folder / "version")]


def measure(arguments: list[str]) -> Taken:
    """What a process took."""
    begun = time.perf_counter()
    process = subprocess.Popen(arguments, stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    assert process.returncode == 0, arguments
    return Taken(
        seconds=time.perf_counter() - begun,
        processor=usage.ru_utime + usage.ru_stime,
        peak=usage.ru_maxrss * 1024,  # of Linux, in KiB
    )


def write_version(
    version: Path, model: nn.Module, spec: InputSpec, state: Any, *, temperature: float
) -> bytes:
    """The graph of a model and what is said of it, in a new folder; gives the graph.

    Args:
        state: of the transformer.
    """
    from plumbline.export.onnx_graph import contract, to_onnx
    from plumbline.files import write_json

    graph = to_onnx(model, spec, target=None, temperature=temperature, opset=18, metadata={})
    version.mkdir()
    (version / "model.onnx").write_bytes(graph)
    digest = hashlib.sha256(graph).hexdigest()
    described = contract(spec, temperature=temperature, opset=18, sha256=digest, sources={})
    write_json(version / "contract.json", described)
    write_json(version / "preprocessor.json", state)
    return graph


def make_version(folder: Path) -> None:
    """The files of a version, fitted on the first rows; and the same graph as MLflow's model."""
    import mlflow.onnx
    import onnx

    from plumbline.config.data import NormalizeConfig
    from plumbline.config.model import ModelConfig
    from plumbline.inference.decision import Decision
    from plumbline.models import build_model
    from plumbline.preprocessing.transform import TableTransformer

    raw = pl.scan_parquet(folder / "rows.parquet").head(TRAINING_ROWS)
    schema = raw_schema(raw.collect_schema())
    transformer = TableTransformer(schema, NormalizeConfig()).fit(raw, seed=0)
    spec = transformer.spec_
    model = build_model(ModelConfig(name="mlp", number_embedding="periodic"), spec, seed=0)
    version = folder / "version"
    graph = write_version(version, model, spec, transformer.to_json(), temperature=1.0)
    Decision(conformal={"method": "lac", "minimum_probability": 0.4}).write(version)
    providers = ["CPUExecutionProvider"]
    loaded = onnx.load_from_string(graph)
    mlflow.onnx.save_model(loaded, folder / "pyfunc", onnx_execution_providers=providers)


def raw_schema(kinds: pl.Schema) -> Schema:
    """Of the rows that `size.make_rows` makes."""
    types = {True: ColumnType.NUMBER, False: ColumnType.CATEGORY}
    return Schema(
        columns=tuple(
            Column(
                name=name,
                type=types[dtype.is_numeric()],
                role=Role.TARGET if name == "y" else Role.FEATURE,
                labels=LABELS if name == "y" else (),
            )
            for name, dtype in kinds.items()
        ),
        task=Task.BINARY,
        classes=LABELS,
    )


def peer(folder: Path) -> None:
    """MLflow's own model on prepared tensors; leaves its seconds and its predictions."""
    import mlflow.pyfunc

    from plumbline.files import read_json
    from plumbline.preprocessing.transform import TableTransformer

    transformer = TableTransformer.from_json(read_json(folder / "version" / "preprocessor.json"))
    model = mlflow.pyfunc.load_model(str(folder / "pyfunc"))
    frame = pl.scan_parquet(folder / "rows.parquet").drop("y")
    seconds, processor, parts = 0.0, 0.0, []
    for batch in frame.collect_batches(chunk_size=BATCH, maintain_order=True):
        inputs = dict(transformer.transform_frame(batch, np.arange(len(batch))).inputs)
        begun, used = time.perf_counter(), time.process_time()
        parts.append(model.predict(inputs)["prediction"])
        seconds += time.perf_counter() - begun
        processor += time.process_time() - used
    np.save(folder / "peer.npy", np.concatenate(parts)[:, 1])
    (folder / "seconds").write_text(f"{seconds} {processor}")


def compare(folder: Path, rows: int) -> None:
    """Both predicted the same."""
    ours = pl.read_parquet(folder / "ours.parquet", columns=["p_yes"])["p_yes"].to_numpy()
    assert len(ours) == rows
    assert np.abs(ours - np.load(folder / "peer.npy")).max() < 1e-6


if __name__ == "__main__":
    peer(Path(sys.argv[1]))
