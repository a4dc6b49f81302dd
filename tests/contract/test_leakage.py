"""What holds for every leakage check: on odd tables too, twice the same, obedient to its policy."""

from __future__ import annotations

from dataclasses import fields, replace
from functools import cache
from typing import Any, get_args

import numpy as np
import polars as pl
import pytest
from benchmarks.planted import PLANTS, Data, Planted, evidence_of

from plumbline.config.data import LeakageConfig, Policy
from plumbline.kinds import TASKS, Part, Task
from plumbline.leakage import LEAKAGE_CHECKS, Evidence, Leaks, find_leaks

POLICIES = get_args(Policy)
# what an honest column could be, too: a warning, and no stop
MERELY_STRONG = ("copy", "part of a total, small remainder", "cut", "other source")


def table(task: Task, rows: int = 200, seed: int = 0) -> Data:
    """Every type of column, gaps, a constant, an empty column."""
    rng = np.random.default_rng(seed)
    words = np.array(["tea", "milk", "bread", "salt", "oil", "rice"])
    text = [" ".join(rng.choice(words, 5)) + f" {i}" for i in range(rows)]
    number = rng.normal(size=rows)
    y: Any = number + rng.normal(size=rows)
    if task.has_classes:
        classes = 2 if task == Task.BINARY else 3
        y = [
            f"c{v}"
            for v in np.searchsorted(np.quantile(y, np.linspace(0, 1, classes + 1)[1:-1]), y)
        ]
    frame = pl.DataFrame(
        {
            "number": number,
            "gaps": [None if i % 7 == 0 else float(v) for i, v in enumerate(rng.normal(size=rows))],
            "whole": rng.integers(0, 9, rows),
            "truth": rng.random(rows) < 0.5,
            "kind": rng.choice(words, rows).tolist(),
            "note": text,
            "day": pl.Series(np.datetime64("2021-03-01") + rng.integers(0, 400, rows)),
            "constant": np.ones(rows),
            "huge": rng.normal(size=rows) * 1e300,
            "empty": pl.Series([None] * rows, dtype=pl.Float64),
            "y": y,
        }
    )  # fmt: skip
    return Data(name=str(task), frame=frame, target="y", task=task)


def test_every_check_has_a_policy_and_every_policy_a_check() -> None:
    policies = {f.name for f in fields(LeakageConfig) if f.default in POLICIES}
    assert set(LEAKAGE_CHECKS) == policies


@pytest.mark.parametrize("rows", [24, 200])
@pytest.mark.parametrize("task", TASKS)
@pytest.mark.parametrize("check", LEAKAGE_CHECKS)
def test_odd_columns_are_no_leak(check: str, task: Task, rows: int) -> None:
    evidence = evidence_of(replace(table(task, rows), split={"folds": 2}))
    assert list(LEAKAGE_CHECKS[check](evidence)) == []


@pytest.mark.parametrize("check", LEAKAGE_CHECKS)
def test_a_table_without_features_of_use_is_no_leak(check: str) -> None:
    data = table(Task.BINARY)
    frame = data.frame.select("constant", "empty", "y")
    evidence = evidence_of(replace(data, frame=frame, split={"keep_duplicates_together": False}))
    assert list(LEAKAGE_CHECKS[check](evidence)) == []


@pytest.mark.parametrize("kind", PLANTS)
def test_a_finding_says_what_where_and_what_to_do(kind: str) -> None:
    evidence, leaks = result(kind)
    assert leaks.findings
    for finding, _ in leaks.findings:
        assert finding.check in LEAKAGE_CHECKS
        assert set(finding.columns) <= {c.name for c in evidence.schema.columns}
        assert (np.diff(finding.rows) > 0).all()
        assert ((finding.rows >= 0) & (finding.rows < evidence.table.rows)).all()
        assert set(finding.drop_columns) <= set(evidence.features)
        assert finding.detail and finding.hint
        # rows counts what is concerned, and no handful of examples
        at_least = 0.1 * evidence.part.size if finding.drop_columns else 1
        assert len(finding.rows) >= at_least, finding.detail
        assert not finding.examined or len(finding.rows) <= finding.examined
    critical = [finding for finding, _ in leaks.findings if finding.severity == "critical"]
    assert bool(critical) == (kind not in MERELY_STRONG)
    report = leaks.to_json()["findings"][0]
    assert report["row_count"] == len(leaks.findings[0][0].rows)
    assert {"check", "columns", "rows", "detail", "severity", "hint", "policy"} <= set(report)
    assert len(report["rows"]) <= 100


