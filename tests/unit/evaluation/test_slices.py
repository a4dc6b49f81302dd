"""Slices are the rows they say, and a flag means that the model is worse there."""

from __future__ import annotations

import datetime as dt
from io import BytesIO
from typing import Any

import numpy as np
import polars as pl
import pytest
from PIL import Image
from tests.made import examples_of, spec_of

from plumbline.errors import ParameterError
from plumbline.evaluation.decision import Decision, PartPredictions
from plumbline.evaluation.measured import MISSING, find_cuts, measure_cells
from plumbline.evaluation.metrics import score
from plumbline.evaluation.slices import (
    Slice,
    choose_columns,
    make_slices,
    relation,
    score_slices,
)
from plumbline.examples import Examples, InputSpec
from plumbline.kinds import ColumnType, DoubleArray, Role, Task
from plumbline.stages.sliced import slice_rows
from plumbline.tables import Column, Schema, Table


def schema(**types: ColumnType) -> Schema:
    columns = [Column(name=name, type=kind) for name, kind in types.items()]
    target = Column(name="target", type=ColumnType.CATEGORY, role=Role.TARGET)
    return Schema(columns=(*columns, target), task=Task.BINARY, classes=("no", "yes"))


def sliced(values: Any, kind: ColumnType, min_rows: int = 1, auto: bool = False) -> dict[str, Any]:
    dtype = Column(name="c", type=kind).dtype
    frame = pl.DataFrame({"c": pl.Series(values, dtype=dtype)})
    result = make_slices(frame, schema(c=kind), measured={}, cuts={}, auto=auto, min_rows=min_rows)
    return {s.value: s.rows.tolist() for s in result}


def arrays(num: Any, y: Any) -> Examples:
    n = len(num)
    return examples_of(
        num=num.astype(np.float32),
        y=y,
        rows=np.arange(n),
        weight=np.ones(n, dtype=np.float32),
    )


def spec(*sources: str, task: Task = Task.BINARY) -> InputSpec:
    return spec_of(
        task=task,
        num_names=sources,
        classes=("no", "yes") if task == Task.BINARY else (),
    )


def test_a_category_by_value_the_missing_among_them() -> None:
    result = sliced(["a", "b", None, "a", "b", None, "a"], ColumnType.CATEGORY, min_rows=2)
    assert result == {"a": [0, 3, 6], "b": [1, 4], MISSING: [2, 5]}
    assert sliced(["a"] * 5, ColumnType.CATEGORY) == {}  # all rows are no slice
    assert sliced(["a", "a", None], ColumnType.CATEGORY) == {MISSING: [2]}  # nor all that are there
    assert set(sliced(["a", "a", "b"], ColumnType.CATEGORY, min_rows=2)) == {"a"}


def test_a_boolean_and_a_number_of_few_values_by_value() -> None:
    assert sliced([True, False, True], ColumnType.BOOLEAN) == {"true": [0, 2], "false": [1]}
    assert sliced([1, 0, None, 1], ColumnType.INTEGER) == {"1": [0, 3], "0": [1], MISSING: [2]}
    few = sliced([0.25, 1234567.0, float("nan"), 0.25], ColumnType.NUMBER)
    assert few == {"0.25": [0, 3], "1234567": [1], MISSING: [2]}


def test_a_number_by_quartiles_of_whole_values() -> None:
    result = sliced(range(100), ColumnType.INTEGER)
    assert {value: len(rows) for value, rows in result.items()} == {
        "≤ 24": 25,
        "24 – 49": 25,
        "49 – 74": 25,
        "> 74": 25,
    }
    assert result["≤ 24"] == list(range(25))
    assert sum(len(rows) for rows in result.values()) == 100


def test_small_parts_have_fewer_ranges() -> None:
    assert [len(rows) for rows in sliced(range(114), ColumnType.NUMBER, min_rows=30).values()] == [
        38,
        38,
        38,
    ]


def test_a_heavily_repeated_number_has_the_ranges_that_are_left() -> None:
    values = [0.0] * 92 + [float(v) for v in range(1, 13)] + [None] * 3
    result = sliced(values, ColumnType.NUMBER)
    assert {value: len(rows) for value, rows in result.items()} == {
        "0": 92,
        "> 0": 12,
        MISSING: 3,
    }


