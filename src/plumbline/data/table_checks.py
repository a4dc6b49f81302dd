"""What only the whole table can tell, asked once: how many rows, which columns, which classes."""

from __future__ import annotations

import polars as pl

from plumbline.data.checks import EXAMPLES, CheckResult
from plumbline.data.column_checks import figure
from plumbline.data.expectations import Expectations
from plumbline.data.source import Source
from plumbline.kinds import Role


def check_table(expectations: Expectations, source: Source) -> list[CheckResult]:
    """What only the whole table can tell: rows, columns, classes."""
    wanted, rows = expectations.rows, source.rows
    enough = rows >= wanted.min and (wanted.max is None or rows <= wanted.max)
    results = [
        CheckResult(
            column="",
            expectation="expect_table_row_count_to_be_between",
            severity=wanted.severity,
            kwargs={"min_value": wanted.min, "max_value": wanted.max},
            success=enough,
            observed=rows,
            rows=rows,
            problem=f"the table has {rows:,} rows, not between {wanted.min:,} and "
            f"{figure(wanted.max)}",
        )
    ]
    names = list(expectations.columns)
    ordered = expectations.ordered_columns
    same = source.names == names if ordered else set(source.names) == set(names)
    extra = [n for n in source.names if n not in expectations.columns]
    word = "ordered_list" if ordered else "set"
    results.append(
        CheckResult(
            column="",
            expectation=f"expect_table_columns_to_match_{word}",
            severity="warning",
            kwargs={f"column_{'list' if ordered else 'set'}": names},
            success=same,
            observed="as described" if same else ", ".join(extra[:EXAMPLES]) or "another order",
            rows=rows,
            problem=f"the table has columns that nobody described: {', '.join(extra[:EXAMPLES])}"
            if extra
            else "the columns are in another order",
        )
    )
    return results + _check_target(expectations, source)


def _check_target(expectations: Expectations, source: Source) -> list[CheckResult]:
    """Two values at least, of several rows each where they are classes, and every class of the
    test file, in the data that are learned from."""
    target = next(n for n, c in expectations.columns.items() if c.role is Role.TARGET)
    trained = source.rows - source.test_rows
    own = source.frame.head(trained).select(value=target).drop_nulls()
    alone, new = [], []
    if expectations.task.has_classes:
        counts = own.group_by("value").len().sort("len", "value").collect(engine="streaming")
        test = source.frame.slice(trained).select(value=target).drop_nulls().unique()
        new = sorted(set(test.collect(engine="streaming")["value"]) - set(counts["value"]))
        alone = counts.filter(pl.col("len") < 2)["value"].to_list()
        if len(counts) - len(alone) >= 2:
            alone = []  # they train, and are never tested
    some = own.unique().head(2).collect()
    problem = ""
    if not len(some):
        problem = "the target has no values"
    elif len(some) < 2:
        problem = f"the target is constant ('{some.item()}')"
    elif alone:
        problem = f"class '{alone[0]}' has one row, which cannot be both learned from and tested on"
    elif new:
        problem = f"class '{new[0]}' is in the test file alone, so no model can have learned it"
    return [
        CheckResult(
            column=target,
            expectation="expect_column_unique_value_count_to_be_between",
            severity="critical",
            kwargs={"column": target, "min_value": 2},
            success=not problem,
            observed=problem or "two values or more",
            rows=source.rows,
            problem=problem,
        )
    ]
