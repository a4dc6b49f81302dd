"""A column, a pair, or a sum, difference, product or ratio of columns that gives the target away.

An honest strong column is no leak. What accuses is dominance: the column alone leaves less
than half of the uncertainty that boosted trees on all other columns leave, so whatever it
says stands nowhere else in the data. On honest tables the best column leaves more than the
others do together.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from plumbline.kinds import IntArray
from plumbline.preprocessing.leakage.codes import as_number
from plumbline.preprocessing.leakage.combine import Formula, find_formula
from plumbline.preprocessing.leakage.finding import Evidence, Finding
from plumbline.preprocessing.leakage.inquiry import MIN_ROWS, Inquiry, inquire
from plumbline.preprocessing.leakage.pairs import pairs
from plumbline.tables import ROW

KNOWN_COPY, ACCOMPLICES = 0.9, 4  # so few columns that each know so much may be copies of it
# Where the others know so much, a column that sets one class of several apart is no news; it
# must know each so well.
EASY, KNOWN_EACH = 0.75, 0.8
MOST_VALUES, IMPURE = 256, 0.001  # few values that decide the class but for so many rows
PURE, PURE_SHARE, PURE_ROWS = 0.995, 0.03, 50  # a value whose rows are all of one class
PURE_UNEXPECTED = 0.8  # others believe less than this in the class of these rows


def giveaway(evidence: Evidence) -> Sequence[Finding]:
    """Formulas, then single columns, values and pairs, each of the columns not accused yet."""
    inquiry = inquire(evidence)
    if len(inquiry.frame) < 2 * MIN_ROWS or not inquiry.names:
        return []
    findings: list[Finding] = []
    for look in (_formulas, _singles, _pure_values, pairs):
        accused = {name for f in findings for name in f.columns}
        findings += look(inquiry, [name for name in inquiry.names if name not in accused])
    return findings


def _singles(inquiry: Inquiry, clear: list[str]) -> list[Finding]:
    """Columns that alone know more than all others together, per class."""
    worst: dict[str, tuple[float, Finding]] = {}
    asked = inquiry.classes
    copies = [n for n in clear if inquiry.alone[n].known[asked].min() >= KNOWN_COPY]
    for c in asked:
        known = {n: float(inquiry.alone[n].known[c]) for n in clear}
        for name in (n for n in clear if known[n] >= inquiry.suspicious):
            guilty, others = inquiry.dominated(c, known[name], [name])
            if not guilty and name in copies and 1 < len(copies) < ACCOMPLICES:
                # two copies of the target would clear each other
                guilty, others = inquiry.dominated(c, KNOWN_COPY, copies)
            if others >= EASY and inquiry.alone[name].known[asked].min() < KNOWN_EACH:
                guilty = False
            outright = _decides(inquiry, name) or _gap_is_class(inquiry, name, c)
            if not guilty and not outright:
                continue
            score = float(inquiry.alone[name].score[c])
            sure = inquiry.sure(score, known[name]) or outright
            if name not in worst or worst[name][0] < known[name]:
                finding = _accuse_single(inquiry, name, c, score, known[name], others, sure)
                worst[name] = (known[name], finding)
    return [finding for _, finding in worst.values()]


def _decides(inquiry: Inquiry, name: str) -> bool:
    """Whether each of the column's few values stands in rows of one class only."""
    column, codes = inquiry.frame[name], inquiry.codes[name]
    if inquiry.numeric or column.n_unique() > min(MOST_VALUES, len(codes) // MIN_ROWS):
        return False
    number = inquiry.target.value.astype(np.int64)
    table = np.bincount(codes * (int(number.max()) + 1) + number)
    classes = int(number.max()) + 1
    table = np.append(table, np.zeros(-len(table) % classes, dtype=np.int64))
    impure = len(codes) - int(table.reshape(-1, classes).max(axis=1).sum())
    return impure <= IMPURE * len(codes)


def _gap_is_class(inquiry: Inquiry, name: str, c: int) -> bool:
    """Whether the column is missing where the class is c and nowhere else, or the reverse."""
    if inquiry.numeric:
        return False
    gap = inquiry.codes[name] == 0
    agree = float((gap == (inquiry.target.onehot[:, c] > 0)).mean())
    return bool(MIN_ROWS <= gap.sum() <= len(gap) - MIN_ROWS) and max(agree, 1 - agree) >= PURE


def _accuse_single(
    inquiry: Inquiry, name: str, c: int, score: float, known: float, others: float, sure: bool
) -> Finding:
    measure = "R² of the ranks" if inquiry.numeric else "area under the ROC curve"
    rows = inquiry.frame[ROW].to_numpy()
    return Finding(
        check="giveaway",
        columns=(name,),
        rows=_deciding_rows(inquiry, c, rows),
        detail=f"'{name}' alone tells {inquiry.label(c)}: {measure} {score:.4f}, {known:.0%} of "
        f"what there is to know; all other columns together {others:.0%}",
        severity="critical" if sure else "warning",
        mend=f"find out when '{name}' is written; if after the outcome is known, give it role "
        "ignore in expectations.yaml, or set split.leakage.giveaway: drop",
        drop_columns=(name,),
    )


def _deciding_rows(inquiry: Inquiry, c: int, rows: IntArray) -> IntArray:
    """A few rows to look at: of the class; any where the target is a number."""
    if inquiry.numeric:
        return rows[:5].astype(np.int64)
    return rows[inquiry.target.onehot[:, c] > 0][:5].astype(np.int64)


def _pure_values(inquiry: Inquiry, clear: list[str]) -> list[Finding]:
    """A value (or a gap) whose rows are all of one class, where nothing else foretells it."""
    if inquiry.numeric:
        return []
    findings: dict[str, Finding] = {}
    hits: list[tuple[str, int, int]] = []  # column, code, class
    for name in clear:
        codes = inquiry.codes[name]
        size = np.bincount(codes)
        for c in range(inquiry.target.onehot.shape[1]):
            base = inquiry.target.onehot[:, c].mean()
            inside = np.bincount(codes, weights=inquiry.target.onehot[:, c])
            big = size >= max(PURE_ROWS, PURE_SHARE * len(codes))
            pure = np.flatnonzero(big & (inside >= PURE * size))
            hits += [(name, int(k), c) for k in pure if base < 0.9 and base ** size[k] < 1e-12]
    for name, code, c in hits:
        if name in findings:
            continue
        rows = inquiry.codes[name] == code
        few = rows[inquiry.few]
        expected = float(inquiry.others(c, [name])[few].mean()) if few.any() else 1.0
        if expected > PURE_UNEXPECTED:
            continue
        held = rows.sum() / max(1.0, inquiry.target.onehot[:, c].sum())
        what = "missing" if inquiry.frame[name].is_null()[int(np.argmax(rows))] else "one value"
        findings[name] = Finding(
            check="giveaway",
            columns=(name,),
            rows=inquiry.frame[ROW].to_numpy()[rows][:5].astype(np.int64),
            detail=f"where '{name}' is {what} ({rows.mean():.1%} of rows) the target is "
            f"{inquiry.label(c)} in all but {(1 - PURE):.1%}; all other columns together expect "
            f"it with {expected:.0%}",
            severity="critical" if held >= 0.3 else "warning",
            mend=f"find out who writes '{name}' and when; if the outcome decides it, give it "
            "role ignore in expectations.yaml, or set split.leakage.giveaway: drop",
            drop_columns=(name,),
        )
    return list(findings.values())


def _formulas(inquiry: Inquiry, clear: list[str]) -> list[Finding]:
    """The target as a sum, difference, product or ratio of number columns, to the digit."""
    if not inquiry.numeric:
        return []
    names = [n for n in clear if inquiry.frame[n].dtype.is_numeric()]
    if not names:
        return []
    values = np.column_stack([as_number(inquiry.frame[n]) for n in names])
    formula = find_formula(values, inquiry.target.value)
    if formula is None:
        return []
    columns = tuple(names[j] for j in formula.columns)
    return [_accuse_formula(inquiry, columns, formula)]


def _accuse_formula(inquiry: Inquiry, columns: tuple[str, ...], formula: Formula) -> Finding:
    left = f"all but {formula.residual:.2g} of its standard deviation"
    how = "exactly" if formula.residual < 1e-9 else left
    return Finding(
        check="giveaway",
        columns=columns,
        rows=inquiry.frame[ROW].to_numpy()[:5].astype(np.int64),
        detail=f"the target is {formula.text(columns)}, {how}",
        severity="critical",
        mend="the parts of the target are known when it is, not before: give these columns role "
        "ignore in expectations.yaml, or set split.leakage.giveaway: drop",
        drop_columns=columns,
    )