def test_edges_that_look_alike_get_more_digits() -> None:
    assert "≤ 20240024" in sliced([20_240_000 + i for i in range(100)], ColumnType.INTEGER)
    result = sliced([1.5 + i * 1e-9 for i in range(100)], ColumnType.NUMBER)
    assert list(map(len, result.values())) == [25] * 4


def test_dates_by_time() -> None:
    days = [dt.datetime(2024, 1, 1) + dt.timedelta(days=i) for i in range(40)]
    result = sliced(days, ColumnType.DATE)
    assert set(result) == {
        "≤ 2024-01-10",
        "2024-01-10 – 2024-01-20",
        "2024-01-20 – 2024-01-30",
        "> 2024-01-30",
    }
    assert sum(len(rows) for rows in result.values()) == 40


def test_many_values_are_sliced_only_when_named() -> None:
    values = [f"v{i % 30:02d}" for i in range(300)]
    assert sliced(values, ColumnType.CATEGORY, auto=True) == {}
    assert len(sliced(values, ColumnType.CATEGORY)) == 20


def test_auto_takes_categories_and_the_numbers_that_matter() -> None:
    rng = np.random.default_rng(0)
    y = rng.integers(0, 2, 400)
    num = rng.normal(size=(400, 8))
    num[:, 6] += 2 * y
    names = [f"n{i}" for i in range(8)]
    types = dict.fromkeys(names, ColumnType.NUMBER)
    of = schema(color=ColumnType.CATEGORY, flag=ColumnType.BOOLEAN, note=ColumnType.TEXT, **types)
    result = choose_columns("auto", of, arrays(num, y), spec(*names))
    assert result[:3] == ["color", "flag", "note"]
    assert "n6" in result and len(result) == 8


def test_relation_is_the_share_of_variance() -> None:
    rng = np.random.default_rng(0)
    y = rng.normal(size=2000)
    num = np.stack([y, y + rng.normal(size=2000), rng.normal(size=2000), np.ones(2000)], axis=1)
    of = spec("a", "b", "c", "d", task=Task.REGRESSION)
    result = relation(arrays(num, y.astype(np.float32)), of)
    assert result["a"] == pytest.approx(1) and result["b"] == pytest.approx(0.5, abs=0.05)
    assert result["c"] < 0.01 and result["d"] == pytest.approx(0, abs=1e-6)
    twice = relation(arrays(num, (y > 0).astype(np.int64)), spec("a", "b", "a", "d"))
    assert twice["a"] == pytest.approx(2 / np.pi, abs=0.05)


def test_a_wrong_name_is_refused() -> None:
    of, train = schema(color=ColumnType.CATEGORY), arrays(np.zeros((3, 0)), np.zeros(3))
    assert choose_columns(["color"], of, train, spec()) == ["color"]
    with pytest.raises(ParameterError, match=r"'colr' is no column.*[Dd]id you mean 'color'"):
        choose_columns(["colr"], of, train, spec())
    with pytest.raises(ParameterError, match=r"'target' is the target"):
        choose_columns(["target"], of, train, spec())


def rows(
    n: int, groups: int, seed: int, bad: int | None = None
) -> tuple[PartPredictions, DoubleArray, list[Slice]]:
    """Predictions, those of a baseline that is as good but in a bad group, and the slices."""
    rng = np.random.default_rng(seed)
    y, group = rng.integers(0, 2, n), rng.integers(0, groups, n)
    common = 2.0 * (2 * y - 1) + 1.5 * rng.normal(size=n)
    made = []
    for own in (bad, None):
        z = np.where(group == own, 0.0, common) + 0.5 * rng.normal(size=n)
        p = 1 / (1 + np.exp(-z))
        made.append(np.stack([1 - p, p], axis=1))
    return of_rows(Task.BINARY, y, made[0]), made[1], slices_by(group)


def of_rows(task: Task, y: Any, prediction: DoubleArray) -> PartPredictions:
    return PartPredictions(
        task=task, y=y, rows=np.arange(len(y)), prediction=prediction, decision=Decision()
    )