@pytest.mark.parametrize("kind", PLANTS)
def test_the_same_seed_finds_the_same(kind: str) -> None:
    again = find_leaks(evidence_of(planted(kind).data))
    assert again.to_json() == result(kind)[1].to_json()


@pytest.mark.parametrize("kind", PLANTS)
def test_policies_stop_tell_or_mend(kind: str) -> None:
    findings = [f for f, _ in result(kind)[1].findings]
    for policy in POLICIES[:3]:
        leaks = Leaks(findings=tuple((f, policy) for f in findings))
        critical = any(f.severity == "critical" for f in findings)
        assert bool(leaks.stopping) == (policy == "fail" and critical)
        taken = len(leaks.dropped_rows) + len(leaks.dropped_columns)
        assert bool(taken) == (policy == "drop" and any(f.fixable for f in findings))
        fixed = policy == "drop" and all(f.fixable for f in findings)
        assert leaks.to_json()["clean"] is fixed


def test_a_check_has_the_policy_of_its_name_and_off_is_not_asked() -> None:
    data = planted("numbered").data
    policies: dict[str, Policy] = {**dict.fromkeys(LEAKAGE_CHECKS, "off"), "identifier": "drop"}
    (only,) = find_leaks(evidence_of(data, **policies)).findings
    assert (only[0].check, only[1]) == ("identifier", "drop")


@pytest.mark.parametrize("kind", ["rows copied", "rows nearly copied", "groups", "time order"])
def test_what_drop_leaves_has_no_such_leak(kind: str) -> None:
    """Leaving the named rows out mends the leak: the check finds nothing in what remains."""
    evidence, leaks = result(kind)
    check = planted(kind).checks[0]
    part = evidence.part.copy()
    for finding, _ in leaks.findings:
        part[finding.drop_rows] = Part.UNUSED
    assert list(LEAKAGE_CHECKS[check](replace(evidence, part=part))) == []


@pytest.mark.parametrize("check", LEAKAGE_CHECKS)
def test_a_check_does_not_depend_on_the_others(check: str) -> None:
    together = result("numbered")[1].findings
    alone = LEAKAGE_CHECKS[check](evidence_of(planted("numbered").data))
    assert [f.detail for f in alone] == [f.detail for f, _ in together if f.check == check]


def test_more_rows_than_are_looked_at() -> None:
    leak = planted("copy", 900)
    assert leak.result(list(LEAKAGE_CHECKS["giveaway"](evidence_of(leak.data, max_rows=300))))


@cache
def result(kind: str) -> tuple[Evidence, Leaks]:
    """All checks over a table with this leak."""
    evidence = evidence_of(planted(kind).data)
    return evidence, find_leaks(evidence)


@cache
def planted(kind: str, rows: int = 400) -> Planted:
    if kind in ("rows nearly copied", "other source"):  # need numbers, and no noise
        rng = np.random.default_rng(9)
        frame = pl.DataFrame({f"m{j}": rng.normal(size=900) for j in range(4)})
        frame = frame.with_columns(y=pl.Series(np.where(rng.random(900) < 0.4, "no", "yes")))
        data = Data(name="numbers", frame=frame, target="y", task=Task.BINARY)
    else:
        sums = ("sum", "sum of seven", "part of a total", "part of a total, small remainder")
        products = ("product", "product with discount")
        data = table(Task.REGRESSION if kind in (*sums, *products) else Task.BINARY, rows)
        if kind in products:
            data = replace(data, frame=data.frame.with_columns(pl.col("y") + 20))
        if kind == "difference, cut":  # rows must lie dense beside the edge
            data = table(Task.BINARY, 4 * rows)
    leak = PLANTS[kind](data, np.random.default_rng(4))
    assert leak is not None
    return leak


def test_many_columns_are_looked_at_in_fewer_rows_and_it_says_so() -> None:
    evidence = evidence_of(table(Task.BINARY, 400))
    columns = len(evidence.features)
    assert evidence.plan() == f"all rows × {columns} columns"
    many = replace(evidence.schema, columns=evidence.schema.columns * 3_000)
    wide = replace(evidence, schema=many)
    assert wide.sampled_rows == 2_000  # in any case; 25 million cells are fewer rows
    few = replace(evidence, config=LeakageConfig(max_rows=100))
    assert few.plan() == (
        "100 of 240 training rows and 100 of 160 held-out rows"
        f" × {columns} columns; equal rows among all"
    )
    assert len(few.train) == len(few.held_out) == 100
