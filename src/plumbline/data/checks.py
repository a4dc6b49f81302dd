"""expectations.yaml as a Great Expectations suite, run over the rows in pieces.

What a row can tell by itself is asked of every piece, and the counts are added up, so memory is
bounded whatever the file's size. What only the table can tell is in `table_checks`.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import polars as pl

from plumbline.data.column_checks import RANGE, Check
from plumbline.data.expectations import Severity
from plumbline.data.source import ROW, Source

os.environ.setdefault("GX_ANALYTICS_ENABLED", "false")  # read when the library is imported

CELLS_PER_MB = 8_000  # cells of a piece, per megabyte that all may take
EXAMPLES = 10  # unexpected values shown per expectation

SINGULAR = {"are": "is", "do": "does"}


@dataclass(frozen=True, kw_only=True)
class CheckResult:
    """How one expectation did. `observed`: a count or share of rows, or the table's value."""

    column: str
    expectation: str
    severity: Severity
    kwargs: Mapping[str, Any]
    success: bool
    observed: Any
    rows: int = 0
    missing: int = 0
    unexpected: int = 0
    examples: list[str] = field(default_factory=list)
    problem: str = ""
    check: Check | None = None

    @property
    def is_range(self) -> bool:
        """Whether values are beyond a column's range."""
        return self.expectation == RANGE


def run_checks(checks: list[Check], source: Source, *, max_memory_mb: int) -> list[CheckResult]:
    """Ask Great Expectations of every piece of the rows; add up.

    It is handed the columns one by one: it copies the whole frame for every expectation. What it
    spends on an expectation before it looks at a row is far more than a row, so pieces are as
    large as `max_memory_mb` allows.
    """
    import great_expectations as gx

    context = gx.get_context(mode="ephemeral")
    context.variables.progress_bars = {"globally": False}
    asset = context.data_sources.add_pandas("data").add_dataframe_asset("rows")
    whole = asset.add_batch_definition_whole_dataframe("all")
    suites = _suites(checks)
    totals = [_Total() for _ in checks]
    columns_needed = list(dict.fromkeys(name for names, _ in suites for name in names))
    frame = with_helpers(source.frame, checks).select(columns_needed)
    size = max(10_000, max_memory_mb * CELLS_PER_MB // max(1, len(columns_needed)))
    for piece in frame.collect_batches(chunk_size=size, maintain_order=True, engine="streaming"):
        for names, suite in suites:
            batch = whole.get_batch(batch_parameters={"dataframe": piece.select(names).to_pandas()})
            results = batch.validate(
                suite,
                result_format={"result_format": "BASIC", "partial_unexpected_count": EXAMPLES},
            )
            for result in results.results:
                totals[result.expectation_config.meta["number"]].add(result)
    return [total.outcome(check) for total, check in zip(totals, checks, strict=True)]


def _suites(checks: list[Check]) -> list[tuple[list[str], Any]]:
    """The checks of one column (or of one pair) as a suite, and the columns that it looks at."""
    import great_expectations as gx
    from great_expectations import expectations as gxe

    suites: dict[tuple[str, ...], tuple[list[str], Any]] = {}
    for i, check in enumerate(checks):
        keys = ("column", "column_A", "column_B")
        looked_at = [check.kwargs[key] for key in keys if key in check.kwargs]
        own = (check.column,) if len(looked_at) == 1 else tuple(looked_at)
        names, suite = suites.setdefault(own, ([], gx.ExpectationSuite(name=f"checks {i}")))
        names += [name for name in looked_at if name not in names]
        words = "".join(part.title() for part in check.expectation.split("_"))
        suite.add_expectation(
            getattr(gxe, words)(**check.kwargs, severity=check.severity, meta={"number": i})
        )
    return list(suites.values())


def with_helpers(frame: pl.LazyFrame, checks: list[Check]) -> pl.LazyFrame:
    """The rows with the columns that answer for what no single cell tells."""
    return frame.with_columns(c.helper for c in checks if c.helper is not None)


@dataclass
class _Total:
    """The counts of one expectation over the pieces."""

    rows: int = 0
    missing: int = 0
    unexpected: int = 0
    examples: list[str] = field(default_factory=list)

    def add(self, result: Any) -> None:
        info = result.exception_info  # of the expectation, or of each figure that it is made of
        for one in (info, *info.values()):
            if isinstance(one, dict) and one.get("raised_exception"):
                raise RuntimeError(one["exception_message"])
        own = result.result
        self.rows += own.get("element_count", 0)
        self.missing += own.get("missing_count") or 0
        self.unexpected += own.get("unexpected_count", 0)
        for value in own.get("partial_unexpected_list", []):
            if value is not None and len(self.examples) < EXAMPLES:
                self.examples.append(str(value)[:200])

    def outcome(self, check: Check) -> CheckResult:
        share = self.unexpected / self.rows if self.rows else 0.0
        return CheckResult(
            column=check.column,
            expectation=check.expectation,
            severity=check.severity,
            kwargs=check.kwargs,
            success=share <= check.allowed,
            observed=f"{self.unexpected:,} of {self.rows:,} rows ({share:.2%})",
            rows=self.rows,
            missing=self.missing,
            unexpected=self.unexpected,
            examples=self.examples if check.helper is None else [],
            problem=check.problem,
            check=check,
        )


def failing_rows(outcomes: list[CheckResult], source: Source, limit: int) -> pl.DataFrame:
    """The first rows that fail each failed check: row, column, expectation, severity, value."""
    parts = []
    for outcome in outcomes:
        check = outcome.check
        if outcome.success or check is None or limit == 0:
            continue
        rows = (
            with_helpers(source.frame, [check])
            .with_row_index(ROW)
            .filter(check.broken)
            .head(limit)
            .select(ROW)
            .collect(engine="streaming")
        )
        shown = source.cells(check.column, rows[ROW].to_list())
        parts.append(
            pl.DataFrame(
                {
                    "row": rows[ROW].cast(pl.UInt32),
                    "column": [check.column] * len(rows),
                    "expectation": [check.expectation] * len(rows),
                    "severity": [check.severity] * len(rows),
                    "value": shown,
                },
                schema=FAILING,
            )
        )
    return pl.concat(parts).head(limit) if parts else pl.DataFrame(schema=FAILING)


FAILING = {
    "row": pl.UInt32,
    "column": pl.String,
    "expectation": pl.String,
    "severity": pl.String,
    "value": pl.String,
}


def sentence(outcome: CheckResult) -> str:
    """How many values fail, and what they do wrong: "3 values are missing"."""
    if outcome.check is None:
        return outcome.problem
    if outcome.unexpected != 1:
        return f"{outcome.unexpected:,} values {outcome.problem}"
    verb, _, rest = outcome.problem.partition(" ")
    return f"1 value {SINGULAR.get(verb, verb)} {rest}"
