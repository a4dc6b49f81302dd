"""A leak of every kind is found, by the right check and by name; honest tables are left alone."""

from __future__ import annotations

import zlib
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from benchmarks.honest import BUNDLED, LOADERS, bundled, known_leaks
from benchmarks.planted import PLANTS, Data, Planted, findings_of
from hypothesis import given, settings
from hypothesis import strategies as st

from plumbline.kinds import TASKS, Task
from plumbline.leakage import LEAKAGE_CHECKS


def honest(task: Task, seed: int, rows: int = 900) -> Data:
    """A table in which six of eight columns know a little each."""
    rng = np.random.default_rng([seed, zlib.crc32(task.encode())])
    x = rng.normal(size=(rows, 5)) @ (np.eye(5) + 0.3 * rng.normal(size=(5, 5)))
    kind = rng.integers(0, 4, rows)
    signal = x[:, 0] + 0.5 * x[:, 1] * x[:, 2] + 0.4 * kind + rng.normal(0, 0.8, rows)
    frame: dict[str, Any] = {f"x{j}": x[:, j] for j in range(5)}
    frame["x3"] = np.where(rng.random(rows) < 0.1, np.nan, x[:, 3])
    frame["kind"] = np.array(["red", "green", "blue", "grey"])[kind]
    frame["count"] = rng.poisson(3, rows)
    frame["flag"] = rng.random(rows) < 0.3
    if task == Task.REGRESSION:
        y: Any = 50 + 10 * signal
    else:
        edges = [0.4] if task == Task.BINARY else [-0.5, 1.0]
        y = np.array(["low", "middle", "high"])[np.digitize(signal, edges)]
    frame["y"] = y
    table = pl.DataFrame(frame).with_columns(pl.col("x3").fill_nan(None))
    return Data(name=f"{task}", frame=table, target="y", task=task)


def holding(names: Mapping[str, Task]) -> list[tuple[str, str]]:
    """Each table with each kind of leak that it can hold: a sum and a product need a target of
    numbers, a column filled in for one class needs classes, and where numbers are off, the table
    must have some that are no counts."""
    numbers = (Task.REGRESSION,)
    classes = (Task.BINARY, Task.MULTICLASS)
    sums = ("sum", "sum of seven", "part of a total", "part of a total, small remainder")
    wanted: dict[str, tuple[Task, ...]] = {
        **dict.fromkeys((*sums, "product", "product with discount"), numbers),
        **dict.fromkeys(("gap", "cut", "difference, cut"), classes),
    }
    without = {("adult", "rows nearly copied"), ("adult", "other source")}
    return [
        (name, kind)
        for name, task in names.items()
        for kind in PLANTS
        if task in wanted.get(kind, TASKS) and (name, kind) not in without
    ]


def planted(kind: str, data: Data) -> Planted:
    leak = PLANTS[kind](data, np.random.default_rng(zlib.crc32(f"{kind} {data.name}".encode())))
    assert leak is not None
    return leak


@pytest.mark.parametrize(("task", "kind"), holding({str(task): task for task in TASKS}))
def test_every_kind_of_leak_is_found_in_a_made_table(task: str, kind: str) -> None:
    leak = planted(kind, honest(Task(task), seed=1))
    findings = findings_of(leak.data)
    assert leak.result(findings), [(f.check, f.columns) for f in findings]
    honest_columns = set(honest(Task(task), 1).frame.columns)
    for finding in findings:
        if finding.check in ("giveaway", "identifier", "target_text"):
            assert not set(finding.columns) & honest_columns, finding.detail


@pytest.fixture(scope="module")
def science() -> dict[str, Data]:
    return {data.name: data for data in bundled()}


@pytest.mark.parametrize(
    ("name", "kind"), holding({"breast_cancer": Task.BINARY, "diabetes": Task.REGRESSION})
)
def test_every_kind_of_leak_is_found_in_the_sample_and_its_like(
    science: dict[str, Data], name: str, kind: str
) -> None:
    leak = planted(kind, science[name])
    findings = findings_of(leak.data)
    assert leak.result(findings), [(f.check, f.columns) for f in findings]


@pytest.mark.parametrize(
    ("name", "kind"),
    holding({"adult": Task.BINARY, "creditcard": Task.BINARY, "bike_sharing": Task.REGRESSION}),
)
def test_every_kind_of_leak_is_found_in_real_data(real_data: Path, name: str, kind: str) -> None:
    data = LOADERS[name](name)
    few = np.sort(np.random.default_rng(1).choice(len(data.frame), 4_000, replace=False))
    leak = planted(kind, replace(data, frame=data.frame[few]))
    findings = findings_of(leak.data)
    assert leak.result(findings), [(f.check, f.columns) for f in findings]


def test_leaks_of_published_data_are_found(real_data: Path) -> None:
    for data, what, columns in known_leaks():
        findings = findings_of(replace(data, frame=data.frame.head(4_000)))
        named = {c for f in findings if f.severity == "critical" for c in f.columns}
        if columns:
            assert set(columns) <= named, (what, [(f.check, f.columns) for f in findings])
        else:
            assert any(f.check == "duplicates" for f in findings), what


