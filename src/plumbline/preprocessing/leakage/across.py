"""Equal rows and shared groups in two parts, and training rows later than what they predict."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from plumbline.kinds import BoolArray, ByteArray, IntArray, Part, Role
from plumbline.preprocessing.leakage.finding import Evidence, Finding

MANY = 0.01  # share of held-out rows above which copies decide the score: critical


def returning(part: ByteArray, code: IntArray) -> BoolArray:
    """Rows whose code occurs in a later part too (train < validation < test); shape (rows,)."""
    found = np.zeros(len(part), dtype=bool)
    for earlier, later in ((Part.TRAIN, (Part.VAL, Part.TEST)), (Part.VAL, (Part.TEST,))):
        goes_on = np.zeros(int(code.max()) + 1, dtype=bool)
        goes_on[code[np.isin(part, later)]] = True
        found |= (part == earlier) & goes_on[code]
    return found


def copied(part: ByteArray, code: IntArray) -> BoolArray:
    """Held-out rows whose code occurs in an earlier part; shape (rows,)."""
    found = np.zeros(len(part), dtype=bool)
    for earlier, later in (((Part.TRAIN,), Part.VAL), ((Part.TRAIN, Part.VAL), Part.TEST)):
        known = np.zeros(int(code.max()) + 1, dtype=bool)
        known[code[np.isin(part, earlier)]] = True
        found |= (part == later) & known[code]
    return found


def duplicates(evidence: Evidence) -> Sequence[Finding]:
    """Held-out rows whose features equal those of a training row."""
    part, code = evidence.part, evidence.rows.duplicate
    held = copied(part, code)
    if not held.any():
        return []
    first = returning(part, code)
    share = held.sum() / max(1, np.isin(part, (Part.VAL, Part.TEST)).sum())
    return [
        Finding(
            check="duplicates",
            columns=evidence.features,
            rows=np.flatnonzero(held),
            detail=f"{held.sum()} held-out rows ({share:.2%}) equal {first.sum()} rows of an "
            "earlier part in every feature",
            severity="critical" if share > MANY else "warning",
            mend="set split.keep_duplicates_together: true, or split.leakage.duplicates: drop "
            "to leave the training copies out",
            drop_rows=np.flatnonzero(first),
        )
    ]


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
            mend="set split.method to grouped or stratified_grouped, or split.leakage.groups: "
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
            mend="set split.method: time, or split.leakage.time_order: drop to leave these "
            "training rows out",
            drop_rows=np.flatnonzero(late),
        )
    ]
