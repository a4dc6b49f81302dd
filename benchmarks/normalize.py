"""Normalizing a table beside scikit-learn's ColumnTransformer: rows per second and memory.

Both read one Parquet file of 20 number columns (six with gaps) and 10 text columns of 50 values,
learn from all rows and prepare all rows: numbers standardized, gaps filled with the mean and
marked, texts as whole numbers with a place for unknown ones. Each attempt is a process of its
own, so that its memory can be told; imports are not timed. What they make is compared cell by
cell.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq

from benchmarks.result import Figure, Result, Table, times

ROOT = Path(__file__).resolve().parents[1]
ROWS, QUICK_ROWS, REPEATS = 5_000_000, 500_000, 3
PIECE = 500_000  # rows written at once
NUMBERS = [f"n{j}" for j in range(20)]
GAPS = NUMBERS[:6]
TEXTS = [f"c{j}" for j in range(10)]
VALUES = 50
WAYS = {
    "plumbline": "plumbline, into files in batches, as the stage does",
    "plumbline in memory": "plumbline, the file read into memory before the clock starts",
    "scikit-learn": "scikit-learn, pandas reading the file",
}


def run(rows: int = ROWS) -> Result:
    """Time both on the same file, in turns; compare what they made."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        make_rows(folder / "rows.parquet", rows)
        tried: dict[str, list[dict[str, float]]] = {way: [] for way in WAYS}
        for _ in range(REPEATS):
            for way, attempts in tried.items():
                attempts.append(in_a_process(way, folder))
        difference = compare(folder)
    best = {way: min(attempts, key=lambda a: a["total"]) for way, attempts in tried.items()}
    memory = {w: statistics.median(a["peak"] for a in attempts) for w, attempts in tried.items()}
    ours, theirs = best["plumbline"]["total"], best["scikit-learn"]["total"]
    inside = min(a["work"] for a in tried["plumbline in memory"])
    peer_inside = min(a["work"] for a in tried["scikit-learn"])
    return Result(
        title="Normalizing",
        figures=[
            times("rows per second beside ColumnTransformer, reading included", theirs / ours, 5),
            times("the same, without reading", peer_inside / inside, 5),
            Figure(
                name="largest difference between the two in any cell",
                reached=difference,
                unit="",
                target="≤ 1e-6 of the value or of 1",
                holds=difference <= 1e-6,
            ),
        ],
        tables=[
            Table(
                title=f"{rows:,} rows of {len(NUMBERS)} numbers and {len(TEXTS)} texts",
                columns=["", "seconds", "of them reading", "rows per second", "peak memory"],
                rows=[
                    [
                        words,
                        f"{best[way]['total']:.1f}",
                        f"{best[way]['read']:.1f}" if best[way]["read"] else "",
                        f"{rows / best[way]['total']:,.0f}",
                        f"{memory[way] / 2**30:.2f} GiB",
                    ]
                    for way, words in WAYS.items()
                ],
            )
        ],
        notes=[
            f"least of {REPEATS} attempts, taken in turns; a process each, imports not timed",
            "plumbline reads twice, once to learn and once to apply, and uses both cores; "
            "ColumnTransformer on more processes (`n_jobs`) was slower here, as it hands the "
            "columns over",
            "its codes count from the most frequent value, scikit-learn's from the first in the "
            "alphabet: compared as a renaming",
        ],
    )


def make_rows(path: Path, rows: int) -> None:
    """The table, written in pieces."""
    rng = np.random.default_rng(0)
    words = pa.array([f"value {i:02d}" for i in range(VALUES)])
    writer: pq.ParquetWriter | None = None
    for start in range(0, rows, PIECE):
        n = min(PIECE, rows - start)
        columns: dict[str, pa.Array] = {}
        for j, name in enumerate(NUMBERS):
            values = rng.normal(j, 1 + j, n) if j % 2 else rng.lognormal(0, 1, n)
            columns[name] = pa.array(values, mask=rng.random(n) < 0.05 if name in GAPS else None)
        for name in TEXTS:
            columns[name] = words.take(pa.array(np.minimum(rng.geometric(0.06, n) - 1, VALUES - 1)))
        columns["y"] = pa.array(rng.normal(size=n))
        piece = pa.table(columns)
        writer = writer or pq.ParquetWriter(path, piece.schema)
        writer.write_table(piece)
    assert writer is not None
    writer.close()


