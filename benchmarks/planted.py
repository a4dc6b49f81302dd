"""Data sets with a leak planted in them, one kind at a time; the tests plant with it too.

A plant takes an honest table and gives one with a leak, the check that is to find it and the
columns that carry it. Column names say nothing of what they hold.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import polars as pl

from plumbline.config.data import DataConfig, FormatConfig, LeakageConfig, SplitConfig
from plumbline.data.infer import Wishes, infer
from plumbline.data.read import conform
from plumbline.kinds import Task
from plumbline.leakage import Evidence, Finding, find_leaks
from plumbline.split import make_split, read_rows, resolve
from plumbline.tables import Table

PART = "assigned"  # the column that says which part a row is in, where the owner says so


@dataclass(frozen=True, kw_only=True)
class Data:
    """A table, its target, and what its owner says of it (`time`, `group`, `split` settings)."""

    name: str
    frame: pl.DataFrame
    target: str
    task: Task
    time: str | None = None
    group: str | None = None
    split: Mapping[str, Any] = field(default_factory=dict)

    @property
    def y(self) -> np.ndarray[Any, Any]:
        """Class numbers, or the target's values; (rows,)."""
        column = self.frame[self.target]
        if self.task == Task.REGRESSION:
            return column.cast(pl.Float64).to_numpy()
        return column.cast(pl.String).rank("dense").to_numpy().astype(np.int64) - 1


@dataclass(frozen=True, kw_only=True)
class Planted:
    """A table with a leak: which kind, the checks that may find it, the columns that carry it."""

    kind: str
    data: Data
    checks: tuple[str, ...]
    columns: tuple[str, ...] = ()

    def result(self, findings: list[Finding]) -> bool:
        """Whether one of the checks names the columns (or, for leaks of rows, speaks at all)."""
        return any(
            f.check in self.checks and (not self.columns or set(self.columns) & set(f.columns))
            for f in findings
        )


def evidence_of(data: Data, seed: int = 0, **leakage: Any) -> Evidence:
    """Infer, type and split as the pipeline does; what the checks look at."""
    form = FormatConfig()
    wishes = Wishes(target=data.target, task=data.task, time=data.time, group=data.group)
    result = infer(data.frame.lazy(), form, wishes, file=data.name).expectations
    config = DataConfig(
        name="data",
        path="data.csv",
        target=data.target,
        task=data.task,
        positive=result.positive,
        time=data.time,
        group=data.group,
    )
    schema = result.schema
    table = Table(
        frame=conform(data.frame.lazy(), schema, data.name).collect().lazy(),
        rows=len(data.frame),
    )
    settings = SplitConfig(**data.split, leakage=LeakageConfig(**leakage))
    rows = read_rows(table, schema, config, settings)
    selected = resolve(rows, settings)
    split = make_split(rows, selected, seed)
    if settings.column is not None:  # as the stage does: it is no feature
        kept = tuple(c for c in schema.columns if c.name != settings.column)
        schema = replace(schema, columns=kept)
    return Evidence(
        table=table,
        schema=schema,
        rows=rows,
        part=split.part,
        config=settings.leakage,
        ordered=selected.method == "time",
        seed=seed,
    )


def findings_of(data: Data, seed: int = 0, **leakage: Any) -> list[Finding]:
    """What the checks find in a table."""
    return [finding for finding, _ in find_leaks(evidence_of(data, seed, **leakage)).findings]


def _with(data: Data, split: Mapping[str, Any] | None = None, **columns: Any) -> Data:
    frame = data.frame.with_columns(
        v.alias(k) if isinstance(v, pl.Series) else pl.Series(k, v) for k, v in columns.items()
    )
    return replace(data, frame=frame, split=data.split if split is None else split)


def _spread(data: Data) -> float:
    return float(np.std(data.y)) or 1.0


