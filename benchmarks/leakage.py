"""Planted leaks found and clean columns reported, beside two packages that look for leaks; speed.

Every data set at hand is looked at as it is (what is reported there is a false alarm) and once
per kind of leak that it can hold. The peers get the same rows in the same split, as their
documentation asks for: `targetleak` the whole frame with the split column, `leakcheck` a
training and a test frame; the group and the time column by name where there is one.
"""

from __future__ import annotations

import contextlib
import io
import sys
import tempfile
import time
import warnings
import zlib
from collections import defaultdict
from collections.abc import Callable, Collection
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
from threadpoolctl import threadpool_limits

from benchmarks.honest import data_sets, known_leaks
from benchmarks.planted import PART, PLANTS, Data, Planted, evidence_of
from benchmarks.result import Figure, Result, Table
from plumbline.kinds import Part, Task
from plumbline.leakage import Evidence, find_leaks

ROWS, COLUMNS = 500_000, 40
CORES = 2

# What a tool says: check, the columns it reports (none: it speaks of rows), whether it is sure.
Said = list[tuple[str, tuple[str, ...], bool]]
# Reports that count: that a column gives the target away, or tells the source. That a column
# looks like an id or a date is advice, and not counted against a peer.
OF_COLUMNS = {
    "plumbline": ("giveaway", "identifier", "target_text", "adversarial_validation"),
    "targetleak": (
        "target-proxy",
        "pure-categories",
        "suspicious-name",
        "suspiciously-predictive",
        "missingness-leak",
        "group-overlap",
    ),
    "leakcheck": ("target-leakage",),
}


def plumbline(data: Data) -> tuple[Said, Evidence]:
    """Findings of any severity, and the split that the peers get too."""
    evidence = evidence_of(data)
    result = find_leaks(evidence).findings
    return [(f.check, f.columns, f.severity == "critical") for f, _ in result], evidence


def targetleak(data: Data, part: np.ndarray[Any, Any]) -> Said:
    """Critical findings and warnings; its notes are left out."""
    import targetleak as peer

    frame = pandas_of(data)
    kept = part != Part.UNUSED
    frame["split_"] = np.where(part == Part.TEST, "test", "train")
    result = peer.analyze(frame[kept], data.target, split="split_", group=data.group)
    return [
        (f.kind, () if f.column is None else (str(f.column),), f.severity == "critical")
        for f in result
        if f.severity in ("critical", "warning")
    ]


def leakcheck(data: Data, part: np.ndarray[Any, Any]) -> Said:
    """Problems and warnings of `run_all` on training and test rows."""
    from leakcheck.checks import FAIL, PASS, run_all

    frame = pandas_of(data)
    train, test = frame[np.isin(part, (Part.TRAIN, Part.VAL))], frame[part == Part.TEST]
    result = run_all(
        train.reset_index(drop=True),
        test.reset_index(drop=True),
        target=data.target,
        time_col=data.time,
        group_col=data.group,
    )
    return [
        (f.check, (str(f.details["column"]),) if "column" in f.details else (), f.status == FAIL)
        for f in result
        if f.status != PASS
    ]


PEERS: dict[str, Callable[[Data, np.ndarray[Any, Any]], Said]] = {
    "targetleak": targetleak,
    "leakcheck": leakcheck,
}
TOOLS = ("plumbline", *PEERS)


