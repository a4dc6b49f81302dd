"""Equal rows and shared groups in two parts, and training rows later than what they predict."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import polars as pl

from plumbline.kinds import BoolArray, ByteArray, ColumnType, IntArray, Part, Role
from plumbline.leakage.finding import Evidence, Finding
from plumbline.preprocessing.duplicates import apart, different, group_codes, plain, without_cells
from plumbline.tables import ROW

FEW, FEW_SHARE = 3, 0.005  # fewer equal rows, and a smaller share, are a coincidence
MANY = 0.01  # share of held-out rows above which copies decide the score: critical
DIGITS = 6  # significant digits: one less than float32 holds


def returning(part: ByteArray, code: IntArray) -> BoolArray:
    """Rows whose code occurs in a later part too (train < validation < test); shape (rows,)."""
    copies = np.zeros(len(part), dtype=bool)
    for earlier, later in ((Part.TRAIN, (Part.VAL, Part.TEST)), (Part.VAL, (Part.TEST,))):
        goes_on = np.zeros(int(code.max()) + 1, dtype=bool)
        goes_on[code[np.isin(part, later)]] = True
        copies |= (part == earlier) & goes_on[code]
    return copies


def copied(part: ByteArray, code: IntArray) -> BoolArray:
    """Held-out rows whose code occurs in an earlier part; shape (rows,)."""
    copies = np.zeros(len(part), dtype=bool)
    for earlier, later in (((Part.TRAIN,), Part.VAL), ((Part.TRAIN, Part.VAL), Part.TEST)):
        known = np.zeros(int(code.max()) + 1, dtype=bool)
        known[code[np.isin(part, earlier)]] = True
        copies |= (part == later) & known[code]
    return copies


DROP_COPIES = "set split.leakage.duplicates: drop to leave the training copies out"


def duplicates(evidence: Evidence) -> Sequence[Finding]:
    """Held-out rows whose features equal those of a training row, exactly or but for writing."""
    exact = evidence.rows.duplicate
    findings = []
    known = copied(evidence.part, exact)
    apart = not evidence.rows.by_chance
    if apart and _worth_reporting(evidence, known) and not _natural(evidence, exact):
        together = (
            f"{DROP_COPIES}; where no test file is given, split.keep_duplicates_together: true "
            "keeps copies on one side"
        )
        findings.append(_equal_rows(evidence, exact, known, "in every feature", together))
    written = _but_for_writing(evidence)
    alike = copied(evidence.part, written) & ~known
    if _worth_reporting(evidence, alike):
        how = "in every feature, but for case, punctuation, blanks or the last digits"
        findings.append(_equal_rows(evidence, written, alike, how, DROP_COPIES))
    return findings


def _worth_reporting(evidence: Evidence, held: BoolArray) -> bool:
    return bool(held.sum() >= FEW or held.sum() > FEW_SHARE * evidence.held_out_rows)


def _natural(evidence: Evidence, code: IntArray) -> bool:
    """Whether chance alone makes as many rows equal: few features of few values.

    The chance that two rows agree is at least the product over the columns of the chance that
    two of their cells do; it is that where columns are independent, and more where they are not.
    """
    frame = evidence.train.drop(ROW)
    chance = 1.0
    for name in evidence.features:
        size = frame.select(pl.len().over(name).cast(pl.Float64)).to_series()
        chance *= max(0.0, float((size - 1).sum()) / max(1, len(size) * (len(size) - 1)))
    part = evidence.part
    expected = -np.expm1(-chance * float((part == Part.TRAIN).sum()))
    held = np.isin(part, (Part.VAL, Part.TEST))
    return bool(copied(part, code)[held].mean() <= 2 * expected)


def _but_for_writing(evidence: Evidence) -> IntArray:
    """Rows numbered by their features as a model would read them.

    Numbers are compared as float32, which models compute with. Among rows that are no copies a
    digit less makes ten times as many equal; then equality is chance, and text alone counts.
    """
    schema = evidence.table.frame.collect_schema()
    names = evidence.features
    floats = any(schema[name].is_float() for name in names)
    if not floats and not any(schema[name] == pl.String for name in names):
        return evidence.rows.duplicate
    separability = _separability(evidence)
    ways = {
        "fine": plain(schema, names, lambda c: c.cast(pl.Float32), as_is=separability),
        "coarse": plain(schema, names, lambda c: c.round_sig_figs(DIGITS), as_is=separability),
        "text": plain(schema, names, as_is=separability),
    }
    hashed = evidence.table.frame.select(
        *(pl.struct(columns).hash(0).alias(way) for way, columns in ways.items()),
        without_cells(schema, names).alias("empty"),
    ).collect(engine="streaming")
    counts = {way: different(hashed[way].to_numpy()) for way in ("fine", "coarse")}
    exact = int(evidence.rows.duplicate.max()) + 1
    by_chance = exact - counts["coarse"] > 3 * (exact - counts["fine"])
    codes_used = hashed["text" if by_chance else "fine"].to_numpy()
    empty = hashed["empty"].to_numpy()
    del hashed
    return apart(group_codes(codes_used), empty)


def _separability(evidence: Evidence) -> tuple[str, ...]:
    """Categories whose values differ however they are written: rewriting every cell of them
    would be the better part of the check."""
    names = [c.name for c in evidence.schema.features if c.type is ColumnType.CATEGORY]
    if not names:
        return ()
    values: dict[str, set[str | None]] = {name: set() for name in names}
    frame = evidence.table.frame.select(names)
    # in batches: different values of a whole column would be looked for in memory
    for batch in frame.collect_batches(maintain_order=False, engine="streaming"):
        for name in names:
            values[name].update(batch[name].unique())
    apart = []
    for name in names:
        written = pl.DataFrame({name: list(values[name])}, schema={name: pl.String})
        if written.select(plain(written.schema, [name]))[name].n_unique() == len(written):
            apart.append(name)
    return tuple(apart)


def _equal_rows(
    evidence: Evidence, code: IntArray, held: BoolArray, how: str, hint: str
) -> Finding:
    twin = np.zeros(int(code.max()) + 1, dtype=bool)
    twin[code[held]] = True
    first = returning(evidence.part, code) & twin[code]
    share = held.sum() / max(1, evidence.held_out_rows)
    return Finding(
        check="duplicates",
        columns=evidence.features,
        rows=np.flatnonzero(held),
        detail=f"{held.sum()} held-out rows ({share:.2%}) equal {first.sum()} rows of an "
        f"earlier part {how}",
        severity="critical" if share > MANY else "warning",
        hint=hint,
        drop_rows=np.flatnonzero(first),
    )


def groups(evidence: Evidence) -> Sequence[Finding]:
    """One group (patient, customer, machine) in two parts."""
    code = evidence.rows.group
    if code is None:
        return []
    held = copied(evidence.part, code)
    if not held.any():
        return []
    shared = len(np.unique(code[held]))
    return [
        Finding(
            check="groups",
            columns=evidence.schema.names(Role.GROUP),
            rows=np.flatnonzero(held),
            detail=f"{shared} groups have rows in two parts; {held.sum()} held-out rows are of "
            "groups that training has seen",
            severity="critical",
            hint="set split.method to grouped or stratified_grouped, or split.leakage.groups: "
            "drop to leave the training rows of these groups out",
            drop_rows=np.flatnonzero(returning(evidence.part, code)),
        )
    ]


def time_order(evidence: Evidence) -> Sequence[Finding]:
    """Training rows that are later than the first test row."""
    time, part = evidence.rows.time, evidence.part
    if time is None:
        return []
    test = time[part == Part.TEST]
    late = np.isin(part, (Part.TRAIN, Part.VAL)) & (time >= test.min())
    if not late.any():
        return []
    overlap = (test <= time[late].max()).mean()
    return [
        Finding(
            check="time_order",
            columns=evidence.schema.names(Role.TIME),
            rows=np.flatnonzero(late),
            detail=f"{late.sum()} training and validation rows are not earlier than the first "
            f"test row; {overlap:.1%} of the test rows are not later than all of them",
            severity="critical",
            hint="set split.method: time, or split.leakage.time_order: drop to leave these "
            "training rows out",
            drop_rows=np.flatnonzero(late),
        )
    ]
