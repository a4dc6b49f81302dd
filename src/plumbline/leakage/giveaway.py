"""Target leakage: columns that give the target away, alone or as a formula of several.

Two kinds of evidence, of different weight:

- what is exact (exact.py, combine.py): a copy, a code, a step, a gap, a sum, a product. No
  measurement does that; the finding is critical, and stops the graph.
- what is strong: the column alone leaves less than half of the uncertainty that boosted trees on
  all other columns leave, so whatever it says stands nowhere else in the data. A good measurement
  may do that; the finding is a warning.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import polars as pl

from plumbline.kinds import BoolArray, DoubleArray
from plumbline.leakage.codes import as_number
from plumbline.leakage.combine import Formula, find_formula
from plumbline.leakage.exact import (
    edges_are_full,
    is_bands,
    is_code,
    is_copy,
    is_gap,
    is_step,
)
from plumbline.leakage.finding import Evidence, Finding
from plumbline.leakage.inquiry import MIN_ROWS, Inquiry, inquire
from plumbline.leakage.pairs import pairs

KNOWN_COPY, COPIES = 0.9, 4  # so few columns that each know so much may be copies of each other
# Of several classes one is often told apart by one measurement; a copy of the target knows each
# so well, and better where the others know much too.
KNOWN_EACH, EASY, KNOWN_EACH_EASY = 0.6, 0.75, 0.8
# A column that is asked whether it is exact explains so much; cross-fitted codes of few rows
# explain less than there is.
KNOWN_EXACT = 0.5
PURE, PURE_SHARE, PURE_ROWS = 0.995, 0.03, 50  # a value whose rows are all of one class
PURE_UNEXPECTED = 0.5  # others believe less than this in the class of these rows
HINT = (
    "find out when {columns} {are} written: if after the outcome is known, give {them} role "
    "ignore in expectations.yaml, or set split.leakage.giveaway: drop; if before, set "
    "split.leakage.giveaway: warn"
)


def giveaway(evidence: Evidence) -> Sequence[Finding]:
    """Formulas, then single columns, values and pairs, each of the columns not flagged yet."""
    inquiry = inquire(evidence)
    if len(inquiry.frame) < 2 * MIN_ROWS or not inquiry.names:
        return []
    findings: list[Finding] = []
    for check in (_exact, _formulas, _strong, _pure_values, pairs):
        flagged = {name for f in findings for name in f.columns}
        findings += check(inquiry, [name for name in inquiry.names if name not in flagged])
    return findings


def _exact(inquiry: Inquiry, clear: list[str]) -> list[Finding]:
    """Columns that decide the target exactly."""
    findings = []
    for name in clear:
        form = _form(inquiry, name)
        if form is not None:
            detail, rows = form
            findings.append(
                Finding(
                    check="giveaway",
                    columns=(name,),
                    rows=inquiry.rows(rows),
                    examined=len(inquiry.frame),
                    detail=detail,
                    severity="critical",
                    hint=HINT.format(columns=f"'{name}'", are="is", them="it"),
                    drop_columns=(name,),
                )
            )
    return findings


def _form(inquiry: Inquiry, name: str) -> tuple[str, BoolArray] | None:
    """In which form the column decides the target, in words, and in which rows; None: in none."""
    column, codes = inquiry.frame[name], inquiry.codes[name]
    filled = codes > 0
    known = inquiry.alone[name].known
    number = None if column.dtype == pl.String else as_number(column)
    if inquiry.numeric:
        if known[0] < KNOWN_EXACT:
            return None
        y = inquiry.target.value
        if number is not None and not column.dtype.is_temporal() and is_copy(number, y):
            text = f"the target {_way(number, y)} '{name}' rises"
            return f"{text}, without an exception in {filled.sum():,} rows", filled
        if is_bands(codes, y):
            values = len(np.unique(codes[filled]))
            text = f"each of the {values} values of '{name}' stands for a range of the target"
            return f"{text} that no other value shares, in {filled.sum():,} rows", filled
        return None
    for c in range(len(known)):
        of_class = inquiry.target.onehot[:, c] > 0
        if is_gap(~filled, of_class):
            where = "missing" if (of_class & ~filled).sum() * 2 > of_class.sum() else "filled in"
            agree = (~filled == of_class) if where == "missing" else (filled == of_class)
            text = f"'{name}' is {where} where the target is {inquiry.label(c)} and nowhere else"
            return f"{text}, in {agree.mean():.2%} of {len(agree):,} rows", agree
    if known[inquiry.classes].min(initial=1.0) < KNOWN_EXACT:
        return None
    label = inquiry.target.value.astype(np.int64)
    if is_code(codes, label) and (number is None or edges_are_full(number, label)):
        values = len(np.unique(codes))
        text = f"each of the {values} values of '{name}' occurs in rows of one class only"
        return f"{text}, in {len(codes):,} rows", np.ones(len(codes), dtype=bool)
    if number is not None and is_step(number, label):
        text = f"the target is '{name}' cut into classes: they change at an edge without an error"
        return f"{text}, although rows lie dense on both sides of it", filled
    return None


def _way(x: DoubleArray, y: DoubleArray) -> str:
    """How a copy of the target goes with it."""
    low, high = np.nanargmin(x), np.nanargmax(x)
    return "never falls where" if y[high] > y[low] else "never rises where"


def _strong(inquiry: Inquiry, clear: list[str]) -> list[Finding]:
    """Columns that alone know more than all others together, per class."""
    worst: dict[str, tuple[float, Finding]] = {}
    classes = inquiry.classes
    copies = [n for n in clear if inquiry.alone[n].known[classes].min() >= KNOWN_COPY]
    for c in classes:
        known = {n: float(inquiry.alone[n].known[c]) for n in clear}
        for name in (n for n in clear if known[n] >= inquiry.suspicious):
            flagged, others = inquiry.dominated(c, known[name], [name])
            if not flagged and name in copies and 1 < len(copies) < COPIES:
                # two copies of the target would clear each other
                flagged, others = inquiry.dominated(c, KNOWN_COPY, copies)
            each = KNOWN_EACH_EASY if others >= EASY else KNOWN_EACH
            if not flagged or inquiry.alone[name].known[classes].min() < each:
                continue
            if name not in worst or worst[name][0] < known[name]:
                worst[name] = (known[name], _strong_finding(inquiry, name, c, others))
    return [finding for _, finding in worst.values()]


def _strong_finding(inquiry: Inquiry, name: str, c: int, others: float) -> Finding:
    measure = "R² of the ranks" if inquiry.numeric else "ROC-AUC"
    score, known = inquiry.alone[name].score[c], inquiry.alone[name].known[c]
    return Finding(
        check="giveaway",
        columns=(name,),
        rows=inquiry.rows(inquiry.codes[name] > 0),
        examined=len(inquiry.frame),
        detail=f"'{name}' alone predicts {inquiry.label(c)}: {measure} {score:.4f}, which "
        f"explains {known:.0%} of its {inquiry.uncertainty}; all other columns together explain "
        f"{others:.0%}",
        severity="critical" if score > inquiry.threshold else "warning",
        hint=HINT.format(columns=f"'{name}'", are="is", them="it"),
        drop_columns=(name,),
    )


def _pure_values(inquiry: Inquiry, clear: list[str]) -> list[Finding]:
    """A value (or a gap) whose rows are all of one class, where nothing else predicts it."""
    if inquiry.numeric:
        return []
    findings: dict[str, Finding] = {}
    hits: list[tuple[str, int, int]] = []  # column, code, class
    for name in clear:
        codes = inquiry.codes[name]
        size = np.bincount(codes)
        big = np.flatnonzero(size >= max(PURE_ROWS, PURE_SHARE * len(codes)))
        if not len(big):
            continue
        for c in range(inquiry.target.onehot.shape[1]):
            base = inquiry.target.onehot[:, c].mean()
            inside = np.bincount(codes, weights=inquiry.target.onehot[:, c])
            pure = big[inside[big] >= PURE * size[big]]
            hits += [(name, int(k), c) for k in pure if base < 0.9 and base ** size[k] < 1e-12]
    for name, code, c in hits:
        if name in findings:
            continue
        rows = inquiry.codes[name] == code
        few = rows[inquiry.few]
        expected = float(inquiry.others(c, [name])[few].mean()) if few.any() else 1.0
        if expected > PURE_UNEXPECTED:
            continue
        value = inquiry.frame[name][int(np.argmax(rows))]
        findings[name] = Finding(
            check="giveaway",
            columns=(name,),
            rows=inquiry.rows(rows),
            examined=len(inquiry.frame),
            detail=f"where '{name}' is {'missing' if value is None else repr(value)} "
            f"({rows.sum():,} rows, {rows.mean():.1%}) the target is {inquiry.label(c)} in "
            f"{inquiry.target.onehot[rows, c].mean():.1%}; all other columns together expect it "
            f"with probability {expected:.2f}",
            severity="warning",
            hint=HINT.format(columns=f"'{name}'", are="is", them="it"),
            drop_columns=(name,),
        )
    return list(findings.values())


def _formulas(inquiry: Inquiry, clear: list[str]) -> list[Finding]:
    """The target as a sum, difference, product or ratio of number columns."""
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
    part = values[:, formula.columns]
    usable = (part > 0 if formula.logarithmic else np.isfinite(part)).all(axis=1)
    return [_formula_finding(inquiry, columns, formula, int((~usable).sum()))]


def _formula_finding(
    inquiry: Inquiry, columns: tuple[str, ...], formula: Formula, left_out: int
) -> Finding:
    """`left_out`: rows of which the formula says nothing."""
    if formula.remainder is not None:
        how = formula.remainder.text()
    elif formula.exact:
        how = "exactly" if formula.residual < 1e-9 else "up to rounding"
    else:
        how = f"up to {formula.residual:.2%} of its standard deviation"
    if left_out:
        why = "missing, zero or negative" if formula.logarithmic else "missing"
        rows = f"{left_out:,} of {len(inquiry.frame):,} rows"
        how += f", except where a column is {why} ({rows})"
    quoted = " and ".join(f"'{name}'" for name in columns)
    many = len(columns) > 1
    return Finding(
        check="giveaway",
        columns=columns,
        rows=inquiry.rows(formula.holds),
        examined=len(inquiry.frame),
        detail=f"the target is {formula.text(columns)}, {how}",
        severity="critical" if formula.exact else "warning",
        hint=HINT.format(
            columns=quoted, are="are" if many else "is", them="them" if many else "it"
        ),
        drop_columns=columns,
    )
