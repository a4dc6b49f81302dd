"""Laws of every split, over random rows: nothing is lost, nothing is on two sides."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise
from typing import Any, get_args

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from plumbline.config.data import FoldMethod, SplitConfig, SplitMethod
from plumbline.errors import DataError
from plumbline.kinds import Part
from plumbline.split import (
    FOLDERS,
    SPLITTERS,
    SplitRows,
    bag_folds,
    make_split,
    resolve,
)
from plumbline.tables import NEVER

PARTS = (Part.TRAIN, Part.VAL, Part.TEST)
RANDOM = ("holdout", "stratified", "grouped", "stratified_grouped")
RANDOM_FOLDS = ("kfold", "stratified_kfold", "group_kfold", "stratified_group_kfold")
law = settings(max_examples=60, deadline=None)


@st.composite
def rows_of(draw: st.DrawFn, least: int = 60, most: int = 250) -> SplitRows:
    """Rows with classes, groups, duplicates and times that repeat."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    n = draw(st.integers(least, most))
    classes = draw(st.integers(2, 4))
    groups = draw(st.integers(15, 60))
    distinct = draw(st.integers(n // 2, n))
    regression = draw(st.booleans())
    test_rows = draw(st.sampled_from([0, 0, 10]))
    return SplitRows(
        rows=n,
        test_rows=test_rows,
        label=rng.integers(0, classes, n),
        label_names=tuple("abcd"[:classes]),
        classification=not regression,
        value=rng.normal(size=n) if regression else np.full(n, np.nan),
        duplicate=numbered(rng.integers(0, distinct, n)),
        group=numbered(rng.integers(0, groups, n)),
        time=rng.integers(0, n, n),
        given=None,
    )


def numbered(values: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    return np.unique(values, return_inverse=True)[1].astype(np.int64)


def split_or_none(rows: SplitRows, config: SplitConfig, seed: int = 0) -> Any:
    """The split; None where the rows cannot be split so, which is said in one message."""
    try:
        return make_split(rows, config, seed)
    except DataError:
        return None


def test_every_method_has_a_function() -> None:
    assert set(SPLITTERS) | {"auto"} == set(get_args(SplitMethod))
    assert set(FOLDERS) | {"auto"} == set(get_args(FoldMethod))


@law
@given(rows=rows_of(), method=st.sampled_from(RANDOM), repeats=st.integers(1, 2))
def test_random_splits_use_every_row_once(rows: SplitRows, method: Any, repeats: int) -> None:
    split = split_or_none(rows, SplitConfig(method=method, repeats=repeats, folds=3))
    assume(split is not None)
    assert set(np.unique(split.part)) == set(PARTS)
    assert (split.part[rows.own :] == Part.TEST).all()
    assert split.folds.shape == (rows.rows, 3 * repeats)
    train = split.part == Part.TRAIN
    assert (split.folds[~train] == Part.UNUSED).all()
    for repeat in range(repeats):
        inside = split.folds[train, 3 * repeat : 3 * repeat + 3]
        scored = (inside == Part.VAL).sum(axis=1)
        assert np.isin(inside, (Part.TRAIN, Part.VAL)).all()
        assert (scored <= 1).all()  # 0: of a class too rare to be scored on
        assert rows.classification or (scored == 1).all()
        for fold in inside.T:
            assert set(np.unique(fold)) == {Part.TRAIN, Part.VAL}


@law
@given(rows=rows_of(least=12, most=40), method=st.sampled_from(RANDOM), k=st.integers(2, 6))
def test_few_rows_fill_every_fold_or_are_refused(rows: SplitRows, method: Any, k: int) -> None:
    config = SplitConfig(method=method, folds=k)
    split = split_or_none(rows, config)
    assume(split is not None)
    assert set(np.unique(split.part)) == set(PARTS)
    for number in range(k):
        fitted, scored = split.fold(number)
        assert len(fitted) and len(scored)
    try:
        bag = bag_folds(rows, split.part, resolve(rows, config), k, 0)
    except DataError:
        return
    used = np.isin(split.part, (Part.TRAIN, Part.VAL))
    assert set(bag[used]) - {NEVER} == set(range(k)) and (bag[~used] == NEVER).all()
    assert rows.classification or (bag[used] != NEVER).all()


@law
@given(rows=rows_of(), folds=st.sampled_from(RANDOM_FOLDS))
def test_folds_score_every_training_row_once_where_no_class_is_rare(
    rows: SplitRows, folds: Any
) -> None:
    config = SplitConfig(
        method="stratified", folds_method=folds, folds=3, keep_duplicates_together=False
    )
    split = split_or_none(replace(rows, classification=False), config)
    assume(split is not None)
    inside = split.folds[split.part == Part.TRAIN]
    assert ((inside == Part.VAL).sum(axis=1) == 1).all()


@law
@given(rows=rows_of(), method=st.sampled_from(["grouped", "stratified_grouped", "time"]))
def test_no_group_is_on_two_sides(rows: SplitRows, method: Any) -> None:
    split = split_or_none(rows if method == "time" else replace(rows, time=None),
                          SplitConfig(method=method, folds=3))  # fmt: skip
    assume(split is not None)
    own = slice(0, rows.own)
    assert rows.group is not None
    group = rows.group[own] if method != "time" else rows.group
    part = split.part[own] if method != "time" else split.part
    for column in [part, *split.folds[: len(part)].T]:
        for one in np.unique(group):
            sides = set(column[group == one]) - {Part.UNUSED}
            assert len(sides) <= 1, f"group {one} in {sides}"


@law
@given(rows=rows_of(), method=st.sampled_from(["holdout", "stratified"]))
def test_equal_rows_stay_together(rows: SplitRows, method: Any) -> None:
    split = split_or_none(rows, SplitConfig(method=method, folds=3))
    assume(split is not None)
    own = slice(0, rows.own)
    for column in [split.part[own], *split.folds[own].T]:
        pairs = np.unique(rows.duplicate[own] * 4 + column)
        assert len(pairs) == len(np.unique(rows.duplicate[own]))


@law
@given(rows=rows_of(least=100), seed=st.integers(0, 99), folds=st.integers(2, 5))
def test_stratified_shares_are_right_within_rounding(
    rows: SplitRows, seed: int, folds: int
) -> None:
    rows = replace(rows, test_rows=0, group=None, time=None)
    config = SplitConfig(method="stratified", keep_duplicates_together=False, folds=folds)
    split = split_or_none(rows, config, seed)
    assume(split is not None and (np.bincount(rows.label) >= 3 * folds).all())
    for c, count in enumerate(np.bincount(rows.label)):
        mine = rows.label == c
        for part, share in ((Part.TEST, 0.2), (Part.VAL, 0.2), (Part.TRAIN, 0.6)):
            assert abs((split.part[mine] == part).sum() - share * count) <= 2
        inside = split.folds[mine & (split.part == Part.TRAIN)]
        scored = (inside == Part.VAL).sum(axis=0)
        assert scored.max() - scored.min() <= 2
    sizes = np.array([(split.part == p).sum() for p in (Part.TEST, Part.VAL)])
    assert (np.abs(sizes - 0.2 * rows.rows) <= 1).all()


@law
@given(
    rows=rows_of(least=120),
    rolling=st.booleans(),
    gap=st.integers(0, 5),
    horizon=st.integers(0, 12),
)
def test_time_goes_forward(rows: SplitRows, rolling: bool, gap: int, horizon: int) -> None:
    rows = replace(rows, group=None, test_rows=0)
    assert rows.time is not None
    config = SplitConfig(
        method="time",
        folds_method="time_rolling" if rolling else "time_expanding",
        folds=3,
        gap=gap,
        horizon=horizon,
    )
    split = split_or_none(rows, config)
    assume(split is not None)
    _forward(rows.time, split.part, (Part.TRAIN, Part.VAL, Part.TEST), gap)
    sizes, ends = [], []
    for fold in range(3):
        fitted, scored = split.fold(fold)
        _forward(rows.time, split.folds[:, fold], (Part.TRAIN, Part.VAL), gap)
        sizes.append(len(fitted))
        ends.append(rows.time[scored].min())
    assert sorted(ends) == ends
    if not rolling:
        assert sorted(sizes) == sizes


def _forward(time: Any, part: Any, order: tuple[Part, ...], gap: int) -> None:
    """Each part lies wholly before the next, with `gap` rows left out between them."""
    for before, after in pairwise(order):
        last, first = time[part == before].max(), time[part == after].min()
        assert last < first or (gap and last <= first)
        between = (time >= last) & (time <= first) & (part == Part.UNUSED)
        assert between.sum() >= gap


@law
@given(rows=rows_of(), method=st.sampled_from([*RANDOM, "time"]), seed=st.integers(0, 9))
def test_same_seed_same_bytes(rows: SplitRows, method: Any, seed: int) -> None:
    first = split_or_none(rows, SplitConfig(method=method, folds=3), seed)
    again = split_or_none(rows, SplitConfig(method=method, folds=3), seed)
    assert (first is None) == (again is None)
    assume(first is not None)
    assert first.part.tobytes() == again.part.tobytes()
    assert first.folds.tobytes() == again.folds.tobytes()


def test_another_seed_is_another_split() -> None:
    rows = plain(200)
    one, two = (make_split(rows, SplitConfig(method="holdout"), seed) for seed in (0, 1))
    assert (one.part != two.part).any()


@law
@given(rows=rows_of(), method=st.sampled_from(["holdout", "grouped"]))
def test_an_unstratified_split_does_not_look_at_the_target(rows: SplitRows, method: Any) -> None:
    rows = replace(rows, classification=False)
    other = replace(rows, label=rows.label[::-1].copy(), value=-rows.value)
    folds = "kfold" if method == "holdout" else "group_kfold"
    config = SplitConfig(method=method, folds_method=folds, folds=3)
    first, second = split_or_none(rows, config), split_or_none(other, config)
    assume(first is not None)
    assert first.part.tobytes() == second.part.tobytes()
    assert first.folds.tobytes() == second.folds.tobytes()


@law
@given(rows=rows_of(), seed=st.integers(0, 9))
def test_targets_of_a_supplied_test_file_change_nothing(rows: SplitRows, seed: int) -> None:
    rows = replace(rows, test_rows=10, classification=True)
    other = replace(rows, label=rows.label.copy())
    other.label[rows.own :] = (other.label[rows.own :] + 1) % len(rows.label_names)
    config = SplitConfig(method="stratified", folds=3)
    first, second = split_or_none(rows, config, seed), split_or_none(other, config, seed)
    assert (first is None) == (second is None)
    assume(first is not None)
    assert first.part.tobytes() == second.part.tobytes()
    assert first.folds.tobytes() == second.folds.tobytes()


def test_folds_do_not_look_at_targets_of_rows_held_out() -> None:
    rows = plain(300)
    config = SplitConfig(method="predefined", column="part", folds_method="stratified_kfold")
    given = np.repeat([Part.TRAIN, Part.VAL, Part.TEST], 100).astype(np.uint8)
    other = replace(rows, label=np.where(given == Part.TRAIN, rows.label, 1 - rows.label))
    first = make_split(replace(rows, given=given), config, 0)
    second = make_split(replace(other, given=given), config, 0)
    assert first.folds.tobytes() == second.folds.tobytes()


def plain(n: int, **changes: Any) -> SplitRows:
    """n different rows of two classes, without groups or times."""
    label = np.random.default_rng(5).integers(0, 2, n)
    return replace(
        SplitRows(
            rows=n,
            test_rows=0,
            label=label,
            label_names=("a", "b"),
            classification=True,
            value=np.full(n, np.nan),
            duplicate=np.arange(n),
            group=None,
            time=None,
            given=None,
        ),
        **changes,
    )


@pytest.mark.parametrize(
    ("changes", "method", "folds"),
    [
        ({}, "stratified", "stratified_kfold"),
        ({"group": np.arange(100) // 5}, "stratified_grouped", "stratified_group_kfold"),
        ({"time": np.arange(100), "group": np.arange(100) // 5}, "time", "time_expanding"),
        ({"given": np.ones(100, dtype=np.uint8)}, "predefined", "stratified_kfold"),
    ],
)
def test_auto_takes_what_the_data_asks_for(changes: Any, method: str, folds: str) -> None:
    column = "part" if "given" in changes else None
    selected = resolve(plain(100, **changes), SplitConfig(column=column))
    assert (selected.method, selected.folds_method) == (method, folds)