@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize("task", TASKS)
def test_honest_tables_are_clean(task: Task, seed: int) -> None:
    findings = findings_of(honest(task, seed), seed)
    assert not findings, [f.detail for f in findings]


@pytest.mark.parametrize("name", BUNDLED)
def test_bundled_tables_are_clean(science: dict[str, Data], name: str) -> None:
    findings = findings_of(science[name])
    assert not findings, [f.detail for f in findings]


@pytest.mark.parametrize("rows", [40, 100, 250])
@pytest.mark.parametrize("task", TASKS)
def test_small_honest_tables_are_clean(task: Task, rows: int) -> None:
    for seed in range(20, 24):
        findings = findings_of(honest(task, seed, rows), seed)
        assert not findings, [f.detail for f in findings]


@pytest.mark.parametrize("name", LOADERS)
def test_no_clean_real_table_is_stopped(real_data: Path, name: str) -> None:
    data = LOADERS[name](name)
    few = np.sort(np.random.default_rng(2).permutation(len(data.frame))[:2_500])
    findings = findings_of(replace(data, frame=data.frame[few]))
    assert not [f.detail for f in findings if f.severity == "critical"]
    strong = [
        f for f in findings if f.check in ("giveaway", "identifier", "adversarial_validation")
    ]
    assert not strong, [f.detail for f in strong]


SHIPPED = {
    "fair": ("affairs", Task.REGRESSION),
    "anes96": ("vote", Task.BINARY),
    "randhie": ("mdvis", Task.REGRESSION),
    "modechoice": ("choice", Task.BINARY),
    "statecrime": ("violent", Task.REGRESSION),
    "ccard": ("AVGEXP", Task.REGRESSION),
}


@pytest.mark.parametrize("name", SHIPPED)
def test_no_clean_table_of_statsmodels_is_stopped(name: str) -> None:
    datasets = pytest.importorskip("statsmodels.datasets")
    target, task = SHIPPED[name]
    frame = pl.from_pandas(getattr(datasets, name).load_pandas().data)[:3_000]
    if task != Task.REGRESSION:
        frame = frame.with_columns(pl.col(target).cast(pl.Int64).cast(pl.String))
    findings = findings_of(Data(name=name, frame=frame, target=target, task=task))
    assert not [f.detail for f in findings if f.severity == "critical"]


@settings(max_examples=15, deadline=None)
@given(
    seed=st.integers(0, 10**6),
    rows=st.integers(60, 1500),
    classes=st.integers(2, 4),
    apart=st.floats(2, 12),
    digits=st.integers(0, 3),
)
def test_one_strong_measurement_among_weak_ones_stops_nothing(
    seed: int, rows: int, classes: int, apart: float, digits: int
) -> None:
    """However strong: one length tells kinds apart, up to without an error."""
    rng = np.random.default_rng(seed)
    kind = rng.integers(0, classes, rows)
    frame = pl.DataFrame(
        {
            "length": np.round(40 + apart * kind + rng.normal(size=rows), digits),
            "depth": np.round(17 + 0.5 * (kind == 1) + rng.normal(size=rows), 1),
            "place": [f"place {v}" for v in rng.integers(0, 3, rows)],
            "y": [f"kind {v}" for v in kind],
        }
    )
    task = Task.BINARY if classes == 2 else Task.MULTICLASS
    findings = findings_of(
        Data(name="kinds", frame=frame, target="y", task=task),
        **{name: "off" for name in LEAKAGE_CHECKS if name != "giveaway"},
    )
    assert not [f.detail for f in findings if f.severity == "critical"]


@pytest.mark.parametrize("columns", [("bill",), ("bill", "depth"), ("bill", "island", "depth")])
def test_a_column_that_tells_one_kind_of_three_is_not_even_a_warning(
    columns: tuple[str, ...],
) -> None:
    """Like the table of penguins: 344 rows, one length tells one kind at a ROC-AUC of 0.98."""
    rng = np.random.default_rng(11)
    kind = rng.choice(3, 344, p=[0.44, 0.2, 0.36])
    frame = pl.DataFrame(
        {
            "bill": np.round(np.array([38.8, 48.8, 47.5])[kind] + 2.8 * rng.normal(size=344), 1),
            "depth": np.round(np.array([18.3, 18.4, 15.0])[kind] + rng.normal(size=344), 1),
            "island": np.array(["a", "b", "c"])[np.where(rng.random(344) < 0.6, kind, 0)],
            "species": np.array(["adelie", "chinstrap", "gentoo"])[kind],
        }
    ).select(*columns, "species")
    data = Data(name="penguins", frame=frame, target="species", task=Task.MULTICLASS)
    assert not [f.detail for f in findings_of(data) if f.check == "giveaway"]


def test_bike_sharing_gives_itself_away_by_name(real_data: Path) -> None:
    frame = pl.read_csv(real_data / "bike_sharing" / "hour.csv", try_parse_dates=True)
    data = Data(name="bike", frame=frame, target="cnt", task=Task.REGRESSION, time="dteday")
    (finding,) = (f for f in findings_of(data) if f.check == "giveaway")
    assert set(finding.columns) == {"casual", "registered"}
    assert "'casual' + 'registered'" in finding.detail
    assert finding.severity == "critical"
