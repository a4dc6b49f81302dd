"""Identifiers, texts, sources and formulas: what is reported of a column, and what is not."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import polars as pl
import pytest
from benchmarks.planted import PART, Data, evidence_of

from plumbline.kinds import ColumnType, Part, Role, Task
from plumbline.leakage import LEAKAGE_CHECKS, Finding
from plumbline.leakage.combine import find_formula
from plumbline.leakage.identifier import numbers_rows
from plumbline.tables import Column

ROWS = 500
RNG = np.random.default_rng(0)
Y = np.array(["ill", "well"])[(RNG.random(ROWS) < 0.6).astype(int)]
X = RNG.normal(size=ROWS)


def profile(check: str, task: Task = Task.BINARY, y: Any = Y, **columns: Any) -> list[Finding]:
    frame = pl.DataFrame({"x": X, **columns, "y": y})
    data = Data(name="d", frame=frame, target="y", task=task)
    return list(LEAKAGE_CHECKS[check](evidence_of(data)))


def sorted_number(start: int = 1, step: int = 1) -> np.ndarray[Any, Any]:
    """1 … n in the order of the class."""
    number = np.empty(ROWS, dtype=np.int64)
    number[np.argsort(Y, kind="stable")] = start + step * np.arange(ROWS)
    return number


# ── identifier


@pytest.mark.parametrize(
    ("column", "aspect"),
    [
        (sorted_number(), "its order"),
        ([f"P{n:05d}" for n in sorted_number()], "its order"),
        ([f"{w[:1]}-{n}" for w, n in zip(Y, RNG.permutation(ROWS), strict=True)], "its"),
        (2 * RNG.permutation(ROWS) + (Y == "ill"), "its remainder by 2"),
    ],
)
def test_an_identifier_that_follows_the_target_is_found(column: Any, aspect: str) -> None:
    (finding,) = profile("identifier", number=column)
    assert finding.columns == ("number",)
    assert aspect in finding.detail


def test_an_identifier_that_is_no_feature_is_told_of_but_stops_nothing() -> None:
    (finding,) = profile("identifier", patient_id=sorted_number())  # init gives it role id
    assert finding.severity == "warning"
    assert finding.drop_columns == ()
    assert "no feature" in finding.detail


@pytest.mark.parametrize(
    "column",
    [
        RNG.permutation(ROWS),
        [f"P{n}" for n in RNG.permutation(ROWS)],
        np.round(1000 * (X + (Y == "ill"))).astype(int),  # a measurement in whole numbers
        X + 3 * (Y == "ill"),
        [f"{w} words of their own {n}" for w, n in zip(Y, range(ROWS), strict=True)],
    ],
)
def test_what_is_no_identifier_or_knows_nothing_is_left_alone(column: Any) -> None:
    assert profile("identifier", number=column) == []


def test_a_sentence_without_blanks_names_no_row() -> None:
    """Chinese, say, whose last character may well say what the rest does."""
    rng = np.random.default_rng(4)
    heads = ["".join(rng.choice(list("这个产品的质量和服务都让人觉得"), 9)) for _ in range(ROWS)]
    texts = [head + ("差" if y == "ill" else "好") for head, y in zip(heads, Y, strict=True)]
    assert profile("identifier", note=texts) == []
    plates = [f"京{'AB'[y == 'ill']}{k:05d}" for k, y in enumerate(Y)]
    assert profile("identifier", plate=plates)


def test_numbers_drawn_at_random_do_not_number_rows() -> None:
    rng = np.random.default_rng(2)
    assert numbers_rows(pl.Series(rng.permutation(400)))
    assert numbers_rows(pl.Series(rng.permutation(400).astype(float) + 7000))
    assert not numbers_rows(pl.Series(rng.integers(0, 400, 400)))
    assert not numbers_rows(pl.Series(rng.integers(0, 10**9, 400)))
    assert not numbers_rows(pl.Series(rng.normal(size=400)))


# ── target_text


def note(words: Any) -> list[str]:
    rng = np.random.default_rng(4)
    return [f"visit {rng.integers(9)}: {w}, seen by {rng.integers(5)}" for w in words]


def test_the_class_in_a_text_is_found() -> None:
    (finding,) = profile("target_text", note=note(Y))
    assert finding.columns == finding.drop_columns == ("note",)
    assert finding.severity == "critical"
    assert len(finding.rows) > 250


def test_the_class_named_in_few_rows_is_found() -> None:
    words = np.where(np.arange(ROWS) % 20 == 0, Y, "nothing")
    (finding,) = profile("target_text", note=note(words))
    assert "5" in finding.detail


def test_a_word_that_stands_for_the_class_is_found() -> None:
    (finding,) = profile(
        "target_text", note=note(np.where(Y == "ill", "hospitalised", "sent home"))
    )
    assert any(f"the word '{w}'" in finding.detail for w in ("hospitalised", "sent", "home"))


@pytest.mark.parametrize(
    ("classes", "severity"), [(2, "critical"), (3, "critical"), (10, "warning")]
)
def test_a_word_of_one_class_of_many_is_no_answer(classes: int, severity: str) -> None:
    """All texts of one topic, and no others, name a year."""
    y = np.array([f"topic {i % classes}" for i in range(ROWS)])
    words = [f"printed {'2026' if i % classes == 0 else '1999'}" for i in range(ROWS)]
    task = Task.BINARY if classes == 2 else Task.MULTICLASS
    (finding,) = profile("target_text", task, y=y, note=note(words))
    assert "the word '2026'" in finding.detail or "the word '1999'" in finding.detail
    assert finding.severity == severity


def test_a_longer_class_hides_the_shorter_in_it() -> None:
    y = np.where(Y == "ill", "malignant", "not malignant")
    (finding,) = profile("target_text", y=y, note=note(y))
    assert "100.0% of them" in finding.detail


def test_classes_that_differ_by_their_signs_are_told_apart() -> None:
    y = np.where(Y == "ill", "<=50K", ">50K")
    (finding,) = profile("target_text", y=y, note=note(y))
    assert finding.severity == "critical"


@pytest.mark.parametrize("words", [np.roll(Y, 7), np.repeat("ill", ROWS), np.repeat("-", ROWS)])
def test_names_of_classes_that_are_not_the_rows_own_are_left_alone(words: Any) -> None:
    assert profile("target_text", note=note(words)) == []


def test_the_targets_number_in_a_text_is_found() -> None:
    y = np.round(np.exp(5 + X), 2)
    (finding,) = profile(
        "target_text", Task.REGRESSION, y, note=note(f"sold for {v:,.0f}" for v in y)
    )
    assert finding.severity == "critical"
    assert "the target's number" in finding.detail


def test_other_numbers_in_a_text_are_left_alone() -> None:
    rng = np.random.default_rng(5)
    y = rng.integers(0, 10, ROWS) + 0.0  # small numbers stand in many texts
    assert profile("target_text", Task.REGRESSION, y, note=note(rng.integers(0, 10, ROWS))) == []


# ── adversarial_validation


def sides(train: pl.DataFrame, test: pl.DataFrame) -> Data:
    frame = pl.concat([train, test])
    part = ["train"] * len(train) + ["test"] * len(test)
    y = np.where(np.random.default_rng(1).random(len(frame)) < 0.5, "a", "b")
    return Data(
        name="d",
        frame=frame.with_columns(pl.Series(PART, part), pl.Series("y", y)),
        target="y",
        task=Task.BINARY,
        split={"column": PART},
    )


def draw(rows: int, shift: float, seed: int) -> pl.DataFrame:
    rng = np.random.default_rng(seed)
    return pl.DataFrame({"x": rng.normal(size=rows) + shift, "z": rng.normal(size=rows)})


def test_a_shifted_column_is_named() -> None:
    data = sides(draw(600, 0, 1), draw(300, 1, 2))
    (finding,) = LEAKAGE_CHECKS["adversarial_validation"](evidence_of(data))
    assert finding.columns == ("x",)
    assert finding.severity == "warning"


def test_a_column_that_tells_the_source_is_critical_and_can_be_dropped() -> None:
    data = sides(draw(600, 0, 1), draw(300, 9, 2))
    (finding,) = LEAKAGE_CHECKS["adversarial_validation"](evidence_of(data))
    assert (finding.severity, finding.drop_columns) == ("critical", ("x",))


@pytest.mark.parametrize("seed", range(5))
def test_one_source_is_left_alone(seed: int) -> None:
    data = sides(draw(600, 0, 10 + seed), draw(300, 0, 20 + seed))
    assert list(LEAKAGE_CHECKS["adversarial_validation"](evidence_of(data, seed))) == []


def test_groups_do_not_betray_the_part_they_are_in() -> None:
    rng = np.random.default_rng(3)
    group = rng.integers(0, 60, 900)
    frame = pl.DataFrame(
        {
            "who": [f"g{g}" for g in group],
            "height": rng.normal(size=60)[group],
            "x": rng.normal(size=900),
            "y": np.where(rng.random(900) < 0.5, "a", "b"),
        }
    )
    data = Data(name="d", frame=frame, target="y", task=Task.BINARY, group="who",
                split={"method": "grouped"})  # fmt: skip
    assert list(LEAKAGE_CHECKS["adversarial_validation"](evidence_of(data))) == []


def test_in_time_a_clock_is_left_out_and_drift_is_a_warning() -> None:
    rng = np.random.default_rng(6)
    t, y = np.arange(1200), np.where(rng.random(1200) < 0.5, "a", "b")
    frame = pl.DataFrame({"year": t // 300, "x": rng.normal(size=1200), "y": y})
    data = Data(name="d", frame=frame, target="y", task=Task.BINARY, split={"method": "time"})
    assert list(LEAKAGE_CHECKS["adversarial_validation"](evidence_of(data))) == []
    drifting = replace(data, frame=frame.with_columns(x=pl.col("x") + t / 200))
    (finding,) = LEAKAGE_CHECKS["adversarial_validation"](evidence_of(drifting))
    assert (finding.severity, finding.drop_columns) == ("warning", ())
    assert "by time" in finding.detail


# ── duplicates


def parts_of(frame: pl.DataFrame, **settings: Any) -> Data:
    y = np.where(np.arange(len(frame)) % 3 > 0, "a", "b")
    part = np.where(np.arange(len(frame)) < 0.7 * len(frame), "train", "test")
    return Data(
        name="d",
        frame=frame.with_columns(pl.Series(PART, part), pl.Series("y", y)),
        target="y",
        task=Task.BINARY,
        split={"column": PART, **settings},
    )


@pytest.mark.parametrize(
    "change",
    [
        lambda text, number: (text.upper(), number),
        lambda text, number: (f"  {text}! ", number),
        lambda text, number: (text, float(np.float32(number))),
        lambda text, number: (text.title(), number * (1 + 1e-9)),
    ],
)
def test_rows_that_differ_by_their_writing_are_duplicates(change: Callable[..., Any]) -> None:
    rng = np.random.default_rng(7)
    number = rng.normal(size=(400, 3))
    text = [f"note number {i}" for i in range(400)]
    number[-20:], text[-20:] = number[:20], text[:20]
    for i in range(380, 400):
        text[i], number[i, 0] = change(text[i], number[i, 0])
    frame = pl.DataFrame({"text": text, **{f"x{j}": number[:, j] for j in range(3)}})
    evidence = evidence_of(parts_of(frame))
    # a text of its own in every row is no feature for init; here it is one
    columns = tuple(replace(c, role=Role.FEATURE) if c.name == "text" else c
                    for c in evidence.schema.columns)  # fmt: skip
    evidence = replace(evidence, schema=replace(evidence.schema, columns=columns))
    findings = LEAKAGE_CHECKS["duplicates"](evidence)
    assert [f.rows.tolist() for f in findings] == [list(range(380, 400))]
    assert findings[0].drop_rows.tolist() == list(range(20))
    # that key is about rows that are equal as they are written
    written = "but for case" in findings[0].detail
    assert written != ("keep_duplicates_together" in findings[0].hint)


def test_equal_rows_of_a_table_of_few_values_are_chance() -> None:
    rng = np.random.default_rng(8)
    frame = pl.DataFrame({f"w{j}": rng.integers(0, 3, 600) for j in range(4)})
    assert list(LEAKAGE_CHECKS["duplicates"](evidence_of(parts_of(frame)))) == []


def test_equal_rows_of_one_rounded_number_are_chance() -> None:
    number = np.random.default_rng(9).normal(size=6000)
    findings = LEAKAGE_CHECKS["duplicates"](evidence_of(parts_of(pl.DataFrame({"x": number}))))
    assert list(findings) == []


def test_rows_without_a_cell_are_no_copies() -> None:
    number = np.random.default_rng(10).normal(size=(600, 2))
    number[::10] = np.nan
    frame = pl.DataFrame({"x": number[:, 0], "z": number[:, 1]}).fill_nan(None)
    assert list(LEAKAGE_CHECKS["duplicates"](evidence_of(parts_of(frame)))) == []


def test_texts_without_a_letter_are_compared_as_they_are() -> None:
    rng = np.random.default_rng(11)
    faces = ["".join(rng.choice(list("😀😢🔥👍🎉🚚📦😡"), 9)) for _ in range(600)]
    written = [f"see {i} below" if i % 2 else face for i, face in enumerate(faces)]
    frame = pl.DataFrame({"text": written, "x": np.arange(600) % 7})
    assert list(LEAKAGE_CHECKS["duplicates"](evidence_of(parts_of(frame)))) == []


def test_duplicates_are_kept_together_unless_told_otherwise() -> None:
    rng = np.random.default_rng(10)
    x = rng.normal(size=(300, 2))[rng.integers(0, 200, 300)]
    frame = pl.DataFrame({"a": x[:, 0], "b": x[:, 1], "y": np.where(x[:, 0] > 0, "a", "b")})
    data = Data(name="d", frame=frame, target="y", task=Task.BINARY)
    check = LEAKAGE_CHECKS["duplicates"]
    assert list(check(evidence_of(data))) == []
    apart = replace(data, split={"keep_duplicates_together": False})
    (finding,) = check(evidence_of(apart))
    assert "keep_duplicates_together: true" in finding.hint
    evidence = evidence_of(apart)
    assert np.isin(evidence.part[finding.rows], (Part.VAL, Part.TEST)).all()


# ── giveaway: formulas


@pytest.mark.parametrize(
    ("target", "text"),
    [
        (lambda a, b, c: a + b, "'a' + 'b'"),
        (lambda a, b, c: a - b, "'a' - 'b'"),
        (lambda a, b, c: 2.5 * a + 7, "2.5 · 'a' + 7"),
        (lambda a, b, c: a + b + c, "'a' + 'b' + 'c'"),
        (lambda a, b, c: a * b, "'a' · 'b'"),
        (lambda a, b, c: a / b, "'a' / 'b'"),
        (lambda a, b, c: 0.19 * a * b**2, "0.19 · 'a' · 'b'^2"),
    ],
)
def test_a_formula_is_written_out(target: Callable[..., Any], text: str) -> None:
    a, b, c = np.exp(np.random.default_rng(11).normal(size=(3, 800)))
    formula = find_formula(np.column_stack([a, b, c]), target(a, b, c))
    assert formula is not None
    assert formula.text(tuple("abc"[j] for j in formula.columns)) == text


def test_a_target_with_noise_has_no_formula() -> None:
    rng = np.random.default_rng(12)
    x = rng.normal(size=(800, 4))
    assert find_formula(x, x.sum(axis=1) + 0.1 * rng.normal(size=800)) is None
    assert find_formula(x, rng.normal(size=800)) is None


@pytest.mark.parametrize("zero", [0.0, None, -1.0])
def test_rows_of_which_a_formula_says_nothing_are_named(zero: float | None) -> None:
    """A factor that is zero in some rows, where the target is not."""
    rng = np.random.default_rng(1)
    rate, base = rng.choice([0.0, 1.0, 2.0, 3.0], ROWS), rng.uniform(1, 9, ROWS)
    target = base * np.where(rate > 0, rate**2, 7.0)
    shown = [value if value else zero for value in rate]
    (finding,) = profile("giveaway", Task.REGRESSION, target, rate=shown, base=base)
    assert "'rate'^2" in finding.detail
    assert "exactly, except where a column is missing, zero or negative (" in finding.detail
    assert (rate[finding.rows] > 0).all()


@pytest.mark.parametrize(
    ("copy", "words"),
    [
        (lambda y: np.floor(y * 40), "never falls where 'copy' rises"),  # many values of y for one
        (lambda y: -np.floor(y * 40), "never rises where 'copy' rises"),
        (lambda y: y**3, "never falls where 'copy' rises"),
    ],
)
def test_a_copy_is_said_to_rise_or_fall_and_no_more(copy: Callable[..., Any], words: str) -> None:
    target = np.random.default_rng(2).normal(size=ROWS)
    (finding,) = profile("giveaway", Task.REGRESSION, target, copy=copy(target))
    assert words in finding.detail
    assert "function" not in finding.detail


def test_a_formula_stands_where_cells_are_missing() -> None:
    rng = np.random.default_rng(13)
    x = rng.normal(size=(800, 4))
    y = x[:, 1] + x[:, 3]
    x[rng.random(x.shape) < 0.1] = np.nan
    formula = find_formula(x, y)
    assert formula is not None
    assert formula.columns == (1, 3)


def test_noise_in_many_columns_tells_no_source() -> None:
    """The columns that a model is shown are chosen without the rows that it is asked about."""
    rng = np.random.default_rng(0)
    small = {"x": rng.normal(size=400), "y": rng.choice(["a", "b"], 400)}
    evidence = evidence_of(
        Data(name="noise", frame=pl.DataFrame(small), target="y", task=Task.BINARY)
    )
    noise = pl.DataFrame({f"x{j}": rng.normal(size=400) for j in range(4000)})
    schema = evidence.schema
    columns = tuple(Column(name=name, type=ColumnType.NUMBER) for name in noise.columns)
    wide = replace(
        evidence,
        table=replace(evidence.table, frame=noise.with_columns(y=pl.Series(small["y"])).lazy()),
        schema=replace(schema, columns=(*columns, schema.column("y"))),
    )
    assert list(LEAKAGE_CHECKS["adversarial_validation"](wide)) == []
