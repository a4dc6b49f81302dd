"""expectations.yaml as a Great Expectations suite, run over the rows in pieces.

What a row can tell by itself is asked of every piece, and the counts are added up, so memory is
bounded whatever the file's size. What only the table can tell is in `table_checks`.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import polars as pl

from plumbline.cells import describe
from plumbline.data.expectations import ColumnExpectations, Expectations, Severity
from plumbline.data.fitting import TEXTS, typed_values
from plumbline.data.source import ROW, Source
from plumbline.tables import Column

os.environ.setdefault("GX_ANALYTICS_ENABLED", "false")  # read when the library is imported

CELLS_PER_MB = 8_000  # cells of a piece, per megabyte that all may take
EXAMPLES = 10  # unexpected values shown per expectation

SINGULAR = {"are": "is", "do": "does"}


@dataclass(frozen=True, kw_only=True)
class Check:
    """One expectation of a row. `broken` tells the rows that fail it; `allowed` is their share
    that may. `query` is the column Great Expectations looks at: the data's own, or one that
    says in yes and no what no single cell tells."""

    column: str
    expectation: str
    severity: Severity
    kwargs: dict[str, Any]
    broken: pl.Expr
    allowed: float = 0.0
    helper: pl.Expr | None = None
    problem: str = ""  # what the rows that fail do wrong, for the message


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


def checks_of(expectations: Expectations, source: Source) -> list[Check]:
    """The checks of rows, column by column, then the rules between columns."""
    checks: list[Check] = []
    for column in expectations.schema.columns:
        checks += _column_checks(column, expectations.columns[column.name], source)
    for rule in expectations.rules:
        or_equal = rule.relation == ">="
        left, right = pl.col(rule.left), pl.col(rule.right)
        checks.append(
            Check(
                column=rule.left,
                expectation="expect_column_pair_values_a_to_be_greater_than_b",
                severity=rule.severity,
                kwargs={
                    "column_A": rule.left,
                    "column_B": rule.right,
                    "or_equal": or_equal,
                    "ignore_row_if": "either_value_is_missing",
                },
                broken=(left < right) if or_equal else (left <= right),
                problem=f"are not {rule.relation} '{rule.right}'",
            )
        )
    return checks


def _column_checks(column: Column, wanted: ColumnExpectations, source: Source) -> Iterator[Check]:
    name, cell = column.name, pl.col(column.name)
    is_text = wanted.type in TEXTS
    checks = _ColumnChecks(name=name, taken=frozenset(source.unreadable))
    if not is_text:
        yield checks.flag(
            f"is {describe(column)}",
            source.unreadable[name],
            severity="critical",
            problem=f"are not {describe(column)}",
        )
    if wanted.missing is not None and wanted.missing.max < 1:
        yield Check(
            column=name,
            expectation="expect_column_values_to_not_be_null",
            severity=wanted.missing.severity,
            kwargs={"column": name, "mostly": 1 - wanted.missing.max},
            broken=cell.is_null(),
            allowed=wanted.missing.max,
            problem=f"are missing, more than the {wanted.missing.max:.0%} allowed",
        )
    if wanted.range is not None:
        low, high = wanted.range.min, wanted.range.max
        below = cell < low if low is not None else pl.lit(False)
        above = cell > high if high is not None else pl.lit(False)
        yield Check(
            column=name,
            expectation="expect_column_values_to_be_between",
            severity=wanted.range.severity,
            kwargs={"column": name, "min_value": low, "max_value": high},
            broken=below | above,
            problem=f"are not between {figure(low)} and {figure(high)}",
        )
    if wanted.values is not None:
        others = cell.is_in(typed_values(wanted, column).implode()).not_()
        problem, severity = "are none of the values listed", wanted.values.severity
        if is_text:
            yield Check(
                column=name,
                expectation="expect_column_values_to_be_in_set",
                severity=severity,
                kwargs={"column": name, "value_set": wanted.values.only},
                broken=others,
                problem=problem,
            )
        else:
            yield checks.flag(
                "is one of the values listed", others, severity=severity, problem=problem
            )
    if wanted.pattern is not None:
        regex, severity = wanted.pattern.regex, wanted.pattern.severity
        fails = source.as_written[name].str.contains(regex).not_()
        problem = f"do not match {regex}"
        if is_text:
            yield Check(
                column=name,
                expectation="expect_column_values_to_match_regex",
                severity=severity,
                kwargs={"column": name, "regex": regex},
                broken=fails,
                problem=problem,
            )
        else:
            yield checks.flag(f"matches {regex}", fails, severity=severity, problem=problem)
    for flag, word, fails in (
        (wanted.unique, "unique", cell.is_duplicated() & cell.is_not_null()),
        (wanted.increasing, "increasing", cell < cell.shift(1)),
    ):
        if flag is not None:
            yield checks.flag(
                f"is {word}", fails, severity=flag.severity, problem=f"are not {word}"
            )


@dataclass(frozen=True, kw_only=True)
class _ColumnChecks:
    """Makes checks that no single cell, or none of its type, can answer: of a column in yes and no
    whose name is that of no column of the data."""

    name: str
    taken: frozenset[str]

    def flag(self, what: str, fails: pl.Expr, *, severity: Severity, problem: str) -> Check:
        label = f"{self.name} {what}"
        while label in self.taken:
            label += " "
        return Check(
            column=self.name,
            expectation="expect_column_values_to_be_in_set",
            severity=severity,
            kwargs={"column": label, "value_set": [True]},
            broken=~pl.col(label),
            helper=fails.fill_null(False).not_().alias(label),
            problem=problem,
        )


def figure(value: float | None) -> str:
    """A bound in words."""
    if value is None:
        return "anything"
    return f"{value:.0f}" if float(value).is_integer() and abs(value) < 1e15 else f"{value:g}"


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
