"""The out-of-distribution score beside its peers: test rows against rows of classes that training
lacked, and against rows whose columns were shuffled.

digits ships with scikit-learn; the others need real data sets (`PLUMBLINE_TEST_DATA`): covtype_20k,
kddcup99_10pct, adult, ames_housing. `PLUMBLINE_BENCH_SEEDS` (3) is the number of seeds: each draws
its rows, holds other classes aside, splits and fits anew.
"""

from __future__ import annotations

import statistics
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import torch
from torch import nn

from benchmarks.quality import DATA, ROOT, SEEDS
from benchmarks.result import Figure, Result, Table
from plumbline.cells import typed
from plumbline.config import Config, load_config
from plumbline.config.data import DataConfig
from plumbline.config.runtime import count_threads
from plumbline.data.canonical import make_canonical
from plumbline.data.infer import Wishes, infer
from plumbline.data.read import open_table, scan
from plumbline.evaluation.metrics import METRICS, score
from plumbline.evaluation.out_of_distribution import AUTO, fit_distance, fit_ranges, separation
from plumbline.examples import Examples, Inputs, InputSpec
from plumbline.inference import batches
from plumbline.inference.feature_distances import DISTANCES
from plumbline.inference.out_of_distribution import OutOfDistribution
from plumbline.inference.torch_predictor import TorchPredictor
from plumbline.kinds import DoubleArray, FloatArray, Part
from plumbline.models.embeddings import choose_embedding
from plumbline.preprocessing.frames import take_rows
from plumbline.preprocessing.transform import TableTransformer
from plumbline.split import make_split, read_rows, resolve
from plumbline.stages.inputs import resolve_metric
from plumbline.training.build import fit_fresh
from plumbline.training.device import set_up
from plumbline.training.distributed import CPU

ROWS = 3000  # of a table, drawn at random
EPOCHS, PATIENCE = 12, 4
HELD, SHUFFLED = "held-aside classes", "shuffled columns"
OWN = ("mahalanobis", "neighbors", "ranges")


@dataclass(frozen=True, kw_only=True)
class Source:
    """A table: how it is read, its target, and the classes that each seed in turn holds aside."""

    name: str
    read: Callable[[], pl.DataFrame]
    target: str
    held: Sequence[tuple[str, ...]] = ()


def _digits() -> pl.DataFrame:
    from sklearn.datasets import load_digits

    digits = load_digits()
    frame = pl.DataFrame(digits.data, schema=[f"pixel_{i}" for i in range(64)])
    return frame.with_columns(digit=pl.Series([f"d{label}" for label in digits.target]))


def _covtype() -> pl.DataFrame:
    frame = pl.read_csv(DATA / "covtype_20k" / "covtype.csv")
    return frame.with_columns(pl.format("c{}", "cover_type").alias("cover_type"))


def _kddcup() -> pl.DataFrame:
    file = DATA / "kddcup99_10pct" / "kddcup.data_10_percent.gz"
    frame = pl.read_csv(file, has_header=False).unique(maintain_order=True)
    target = frame.columns[-1]
    return frame.filter(pl.len().over(target) >= 400).filter(
        pl.int_range(pl.len()).shuffle(seed=0).over(target) < 2000
    )


SOURCES = (
    Source(
        name="digits",
        read=_digits,
        target="digit",
        held=(("d0", "d3"), ("d2", "d5"), ("d4", "d7")),
    ),
    Source(
        name="covtype",
        read=_covtype,
        target="cover_type",
        held=(("c3", "c7"), ("c4", "c6"), ("c1", "c5")),
    ),
    Source(
        name="kddcup99",
        read=_kddcup,
        target="column_41",
        held=(("satan.", "teardrop."), ("neptune.", "portsweep."), ("back.", "ipsweep.")),
    ),
    Source(
        name="adult",
        read=lambda: pl.read_csv(DATA / "adult" / "train.csv"),
        target="income",
    ),
    Source(
        name="ames",
        read=lambda: pl.read_csv(
            DATA / "ames_housing" / "AmesHousing.txt", separator="\t", infer_schema=False
        ),
        target="SalePrice",
    ),
)


@dataclass(frozen=True, kw_only=True)
class Rows:
    """Some rows: typed, prepared, and what the network makes of them."""

    cells: pl.DataFrame
    prepared: FloatArray
    features: FloatArray
    probabilities: DoubleArray
    energy: DoubleArray


@dataclass(frozen=True, kw_only=True)
class Case:
    """A fitted network with training and test rows, and rows that do not belong."""

    train: Rows
    classes: Any
    schema: Any
    test: Rows
    others: dict[str, Rows]


