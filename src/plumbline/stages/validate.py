"""validate: the data against expectations.yaml, by Great Expectations; a gate."""

from __future__ import annotations

from pathlib import Path

import polars as pl

from plumbline import artifacts
from plumbline.cells import KINDS
from plumbline.config import Config, Paths
from plumbline.data.checks import CheckResult, failing_rows, run_checks, sentence
from plumbline.data.checks_page import results_page
from plumbline.data.column_checks import checks_of
from plumbline.data.expectations import Expectations
from plumbline.data.load import load_expectations
from plumbline.data.overview import overview
from plumbline.data.rows import data_version, note_version, write_image_names, write_rows
from plumbline.data.source import open_source
from plumbline.data.table_checks import check_table
from plumbline.errors import GateError
from plumbline.files import new_file, scratch, write_json, write_text
from plumbline.images.cells import is_path
from plumbline.kinds import ColumnType
from plumbline.manifest import sealed_dir
from plumbline.stages import Report


def run(config: Config, paths: Paths) -> Report:
    """Check the data; write what failed; stop at a critical failure, else write typed rows."""
    expectations = load_expectations(paths.expectations, config.data)
    with scratch(paths.state / "validate") as parsed:
        return _run(config, paths, expectations, parsed)


def _run(config: Config, paths: Paths, expectations: Expectations, parsed: Path) -> Report:
    version = data_version(paths.root)
    patterned = [name for name, c in expectations.columns.items() if c.pattern is not None]
    schema = expectations.schema
    source = open_source(config.data, schema, paths.root, into=parsed, patterned=patterned)
    outcomes = check_table(expectations, source)
    outcomes += run_checks(
        checks_of(expectations, source), source, max_memory_mb=config.data.max_memory_mb
    )
    failed = [o for o in outcomes if not o.success]
    stopping = [o for o in failed if o.severity == "critical" or config.validate.fail_on_warning]
    listed = failing_rows(failed, source, config.validate.max_failing_rows)
    folder = paths.reports / "validation"
    with sealed_dir(folder) as new:
        artifacts.write(_result(outcomes, source.rows, bool(stopping)), new)
        write_json(artifacts.inside(new, artifacts.COLUMNS), overview(source, expectations))
        with new_file(artifacts.inside(new, artifacts.FAILING_ROWS)) as file:
            listed.write_parquet(file, compression="zstd")
        write_text(new / "index.html", results_page(outcomes, source.rows))
    page = folder / "index.html"
    if stopping:
        raise _refusal(stopping, listed, config, page.relative_to(paths.root), schema.target)
    with sealed_dir(paths.table) as new:
        write_rows(
            new,
            source.frame,
            schema.with_native(source.native),
            test_rows=source.test_rows,
            max_memory_mb=config.data.max_memory_mb,
        )
        write_image_names(new, source.written, schema, max_memory_mb=config.data.max_memory_mb)
    note_version(paths.table, paths.state, version)
    warnings = [f"{o.column or 'table'}: {sentence(o)}" for o in failed]
    return Report(
        rows=[
            ("rows", f"{source.rows:,}"),
            ("expectations", f"{len(outcomes)}, {len(outcomes) - len(failed)} met"),
            *(("warning", text) for text in warnings[:10]),
        ],
        outputs=[page],
    )


def _result(outcomes: list[CheckResult], rows: int, stopped: bool) -> artifacts.ValidationResult:
    return artifacts.ValidationResult(
        success=not stopped,
        evaluated=len(outcomes),
        rows=rows,
        failed=[
            {
                "column": o.column,
                "expectation": o.expectation,
                "severity": o.severity,
                "observed": o.observed,
                "unexpected_count": o.unexpected,
                "detail": sentence(o),
                "examples": o.examples,
            }
            for o in outcomes
            if not o.success
        ],
    )


def _refusal(
    stopping: list[CheckResult], listed: pl.DataFrame, config: Config, page: Path, target: str
) -> GateError:
    """One message: the first failure with its file, column, row and value."""
    first = stopping[0]
    place = config.data.path
    text = f"{place}: column '{first.column}'" if first.column else place
    text += f": {sentence(first)}"
    own = listed.filter(
        (pl.col("column") == first.column) & (pl.col("expectation") == first.expectation)
    )
    value: str | None = None
    if len(own):
        row, value = own["row"][0], own["value"][0]
        text += f" (first in row {row}: {'missing' if value is None else repr(value)})"
    if len(stopping) > 1:
        text += f", and {len(stopping) - 1} more expectations failed"
    return GateError(
        f"validation: {text}.",
        report=page,
        hint=_hint(first, target, value),
    )


def _hint(first: CheckResult, target: str, value: str | None) -> str:
    """What helps. Args: value: the first that fails."""
    if first.column == target and first.problem.startswith("are missing"):
        return (
            f"Fill them in, or allow it in expectations.yaml (columns.{target}.missing.max): rows "
            "without a target are left out"
        )
    if first.problem.endswith(KINDS[ColumnType.IMAGE]):
        has_files = value is None or is_path(value)
        what = "Replace the files" if has_files else "Write whole images into the cells"
        return f"{what}, or clear the cells, and run `plumbline init` again"
    if first.column and first.problem.startswith(
        tuple(f"are not {kind}" for kind in KINDS.values())
    ):
        return (
            "Fix the data, or say in expectations.yaml how such cells are written "
            f"(columns.{first.column}.format; missing: [...] lists words for a missing cell)"
        )
    part = f" (columns.{first.column}.range)" if first.is_range else ""
    return f"Fix the data, or change expectations.yaml{part} if the data are right"