def run() -> Result:
    """Plant, look, count; then time the checks on a large table."""
    result: dict[str, dict[str, list[bool]]] = {tool: defaultdict(list) for tool in TOOLS}
    per_set: list[list[str]] = []
    alarms: dict[str, list[str]] = {tool: [] for tool in TOOLS}
    sure = dict.fromkeys(TOOLS, 0)
    seconds = dict.fromkeys(TOOLS, 0.0)
    clean_columns = 0
    for data in data_sets():
        features = len(data.frame.columns) - 1
        clean_columns += features
        text = ask(data, seconds)
        reported = {tool: columns_reported(tool, text[tool]) for tool in TOOLS}
        for tool in TOOLS:
            alarms[tool] += [f"{data.name}.{c}" for c in sorted(reported[tool])]
            sure[tool] += len(columns_reported(tool, [x for x in text[tool] if x[2]]))
        leaks = [leak for leak in map(planter(data), PLANTS) if leak is not None]
        hits = dict.fromkeys(TOOLS, 0)
        for leak in leaks:
            text = ask(leak.data, seconds)
            for tool in TOOLS:
                hit = is_found(tool, leak, text[tool])
                result[tool][leak.kind].append(hit)
                hits[tool] += hit
        per_set.append(
            [
                data.name,
                f"{len(data.frame):,} × {features}",
                *(f"{hits[t]} of {len(leaks)}" for t in TOOLS),
                *(str(len(reported[t])) for t in TOOLS),
            ]
        )
        print(" | ".join(per_set[-1]), file=sys.stderr, flush=True)
    return Result(
        title="Leakage",
        figures=[*figures(result, alarms, clean_columns), *speed()],
        tables=[
            by_kind(result),
            Table(
                title="Per data set: planted leaks found, clean columns reported",
                columns=["data", "rows × columns", *TOOLS, *(f"{t} reports" for t in TOOLS)],
                rows=per_set,
            ),
            genuine(),
        ],
        notes=[
            *(f"{t} reports: {', '.join(alarms[t]) or 'none'}" for t in TOOLS),
            "reported at the highest severity alone: " + ", ".join(f"{t} {sure[t]}" for t in TOOLS),
            "seconds over all tables: " + ", ".join(f"{t} {seconds[t]:.0f}" for t in TOOLS),
            "found: the tool names a column of the leak, or, for leaks of rows, groups and time, "
            "one of its checks of that kind speaks. targetleak has no check for nearly equal "
            "rows, order in time or source; leakcheck none for pairs, sums or source.",
        ],
    )


def planter(data: Data) -> Callable[[str], Planted | None]:
    """Plants by the name of the kind, each with a seed of its own."""

    def plant(kind: str) -> Planted | None:
        return PLANTS[kind](data, np.random.default_rng(zlib.crc32(f"{kind} {data.name}".encode())))

    return plant


def ask(data: Data, seconds: dict[str, float]) -> dict[str, Said]:
    """What each tool says of a table."""
    text: dict[str, Said] = {}
    with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
        warnings.simplefilter("ignore")
        begun = time.perf_counter()
        text["plumbline"], evidence = plumbline(data)
        seconds["plumbline"] += time.perf_counter() - begun
        shown = replace(data, frame=data.frame.drop(PART, strict=False))
        for name, peer in PEERS.items():
            begun = time.perf_counter()
            text[name] = peer(shown, evidence.part)
            seconds[name] += time.perf_counter() - begun
    return text


def pandas_of(data: Data) -> pd.DataFrame:
    """What the peers read."""
    return pd.DataFrame({name: data.frame[name].to_pandas() for name in data.frame.columns})


ROW_CHECKS = {
    "duplicates": {"duplicates", "train-test-contamination", "near-duplicates"},
    "near_duplicates": {"near_duplicates", "near-duplicates", "train-test-contamination"},
    "groups": {"groups", "group-overlap", "group-leakage"},
    "time_order": {"time_order", "temporal", "temporal-column"},
}


def is_found(tool: str, leak: Planted, text: Said) -> bool:
    """Whether the tool names a column of the leak, or speaks of rows of its kind."""
    if leak.columns:
        return any(set(columns) & set(leak.columns) for _, columns, _ in text)
    kinds = ROW_CHECKS[leak.checks[0]]
    return any(check in kinds for check, _, _ in text)


def columns_reported(tool: str, text: Said) -> set[str]:
    """Columns reported to give the target away, to name rows, or to tell the source."""
    return {c for check, columns, _ in text if check in OF_COLUMNS[tool] for c in columns}


