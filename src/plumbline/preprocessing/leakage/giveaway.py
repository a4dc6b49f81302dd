"""A column, a pair, or a sum, difference, product or ratio of columns that gives the target away.

An honest strong column is no leak. What accuses is dominance: the column alone leaves less
than half of the uncertainty that boosted trees on all other columns leave, so whatever it
says stands nowhere else in the data. On honest tables the best column leaves more than the
others do together.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np
import polars as pl

from plumbline.kinds import ColumnType, DoubleArray, IntArray, Task
from plumbline.preprocessing.leakage.codes import Target, as_number, encode, knowledge
from plumbline.preprocessing.leakage.combine import Formula, find_formula
from plumbline.preprocessing.leakage.finding import Evidence, Finding
from plumbline.preprocessing.leakage.others import matrix, others_belief, ranked

DOMINANT = 0.5  # uncertainty left by the column over that left by all others: accused below
KNOWN_WARNING, KNOWN_CRITICAL = 0.5, 0.8  # share of the target's entropy explained
MIN_ROWS = 20  # of a class, in the sample
COMMON, MAX_CLASSES = 0.05, 8  # share of rows that makes a class large; so many are asked about
OTHERS_ROWS = 10_000  # for the model of the other columns
MANY = 4  # so many suspects of one class are judged one by one: the problem may be easy
PURE, PURE_SHARE, PURE_ROWS = 0.995, 0.03, 50  # a value whose rows are all of one class
PURE_UNEXPECTED = 0.8  # others believe less than this in the class of these rows
PAIR_COLUMNS, PAIR_ROWS, PAIR_BINS = 40, 6_000, 12


@dataclass(frozen=True, kw_only=True)
class Inquiry:
    """Sampled training rows, coded once, and the model of the other columns."""

    names: tuple[str, ...]
    frame: pl.DataFrame
    target: Target
    codes: dict[str, IntArray]
    x: DoubleArray  # (m, d) of the rows in `few`
    few: IntArray
    threshold: float

    @property
    def numeric(self) -> bool:
        return self.target.task is Task.REGRESSION

    @property
    def few_target(self) -> Target:
        return self.target.take(self.few)

    def others(self, c: int, without: Sequence[str]) -> DoubleArray:
        """Belief in class c of trees on all columns but these, for the rows in `few`."""
        gone = np.array([self.names.index(name) for name in without], dtype=np.int64)
        return others_belief(self.x, self.few_target, c, gone)

    def others_known(self, c: int, without: Sequence[str]) -> float:
        """What that belief knows, measured as a column is: by codes, on rows not learnt from."""
        codes = ranked(self.others(c, without), self.few_target.half)
        return max(0.0, float(knowledge(codes, self.few_target).known[c]))

    @property
    def classes(self) -> list[int]:
        """Classes to ask about: the large ones. What settles a rare class alone is no giveaway."""
        share = self.target.onehot.mean(axis=0)
        if self.numeric or len(share) == 2:
            return [len(share) - 1]
        largest = np.argsort(-share, kind="stable")[:MAX_CLASSES]
        common = [int(c) for c in largest if share[c] >= COMMON]
        enough = [int(c) for c in largest if share[c] * len(self.frame) >= MIN_ROWS]
        return common if len(common) > 1 else enough

    def label(self, c: int) -> str:
        return "the target" if self.numeric else f"class '{self.target.names[c]}'"


def inquire(evidence: Evidence) -> Inquiry:
    """Code the training sample."""
    frame, schema = evidence.train, evidence.schema
    names = tuple(c.name for c in schema.features if c.type is not ColumnType.TEXT)
    target = Target.of(frame, schema, evidence.seed)
    rng = evidence.generator("giveaway")
    few = np.sort(rng.permutation(len(frame))[:OTHERS_ROWS])
    return Inquiry(
        names=names,
        frame=frame,
        target=target,
        codes={name: encode(frame[name]) for name in names},
        x=matrix(frame[few.tolist()], names),
        few=few,
        threshold=evidence.config.giveaway_score,
    )


def giveaway(evidence: Evidence) -> Sequence[Finding]:
    """Formulas, then single columns, values and pairs, each of the columns not accused yet."""
    inquiry = inquire(evidence)
    if len(inquiry.frame) < 2 * MIN_ROWS or not inquiry.names:
        return []
    findings: list[Finding] = []
    for look in (_formulas, _singles, _pure_values, _pairs):
        accused = {name for f in findings for name in f.columns}
        findings += look(inquiry, [name for name in inquiry.names if name not in accused])
    return findings


def _singles(inquiry: Inquiry, clear: list[str]) -> list[Finding]:
    """Columns that alone know more than all others together, per class."""
    learnt = {name: knowledge(inquiry.codes[name], inquiry.target) for name in clear}
    worst: dict[str, tuple[float, Finding]] = {}
    for c in inquiry.classes:
        suspects = [n for n in clear if learnt[n].known[c] >= KNOWN_WARNING]
        together = len(suspects) < MANY
        for name in suspects:
            score, known = learnt[name].score[c], learnt[name].known[c]
            one_to_one = _one_to_one(inquiry, name)
            others = inquiry.others_known(c, suspects if together else [name])
            if 1 - known > DOMINANT * (1 - others) and not one_to_one:
                continue
            sure = score >= inquiry.threshold or known >= KNOWN_CRITICAL
            finding = _accuse_single(inquiry, name, c, score, known, others, sure or one_to_one)
            if name not in worst or worst[name][0] < known:
                worst[name] = (float(known), finding)
    return [finding for _, finding in worst.values()]


def _one_to_one(inquiry: Inquiry, name: str) -> bool:
    """Whether the column is the class under other names: each value one class and back."""
    if inquiry.numeric:
        return False
    number = inquiry.target.value.astype(np.int64)
    codes = inquiry.codes[name]
    pairs = np.unique(codes * (int(number.max()) + 1) + number)
    return len(pairs) == len(np.unique(codes)) == len(np.unique(number))


def _accuse_single(
    inquiry: Inquiry, name: str, c: int, score: float, known: float, others: float, sure: bool
) -> Finding:
    measure = "R² of the ranks" if inquiry.numeric else "area under the ROC curve"
    rows = inquiry.frame["__row__"].to_numpy()
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
        without = sorted({n for n, _, other in hits if other == c})
        if len(without) >= MANY:
            without = [name]
        few = rows[inquiry.few]
        expected = float(inquiry.others(c, without)[few].mean()) if few.any() else 1.0
        if expected > PURE_UNEXPECTED:
            continue
        held = rows.sum() / max(1.0, inquiry.target.onehot[:, c].sum())
        what = "missing" if inquiry.frame[name].is_null()[int(np.argmax(rows))] else "one value"
        findings[name] = Finding(
            check="giveaway",
            columns=(name,),
            rows=inquiry.frame["__row__"].to_numpy()[rows][:5].astype(np.int64),
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
    text = formula.text(columns)
    return Finding(
        check="giveaway",
        columns=columns,
        rows=inquiry.frame["__row__"].to_numpy()[:5].astype(np.int64),
        detail=f"the target is {text}: the rest has {formula.residual:.2g} of its standard "
        "deviation",
        severity="critical",
        mend="the parts of the target are known when it is, not before: give these columns role "
        "ignore in expectations.yaml, or set split.leakage.giveaway: drop",
        drop_columns=columns,
    )


def _pairs(inquiry: Inquiry, clear: list[str]) -> list[Finding]:
    """Two columns that together give away what neither does alone."""
    chosen = inquiry.few[:: max(1, len(inquiry.few) // PAIR_ROWS)]
    target = inquiry.target.take(chosen)
    alone = {n: knowledge(inquiry.codes[n][chosen], target).known for n in clear}
    best = sorted(clear, key=lambda n: -float(alone[n].max()))[:PAIR_COLUMNS]
    frame = inquiry.frame[chosen.tolist()]
    coarse = {n: encode(frame[n], bins=PAIR_BINS, values=PAIR_BINS) for n in best}
    numbers = {
        n: as_number(frame[n])
        for n in best
        if frame[n].dtype.is_numeric() and frame[n].n_unique() > 2
    }
    findings: list[Finding] = []
    asked = np.isin(np.arange(target.onehot.shape[1]), inquiry.classes)
    accused: set[str] = set()
    for a, b in combinations(best, 2):
        if accused & {a, b}:
            continue
        how, score, known = _best_pair(a, b, coarse, numbers, target)
        gain = (1 - known) <= DOMINANT * (1 - np.maximum(alone[a], alone[b]))
        sure = (score >= inquiry.threshold) | (known >= KNOWN_CRITICAL)
        for c in np.flatnonzero(gain & sure & asked):
            others = inquiry.others_known(int(c), [a, b])
            if 1 - known[c] <= DOMINANT * (1 - others):
                findings.append(
                    _accuse_pair(inquiry, (a, b), int(c), how[c], score[c], known[c], others)
                )
                accused |= {a, b}
                break
    return findings


def _best_pair(
    a: str, b: str, coarse: dict[str, IntArray], numbers: dict[str, DoubleArray], target: Target
) -> tuple[list[str], DoubleArray, DoubleArray]:
    """Per class the way to join two columns that knows most."""
    ways = {"together": coarse[a] * (int(coarse[b].max()) + 1) + coarse[b]}
    if a in numbers and b in numbers:
        with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
            joined = {
                f"'{a}' - '{b}'": numbers[a] - numbers[b],
                f"'{a}' + '{b}'": numbers[a] + numbers[b],
                f"'{a}' / '{b}'": numbers[a] / numbers[b],
            }
        ways |= {how: encode(pl.Series(value)) for how, value in joined.items()}
    classes = target.onehot.shape[1]
    how, score, known = [""] * classes, np.zeros(classes), np.full(classes, -np.inf)
    for name, codes in ways.items():
        learnt = knowledge(codes, target)
        for c in np.flatnonzero(learnt.known > known):
            how[c], score[c], known[c] = name, learnt.score[c], learnt.known[c]
    return how, score, known


def _accuse_pair(
    inquiry: Inquiry,
    pair: tuple[str, str],
    c: int,
    how: str,
    score: float,
    known: float,
    others: float,
) -> Finding:
    text = f"'{pair[0]}' and '{pair[1]}' together tell" if how == "together" else f"{how} tells"
    return Finding(
        check="giveaway",
        columns=pair,
        rows=inquiry.frame["__row__"].to_numpy()[:5].astype(np.int64),
        detail=f"{text} {inquiry.label(c)}: score {score:.4f}, {known:.0%} of what there is to "
        f"know; all other columns together {others:.0%}",
        severity="critical",
        mend="find out whether the target is computed from these two columns; if so, give them "
        "role ignore in expectations.yaml, or set split.leakage.giveaway: drop",
        drop_columns=pair,
    )
