"""The target written out in a text: the class's name, a word that stands for it, the number.

Feature columns are asked, and columns of role id too: a file name like `malignant_017.png`
shows how rows were made, though no model reads it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl

from plumbline.kinds import TEXTUAL, BoolArray, ColumnType, DoubleArray, IntArray, Role, TargetKind
from plumbline.leakage.finding import Evidence, Finding
from plumbline.preprocessing.duplicates import plain
from plumbline.tables import ROW, Column

ROWS = 20_000
LEAST, LEAST_SHARE = 10, 0.01  # rows that name a class, at least, and share of the rows
AGREEMENT = 0.8  # beyond chance (Cohen's kappa), between the class named and the class
UNLIKELY = 9.0  # nats: chance would have as many rows agree with probability e^-9 at most
LONG_NAME = 4  # letters from which a class's name counts inside a longer word too
MANY_CLASSES = 200
PROSE_VALUES = 30
WIDE, NAMED_OWN = 0.5, 0.98  # share of rows, and of those their own class: critical from these
WORDS = 2_000  # most frequent words asked
KNOWN_WARNING, KNOWN_CRITICAL = 0.5, 0.98  # share of a class's entropy that one word explains
MOST_OF_ALL = 0.5  # of the entropy of all classes: a word of one topic of ten is no answer
NUMBER = r"[-+]?(?:\d{1,3}(?:[,']\d{3})+|\d+)(?:\.\d+)?"
MENTIONED = 0.2  # share of rows, beyond chance, whose text has the target's number


@dataclass(frozen=True, kw_only=True)
class Clue:
    """What a text column tells: in words, which rows (positions), whether it is critical."""

    text: str
    rows: IntArray
    sure: bool


def target_text(evidence: Evidence) -> Sequence[Finding]:
    """Text and category columns in which the target stands."""
    columns = [
        c
        for c in evidence.schema.columns
        if c.role in (Role.FEATURE, Role.ID) and c.type in TEXTUAL
    ]
    if not columns:
        return []
    frame = evidence.train
    if len(frame) > ROWS:
        kept = evidence.generator("target_text").permutation(len(frame))[:ROWS]
        frame = frame[np.sort(kept).tolist()]
    findings = []
    for column in columns:
        clue = _clue(evidence, frame, column)
        if clue is not None:
            findings.append(_finding(column, clue, frame[ROW].to_numpy()))
    return findings


def _clue(evidence: Evidence, frame: pl.DataFrame, column: Column) -> Clue | None:
    if frame[column.name].null_count() == len(frame):
        return None
    return CLUES[evidence.schema.task.spec.target](evidence, frame, column)


def _number_clue(evidence: Evidence, frame: pl.DataFrame, column: Column) -> Clue | None:
    value = frame[evidence.schema.target].cast(pl.Float64).to_numpy()
    return _number(frame[column.name], value, evidence.generator("numbers"))


def _class_clue(evidence: Evidence, frame: pl.DataFrame, column: Column) -> Clue | None:
    schema = evidence.schema
    number = frame[schema.target].replace_strict(
        list(schema.classes), list(range(len(schema.classes))), return_dtype=pl.Int64
    )
    clue = _named(frame[column.name], number.to_numpy(), schema.classes)
    if clue is None and (column.type is ColumnType.TEXT or _is_prose(frame[column.name])):
        clue = _word(_plain(frame[column.name]), number.to_numpy(), schema.classes)
    return clue


CLUES = {TargetKind.CLASSES: _class_clue, TargetKind.NUMBERS: _number_clue}


def _is_prose(text: pl.Series) -> bool:
    """Many values of several words; a category of few is for the check `giveaway`."""
    return text.n_unique() > PROSE_VALUES and bool(text.str.contains(r"\S\s+\S").any())


def _plain(text: pl.Series) -> pl.Series:
    """Lower case, words apart by one blank, a blank at both ends."""
    frame = text.to_frame("text")
    words = frame.select(plain(frame.schema, ["text"])).to_series().fill_null("")
    return " " + words + " "


def _named(text: pl.Series, number: IntArray, classes: tuple[str, ...]) -> Clue | None:
    """Rows whose text names one class, and it is theirs."""
    named = _mentions(text, classes)
    one = named >= 0
    if len(classes) > MANY_CLASSES or one.sum() < max(LEAST, LEAST_SHARE * len(number)):
        return None
    overall = np.bincount(number, minlength=len(classes)) / len(number)
    chance = float(overall[named[one]].mean())
    agree = float((named[one] == number[one]).mean())
    if chance >= 1 or (agree - chance) / (1 - chance) < AGREEMENT:
        return None
    if one.sum() * _divergence(agree, chance) < UNLIKELY:
        return None
    return Clue(
        text=f"names the class in {one.mean():.1%} of rows, and in {agree:.1%} of them it is the "
        f"row's own ({chance:.0%} by chance)",
        rows=np.flatnonzero(one & (named == number)),
        sure=bool(one.mean() >= WIDE and agree >= NAMED_OWN),
    )


def _divergence(observed: float, chance: float) -> float:
    """Kullback-Leibler divergence of two probabilities of a hit (Chernoff's bound); nats."""
    hit = observed * np.log(observed / chance) if observed > 0 else 0.0
    miss = (1 - observed) * np.log((1 - observed) / (1 - chance)) if observed < 1 else 0.0
    return float(hit + miss)


def _mentions(text: pl.Series, classes: tuple[str, ...]) -> IntArray:
    """The only class that each text names, or -1; a longer name hides the shorter in it."""
    values = text.unique()
    place = text.to_frame("text").join(
        values.to_frame("text").with_row_index("place"),
        on="text", how="left", nulls_equal=True, maintain_order="left",
    )["place"].to_numpy()  # fmt: skip
    names = _plain(pl.Series(classes)).to_list()
    if len(set(names)) < len(names) or any(not n.strip() for n in names):
        # classes like '<=50K' and '>50K' differ by their signs alone
        names = [f" {c.strip().lower()} " for c in classes]
        values = " " + values.str.to_lowercase().fill_null("") + " "
    else:
        values = _plain(values)
    mentions = np.zeros(len(values), dtype=np.int64)
    named = np.full(len(values), -1)
    for c in sorted(range(len(names)), key=lambda c: -len(names[c])):
        inside = names[c].strip() if len(names[c].strip()) >= LONG_NAME else names[c]
        has = values.str.contains(inside, literal=True).to_numpy()
        mentions += has
        named[has] = c
        values = values.str.replace_all(inside, " ", literal=True)
    only: IntArray = np.where(mentions == 1, named, -1)[place]
    return only


def _word(text: pl.Series, number: IntArray, classes: tuple[str, ...]) -> Clue | None:
    """One word whose presence decides a class."""
    frame = pl.DataFrame({"row": np.arange(len(text)), "class": number, "word": text})
    words = (
        frame.with_columns(pl.col("word").str.strip_chars().str.split(" ").list.unique())
        .explode("word")
        .filter(pl.col("word").str.len_chars() > 0)
    )
    common = (
        words.group_by("word")
        .len()
        .filter(pl.col("len") >= max(LEAST, LEAST_SHARE * len(text)))
        .sort(["len", "word"], descending=[True, False])
        .head(WORDS)
        .with_row_index("code")
    )
    if not len(common):
        return None
    counted = words.join(common, on="word").group_by("code", "class").len()
    table = np.zeros((len(common), len(classes)))
    table[counted["code"].to_numpy(), counted["class"].to_numpy()] = counted["len"].to_numpy()
    total = np.bincount(number, minlength=len(classes)).astype(np.float64)
    known = _explained(table, total)
    word, c = (int(i) for i in np.unravel_index(np.argmax(known), known.shape))
    if known[word, c] < KNOWN_WARNING:
        return None
    name = str(common["word"][word])
    has = text.str.contains(f" {name} ", literal=True).to_numpy()
    return Clue(
        text=f"has the word '{name}' in {has.mean():.1%} of rows, which predicts class "
        f"'{classes[c]}': {known[word, c]:.0%} of its entropy explained",
        rows=np.flatnonzero(has),
        sure=bool(known[word, c] >= KNOWN_CRITICAL and _part_of_all(total, c) >= MOST_OF_ALL),
    )


def _part_of_all(total: DoubleArray, c: int) -> float:
    """How much of the classes' entropy it is to tell one of them from the others."""
    share = total[total > 0] / total.sum()
    own = _entropy(total[[c]] / total.sum())
    return float(own[0] / max(-(share * np.log(share)).sum(), 1e-12))


def _explained(table: DoubleArray, total: DoubleArray) -> DoubleArray:
    """Share of each class's entropy that the presence of each word explains; (words, classes)."""
    rows = total.sum()
    has = table.sum(axis=1, keepdims=True)
    inside = _entropy(table / has) * has
    outside = _entropy((total - table) / np.maximum(rows - has, 1)) * (rows - has)
    before = _entropy(total / rows) * rows
    return np.where(before > 0, 1 - (inside + outside) / np.where(before > 0, before, 1), 0.0)


def _entropy(share: DoubleArray) -> DoubleArray:
    inside = np.clip(share, 1e-12, 1 - 1e-12)
    return -(inside * np.log(inside) + (1 - inside) * np.log1p(-inside))


def _number(text: pl.Series, value: DoubleArray, rng: np.random.Generator) -> Clue | None:
    """Rows whose text has the target's value among its numbers, more than chance would have."""
    hits = _has_number(text, value)
    chance = float(_has_number(text, rng.permutation(value)).mean())
    share = float(hits.mean())
    beyond = (share - chance) / max(1e-9, 1 - chance)
    if hits.sum() < LEAST or beyond < MENTIONED:
        return None
    return Clue(
        text=f"has the target's number in {share:.1%} of rows ({chance:.1%} by chance)",
        rows=np.flatnonzero(hits),
        sure=share >= WIDE,
    )


def _has_number(text: pl.Series, value: DoubleArray) -> BoolArray:
    """Whether a number in the text is the value, rounded to as many digits as it shows."""
    frame = pl.DataFrame({"row": np.arange(len(text)), "text": text})
    numbers = (
        frame.with_columns(pl.col("text").str.extract_all(NUMBER))
        .explode("text")
        .drop_nulls()
        .with_columns(pl.col("text").str.replace_all(r"[,']", ""))
        .with_columns(
            pl.col("text").cast(pl.Float64, strict=False).alias("number"),
            pl.col("text").str.extract(r"\.(\d+)$").str.len_chars().fill_null(0).alias("digits"),
        )
        .drop_nulls("number")
    )
    row = numbers["row"].to_numpy()
    half = 0.5 * 10.0 ** -numbers["digits"].to_numpy().astype(np.float64)
    near = np.abs(numbers["number"].to_numpy() - value[row]) <= half * (1 + 1e-6)
    mentions = np.zeros(len(text), dtype=bool)
    mentions[row[near]] = True
    return mentions


def _finding(column: Column, clue: Clue, rows: IntArray) -> Finding:
    feature = column.role is Role.FEATURE
    name = column.name
    note = "" if feature else "; it is no feature, but it shows how the rows were made"
    return Finding(
        check="target_text",
        columns=(name,),
        rows=rows[clue.rows].astype(np.int64),
        examined=len(rows),
        detail=f"'{name}' {clue.text}{note}",
        severity="critical" if feature and clue.sure else "warning",
        hint=f"give '{name}' role ignore in expectations.yaml, cut the answer out of it, or set "
        "split.leakage.target_text: drop"
        if feature
        else f"nothing need change for '{name}'; look whether other columns were made with it",
        drop_columns=(name,) if feature else (),
    )