def figures(
    result: dict[str, dict[str, list[bool]]], alarms: dict[str, list[str]], clean: int
) -> list[Figure]:
    """Totals, held against the better peer."""
    hits = {tool: sum(map(sum, kinds.values())) for tool, kinds in result.items()}
    total = sum(map(len, result["plumbline"].values()))
    best, fewest = max(hits[p] for p in PEERS), min(len(alarms[p]) for p in PEERS)
    named = {tool: "" if tool == "plumbline" else f" by {tool}" for tool in TOOLS}
    rows = [
        Figure(
            name=f"planted leaks found{named[tool]}",
            reached=hits[tool],
            unit=f"of {total}",
            target=f"> {best}" if tool == "plumbline" else "",
            holds=hits[tool] > best if tool == "plumbline" else None,
        )
        for tool in TOOLS
    ]
    return rows + [
        Figure(
            name=f"clean columns reported{named[tool]}",
            reached=len(alarms[tool]),
            unit=f"of {clean}",
            target=f"≤ {fewest}" if tool == "plumbline" else "",
            holds=len(alarms[tool]) <= fewest if tool == "plumbline" else None,
        )
        for tool in TOOLS
    ]


def by_kind(result: dict[str, dict[str, list[bool]]]) -> Table:
    """A line per kind of leak."""
    return Table(
        title="Planted leaks found, by kind",
        columns=["kind", "planted", *TOOLS],
        rows=[
            [kind, str(len(hits)), *(str(sum(result[tool][kind])) for tool in TOOLS)]
            for kind, hits in result["plumbline"].items()
        ],
    )


def genuine() -> Table:
    """Leaks that nobody planted: what published data sets hold."""
    rows = []
    for data, what, columns in known_leaks():
        text = ask(data, dict.fromkeys(TOOLS, 0.0))
        rows.append([data.name, what, *(_words(text[tool], columns) for tool in TOOLS)])
    return Table(
        title="Leaks that nobody planted", columns=["data", "what leaks", *TOOLS], rows=rows
    )


def _words(text: Said, columns: Collection[str]) -> str:
    """How a leak that is in the data was named."""
    if columns:
        hits = sorted({f"{c} ({check})" for check, cs, _ in text for c in cs if c in columns})
    else:
        kinds = ROW_CHECKS["duplicates"]
        hits = sorted({check for check, _, _ in text if check in kinds})
    return ", ".join(hits) or "not found"


def speed() -> list[Figure]:
    """Seconds of all checks over a table on disk, 500,000 × 40, mixed columns."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "rows.parquet"
        large().write_parquet(path)
        data = Data(name="large", frame=pl.read_parquet(path), target="y", task=Task.BINARY)
        evidence = evidence_of(data)
        begun = time.perf_counter()
        with threadpool_limits(CORES):
            find_leaks(evidence)
        took = time.perf_counter() - begun
    return [
        Figure(
            name=f"all checks on {ROWS:,} × {COLUMNS}",
            reached=took,
            unit="s",
            target="≤ 60 s",
            holds=took <= 60,
        )
    ]


def large() -> pl.DataFrame:
    """Thirty numbers, eight categories, two whole numbers; a target that a few foretell."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=(ROWS, 30))
    kinds = rng.integers(0, 40, (ROWS, 8))
    names = np.array([f"value {j}" for j in range(40)])
    frame: dict[str, Any] = {f"n{j}": x[:, j] for j in range(30)}
    frame |= {f"c{j}": names[kinds[:, j]] for j in range(8)}
    frame |= {f"w{j}": rng.poisson(20, ROWS) for j in range(2)}
    signal = x[:, :5].sum(axis=1) + kinds[:, 0] / 20 + rng.normal(0, 2, ROWS)
    frame["y"] = np.where(signal > np.median(signal), "yes", "no")
    return pl.DataFrame(frame)
