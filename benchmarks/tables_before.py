"""Tables before and after texts and images came: speed and quality of both programs, side by side.

The earlier program is this repository at `BEFORE`, the commit before the first text column, run in
a checkout of its own with the present environment. Its graph did less: one network where now five
are a bag, no learning curve, no server that is asked. Needs the repository's history, and adult
(`PLUMBLINE_TEST_DATA`); `PLUMBLINE_BENCH_SEEDS` (3) is the number of fits of it.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from benchmarks.graph import dvc, timed
from benchmarks.quality import DATA, SEEDS
from benchmarks.result import Figure, Result, Table, no_data, times

TITLE = "Tables before and after texts and images"
ROOT = Path(__file__).resolve().parents[1]
BEFORE = "065d881"
ROUNDS = 5  # of the speed, alternating
FAMILIES = ("mlp", "tabm", "ft_transformer")
ADULT = ("adult", "adult/train.csv", "adult/test.csv", "income")
SPEED = """
import importlib, json, sys
try:
    fits = importlib.import_module("benchmarks.fits")
except ImportError:
    fits = importlib.import_module("benchmarks.throughput")
own, epoch = fits.FAMILIES[sys.argv[1]], fits.our_loop(sys.argv[1])
rows = own[0] if isinstance(own, tuple) else own.rows
epoch()
print(json.dumps([rows / epoch() for _ in range(3)]))
"""
QUALITY = """
import json, sys
from pathlib import Path
from benchmarks import quality
data, seed, (name, file, test, target) = Path(sys.argv[1]), int(sys.argv[2]), sys.argv[3:]
if hasattr(quality, "opened"):
    task = quality.normalized(quality.opened(name, data / file, data / test, target, seed=seed))
else:  # whose benchmark asked for threads where they no longer stood, and had one split
    import torch
    quality.count_threads = lambda *given: torch.get_num_threads()
    task = quality.prepare(name, data / file, data / test, target)
print(json.dumps(quality.measured(task, quality.family("tabm_mini"), seed)))
"""


def run() -> Result:
    """Both programs in turn, in processes of their own."""
    if not DATA.is_dir():
        return no_data(TITLE)
    with tempfile.TemporaryDirectory() as folder:
        trees = {"before": Path(folder) / "before", "now": Path(folder) / "now"}
        for name, tree in trees.items():
            checked_out(tree, BEFORE if name == "before" else "HEAD")
        speeds = {f: {name: list[float]() for name in trees} for f in FAMILIES}
        for _ in range(ROUNDS):
            for family, own in speeds.items():
                for name, tree in trees.items():
                    own[name] += within(tree, SPEED, family)
        scores = {
            name: _mean([within(tree, QUALITY, str(DATA), str(k), *ADULT) for k in range(SEEDS)])
            for name, tree in trees.items()
        }
        seconds = {}
        for name, tree in trees.items():
            dvc(tree, "pull", "-q", "data.dvc")
            seconds[name] = timed(tree, "repro", "-q")
    medians = {f: {n: statistics.median(v) for n, v in own.items()} for f, own in speeds.items()}
    return Result(
        title=TITLE,
        figures=[
            *(
                times(f"{f}: rows per second in training", own["now"] / own["before"], 0.9)
                for f, own in medians.items()
            ),
            *(
                Figure(
                    name=f"Adult, one network, official test file: {metric} now less before",
                    reached=scores["now"][metric] - scores["before"][metric],
                    unit="",
                    target="≥ -0.001",
                    holds=scores["now"][metric] - scores["before"][metric] >= -0.001,
                )
                for metric in ("accuracy", "roc_auc")
            ),
            Figure(
                name="the sample graph from nothing, beside before",
                reached=seconds["now"] / seconds["before"],
                unit="×",
            ),
        ],
        tables=[
            Table(
                title="Both programs",
                columns=["", *trees],
                rows=[
                    *(
                        [f"{f}: rows per second", *(f"{v:,.0f}" for v in own.values())]
                        for f, own in medians.items()
                    ),
                    *(
                        [f"Adult: {metric}", *(f"{scores[n][metric]:.4f}" for n in trees)]
                        for metric in ("accuracy", "roc_auc", "log_loss", "seconds")
                    ),
                    ["the sample graph: seconds", *(f"{v:.0f}" for v in seconds.values())],
                ],
            )
        ],
        notes=[
            f"before: commit {BEFORE}, with today's libraries; each at its own defaults, Adult by "
            f"one `tabm_mini` without tuning, means of {SEEDS} seeds. Since then the graph fits "
            "five networks where it fitted one, a learning curve, and asks a served model before "
            "it is promoted; what is deployed of Adult is that bag (Defaults on whole data sets)"
        ],
    )


def checked_out(tree: Path, revision: str) -> None:
    """A clone of this repository at a revision."""
    subprocess.run(["git", "clone", "-q", str(ROOT), str(tree)], check=True)
    subprocess.run(["git", "checkout", "-q", revision], cwd=tree, check=True)


def _mean(scores: list[dict[str, float]]) -> dict[str, float]:
    return {metric: statistics.fmean(one[metric] for one in scores) for metric in scores[0]}


def within(tree: Path, code: str, *arguments: str) -> Any:
    """What a script prints as JSON in its last line, with a tree's own modules."""
    path = os.pathsep.join((str(tree / "src"), str(tree)))
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", code, *arguments],
        cwd=tree,
        env={**os.environ, "GOMP_SPINCOUNT": "1000", "PYTHONPATH": path},
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    return json.loads(done.stdout.splitlines()[-1])