def slices_by(group: Any) -> list[Slice]:
    frame = pl.DataFrame({"c": [f"g{g}" for g in group]})
    of = schema(c=ColumnType.CATEGORY)
    return make_slices(frame, of, measured={}, cuts={}, auto=True, min_rows=30)


@pytest.mark.parametrize("metric", ["roc_auc", "accuracy", "log_loss"])
def test_a_weak_slice_is_found_and_no_other(metric: str) -> None:
    predictions, baseline, slices = rows(2000, 8, 0, bad=3)
    result = score_slices(slices, predictions, metric, reference=baseline, seed=0)
    assert [s["value"] for s in result if s["worse"]] == ["g3"]
    for one, of in zip(result, slices, strict=True):
        y, p = predictions.y[of.rows], predictions.prediction[of.rows]
        expected = score(metric, y, p, Task.BINARY)
        assert one["score"] == one["metrics"][metric] == pytest.approx(expected)
        low, high = one["ci95"]
        assert low <= one["score"] <= high
        assert one["rows"] == len(of.rows)
        assert one["loss"]["model"] == pytest.approx(one["metrics"]["log_loss"])
        theirs = score("log_loss", y, baseline[of.rows], Task.BINARY)
        assert one["loss"]["reference"] == pytest.approx(theirs)


def test_a_slice_that_is_hard_for_every_model_is_not_weak() -> None:
    predictions, _, slices = rows(2000, 8, 0, bad=3)
    same = predictions.prediction
    result = score_slices(slices, predictions, "roc_auc", reference=same)
    assert not any(s["worse"] for s in result)
    assert min(s["difference"] for s in result) < -0.3


def test_alike_slices_are_seldom_flagged_however_many() -> None:
    flagged = 0
    for seed in range(100):
        predictions, baseline, slices = rows(1500, 20, seed)
        assert len(slices) == 20
        result = score_slices(
            slices, predictions, "accuracy", reference=baseline, resamples=10, seed=seed
        )
        flagged += any(s["worse"] for s in result)
    assert flagged <= 10  # 5 % of 100 are 5


def test_without_a_baseline_no_slice_is_judged() -> None:
    predictions, _, slices = rows(500, 4, 0, bad=1)
    result = score_slices(slices, predictions, "accuracy", resamples=10)
    assert all(s["loss"] is None and not s["worse"] for s in result)


def test_errors_are_compared_as_the_metric_counts_them() -> None:
    rng = np.random.default_rng(0)
    y, group = rng.normal(size=1000), np.repeat(["good", "bad"], 500)
    error = rng.normal(size=1000)
    reference = (y + error)[:, None]
    own = (y + np.where(group == "bad", 3.0, 1.0) * error)[:, None]
    predictions, slices = of_rows(Task.REGRESSION, y, own), slices_by(group)
    for metric, name, rise in (("rmse", "mse", 8), ("r2", "mse", 8), ("mae", "mae", 2)):
        result = {
            s["value"]: s for s in score_slices(slices, predictions, metric, reference=reference)
        }
        assert result["gbad"]["worse"] and not result["ggood"]["worse"]
        assert result["gbad"]["loss"]["name"] == name
        assert result["gbad"]["loss"]["rise"] == pytest.approx(rise, rel=0.1)


def test_a_slice_of_one_class_has_what_is_defined() -> None:
    predictions, baseline, _ = rows(200, 2, 0)
    of_class = slices_by(predictions.y)
    assert len(of_class) == 2
    for one in score_slices(of_class, predictions, "roc_auc", reference=baseline, resamples=50):
        assert one["score"] is None and one["ci95"] is None and one["difference"] is None
        assert one["loss"] is not None
        assert "accuracy" in one["metrics"]


def test_no_slices_no_scores() -> None:
    assert score_slices([], rows(10, 2, 0)[0], "accuracy") == []


