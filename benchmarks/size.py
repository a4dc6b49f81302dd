"""A table larger than memory should be: validate, split and normalize on up to 20 million rows.

Each stage is a process of its own on a Parquet file of 30 features and a target, made in pieces
in a temporary folder and deleted after. Told are its peak memory, the seconds of its work (imports
left out) and the processor's seconds. Whether time grows with the rows alone is judged by the
latter, which other work on the machine hardly changes.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import yaml

from benchmarks.result import Figure, Result, Table

SIZES = (1_000_000, 5_000_000, 20_000_000)
QUICK = (100_000, 250_000, 700_000)
STAGES = ("validate", "split", "normalize")
PIECE = 250_000  # rows written at once
NUMBERS = [f"n{j}" for j in range(20)]
TEXTS = [f"c{j}" for j in range(10)]
VALUES = 50
PROMISED = 2.0  # GB per stage
TOLERANCE = 1.25  # of the time per further million rows


@dataclasses.dataclass(frozen=True, kw_only=True)
class Taken:
    """What one stage took: seconds of work, the processor's seconds in all, and bytes of memory
    at the peak."""

    seconds: float
    processor: float
    peak: int


def run(sizes: tuple[int, ...] = SIZES) -> Result:
    """Three sizes in turn; the largest decides about memory, all of them about time."""
    assert len(sizes) == 3, sizes
    taken: dict[tuple[int, str], Taken] = {}
    disk: dict[int, float] = {}
    for rows in sizes:
        with tempfile.TemporaryDirectory() as name:
            checkout = make_checkout(Path(name), rows)
            disk[rows] = (checkout / "data" / "rows.parquet").stat().st_size / 1e9
            for stage in STAGES:
                taken[rows, stage] = run_stage(checkout, stage)
                print(f"{rows:,} rows: {stage}: {taken[rows, stage]}", flush=True)
    return Result(
        title="Size",
        figures=[*memory(taken, sizes), *growth(taken, sizes)],
        tables=[
            Table(
                title=f"{len(NUMBERS)} number and {len(TEXTS)} text columns, a binary target",
                columns=[
                    "stage",
                    "rows",
                    "Parquet",
                    "seconds",
                    "of the processor",
                    "per million rows",
                    "peak memory",
                ],
                rows=[
                    [
                        stage,
                        f"{rows:,}",
                        f"{disk[rows]:.2g} GB",
                        f"{result.seconds:.1f}",
                        f"{result.processor:.1f}",
                        f"{result.processor / rows * 1e6:.2f}",
                        f"{result.peak / 1e9:.2f} GB",
                    ]
                    for stage in STAGES
                    for rows in sizes
                    for result in [taken[rows, stage]]
                ],
            )
        ],
        notes=[
            "`data.max_memory_mb` at its default of 2,048; a process per stage; peak memory and "
            "the processor's seconds as the system told them, imports included; seconds without",
            "the split's leakage checks look at 50,000 sampled rows whatever the size, which is "
            "most of what a million rows take",
        ],
    )


def memory(taken: dict[tuple[int, str], Taken], sizes: tuple[int, ...]) -> list[Figure]:
    """The peak of every stage at the largest size."""
    rows = sizes[-1]
    return [
        Figure(
            name=f"{stage}: peak memory at {rows:,} rows",
            reached=taken[rows, stage].peak / 1e9,
            unit="GB",
            target=f"≤ {PROMISED:g} GB",
            holds=taken[rows, stage].peak <= PROMISED * 1e9,
        )
        for stage in STAGES
    ]


def growth(taken: dict[tuple[int, str], Taken], sizes: tuple[int, ...]) -> list[Figure]:
    """Processor time per further row from the second size to the third, beside that from the
    first to the second: what is spent whatever the size (imports, sampled checks) drops out."""
    figures = []
    for stage in STAGES:
        first, second, third = (taken[rows, stage].processor for rows in sizes)
        before = (second - first) / (sizes[1] - sizes[0])
        after = (third - second) / (sizes[2] - sizes[1])
        figures.append(
            Figure(
                name=f"{stage}: time per further row, {sizes[1]:,} to {sizes[2]:,} rows beside "
                f"{sizes[0]:,} to {sizes[1]:,}",
                reached=after / before,
                unit="×",
                target=f"≤ {TOLERANCE} ×",
                holds=after / before <= TOLERANCE,
            )
        )
    return figures


def make_checkout(folder: Path, rows: int) -> Path:
    """A folder in which stages can run: data, parameters, expectations."""
    need = rows * 250  # bytes: the table, the prepared arrays, and what else is written
    free = shutil.disk_usage(folder).free
    assert free > 3 * need, f"{free / 1e9:.0f} GB free, {3 * need / 1e9:.0f} wanted"
    (folder / "data").mkdir()
    make_rows(folder / "data" / "rows.parquet", rows)
    parameters = {
        "seed": 0,
        "data": {
            "name": "large",
            "path": "data/rows.parquet",
            "target": "y",
            "task": "binary",
            "positive": "yes",
            "format": {"type": "parquet"},
        },
        "tune": {"trials": 0},
    }
    (folder / "params.yaml").write_text(yaml.safe_dump(parameters))
    words = [f"value {i:02d}" for i in range(VALUES)]
    columns: dict[str, object] = {
        n: {"type": "number", "range": {"min": -1e6, "max": 1e6}, "missing": {"max": 0.2}}
        for n in NUMBERS
    }
    columns |= {n: {"type": "category", "values": {"only": words}} for n in TEXTS}
    columns["y"] = {"type": "category", "role": "target", "values": {"only": ["no", "yes"]}}
    (folder / "expectations.yaml").write_text(yaml.safe_dump({"columns": columns}, sort_keys=False))
    return folder


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
            columns[name] = pa.array(values, mask=rng.random(n) < 0.05 if j < 6 else None)
        signal = columns["n1"].to_numpy(zero_copy_only=False)
        for name in TEXTS:
            columns[name] = words.take(pa.array(np.minimum(rng.geometric(0.06, n) - 1, VALUES - 1)))
        noisy = np.nan_to_num(signal, nan=1.0) + rng.normal(0, 2, n)
        columns["y"] = pa.array(np.where(noisy > 3, "yes", "no"))
        piece = pa.table(columns)
        writer = writer or pq.ParquetWriter(path, piece.schema)
        writer.write_table(piece)
    assert writer is not None
    writer.close()


def run_stage(checkout: Path, stage: str) -> Taken:
    """`plumbline STAGE` as a process of its own."""
    process = subprocess.Popen(
        [sys.executable, "-m", "plumbline", stage], cwd=checkout, stdout=subprocess.DEVNULL
    )
    begun = time.perf_counter()
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    assert process.returncode == 0, f"{stage} ended with {process.returncode}"
    noted = json.loads((checkout / ".plumbline" / "timings" / f"{stage}.json").read_text())
    assert noted["work"] <= time.perf_counter() - begun
    return Taken(
        seconds=noted["work"],
        processor=usage.ru_utime + usage.ru_stime,
        peak=usage.ru_maxrss * 1024,  # of Linux, in KiB
    )


def main() -> None:
    """`python -m benchmarks.size --quick` tries it on fewer rows, `--rows A B C` on others."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="up to 700,000 rows")
    parser.add_argument("--rows", type=int, nargs=3, help="other sizes")
    given = parser.parse_args()
    from benchmarks.__main__ import markdown

    sizes = tuple(given.rows or (QUICK if given.quick else SIZES))
    result = dataclasses.asdict(run(sizes))
    print(markdown({**result, "date": "a try", "machine": "this one"}))


if __name__ == "__main__":
    main()