def copy(data: Data, rng: np.random.Generator) -> Planted:
    """The target in other units, or under other names, with a little noise."""
    y = data.y
    if data.task == Task.REGRESSION:
        value: Any = 0.71 * y + 3 + rng.normal(0, 0.05 * _spread(data), len(y))
    else:
        code = rng.permutation(y.max() + 1)[y] * 10
        other = rng.permutation(code)
        value = np.where(rng.random(len(y)) < 0.01, other, code) + rng.normal(0, 1, len(y))
    return Planted(kind="copy", data=_with(data, k1=value), checks=("giveaway",), columns=("k1",))


def outcome_code(data: Data, rng: np.random.Generator) -> Planted:
    """A category that is written once the outcome is known: several codes per class."""
    y = data.y
    if data.task == Task.REGRESSION:
        y = np.searchsorted(np.quantile(y, np.linspace(0, 1, 41)[1:-1]), y)
        code = y
    else:
        code = y * 3 + rng.integers(0, 3, len(y))
    names = np.array([f"q{j}" for j in rng.permutation(200)])
    return Planted(
        kind="outcome code",
        data=_with(data, k2=names[code].tolist()),
        checks=("giveaway",),
        columns=("k2",),
    )


def pair(data: Data, rng: np.random.Generator) -> Planted:
    """Two columns that know nothing alone and everything together."""
    y = data.y
    if data.task == Task.REGRESSION:
        a: np.ndarray[Any, Any] = rng.normal(0, 2 * _spread(data), len(y))
        b: np.ndarray[Any, Any] = y - a
    else:
        classes = int(y.max()) + 1
        a = rng.integers(0, classes, len(y))
        b = (y + a) % classes
    return Planted(
        kind="pair", data=_with(data, k3=a, k4=b), checks=("giveaway",), columns=("k3", "k4")
    )


def parts(data: Data, rng: np.random.Generator) -> Planted | None:
    """The target as the sum of three columns."""
    if data.task != Task.REGRESSION:
        return None
    y = data.y
    share = rng.dirichlet([2, 2, 2], len(y))
    columns = {f"k{5 + j}": share[:, j] * y for j in range(3)}
    return Planted(
        kind="sum", data=_with(data, **columns), checks=("giveaway",), columns=tuple(columns)
    )


def product(data: Data, rng: np.random.Generator) -> Planted | None:
    """The target as price times quantity."""
    y = data.y
    if data.task != Task.REGRESSION or (y <= 0).any():
        return None
    quantity = rng.integers(1, 50, len(y)).astype(np.float64)
    return Planted(
        kind="product",
        data=_with(data, k8=quantity, k9=y / quantity),
        checks=("giveaway",),
        columns=("k8", "k9"),
    )


def many_parts(data: Data, rng: np.random.Generator) -> Planted | None:
    """The target as the sum of seven columns."""
    if data.task != Task.REGRESSION:
        return None
    share = rng.dirichlet([2] * 7, len(data.frame))
    columns = {f"kf{j}": share[:, j] * data.y for j in range(7)}
    return Planted(
        kind="sum of seven",
        data=_with(data, **columns),
        checks=("giveaway",),
        columns=tuple(columns),
    )


def part_of_total(data: Data, rng: np.random.Generator) -> Planted | None:
    """A total holds the target, two other columns and one of five surcharges that no column has."""
    if data.task != Task.REGRESSION:
        return None
    y, spread = data.y, _spread(data)
    other = spread * rng.lognormal(0.5, 0.5, (len(y), 2))
    surcharge = spread * rng.choice([0, 0.1, 0.4, 0.7, 1.1], len(y))
    total = y + other.sum(axis=1) + surcharge
    columns = {"kg1": other[:, 0], "kg2": other[:, 1], "kg3": total}
    return Planted(
        kind="part of a total",
        data=_with(data, **columns),
        checks=("giveaway",),
        columns=tuple(columns),
    )


