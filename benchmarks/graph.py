"""The whole graph on the sample data: seconds per stage, and what nothing-to-do costs."""

from __future__ import annotations

import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import yaml

from benchmarks.result import Figure, Result, Table

ROOT = Path(__file__).resolve().parents[1]
REPEATS = 5


def run() -> Result:
    """Time `dvc repro` from nothing, then with nothing changed, beside empty stages."""
    with tempfile.TemporaryDirectory() as folder:
        checkout = Path(folder) / "checkout"
        subprocess.run(["git", "clone", "-q", str(ROOT), str(checkout)], check=True)
        dvc(checkout, "pull", "-q", "data.dvc")
        whole = timed(checkout, "repro", "-q")
        stages = per_stage(checkout)
        empty = empty_graph(Path(folder) / "empty", len(stages))
        idle, bare = [], []
        for _ in range(REPEATS):
            idle.append(timed(checkout, "repro", "-q"))
            bare.append(timed(empty, "repro", "-q"))
    ratio = statistics.median(idle) / statistics.median(bare)
    return Result(
        title="The whole graph on the sample data",
        figures=[
            Figure(
                name="from nothing", reached=whole, unit="s", target="≤ 90 s", holds=whole <= 90
            ),
            Figure(
                name=f"nothing changed, beside a bare `dvc repro` of {len(stages)} empty stages",
                reached=ratio,
                unit="×",
                target="≤ 1.5 ×",
                holds=ratio <= 1.5,
            ),
        ],
        tables=[
            Table(
                title="Seconds per stage",
                columns=["stage", "imports", "work", "process and DVC"],
                rows=[*stages, total(stages, whole)],
            )
        ],
        notes=[
            f"nothing changed: {statistics.median(idle):.2f} s; the empty graph: "
            f"{statistics.median(bare):.2f} s (medians of {REPEATS})"
        ],
    )


def dvc(folder: Path, *arguments: str) -> None:
    """Run DVC in a folder, with this environment's commands first on the path."""
    here = Path(sys.executable).parent
    environment = {**os.environ, "PATH": f"{here}{os.pathsep}{os.environ['PATH']}"}
    environment["PYTHONPATH"] = str(folder / "src")
    subprocess.run([here / "dvc", *arguments], cwd=folder, env=environment, check=True)


def timed(folder: Path, *arguments: str) -> float:
    """Wall-clock seconds of a DVC command."""
    begun = time.perf_counter()
    dvc(folder, *arguments)
    return time.perf_counter() - begun


def per_stage(checkout: Path) -> list[list[str]]:
    """Rows of stage, imports and work, as the stages noted them."""
    names = yaml.safe_load((checkout / "dvc.yaml").read_text())["stages"]
    rows = []
    for name in names:
        noted = json.loads((checkout / ".plumbline" / "timings" / f"{name}.json").read_text())
        rows.append([name, f"{noted['imports']:.1f}", f"{noted['work']:.1f}", ""])
    return rows


def total(stages: list[list[str]], whole: float) -> list[str]:
    """The last row: sums, and what is left for processes and DVC."""
    imports = sum(float(row[1]) for row in stages)
    work = sum(float(row[2]) for row in stages)
    return ["all", f"{imports:.1f}", f"{work:.1f}", f"{whole - imports - work:.1f}"]


def empty_graph(folder: Path, count: int) -> Path:
    """A repository of as many stages that do nothing, already run once."""
    folder.mkdir()
    subprocess.run(["git", "init", "-q"], cwd=folder, check=True)
    dvc(folder, "init", "-q")
    shutil.copy(ROOT / ".dvc" / "config", folder / ".dvc" / "config")
    stages = {f"s{i}": {"cmd": f"touch o{i}", "outs": [f"o{i}"]} for i in range(count)}
    (folder / "dvc.yaml").write_text(yaml.safe_dump({"stages": stages}))
    dvc(folder, "repro", "-q")
    return folder