def test_texts_are_sliced_by_length_at_the_thirds_of_training_texts() -> None:
    train = pl.LazyFrame({"c": ["x" * size for size in range(1, 31)] + [None]})
    of = schema(c=ColumnType.TEXT)
    cuts = find_cuts(measure_cells(train, of, ["c"]))
    assert cuts == {"c": [[10, 20]]}
    sizes = [1, 10, 11, 20, 21, 5000] * 20
    frame = pl.DataFrame({"c": [*("y" * size for size in sizes), *[None] * 40]})
    own = measure_cells(frame.lazy(), of, ["c"])
    made = make_slices(frame, of, measured=own, cuts=cuts, auto=True, min_rows=30)
    assert {one.value: len(one.rows) for one in made} == {
        "short: up to 10 characters": 40,
        "medium: 11 to 20 characters": 40,
        "long: more than 20 characters": 40,
        "(missing)": 40,
    }
    assert all(one.rows.tolist()[0] == i for one, i in zip(made, (120, 4, 2, 0), strict=True))
    alike = find_cuts(measure_cells(pl.LazyFrame({"c": ["same", "size"] * 30}), of, ["c"]))
    assert alike == {"c": [[4]]}
    halves = make_slices(frame, of, measured=own, cuts=alike, auto=True, min_rows=10)
    assert {one.value for one in halves} == {
        "short: up to 4 characters",
        "long: more than 4 characters",
        "(missing)",
    }


def picture(brightness: int, side: int) -> bytes:
    content = BytesIO()
    Image.new("L", (side, side), brightness).save(content, "PNG")
    return content.getvalue()


def test_images_are_sliced_by_brightness_and_by_size() -> None:
    of = schema(c=ColumnType.IMAGE)
    train = [picture(51 * (i % 3), 4 + 2 * (i // 3 % 3)) for i in range(18)]
    cuts = find_cuts(measure_cells(pl.LazyFrame({"c": train}), of, ["c"]))
    assert cuts == {"c": [[0.0, 0.2], [16, 36]]}
    cells = [picture(10, 5), picture(51, 4), picture(250, 40), None] * 10
    frame = pl.DataFrame({"c": cells})
    own = measure_cells(frame.lazy(), of, ["c"])
    made = make_slices(frame, of, measured=own, cuts=cuts, auto=True, min_rows=5)
    assert {one.value: one.rows.tolist()[0] for one in made} == {
        "medium: brightness from 0.000 to 0.200": 0,
        "bright: brightness over 0.200": 2,
        "small: up to 16 pixels": 1,
        "medium: 17 to 36 pixels": 0,
        "large: more than 36 pixels": 2,
        MISSING: 3,
    }
    assert sorted(len(one.rows) for one in made) == [10, 10, 10, 10, 10, 20]


@pytest.mark.parametrize("more", [(), ("d",), ("text",), ("d", "text")])
def test_images_are_sliced_whatever_is_beside_them(more: tuple[str, ...]) -> None:
    n = 30
    kinds = {"c": ColumnType.IMAGE, "d": ColumnType.CATEGORY, "text": ColumnType.TEXT}
    of = schema(**{name: kinds[name] for name in ("c", *more)})
    cells = {
        "c": [picture(80 * (i % 3), 4) for i in range(n)],
        "d": ["a", "b"] * (n // 2),
        "text": ["word " * (i % 3 + 1) for i in range(n)],
    }
    frame = pl.LazyFrame({name: cells[name] for name in ("c", *more)})
    examples = arrays(np.zeros((n, 1)), np.arange(n) % 2)
    train, test = examples.take(np.arange(15)), examples.take(np.arange(15, 30))
    table = Table(frame=frame, rows=n)
    made = slice_rows(table, of, ["c", *more], train, test, auto=True, min_rows=5)
    own = {one.value.split(":")[0]: one.rows.tolist() for one in made if one.column == "c"}
    assert own == {
        "dark": [0, 3, 6, 9, 12],
        "medium": [1, 4, 7, 10, 13],
        "bright": [2, 5, 8, 11, 14],
    }
    assert {one.column for one in made} == {"c", *more}


def test_texts_are_sliced_of_themselves() -> None:
    of = schema(c=ColumnType.TEXT)
    examples = arrays(np.zeros((10, 1)), np.arange(10) % 2)
    assert choose_columns("auto", of, examples, spec()) == ["c"]
    assert choose_columns("auto", schema(c=ColumnType.IMAGE), examples, spec()) == ["c"]