def nearly_total(data: Data, rng: np.random.Generator) -> Planted | None:
    """The same with small sums, each of its own, in place of surcharges."""
    if data.task != Task.REGRESSION:
        return None
    y, spread = data.y, _spread(data)
    other = spread * rng.lognormal(0.5, 0.5, (len(y), 2))
    total = y + other.sum(axis=1) + 0.05 * spread * rng.normal(size=len(y))
    columns = {"kh1": other[:, 0], "kh2": other[:, 1], "kh3": total}
    return Planted(
        kind="part of a total, small remainder",
        data=_with(data, **columns),
        checks=("giveaway",),
        columns=tuple(columns),
    )


def discounted(data: Data, rng: np.random.Generator) -> Planted | None:
    """The target as price times quantity, less one of four discounts that no column has."""
    y = data.y
    if data.task != Task.REGRESSION or (y <= 0).any():
        return None
    quantity = rng.integers(1, 50, len(y)).astype(np.float64)
    price = y / quantity / rng.choice([1, 0.95, 0.9, 0.8], len(y))
    return Planted(
        kind="product with discount",
        data=_with(data, ki=quantity, kj=price),
        checks=("giveaway",),
        columns=("ki", "kj"),
    )


def cut(data: Data, rng: np.random.Generator) -> Planted | None:
    """The class is a number cut at fixed places; the number is a feature."""
    if data.task == Task.REGRESSION:
        return None
    value = data.y + rng.random(len(data.frame))
    return Planted(kind="cut", data=_with(data, kk=value), checks=("giveaway",), columns=("kk",))


def sign(data: Data, rng: np.random.Generator) -> Planted | None:
    """The class is the difference of two columns, cut at fixed places."""
    if data.task == Task.REGRESSION:
        return None
    value = data.y + rng.random(len(data.frame))
    base = 3 * rng.normal(size=len(value))
    return Planted(
        kind="difference, cut",
        data=_with(data, kl=value + base, km=base),
        checks=("giveaway",),
        columns=("kl", "km"),
    )


def gap(data: Data, rng: np.random.Generator) -> Planted | None:
    """A column that is filled in for one class only."""
    if data.task == Task.REGRESSION:
        return None
    y = data.y
    value = pl.Series(rng.normal(size=len(y)))
    rare = int(np.bincount(y).argmin()) if y.max() == 1 else int(np.bincount(y).argmax())
    value = pl.select(pl.when(pl.Series(y == rare)).then(value)).to_series()
    return Planted(kind="gap", data=_with(data, ka=value), checks=("giveaway",), columns=("ka",))


def numbered(data: Data, rng: np.random.Generator) -> Planted:
    """Rows numbered in the order of the outcome, then shuffled; the number is a feature."""
    y = data.y
    number = np.empty(len(y), dtype=np.int64)
    number[np.lexsort((rng.random(len(y)), y))] = 1000 + np.arange(len(y))
    return Planted(
        kind="numbered",
        data=_with(data, kb=number),
        checks=("identifier", "giveaway"),
        columns=("kb",),
    )


def named(data: Data, rng: np.random.Generator) -> Planted:
    """A free text that says the outcome."""
    y = data.frame[data.target]
    before = ["seen on visit {}:", "note {} of the clerk:", "call no. {}, closed as"]
    after = ["; nothing to add", "; checked by {}", ", see file {}"]
    number = rng.integers(0, 60, (len(y), 2))
    text = [
        before[int(rng.integers(3))].format(number[i, 0])
        + f" {y[i]}"
        + after[int(rng.integers(3))].format(number[i, 1])
        for i in range(len(y))
    ]
    return Planted(
        kind="text", data=_with(data, kc=text), checks=("target_text", "giveaway"), columns=("kc",)
    )


def _deviation(column: pl.Series) -> float:
    """Half of what the middle 68 % of the values span."""
    low, high = column.quantile(0.16), column.quantile(0.84)
    assert low is not None and high is not None
    return float(high - low) / 2


def _given(data: Data, rng: np.random.Generator) -> np.ndarray[Any, Any]:
    share = rng.permutation(len(data.frame)) / len(data.frame)
    return np.select([share < 0.6, share < 0.8], ["train", "val"], "test")


