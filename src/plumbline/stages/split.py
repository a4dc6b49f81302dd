"""split: which row trains, validates and tests; and the proof that nothing leaks."""

from __future__ import annotations

import sys
from dataclasses import replace
from typing import Any

from plumbline import artifacts
from plumbline.config import Config, Paths
from plumbline.config.data import SplitConfig
from plumbline.data.rows import open_rows
from plumbline.errors import DataError, GateError
from plumbline.files import write_json
from plumbline.leakage import Evidence, Finding, Leaks, check_title, find_leaks
from plumbline.manifest import sealed_dir
from plumbline.split import (
    SplitRows,
    bag_folds,
    hold,
    make_split,
    networks_of,
    over_all,
    read_rows,
    resolve,
    why_single,
    with_target,
    without,
)
from plumbline.split.summary import summarize
from plumbline.stages import Report
from plumbline.tables import Schema, SplitIndex

SHOWN = 5  # findings, and columns of one, that are printed


def run(config: Config, paths: Paths) -> Report:
    """Split the rows, look for leaks, stop at a critical one whose policy is `fail`."""
    whole, schema = open_rows(paths.table, config.data.max_memory_mb)
    table, numbers = with_target(hold(whole, config.data), schema)
    unlabeled = whole.rows - table.rows
    rows = read_rows(table, schema, config.data, config.split)
    settings = resolve(rows, config.split)
    split = make_split(rows, settings, config.seed)
    split, single = _bagged(config, settings, schema, rows, split)

    kept = tuple(c for c in schema.columns if c.name != settings.column)
    evidence = Evidence(
        table=table,
        schema=replace(schema, columns=kept),
        rows=rows,
        part=split.part,
        config=config.split.leakage,
        ordered=settings.method == "time",
        seed=config.seed,
    )
    print(f"leakage checks: {evidence.plan()}", file=sys.stderr, flush=True)
    leaks = find_leaks(evidence)
    report = artifacts.write(artifacts.LeakageResult(**leaks.to_json()), paths.reports)
    _gate(leaks, report.relative_to(paths.root).as_posix())

    split = without(split, leaks.dropped_rows)
    summary = {**summarize(rows, split, settings), "unlabeled": unlabeled}
    dropped = leaks.dropped_columns
    if settings.column is not None and settings.column in {c.name for c in schema.features}:
        dropped[settings.column] = "split.column: it says which part a row is in"
    if len(dropped) == len(schema.features):
        raise DataError(
            "no feature is left after the leaking ones were dropped",
            file=config.data.path,
            hint=f"see {report.relative_to(paths.root)}",
        )
    if split.bag is not None or single is not None:
        auto = config.train.bag == "auto"
        summary["bag"] = {"networks": split.networks, "single": single, "auto": auto}
    _write(paths, over_all(split, numbers, whole.rows), {**summary, "dropped_columns": dropped})
    return Report(
        rows=[
            ("method", f"{settings.method}, {len(summary['folds'])} folds {settings.folds_method}"),
            *((name, f"{part['rows']:,} rows") for name, part in summary["parts"].items()),
            *_unlabeled_line(unlabeled, schema.target),
            *_bag_lines(split, single),
            *(("leakage", text) for text in _verdict(leaks)),
        ],
        outputs=[paths.reports / artifacts.SPLIT, report],
    )


def _bagged(
    config: Config, settings: SplitConfig, schema: Schema, rows: SplitRows, split: SplitIndex
) -> tuple[SplitIndex, str | None]:
    """The split with the folds of the bag where `train.bag` asks for one, or why there is none."""
    networks = networks_of(config.train.bag, split.part, schema)
    if networks == 1:
        return split, None
    single = why_single(settings, config.model.start_from)
    if single is not None:
        return split, single
    try:
        folds = bag_folds(rows, split.part, settings, networks, config.seed)
    except DataError as error:  # it speaks of split.folds
        return split, f"too few separate rows for {networks} folds ({error.what})"
    return replace(split, bag=folds), None


def _unlabeled_line(rows: int, target: str) -> list[tuple[str, str]]:
    if not rows:
        return []
    return [("left out", f"{rows:,} row{'s' if rows > 1 else ''} without '{target}'")]


def _bag_lines(split: SplitIndex, single: str | None) -> list[tuple[str, str]]:
    if single is not None:
        return [("bag", f"none, the model is a single network: {single}")]
    if split.bag is None:
        return []
    return [("bag", f"{split.networks} networks, each fitted without one fold")]


def _gate(leaks: Leaks, report: str) -> None:
    stopping = leaks.stopping
    if stopping:
        first = stopping[0]
        more = f" (and {len(stopping) - 1} more)" if len(stopping) > 1 else ""
        raise GateError(
            f"{check_title(first.check)}{_columns(first)}: {first.detail}{more}.",
            report=report,
            hint=first.hint[0].upper() + first.hint[1:],
        )


def _verdict(leaks: Leaks) -> list[str]:
    """A line per finding: check, columns, severity, policy, and what to do."""
    if not leaks.findings:
        return ["clean"]
    lines = [
        f"{check_title(f.check)}{_columns(f)} ({f.severity}, policy {policy}): {f.hint}"
        for f, policy in leaks.findings[:SHOWN]
    ]
    more = len(leaks.findings) - SHOWN
    return [*lines, f"and {more} more findings"] if more > 0 else lines


def _columns(finding: Finding) -> str:
    """The columns of a finding, where it speaks of some and not of whole rows."""
    rows = ("duplicates", "near_duplicates")
    if not finding.columns or (finding.check in rows and len(finding.columns) > 1):
        return ""
    shown = ", ".join(f"'{name}'" for name in finding.columns[:SHOWN])
    return f" in {shown}" + (", …" if len(finding.columns) > SHOWN else "")


def _write(paths: Paths, split: SplitIndex, summary: dict[str, Any]) -> None:
    with sealed_dir(paths.split) as folder:
        artifacts.write_split(split, folder)
        write_json(folder / artifacts.DROPPED, summary["dropped_columns"])
        own = {k: v for k, v in summary.items() if k != "order"}
        write_json(folder / artifacts.SPLIT_SUMMARY, own)
    with sealed_dir(paths.reports / "split", beside=[paths.reports / artifacts.LEAKAGE]) as folder:
        write_json(artifacts.inside(folder, artifacts.SPLIT), summary)