def in_a_process(way: str, folder: Path) -> dict[str, float]:
    """One attempt: seconds of reading, of the rest, of both, and the peak memory in bytes."""
    command = [sys.executable, "-m", "benchmarks.normalize", "--way", way, "--folder", str(folder)]
    answer = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True).stdout
    seconds: dict[str, float] = json.loads(answer.splitlines()[-1])
    return seconds


def attempt(way: str, folder: Path) -> dict[str, float]:
    """What the process does."""
    path = folder / "rows.parquet"
    read, work = _peer(path, folder) if way == "scikit-learn" else _ours(path, folder, way)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024  # of Linux, in KiB
    return {"read": read, "work": work, "total": read + work, "peak": peak}


def _ours(path: Path, folder: Path, way: str) -> tuple[float, float]:
    from plumbline.config.data import NormalizeConfig
    from plumbline.files import write_json
    from plumbline.kinds import ColumnType, Role, Task
    from plumbline.preprocessing.arrays import ExamplesWriter
    from plumbline.preprocessing.transform import TableTransformer
    from plumbline.tables import Column, Schema

    columns = [Column(name=name, type=ColumnType.NUMBER) for name in NUMBERS]
    columns += [Column(name=name, type=ColumnType.CATEGORY) for name in TEXTS]
    columns.append(Column(name="y", type=ColumnType.NUMBER, role=Role.TARGET))
    schema = Schema(columns=tuple(columns), task=Task.REGRESSION)
    config = NormalizeConfig(scale="zscore", impute="mean", numbers_as_categories=False)
    frame = pl.scan_parquet(path)
    in_memory = way.endswith("memory")
    if not in_memory:  # the stage writes a new folder
        shutil.rmtree(folder / "plumbline", ignore_errors=True)
    frame = frame.collect().lazy() if in_memory else frame

    begun = time.perf_counter()
    rows = np.arange(frame.select(pl.len()).collect().item())
    transformer = TableTransformer(schema, config).fit(frame, seed=0)
    if in_memory:
        transformer.transform(frame, rows)
    else:
        with ExamplesWriter(folder / "plumbline") as writer:
            for batch in transformer.transform_batches(frame, rows):
                writer.append(batch)
    seconds = time.perf_counter() - begun
    write_json(folder / "state.json", transformer.to_json())
    return 0.0, seconds


def _peer(path: Path, folder: Path) -> tuple[float, float]:
    import pandas as pd
    from sklearn.compose import ColumnTransformer
    from sklearn.impute import SimpleImputer
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import OrdinalEncoder, StandardScaler

    begun = time.perf_counter()
    frame = pd.read_parquet(path)
    read = time.perf_counter() - begun
    transformer = ColumnTransformer(
        [
            (
                "numbers",
                make_pipeline(StandardScaler(), SimpleImputer(add_indicator=True)),
                NUMBERS,
            ),
            (
                "texts",
                OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=-1),
                TEXTS,
            ),
        ]
    )
    made: Any = transformer.fit_transform(frame)
    work = time.perf_counter() - begun - read
    np.save(folder / "peer.npy", made)
    return read, work


def compare(folder: Path) -> float:
    """Largest difference between the numbers, relative above 1; infinite where the codes of one
    are no renaming of the other's."""
    from plumbline.preprocessing.arrays import read_examples

    ours = read_examples(folder / "plumbline", ("num", "cat"))
    num, cat = ours.inputs["num"], ours.inputs["cat"]
    theirs = np.load(folder / "peer.npy", mmap_mode="r")
    worst = 0.0
    width = num.shape[1]
    assert theirs.shape == (len(ours), width + len(TEXTS))
    for start in range(0, len(ours), PIECE):
        block = slice(start, start + PIECE)
        a, b = num[block].astype(np.float64), theirs[block, :width]
        worst = max(worst, float((np.abs(a - b) / np.maximum(1, np.abs(b))).max()))
        for j in range(len(TEXTS)):
            pairs = cat[block, j] * 1000 + theirs[block, width + j].astype(np.int64)
            if len(np.unique(pairs)) != VALUES:
                return float("inf")
    return worst


def main() -> None:
    """`python -m benchmarks.normalize --quick` tries it on fewer rows."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help=f"{QUICK_ROWS:,} rows")
    parser.add_argument("--way", choices=WAYS, help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.way:
        print(json.dumps(attempt(given.way, given.folder)))
        return
    from benchmarks.__main__ import markdown

    result = dataclasses.asdict(run(QUICK_ROWS if given.quick else ROWS))
    print(markdown({**result, "date": "a try", "machine": "this one"}))


if __name__ == "__main__":
    main()