def copied_rows(data: Data, rng: np.random.Generator) -> Planted | None:
    """Five in a hundred test rows are training rows."""
    return _contaminated(data, rng, noise=0.0, kind="rows copied")


def nearly_copied_rows(data: Data, rng: np.random.Generator) -> Planted | None:
    """Five in a hundred test rows are training rows with noise in their numbers."""
    return _contaminated(data, rng, noise=0.005, kind="rows nearly copied")


def _contaminated(
    data: Data, rng: np.random.Generator, *, noise: float, kind: str
) -> Planted | None:
    part = _given(data, rng)
    test, train = np.flatnonzero(part == "test"), np.flatnonzero(part == "train")
    many = max(5, len(test) // 20)
    place, source = rng.choice(test, many, False), rng.choice(train, many, False)
    order = np.arange(len(part))
    order[place] = source
    frame = data.frame[order]
    if noise:
        numbers = [
            n
            for n in frame.columns
            if n != data.target and frame[n].dtype.is_float() and frame[n].n_unique() > 30
        ]
        if len(numbers) < 2:
            return None
        copies = np.isin(np.arange(len(part)), place)
        frame = frame.with_columns(
            pl.Series(
                n,
                frame[n].to_numpy()
                + copies * noise * _deviation(frame[n]) * rng.normal(size=len(part)),
            )
            for n in numbers
        )
    changed = replace(data, frame=frame, time=None)
    return Planted(
        kind=kind,
        data=_with(changed, {"method": "predefined", "column": PART}, **{PART: part.tolist()}),
        checks=("near_duplicates",) if noise else ("duplicates",),
    )


def shared_groups(data: Data, rng: np.random.Generator) -> Planted:
    """Rows of one person fall on both sides of a random split."""
    group = rng.integers(0, max(2, len(data.frame) // 5), len(data.frame))
    changed = replace(data, group="who", time=None)
    return Planted(
        kind="groups",
        data=_with(changed, {"method": "stratified"}, who=[f"p{g}" for g in group]),
        checks=("groups",),
    )


def future(data: Data, rng: np.random.Generator) -> Planted:
    """Rows have a date, and are split at random."""
    day = pl.Series(np.datetime64("2020-01-01") + rng.integers(0, 900, len(data.frame)))
    changed = replace(data, time="day")
    return Planted(
        kind="time order",
        data=_with(changed, {"method": "stratified"}, day=day.cast(pl.Datetime("us"))),
        checks=("time_order",),
    )


def other_source(data: Data, rng: np.random.Generator) -> Planted | None:
    """Test rows were measured by another device: some numbers are off by half a deviation."""
    frame = data.frame
    numbers = [
        n for n in frame.columns if n != data.target and frame[n].dtype.is_float()
        and frame[n].n_unique() > 30
    ]  # fmt: skip
    if len(numbers) < 2:
        return None
    part = _given(data, rng)
    off = [numbers[i] for i in rng.choice(len(numbers), min(3, len(numbers)), False)]
    moved = {n: frame[n].to_numpy() + (part == "test") * 0.7 * _deviation(frame[n]) for n in off}
    changed = replace(data, time=None)
    return Planted(
        kind="other source",
        data=_with(
            changed, {"method": "predefined", "column": PART}, **moved, **{PART: part.tolist()}
        ),
        checks=("adversarial_validation",),
        columns=tuple(off),
    )


Plant = Callable[[Data, np.random.Generator], Planted | None]

PLANTS: dict[str, Plant] = {
    "copy": copy,
    "outcome code": outcome_code,
    "pair": pair,
    "sum": parts,
    "product": product,
    "sum of seven": many_parts,
    "part of a total": part_of_total,
    "part of a total, small remainder": nearly_total,
    "product with discount": discounted,
    "cut": cut,
    "difference, cut": sign,
    "gap": gap,
    "numbered": numbered,
    "text": named,
    "rows copied": copied_rows,
    "rows nearly copied": nearly_copied_rows,
    "groups": shared_groups,
    "time order": future,
    "other source": other_source,
}
