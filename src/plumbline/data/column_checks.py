"""expectations.yaml as checks of rows: what Great Expectations is asked, and which rows fail."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import polars as pl

from plumbline.cells import describe
from plumbline.data.expectations import ColumnExpectations, Expectations, Severity
from plumbline.data.fitting import typed_values
from plumbline.data.source import Source
from plumbline.data.text_profile import copies, is_garbled
from plumbline.kinds import TEXTUAL
from plumbline.tables import Column

RANGE = "expect_column_values_to_be_between"  # of Great Expectations
FEW_COPIES = 20  # rows may have one text, whatever their share: of few new rows each is many


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
    is_text = wanted.type in TEXTUAL
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
            expectation=RANGE,
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
    yield from _text_checks(checks, wanted)
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

    def flag(
        self, what: str, fails: pl.Expr, *, severity: Severity, problem: str, allowed: float = 0.0
    ) -> Check:
        label = f"{self.name} {what}"
        while label in self.taken:
            label += " "
        return Check(
            column=self.name,
            expectation="expect_column_values_to_be_in_set",
            severity=severity,
            kwargs={"column": label, "value_set": [True], "mostly": 1 - allowed}
            if allowed
            else {"column": label, "value_set": [True]},
            broken=~pl.col(label),
            allowed=allowed,
            helper=fails.fill_null(False).not_().alias(label),
            problem=problem,
        )


def _text_checks(checks: _ColumnChecks, wanted: ColumnExpectations) -> Iterator[Check]:
    """What is expected of a text in any language."""
    cell = pl.col(checks.name)
    if wanted.length is not None:
        low, high = wanted.length.min, wanted.length.max
        size = cell.str.len_chars()
        yield Check(
            column=checks.name,
            expectation="expect_column_value_lengths_to_be_between",
            severity=wanted.length.severity,
            kwargs={"column": checks.name, "min_value": low, "max_value": high},
            broken=(size < low) | ((size > high) if high is not None else pl.lit(False)),
            problem=f"do not have {low:,} to {figure(high)} characters",
        )
    if wanted.garbled is not None:
        most = wanted.garbled.max
        yield checks.flag(
            "is not garbled",
            is_garbled(cell),
            severity=wanted.garbled.severity,
            allowed=most,
            problem="are garbled (control or replacement characters, or UTF-8 read as another "
            f"encoding), more than the {most:.0%} allowed",
        )
    if wanted.repeated is not None:
        most = wanted.repeated.max
        yield checks.flag(
            "does not repeat one text",
            copies(cell) > pl.max_horizontal(most * pl.len(), FEW_COPIES),
            severity=wanted.repeated.severity,
            problem=f"are a text that more than {most:.0%} of the rows have",
        )


def figure(value: float | None) -> str:
    """A bound in words."""
    if value is None:
        return "anything"
    return f"{value:.0f}" if float(value).is_integer() and abs(value) < 1e15 else f"{value:g}"
