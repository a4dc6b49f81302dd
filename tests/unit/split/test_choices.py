"""Rare classes, the owner's own split, a supplied test file, rows in order of time."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import polars as pl
import pytest

from plumbline.config.data import DataConfig, SplitConfig
from plumbline.errors import DataError, ParameterError
from plumbline.kinds import ColumnType, Part, Role, Task
from plumbline.preprocessing.duplicates import are_by_chance
from plumbline.split import (
    SplitRows,
    make_split,
    over_all,
    read_rows,
    with_target,
    without,
)
from plumbline.split.summary import summarize
from plumbline.tables import Column, Schema, Table

COLUMN = ("x", "y", "when", "who", "part")


def rows_with(rare: int, n: int = 120) -> SplitRows:
    """n different rows; `rare` of them are of a third class."""
    label = np.arange(n) % 2
    label[:rare] = 2
    return SplitRows(
        rows=n,
        test_rows=0,
        label=label,
        label_names=("a", "b", "rare"),
        classification=True,
        value=np.full(n, np.nan),
        duplicate=np.arange(n),
        group=None,
        time=None,
        given=None,
    )


@pytest.mark.parametrize("rare", [1, 2])
def test_a_class_of_fewer_rows_than_parts_trains(rare: int) -> None:
    rows = rows_with(rare)
    split = make_split(rows, SplitConfig(rare_classes="train"), 0)
    assert (split.part[:rare] == Part.TRAIN).all()
    assert (split.folds[:rare] == Part.TRAIN).all()


@pytest.mark.parametrize("rare", [3, 4])
def test_a_class_that_fills_the_parts_is_dealt_but_trains_in_every_fold(rare: int) -> None:
    split = make_split(rows_with(rare), SplitConfig(rare_classes="train"), 0)
    mine = split.part[:rare]
    assert Part.TRAIN in mine
    train = np.flatnonzero(mine == Part.TRAIN)
    assert (split.folds[train] == Part.TRAIN).all()


@pytest.mark.parametrize("rare", [1, 2, 3, 4])
def test_spread_fills_training_first_then_test_then_validation(rare: int) -> None:
    split = make_split(rows_with(rare), SplitConfig(rare_classes="spread"), 0)
    counts = [(split.part[:rare] == p).sum() for p in (Part.TRAIN, Part.TEST, Part.VAL)]
    assert sum(counts) == rare
    assert counts[0] >= 1
    if rare < 3:
        assert counts == [1, 1, 0][:3] if rare == 2 else [1, 0, 0]
    train = split.part == Part.TRAIN
    for fold in split.folds[train].T:  # a class is never scored on and absent from fitting
        of_rare = fold[(np.arange(120) < rare)[train]]
        assert (of_rare == Part.TRAIN).any()


@pytest.mark.parametrize("rare", [1, 2])
def test_refuse_names_the_class_and_its_rows(rare: int) -> None:
    with pytest.raises(DataError, match=rf"rare \({rare} rows\)"):
        make_split(rows_with(rare), SplitConfig(rare_classes="refuse"), 0)


def test_refuse_counts_copies_of_one_row_once() -> None:
    rows = rows_with(10)
    rows = replace(rows, duplicate=np.maximum(np.arange(120) - 9, 0))
    with pytest.raises(DataError, match="separate rows per class"):
        make_split(rows, SplitConfig(rare_classes="refuse"), 0)


def table(n: int = 90, test_rows: int = 0, **columns: Any) -> tuple[Table, Schema]:
    values: dict[str, Any] = {
        "x": np.arange(n, dtype=float),
        "y": ["no", "yes"] * (n // 2),
        "when": pl.Series(np.arange(n)[::-1].copy()),
        "who": [f"g{i // 6}" for i in range(n)],
        "part": (["train"] * 60 + ["Validation"] * 15 + [" test "] * 15)[:n],
        **columns,
    }
    types = dict(zip(COLUMN, (ColumnType.NUMBER, ColumnType.CATEGORY, ColumnType.INTEGER,
                              ColumnType.CATEGORY, ColumnType.CATEGORY), strict=True))  # fmt: skip
    roles = {"y": Role.TARGET, "when": Role.TIME, "who": Role.GROUP}
    schema = Schema(
        columns=tuple(
            Column(name=c, type=types[c], role=roles.get(c, Role.FEATURE)) for c in COLUMN
        ),
        task=Task.BINARY,
        classes=("no", "yes"),
    )
    frame = pl.DataFrame(values).lazy()
    return Table(frame=frame, rows=n, test_rows=test_rows), schema


def read(config: SplitConfig, *, test_rows: int = 0, **names: Any) -> SplitRows:
    columns = {k: names.pop(k) for k in list(names) if k in COLUMN}
    read_from, schema = table(test_rows=test_rows, **columns)
    data = DataConfig(name="d", path="d.csv", target="y", task=Task.BINARY, positive="yes", **names)
    return read_rows(read_from, schema, data, config)


def test_the_owners_split_is_taken_as_it_is() -> None:
    config = SplitConfig(column="part")
    split = make_split(read(config), config, 0)
    assert (split.part == np.repeat([Part.TRAIN, Part.VAL, Part.TEST], [60, 15, 15])).all()


def test_without_validation_rows_some_are_drawn_from_training() -> None:
    config = SplitConfig(column="part", method="predefined")
    rows = read(config, part=["train"] * 60 + ["test"] * 30)
    split = make_split(rows, config, 0)
    assert (split.part[60:] == Part.TEST).all()
    assert (split.part[:60] == Part.VAL).sum() == 18  # val_share of all rows


def test_a_word_that_is_no_part_is_refused_by_row() -> None:
    config = SplitConfig(column="part")
    with pytest.raises(DataError, match="row 3 of the split column") as error:
        read(config, part=["train"] * 3 + ["later"] + ["test"] * 86)
    assert "train, val or test" in str(error.value)


@pytest.mark.parametrize("missing", ["train", "test"])
def test_a_split_column_without_training_or_test_rows_is_refused(missing: str) -> None:
    config = SplitConfig(column="part")
    other = "test" if missing == "train" else "train"
    with pytest.raises(DataError, match=f"no row is marked {missing}"):
        make_split(read(config, part=[other] * 45 + ["val"] * 45), config, 0)


def test_an_absent_split_column_is_refused_with_the_nearest() -> None:
    with pytest.raises(DataError, match="Did you mean 'part'"):
        read(SplitConfig(column="parts"))


@pytest.mark.parametrize("method", ["holdout", "stratified", "grouped", "time"])
def test_a_supplied_test_file_is_the_test_part_whole(method: Any) -> None:
    config = SplitConfig(method=method, folds=3)
    rows = read(config, test_rows=18, group="who" if method == "grouped" else None)
    split = make_split(rows, config, 0)
    assert (split.part[-18:] == Part.TEST).all()
    assert (split.part[:-18] != Part.TEST).all()
    assert (split.part[:-18] == Part.VAL).sum() == pytest.approx(0.2 * 72, abs=6)


def test_time_follows_the_column_and_not_the_file() -> None:
    config = SplitConfig()
    split = make_split(read(config, time="when"), config, 0)
    assert (split.part[:18] == Part.TEST).all()  # the file runs backwards in time
    assert (split.part[-54:] == Part.TRAIN).all()


def test_without_a_time_column_the_file_is_in_order_of_time() -> None:
    config = SplitConfig(method="time")
    split = make_split(read(config), config, 0)
    assert split.part.tolist() == [Part.TRAIN] * 54 + [Part.VAL] * 18 + [Part.TEST] * 18


def test_rows_of_one_time_are_not_cut_apart() -> None:
    config = SplitConfig(folds=2)
    rows = read(config, time="when", when=pl.Series(np.arange(90) // 7))
    split = make_split(rows, config, 0)
    for moment in range(13):
        assert len(set(split.part[np.arange(90) // 7 == moment])) == 1


def test_random_folds_of_a_split_in_time_are_refused() -> None:
    config = SplitConfig(method="time", folds_method="kfold")
    with pytest.raises(ParameterError, match="train on rows later"):
        make_split(read(config, time="when"), config, 0)


def test_repeated_windows_are_refused() -> None:
    config = SplitConfig(method="time", repeats=2)
    with pytest.raises(ParameterError, match="cannot be repeated"):
        make_split(read(config, time="when"), config, 0)


def test_a_grouped_split_without_groups_is_refused() -> None:
    with pytest.raises(ParameterError, match=r"data\.group"):
        make_split(read(SplitConfig()), SplitConfig(method="grouped"), 0)


def test_too_few_groups_are_refused_in_numbers() -> None:
    config = SplitConfig(method="grouped")
    with pytest.raises(DataError, match="2 groups for 3 parts"):
        make_split(read(config, group="who", who=["a", "b"] * 45), config, 0)


def test_windows_that_do_not_fit_are_refused() -> None:
    config = SplitConfig(method="time", horizon=20)
    with pytest.raises(DataError, match="windows of 20 rows"):
        make_split(read(config, time="when"), config, 0)


def test_a_gap_that_leaves_nothing_is_refused() -> None:
    config = SplitConfig(method="time", gap=60)
    with pytest.raises(DataError, match="gap of 60 rows"):
        make_split(read(config, time="when"), config, 0)


def test_rows_without_a_group_are_groups_of_their_own() -> None:
    rows = read(SplitConfig(), group="who", who=[None] * 30 + ["g"] * 60)
    assert rows.group is not None
    assert len(np.unique(rows.group)) == 31


def test_a_numeric_target_is_stratified_by_quantile_bins() -> None:
    read_from, schema = table(y=np.arange(90.0) ** 2)
    schema = replace(schema, task=Task.REGRESSION, classes=())
    data = DataConfig(name="d", path="d.csv", target="y", task=Task.REGRESSION)
    config = SplitConfig(bins=3)
    rows = read_rows(read_from, schema, data, config)
    assert np.bincount(rows.label).tolist() == [30, 30, 30]
    split = make_split(rows, config, 0)
    for b in range(3):
        assert (split.part[rows.label == b] == Part.TEST).sum() == 6


def test_a_missing_target_is_refused_by_row() -> None:
    with pytest.raises(DataError, match="missing in 1 rows, the first is row 4"):
        read(SplitConfig(), y=["no"] * 4 + [None] + ["yes"] * 85)


def test_leaving_out_rows_keeps_the_rest_and_refuses_to_empty_a_part() -> None:
    rows = rows_with(0)
    split = make_split(rows, SplitConfig(), 0)
    gone = np.array([0, 7])
    left = without(split, gone)
    assert (left.part[gone] == Part.UNUSED).all()
    assert (left.folds[gone] == Part.UNUSED).all()
    kept = np.setdiff1d(np.arange(120), gone)
    assert (left.part[kept] == split.part[kept]).all()
    with pytest.raises(DataError, match="empties a part"):
        without(split, split.rows(Part.VAL))
    with pytest.raises(DataError, match="leaves 3 of 72 training rows"):
        without(split, split.rows(Part.TRAIN)[3:])


def test_the_summary_counts_what_the_split_did() -> None:
    rows = replace(rows_with(2), group=np.arange(120) // 4)
    config = SplitConfig(method="stratified", folds_method="kfold")
    split = make_split(rows, config, 0)
    summary = summarize(rows, split, config)
    assert sum(part["rows"] for part in summary["parts"].values()) == 120
    assert summary["parts"]["train"]["target"]["rare"] == 2
    assert summary["classes"]["rare"] == {"rare": 2}
    assert summary["groups"]["in_two_parts"] > 0
    assert np.sum(summary["order"]["parts"]) == 120


# -- rows without a target

DATA = DataConfig(name="t", path="t.csv", target="y", task=Task.BINARY, positive="b")


def gaps(values: list[Any], kind: ColumnType, test_rows: int = 0) -> tuple[Table, Schema]:
    task = Task.REGRESSION if kind is ColumnType.NUMBER else Task.BINARY
    frame = pl.LazyFrame({"x": list(range(len(values))), "y": values})
    x = Column(name="x", type=ColumnType.INTEGER, role=Role.FEATURE)
    labels = () if kind is ColumnType.NUMBER else ("a", "b")
    y = Column(name="y", type=kind, role=Role.TARGET, labels=labels)
    return (
        Table(frame=frame, rows=len(values), test_rows=test_rows),
        Schema(columns=(x, y), task=task, classes=labels),
    )


@pytest.mark.parametrize(
    ("values", "kind"),
    [
        ([None, "a", "b", None, *["a", "b"] * 30], ColumnType.CATEGORY),
        ([None, 1.0, 2.0, float("nan"), *map(float, range(60))], ColumnType.NUMBER),
    ],
)
def test_rows_without_a_target_are_in_no_part_and_change_no_other(
    values: list[Any], kind: ColumnType
) -> None:
    table, numbers = with_target(*gaps(values, kind))
    assert numbers.tolist() == [1, 2, *range(4, 64)]
    schema = gaps(values, kind)[1]
    rows = read_rows(table, schema, DATA, SplitConfig())
    split = make_split(rows, SplitConfig(), 0)
    whole = over_all(replace(split, bag=np.zeros(62, np.uint8)), numbers, 64)
    assert (whole.part[[0, 3]] == Part.UNUSED).all() and (whole.folds[[0, 3]] == Part.UNUSED).all()
    np.testing.assert_array_equal(whole.part[numbers], split.part)
    np.testing.assert_array_equal(whole.folds[numbers], split.folds)
    assert whole.networks == 1
    assert not set(numbers) ^ set(np.concatenate([whole.rows(p) for p in Part if p]).tolist())


def test_the_test_file_keeps_its_rows_with_a_target() -> None:
    given = gaps(["a", "b"] * 20 + [None, "a", "b", None], ColumnType.CATEGORY, test_rows=4)
    table, numbers = with_target(*given)
    assert (table.rows, table.test_rows) == (42, 2) and numbers[-1] == 42
    with pytest.raises(DataError, match="no row of the test file has a target"):
        with_target(*gaps(["a", "b"] * 20 + [None, None], ColumnType.CATEGORY, test_rows=2))


def test_all_rows_are_the_same_table() -> None:
    table, schema = gaps(["a", "b"] * 20, ColumnType.CATEGORY)
    assert with_target(table, schema)[0] is table


# -- few features of few values


def test_rows_that_agree_in_few_values_stand_alone() -> None:
    """As of the passengers of the Titanic by class, sex and age."""
    rng = np.random.default_rng(0)
    profile = rng.integers(0, 14, 1316)
    label = (rng.random(1316) < 0.2 + 0.04 * profile).astype(np.int64)
    rows = replace(rows_with(0, 1316), label=label, label_names=("a", "b"), duplicate=profile)
    assert are_by_chance(profile, [])
    rows = replace(rows, by_chance=True)
    split = make_split(rows, SplitConfig(), 0)
    for part in (Part.TRAIN, Part.VAL, Part.TEST):
        assert len(np.unique(profile[split.part == part])) == 14
    assert summarize(rows, split, SplitConfig())["duplicates"]["kept_together"] is False


def test_copies_stay_together() -> None:
    duplicate = np.arange(1200) // 4
    rows = replace(rows_with(0, 1200), duplicate=duplicate)
    split = make_split(rows, SplitConfig(), 0)
    assert (split.part.reshape(-1, 4) == split.part[::4, None]).all()


def rows_of(**columns: Any) -> SplitRows:
    """The rows of a table of these features."""
    n = len(next(iter(columns.values())))
    frame = pl.LazyFrame({**columns, "y": ["a", "b"] * (n // 2)})
    types = {"s": ColumnType.TEXT}
    features = [
        Column(name=name, type=types.get(name, ColumnType.NUMBER), role=Role.FEATURE)
        for name in columns
    ]
    y = Column(name="y", type=ColumnType.CATEGORY, role=Role.TARGET, labels=("a", "b"))
    schema = Schema(columns=(*features, y), task=Task.BINARY, classes=("a", "b"))
    return read_rows(Table(frame=frame, rows=n), schema, DATA, SplitConfig())


def by_chance(**columns: Any) -> bool:
    """Whether the rows of a table of these features are equal by chance."""
    return rows_of(**columns).by_chance


@pytest.mark.parametrize("gap", [None, float("nan")])
def test_rows_without_a_cell_are_no_copies_of_each_other(gap: float | None) -> None:
    x = [gap, 1.5, gap, 1.5, gap, 2.5]
    s = [None, "a", None, "a", None, None]
    assert rows_of(x=x, s=s).duplicate.tolist() == [0, 1, 2, 1, 3, 4]


def test_equal_rows_of_few_values_are_by_chance_and_copies_are_not() -> None:
    rng = np.random.default_rng(0)
    few = {f"x{j}": rng.integers(0, 6, 400).astype(float) for j in range(3)}
    assert by_chance(**few)
    assert by_chance(x=rng.integers(0, 60, 72).astype(float))  # a count, and nothing else
    many = {f"x{j}": np.repeat(rng.normal(size=200).round(1), 2) for j in range(4)}
    assert not by_chance(**many)
    assert not by_chance(s=["as before", "other"] * 30 + [f"text {i}" for i in range(40)])
    assert not by_chance(x=np.arange(100.0))