def run() -> Result:
    """ROC-AUC of every method on every table, mean over seeds."""
    set_up(CPU, count_threads(load_config(ROOT / "params.yaml").runtime, 1))
    sources = SOURCES if DATA.is_dir() else SOURCES[:1]
    made: dict[tuple[str, str], dict[str, list[float]]] = {}
    for seed in range(SEEDS):
        for source in sources:
            for kind, scores in measure(prepare(source, seed), seed).items():
                own = made.setdefault((source.name, kind), {})
                for method, value in scores.items():
                    own.setdefault(method, []).append(value)
                print(
                    source.name, kind, seed, {k: round(v, 3) for k, v in scores.items()}, flush=True
                )
    means = {
        case: {method: statistics.mean(values) for method, values in own.items()}
        for case, own in made.items()
    }
    return Result(
        title="Out-of-distribution score",
        figures=[
            Figure(
                name=f"ROC AUC of {AUTO}, {kind}: mean over tables",
                reached=statistics.mean(own[AUTO] for (_, k), own in means.items() if k == kind),
                unit="",
            )
            for kind in (HELD, SHUFFLED)
        ],
        tables=[_table(kind, means) for kind in (HELD, SHUFFLED)],
        notes=[
            f"mean ROC AUC over {SEEDS} seeds of test rows against rows that do not belong; "
            f"networks are `tabm_mini` at its defaults, at most {EPOCHS} epochs, tables of at "
            f"most {ROWS:,} rows, two classes held aside",
            "mahalanobis, neighbors and ranges are those of "
            "`evaluate.out_of_distribution.method`; the first two contain the third",
            "energy (Liu et al. 2020) and the largest probability (Hendrycks and Gimpel 2017) are "
            "of the same network; the isolation forest and the local outlier factor are "
            "scikit-learn's, at their defaults, on the prepared inputs with one-hot categories",
        ],
    )


def _table(kind: str, means: dict[tuple[str, str], dict[str, float]]) -> Table:
    cases = [case for case in means if case[1] == kind]
    methods = list(dict.fromkeys(method for case in cases for method in means[case]))
    rows = []
    for method in methods:
        values = [means[case].get(method) for case in cases]
        known = [value for value in values if value is not None]
        mean = f"{statistics.mean(known):.3f}" if len(known) == len(values) else ""
        rows.append([method, *("" if v is None else f"{v:.3f}" for v in values), mean])
    return Table(
        title=f"ROC AUC, {kind}", columns=["method", *(c[0] for c in cases), "mean"], rows=rows
    )


