"""Fits over folds, everything that learns refitted in each."""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from plumbline.config import Config
from plumbline.config.model import Size
from plumbline.errors import DataError
from plumbline.examples import Examples, InputSpec
from plumbline.kinds import IntArray
from plumbline.models.size import SIZES
from plumbline.preprocessing.balance import resample
from plumbline.preprocessing.decoded import DecodedImages
from plumbline.preprocessing.frames import take_rows
from plumbline.preprocessing.transform import TableTransformer
from plumbline.tables import Schema, Table
from plumbline.training.build import fit_fresh, learn
from plumbline.training.criteria import Criterion
from plumbline.training.distributed import World
from plumbline.training.divergence import DivergedError
from plumbline.training.fold_processes import FoldProcesses, Outcome, Turn
from plumbline.training.loop import predict
from plumbline.training.transfer import Start

if TYPE_CHECKING:  # Optuna, which a process that fits folds needs not import
    from plumbline.training.search import Reporter


@dataclass(frozen=True, kw_only=True)
class Fold:
    """Examples that a fold fits on and scores on, and the network that its fits start from."""

    train: Examples
    val: Examples
    spec: InputSpec
    start: Start | None = None


def prepare_fold(
    table: Table,
    schema: Schema,
    config: Config,
    fitted: IntArray,
    scored: IntArray,
    number: int,
    *,
    start: Start | None = None,
    kept: Mapping[str, Any] | None = None,
    decoded: DecodedImages | None = None,
) -> Fold:
    """The examples of one fold; the transformer sees the rows to fit on alone.

    Args:
        start: the network that fits start from.
        kept: the state of its transformer.
        decoded: images of the table that were decoded before; those of this fold join them.
    """
    rng = np.random.default_rng([config.seed, 5, number])
    fitted, scored = (_sample(rows, config.tune.max_rows, rng) for rows in (fitted, scored))
    transformer = TableTransformer(
        schema,
        config.normalize,
        max_memory_mb=config.data.max_memory_mb,
        kept=kept,
        decoded=decoded,
    )
    train = transformer.fit_transform(take_rows(table, fitted), fitted, config.seed)
    val = transformer.transform(take_rows(table, scored), scored)
    if decoded is not None:
        for part in (train, val):
            decoded.add_examples(part, transformer.spec_)
    own = start.with_labels(transformer.labels()) if start else None
    return Fold(train=train, val=val, spec=transformer.spec_, start=own)


def _sample(rows: IntArray, most: int, rng: np.random.Generator) -> IntArray:
    return rows if len(rows) <= most else np.sort(rng.choice(rows, most, replace=False))


def network_sizes(config: Config, fold: Fold) -> dict[Size, int]:
    """What `config.tune` counts of the network that is fitted in a fold."""
    learned = learn(config.model, fold.spec, fold.train, fold.start)
    return {
        size: SIZES[size](config.model, fold.spec, learned, fold.train.inputs)
        for size in config.tune.sizes
    }


def fit_fold(
    config: Config,
    fold: Fold,
    criterion: Criterion,
    world: World,
    on_epoch: Callable[[int, dict[str, float]], None],
) -> float:
    """Fit in one fold; its score, no number where it has none (one class in a small fold, say)."""
    how = dataclasses.replace(config.train, epochs=config.tune.most_epochs)
    val, spec = fold.val, fold.spec
    fresh = fit_fresh(
        config.model,
        how,
        spec,
        resample(fold.train, spec, config.normalize.balance, config.seed),
        val,
        seed=config.seed,
        start=fold.start,
        **criterion.stopping(spec.task),
        world=world,
        on_epoch=on_epoch,
    )
    prediction = predict(fresh.fitted.model, val, spec.task, how, target=fresh.target, world=world)
    return criterion.of(val.y, prediction, spec.task)


def fit_beside(
    config: Config,
    given: tuple[Fold, Criterion],
    world: World,
    after_epoch: Callable[[], None],
) -> float:
    """`fit_fold` in a process beside the one that reports."""
    fold, criterion = given
    return fit_fold(config, fold, criterion, world, lambda epoch, row: after_epoch())


def score_folds(
    config: Config,
    folds: list[Fold],
    criterion: Criterion,
    report: Reporter,
    world: World,
    others: FoldProcesses | None = None,
) -> list[float]:
    """Fit in every fold; the score of each that has one.

    Within the first fold the validation score after each epoch is reported, then the scores of
    the folds done: so a hopeless trial ends early, and trials are compared at equal steps. Folds
    that others fit meanwhile are reported in the same order, as if one came after the other.
    """
    ordered = _InOrder(len(folds), report)
    turn = Turn(config, len(folds))
    fold = turn.take()  # the first, whose epochs are reported, is fitted here
    with others.helping(turn) if others else contextlib.nullcontext():
        while not ordered.is_complete:
            report.check_time()

            def on_epoch(epoch: int, row: dict[str, float], fold: int | None = fold) -> None:
                report.check_time()
                if fold == 0 and np.isfinite(row["val_score"]):
                    report.epoch(epoch, row["val_score"])
                ordered.add(turn.arrived())

            if fold is not None:
                ordered.add([(fold, _outcome(config, folds[fold], criterion, world, on_epoch))])
            elif (outcome := turn.wait()) is not None:
                ordered.add([outcome])
            fold = turn.take()
    if not ordered.scores:
        raise DataError(
            f"{criterion.name} cannot be computed in any fold: each scores rows of one class",
            file="params.yaml",
            where="split.folds",
            hint="lower it, or raise tune.max_rows",
        )
    return ordered.scores


def _outcome(
    config: Config,
    fold: Fold,
    criterion: Criterion,
    world: World,
    on_epoch: Callable[[int, dict[str, float]], None],
) -> Outcome:
    try:
        return fit_fold(config, fold, criterion, world, on_epoch)
    except DivergedError as error:  # or an earlier fold's, which came meanwhile
        return error


class _InOrder:
    """Outcomes of folds, reported in the order of the folds, however they come."""

    def __init__(self, folds: int, report: Reporter) -> None:
        self.scores: list[float] = []
        self._folds, self._report = folds, report
        self._next = 0
        self._early: dict[int, Outcome] = {}

    @property
    def is_complete(self) -> bool:
        return self._next == self._folds

    def add(self, outcomes: Iterable[tuple[int, Outcome]]) -> None:
        """Raises: DivergedError: of the first fold that did, in its turn."""
        self._early.update(outcomes)
        while self._next in self._early:
            self._pass_on(self._early.pop(self._next))

    def _pass_on(self, outcome: Outcome) -> None:
        self._next += 1
        if isinstance(outcome, DivergedError):
            raise outcome
        if np.isfinite(outcome):
            self.scores.append(outcome)
            if not self.is_complete:
                self._report.fold(self._next - 1, self.scores)
