"""The training sample, coded once, and what columns know of the target alone and together."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import polars as pl

from plumbline.kinds import BoolArray, DoubleArray, IntArray, TargetKind
from plumbline.leakage.codes import Knowledge, Target, encode, knowledge
from plumbline.leakage.finding import UNCODED, Evidence
from plumbline.leakage.others import boosted, linear, matrix, outright, ranked
from plumbline.tables import ROW

DOMINANT = 0.5  # uncertainty left by the column over that left by all others: flagged below
# And it knows so much more than they do: of an easy target all know nearly all, and of few rows
# trees learn little.
MARGIN, MARGIN_ROWS = 0.01, 5.0
MIN_ROWS = 20  # of a class, in the sample
COMMON, MAX_CLASSES = 0.05, 8  # share of rows that makes a class large; so many are asked about
OTHERS_ROWS, OTHERS_COLUMNS = 10_000, 300  # for the model of the other columns: the best alone
# Share of the target's entropy, or of its ranks' variance, that a column explains alone before
# it is looked at; one honest column often explains much of a number, seldom of a class.
SUSPICIOUS = {"class": 0.8, "number": 0.95}


@dataclass(frozen=True, kw_only=True)
class Inquiry:
    """Sampled training rows, coded once; what each column knows alone; the other columns."""

    names: tuple[str, ...]
    frame: pl.DataFrame
    target: Target
    codes: dict[str, IntArray]
    alone: dict[str, Knowledge]
    others_names: tuple[str, ...]  # columns of x, the most telling first where there are many
    x: DoubleArray  # (m, d) of the rows in `few`
    few: IntArray
    few_target: Target
    threshold: float
    beliefs: dict[tuple[int, tuple[str, ...]], DoubleArray] = field(default_factory=dict)

    @property
    def numeric(self) -> bool:
        return self.target.kind is TargetKind.NUMBERS

    @property
    def suspicious(self) -> float:
        """What a column explains at least to be looked at."""
        return SUSPICIOUS["number" if self.numeric else "class"]

    @property
    def uncertainty(self) -> str:
        """What knowledge of the target is a share of."""
        return "rank variance" if self.numeric else "entropy"

    def rows(self, concerned: BoolArray) -> IntArray:
        """Row numbers, ascending, of these rows of the sample."""
        numbers: IntArray = self.frame[ROW].to_numpy()[concerned].astype(np.int64)
        return np.sort(numbers)

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

    def others(self, c: int, without: Sequence[str]) -> DoubleArray:
        """Belief in class c of trees on all columns but these, for the rows in `few`."""
        key = (c, tuple(sorted(without)))
        if key not in self.beliefs:
            y = self.few_target.onehot[:, c]
            rest = self._rest(without)
            self.beliefs[key] = boosted(rest, y, self.few_target.half, numeric=self.numeric)
        return self.beliefs[key]

    def dominated(self, c: int, known: float, without: Sequence[str]) -> tuple[bool, float]:
        """Whether `known` leaves less than half of what all other columns leave unknown.

        The others know at least what the best of them knows alone, or a straight line through
        them; trees, which cost most, are asked last. Returns the answer and what the others
        were found to know, measured as a column is: by codes, on rows not learned from.
        """
        margin = MARGIN + MARGIN_ROWS / len(self.few)
        enough = min(1 - (1 - known) / DOMINANT, known - margin)
        gone = set(without)
        best = max((float(k.known[c]) for n, k in self.alone.items() if n not in gone), default=0.0)
        y, half = self.few_target.onehot[:, c], self.few_target.half
        for trees in (False, True):
            if best > enough:
                return False, best
            belief = self.others(c, without) if trees else linear(self._rest(without), y, half)
            learned = knowledge(ranked(belief, half), self.few_target, ordered=True)
            best = max(best, float(learned.known[c]))
            if trees:
                best = max(best, outright(belief, y, numeric=self.numeric))
        return best <= enough, max(0.0, best)

    def _rest(self, without: Sequence[str]) -> DoubleArray:
        kept = [j for j, name in enumerate(self.others_names) if name not in without]
        return self.x[:, kept[:OTHERS_COLUMNS]]


def inquire(evidence: Evidence) -> Inquiry:
    """Code the training sample, and ask each column alone."""
    frame, schema = evidence.train, evidence.schema
    names = tuple(c.name for c in schema.features if c.type not in UNCODED)
    target = Target.of(frame, schema, evidence.seed)
    few = np.sort(evidence.generator("giveaway").permutation(len(frame))[:OTHERS_ROWS])
    codes = {name: encode(frame[name]) for name in names}
    alone = {
        name: knowledge(codes[name], target, ordered=frame[name].dtype != pl.String)
        for name in names
    }
    others = names
    if len(names) > OTHERS_COLUMNS:
        best = sorted(names, key=lambda name: -float(alone[name].known.max()))
        others = tuple(best[: 2 * OTHERS_COLUMNS])
    return Inquiry(
        names=names,
        frame=frame,
        target=target,
        codes=codes,
        alone=alone,
        others_names=others,
        x=matrix(frame[few], others),
        few=few,
        few_target=target.take(few),
        threshold=evidence.config.giveaway_score,
    )