def prepare(source: Source, seed: int) -> Case:
    """Hold classes aside, then read, infer, split, normalize and fit as the stages do."""
    frame = source.read()
    aside = source.held[seed % len(source.held)] if source.held else ()
    is_held = pl.col(source.target).cast(pl.String).is_in(list(aside))
    belongs, held = frame.filter(~is_held), frame.filter(is_held)
    belongs = belongs.sample(min(ROWS, len(belongs)), seed=seed, shuffle=True)
    held = held.sample(min(ROWS // 5, len(held)), seed=seed)
    with tempfile.TemporaryDirectory() as folder:
        return _fitted(source, belongs, held, seed, Path(folder))


def _fitted(
    source: Source, belongs: pl.DataFrame, held: pl.DataFrame, seed: int, folder: Path
) -> Case:
    belongs.write_csv(folder / "rows.csv")
    held.write_csv(folder / "held.csv")
    defaults = load_config(ROOT / "params.yaml")
    plain = make_canonical(folder / "rows.csv", folder / "made", target=source.target)
    raw = scan(plain.path, plain.form)
    inferred = infer(raw, plain.form, Wishes(target=source.target), file=source.name).expectations
    schema = inferred.schema
    data = DataConfig(
        name=source.name,
        path=str(plain.path),
        target=source.target,
        task=inferred.task,
        positive=inferred.positive,
        format=plain.form,
    )
    config = replace(defaults, data=data, seed=seed)
    table = open_table(data, schema, Path("/"))
    rows = read_rows(table, schema, data, config.split)
    part = make_split(rows, resolve(rows, config.split), seed).part
    transformer = TableTransformer(schema, replace(config.normalize, columns={}))
    numbers = {p: np.flatnonzero(part == p) for p in (Part.TRAIN, Part.VAL, Part.TEST)}
    names = [c.name for c in schema.features]
    cells = {p: take_rows(table, own).select(names).collect() for p, own in numbers.items()}
    train = transformer.fit_transform(
        take_rows(table, numbers[Part.TRAIN]), numbers[Part.TRAIN], seed
    )
    val = transformer.transform(take_rows(table, numbers[Part.VAL]), numbers[Part.VAL])
    model = _fit(config, transformer.spec_, train, val, seed)
    rng = np.random.default_rng(seed)
    test = cells[Part.TEST]
    shuffled = test.select(test[name].gather(rng.permutation(len(test))) for name in names)
    text = pl.read_csv(folder / "held.csv", infer_schema=False)
    others = {SHUFFLED: shuffled}
    if len(held):
        others[HELD] = text.select(typed(c, pl.String()) for c in schema.features)

    def made(frame: pl.DataFrame) -> Rows:
        inputs = transformer.transform_frame(frame, np.arange(len(frame))).inputs
        return _rows(model, transformer.spec_, frame, inputs)

    return Case(
        train=made(cells[Part.TRAIN]),
        classes=train.y if inferred.task.has_classes else None,
        schema=schema,
        test=made(test),
        others={kind: made(frame) for kind, frame in others.items()},
    )


def _fit(config: Config, spec: InputSpec, train: Examples, val: Examples, seed: int) -> nn.Module:
    metric = resolve_metric("auto", spec.task)
    embedding = choose_embedding(config.model.number_embedding, len(train))
    fresh = fit_fresh(
        replace(config.model, number_embedding=embedding),
        replace(config.train, epochs=EPOCHS, patience=PATIENCE, learning_curve=[]),
        spec,
        train,
        val,
        seed=seed,
        score=lambda y, p: score(metric, y, p, spec.task),
        greater_is_better=METRICS[metric].greater_is_better,
    )
    return fresh.fitted.model.eval()


@torch.no_grad()
def _rows(model: nn.Module, spec: InputSpec, cells: pl.DataFrame, inputs: Inputs) -> Rows:
    pairs = list(TorchPredictor(model, spec.task).with_features(inputs))
    energies = [np.zeros(0)]
    for batch in batches(inputs):
        output = model(**{name: torch.tensor(array) for name, array in batch.items()})
        energies.append(-torch.logsumexp(output, dim=-1).mean(1).double().numpy())
    prepared = [np.asarray(inputs[t.name], dtype=np.float32) for t in spec.of_kind("numbers")]
    for tensor in spec.of_kind("categories"):
        codes = np.asarray(inputs[tensor.name])
        prepared += [
            np.eye(count, dtype=np.float32)[codes[:, i]]
            for i, count in enumerate(tensor.cardinalities)
        ]
    return Rows(
        cells=cells,
        prepared=np.concatenate(prepared, axis=1),
        features=np.concatenate([features for _, features in pairs]),
        probabilities=np.concatenate([prediction for prediction, _ in pairs]),
        energy=np.concatenate(energies),
    )


def measure(case: Case, seed: int) -> dict[str, dict[str, float]]:
    """By kind of rows that do not belong and by method: ROC-AUC against the test rows."""
    methods = {**_own(case, seed), **_peers(case, seed)}
    result: dict[str, dict[str, float]] = {kind: {} for kind in case.others}
    for name, method in methods.items():
        usual = method(case.test)
        for kind, rows in case.others.items():
            value = separation(usual, method(rows))
            assert value is not None
            result[kind][name] = value
    return result


Scorer = Callable[[Rows], DoubleArray]


def _own(case: Case, seed: int) -> dict[str, Scorer]:
    ranges = fit_ranges(case.train.cells.lazy(), case.schema.features)

    def scorer(method: str) -> Scorer:
        arrays, unit = fit_distance(method, case.train.features, case.classes, seed)
        fitted = OutOfDistribution(
            method=method, arrays=arrays, unit=unit, ranges=ranges, share=0.01
        )
        return lambda rows: fitted.scores(fitted.distances(rows.features), rows.cells)

    assert set(OWN) == set(DISTANCES)
    return {method: scorer(method) for method in OWN}


def _peers(case: Case, seed: int) -> dict[str, Scorer]:
    from sklearn.ensemble import IsolationForest
    from sklearn.neighbors import LocalOutlierFactor

    forest = IsolationForest(random_state=seed).fit(case.train.prepared)
    factor = LocalOutlierFactor(novelty=True).fit(case.train.prepared)
    peers: dict[str, Scorer] = {
        "isolation forest": lambda rows: -forest.score_samples(rows.prepared),
        "local outlier factor": lambda rows: -factor.score_samples(rows.prepared),
    }
    if case.classes is not None:
        peers["energy"] = lambda rows: rows.energy
        peers["largest probability"] = lambda rows: -rows.probabilities.max(axis=1)
    return peers
