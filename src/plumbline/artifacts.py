"""The files that pass between stages: what each is called, what stands in it, who writes it.

No other module spells these names. A record is one JSON file: its fields are the keys, in order.
The page reads the same files by name and survives whatever it finds there (`report.read`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path, PurePosixPath
from typing import Any, ClassVar, Protocol, TypeVar

import numpy as np
import polars as pl

from plumbline.errors import DataError, StorageError
from plumbline.examples import InputSpec
from plumbline.files import read_json, write_json
from plumbline.kinds import ByteArray
from plumbline.tables import SplitIndex

# below reports/
VALIDATION = "validation/result.json"
FAILING_ROWS = "validation/failing_rows.parquet"
VALIDATION_PAGE = "validation/index.html"
COLUMNS = "validation/columns.json"
SPLIT = "split/summary.json"
LEAKAGE = "leakage.json"
TUNING = "tuning/summary.json"
TRIALS = "tuning/trials.csv"
TRAINING = "training/summary.json"
ARCHITECTURE = "training/architecture.json"
BAG = "training/bag.json"  # where the model is a bag of networks
CURVES = "training/curves.csv"
RATE_SWEEP = "training/learning_rate.csv"  # where the learning-rate finder was asked for
METRICS = "metrics.json"
HEADLINE = "summary.json"
COMPARISON = "evaluation/verdict.json"
SLICES = "evaluation/slices.json"
PREDICTIONS = "evaluation/predictions.parquet"
MISTAKES = "evaluation/mistakes.json"
OUT_OF_DISTRIBUTION = "evaluation/out_of_distribution.json"
CONFUSION = "evaluation/confusion.csv"
CALIBRATION = "evaluation/calibration.csv"
IMPORTANCE = "explain/importance.json"
SHAP_VALUES = "explain/shap.parquet"
LIME = "explain/lime.json"
FAITHFULNESS = "explain/faithfulness.json"
WORDS = "explain/words.json"
PATCHES = "explain/patches.json"
DRIFT = "drift/result.json"
DRIFT_PAGE = "drift/index.html"
REFERENCE = "drift/reference.parquet"  # what a version is monitored by; unless it is to have none
HELD_OUT = "drift/held_out.parquet"
PARITY = "parity.json"
REGISTERED = "register.json"
PAGE = "index.html"

# in a folder of artifacts/
SPLIT_INDEX, SPLIT_SUMMARY, DROPPED = "index.parquet", "summary.json", "dropped.json"
INPUT_SPEC, PREPROCESSOR = "spec.json", "preprocessor.json"
START_BUNDLE = "bundle"  # in artifacts/start, where there is a network to start from
GRAPH, CONTRACT = "model.onnx", "contract.json"
EVALUATED_GRAPH = "graph.onnx"  # beside the decision; reads the weights of artifacts/model

ADDED = "added"  # of a field that files of earlier versions of plumbline lack: it has a default


class Record(Protocol):
    """One JSON file that a stage writes and others read, a frozen dataclass.

    `FILE` is its place in the checkout, `STAGE` writes it.
    """

    __dataclass_fields__: ClassVar[dict[str, Any]]
    FILE: ClassVar[str]
    STAGE: ClassVar[str]


@dataclass(frozen=True, kw_only=True)
class ValidationResult:
    """`failed`: an entry per failed expectation, with `column`, `severity`, `detail` …"""

    FILE: ClassVar[str] = f"reports/{VALIDATION}"
    STAGE: ClassVar[str] = "validate"

    success: bool
    evaluated: int
    rows: int
    failed: Sequence[Mapping[str, Any]]


@dataclass(frozen=True, kw_only=True)
class LeakageResult:
    """`clean`: nothing was found but what the policy `drop` has removed."""

    FILE: ClassVar[str] = f"reports/{LEAKAGE}"
    STAGE: ClassVar[str] = "split"

    clean: bool
    findings: Sequence[Mapping[str, Any]]


@dataclass(frozen=True, kw_only=True)
class StartSource:
    """The network that fits start from; all but `address` None without one.

    `address`: `model.start_from`; `source`: what it was when `normalize` ran, in words; `version`
    and `run_id` of a registered one; `sha256` of its weights; `leak`: why its test rows may be no
    test, in words, or None where nothing speaks for it.
    """

    FILE: ClassVar[str] = "artifacts/start/start.json"
    STAGE: ClassVar[str] = "normalize"

    address: str | None
    source: str | None = None
    version: str | None = None
    run_id: str | None = None
    sha256: str | None = None
    leak: str | None = None


@dataclass(frozen=True, kw_only=True)
class TunedValues:
    """The values that stand where params.yaml says `tuned`; `score` None without a search."""

    FILE: ClassVar[str] = "artifacts/tuning/best.json"
    STAGE: ClassVar[str] = "tune"

    values: Mapping[str, Any]
    score: float | None
    std_error: float | None
    metric: str
    trials: int


@dataclass(frozen=True, kw_only=True)
class TuningSummary:
    """How the values were found; everything from `greater_is_better` on is None without a search.

    `selected` and `best` are numbers of trials: the one whose values are taken, and the one with
    the best score. `gain_over_default` has `mean` and `std_error`, by fold. `front`: of score and
    size, each with `number`, `value` and what is small; None with one objective. `size`: of the
    selected trial's network, what was counted of it. `stopped_by`: trials, patience or minutes.
    """

    FILE: ClassVar[str] = f"reports/{TUNING}"
    STAGE: ClassVar[str] = "tune"

    values: Mapping[str, Any]
    score: float | None
    std_error: float | None
    metric: str
    trials: int
    greater_is_better: bool | None = None
    sampler: str | None = None
    pruner: str | None = None
    objective: str | None = None
    folds: int | None = None
    pruned: int | None = None
    too_large: int | None = None
    refused: int | None = None
    stopped_by: str | None = None
    second_objective: str | None = None
    front: Sequence[Mapping[str, Any]] | None = None
    size: Mapping[str, int] | None = None
    selected: int | None = None
    best: int | None = None
    fold_scores: Sequence[float] | None = None
    inside_noise: int | None = None
    gain_over_default: Mapping[str, float] | None = None
    importance: Mapping[str, float] | None = None
    space: Mapping[str, Any] | None = None


@dataclass(frozen=True, kw_only=True)
class TrainingSummary:
    """`monitor`: the metric that early stopping watched, or `loss`; `verdict`: see
    `training.diagnosis`; `proposed_learning_rate` None unless the finder ran; `start`: the network
    that the fit started from and what was taken of it, None without one."""

    FILE: ClassVar[str] = f"reports/{TRAINING}"
    STAGE: ClassVar[str] = "train"

    model: str
    parameters: int
    values: Mapping[str, Any]
    epochs: int
    best_epoch: int
    stopped_early: bool
    monitor: str
    best_score: float
    verdict: Mapping[str, Any]
    learning_curve: Sequence[Mapping[str, Any]]
    proposed_learning_rate: float | None
    start: Mapping[str, Any] | None


@dataclass(frozen=True, kw_only=True)
class BagSummary:
    """The networks of a bag, in order; there is no file where the model is a single network.

    Of `networks`: `rows` that it was fitted on, rows `held_out`, `epochs`, `best_epoch`,
    `best_score` (the monitor's value on the held-out rows)."""

    FILE: ClassVar[str] = f"reports/{BAG}"
    STAGE: ClassVar[str] = "train"

    networks: Sequence[Mapping[str, Any]]


@dataclass(frozen=True, kw_only=True)
class Architecture:
    """The network as a graph; shapes are without the rows.

    `tensors`: what is read: `name`, `kind`, `dtype`, `shape`, `columns`; `parts`: in the order of
    the forward pass, see `models.architecture.ArchitecturePart`; `output`: members and outputs;
    `prediction`: what the mean over members gives.
    """

    FILE: ClassVar[str] = f"reports/{ARCHITECTURE}"
    STAGE: ClassVar[str] = "train"

    task: str
    parameters: int
    trainable: int
    tensors: Sequence[Mapping[str, Any]]
    parts: Sequence[Mapping[str, Any]]
    output: Sequence[int]
    prediction: Sequence[int]


@dataclass(frozen=True, kw_only=True)
class Metrics:
    """Metric by name, per part; intervals and baselines are of the test rows."""

    FILE: ClassVar[str] = f"reports/{METRICS}"
    STAGE: ClassVar[str] = "evaluate"

    train: Mapping[str, float]
    val: Mapping[str, float]
    test: Mapping[str, float]
    test_ci95: Mapping[str, Sequence[float]]
    baselines: Mapping[str, Mapping[str, float]]


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """The model against the baselines on the same test rows; see `evaluation.verdict.compare`."""

    FILE: ClassVar[str] = f"reports/{COMPARISON}"
    STAGE: ClassVar[str] = "evaluate"

    metric: str
    outperforms_baselines: bool | None
    text: str
    best_baseline: str | None
    baselines: Mapping[str, Mapping[str, Any]]
    temperature: float
    threshold: float | None
    conformal: Mapping[str, Any]


@dataclass(frozen=True, kw_only=True)
class SliceScores:
    """The slices of the test rows. `reference`: the baseline whose losses on the same rows say
    whether the model is weak there."""

    FILE: ClassVar[str] = f"reports/{SLICES}"
    STAGE: ClassVar[str] = "evaluate"

    metric: str
    reference: str | None
    slices: Sequence[Mapping[str, Any]]


@dataclass(frozen=True, kw_only=True)
class Unusual:
    """Out-of-distribution scores of validation and test rows; `method` is `off` without them.

    `flagged`: part -> share of its rows above the threshold; `shuffled_roc_auc`: how well the
    scores tell test rows from the same rows with each column shuffled, None for a single column;
    `rows`: the most unusual test rows, see `evaluation.out_of_distribution.most_unusual`.
    """

    FILE: ClassVar[str] = f"reports/{OUT_OF_DISTRIBUTION}"
    STAGE: ClassVar[str] = "evaluate"

    method: str
    share: float
    threshold: float | None = None
    flagged: Mapping[str, float | None] = field(default_factory=dict)
    shuffled_roc_auc: float | None = None
    rows: Sequence[Mapping[str, Any]] = ()


@dataclass(frozen=True, kw_only=True)
class Mistakes:
    """The worst mistakes on test rows, as pictures, the worst first; no rows without images.

    `columns` are the image columns that are shown, `others` those that are not; `mistakes`: how
    many there are. Of `rows`, `pictures` has an entry per column: what the model reads, as a data
    URI with its size, or None; `names`: its file, or its size where the data name none.
    """

    FILE: ClassVar[str] = f"reports/{MISTAKES}"
    STAGE: ClassVar[str] = "evaluate"

    columns: Sequence[str]
    others: Sequence[str]
    mistakes: int
    rows: Sequence[Mapping[str, Any]]


@dataclass(frozen=True, kw_only=True)
class CellExplanations:
    """Cells of single rows, explained part by part; see `evaluation.cell_parts`.

    `columns` are those whose cells were opened, `others` those of the same kind whose cells were
    not; a row of `rows` is one cell, the rows that are explained by LIME first; `faithfulness`:
    column -> method -> what the deletion test of its parts says; `absent`: what became of absent
    parts, by column.
    """

    STAGE: ClassVar[str] = "explain"

    of: str
    columns: Sequence[str]
    others: Sequence[str]
    absent: Mapping[str, str]
    rows: Sequence[Mapping[str, Any]]
    faithfulness: Mapping[str, Mapping[str, Any]]
    budget: Mapping[str, Any]


@dataclass(frozen=True, kw_only=True)
class WordExplanations(CellExplanations):
    """Texts, by their words."""

    FILE: ClassVar[str] = f"reports/{WORDS}"


@dataclass(frozen=True, kw_only=True)
class PatchExplanations(CellExplanations):
    """Images, by their patches.

    `picture` of a row is what the model reads, as a data URI; `patches`: method -> values by row
    and column of patches, which end at the pixels `down` and `across`.
    """

    FILE: ClassVar[str] = f"reports/{PATCHES}"


@dataclass(frozen=True, kw_only=True)
class DriftResult:
    """`columns`: per feature `method`, `score`, `threshold`, `drifted`; `chance`: what chance
    alone would give."""

    FILE: ClassVar[str] = f"reports/{DRIFT}"
    STAGE: ClassVar[str] = "drift"

    dataset_drift: bool
    drifted_share: float
    chance: Mapping[str, Any] | None
    rows: Mapping[str, int]
    columns: Mapping[str, Mapping[str, Any]]
    target: Mapping[str, Any]
    prediction: Mapping[str, Any]


@dataclass(frozen=True, kw_only=True)
class ParityResult:
    """How far ONNX Runtime is from torch: the largest difference over all rows and, in `batches`,
    by size of the batch; see `export.parity`. `features`: the same of the network's features, in
    their standard deviations."""

    FILE: ClassVar[str] = f"reports/{PARITY}"
    STAGE: ClassVar[str] = "export"

    rows: int
    max_difference: float | None  # None: a prediction was not finite
    tolerance: float
    passed: bool
    unit: str
    batches: Mapping[str, float | None]
    features: float | None = field(default=None, metadata={ADDED: True})


@dataclass(frozen=True, kw_only=True)
class Registered:
    """The version in the registry and what the gate decided of it; `history`: who moved the alias
    champion, when, why and from which version (`store.moves.Move`). `server`: what came of asking
    the service with it, in words; empty where it was not asked."""

    FILE: ClassVar[str] = f"reports/{REGISTERED}"
    STAGE: ClassVar[str] = "register"

    model: str
    version: str
    run_id: str
    decision: str
    reasons: Sequence[str]
    alias: str
    lineage: Mapping[str, str]
    history: Sequence[Mapping[str, Any]] = field(default=(), metadata={ADDED: True})
    server: str = field(default="", metadata={ADDED: True})


R = TypeVar("R", bound=Record)


def to_json(record: Record) -> dict[str, Any]:
    """The content of a record's file."""
    return {field.name: getattr(record, field.name) for field in fields(record)}


def inside(folder: Path, name: str) -> Path:
    """The file `name` while its folder is written under another name (`manifest.sealed_dir`)."""
    return folder / PurePosixPath(name).name


def write(record: Record, folder: Path) -> Path:
    """Write a record into its folder; returns the file."""
    path = inside(folder, record.FILE)
    write_json(path, to_json(record))
    return path


def read(kind: type[R], root: Path) -> R:
    """Read a record of the checkout `root`.

    Raises:
        StorageError: the file is not there: its stage has not run.
        DataError: the file holds something else.
    """
    try:
        state = read_json(root / kind.FILE)
    except FileNotFoundError:
        raise StorageError(
            f"not there yet: the stage '{kind.STAGE}' writes it",
            file=kind.FILE,
            hint="run `plumbline repro`, from the root of the checkout",
        ) from None
    except ValueError:
        state = None
    try:
        wanted = [f.name for f in fields(kind) if f.name in state or not f.metadata.get(ADDED)]
        return kind(**{name: state[name] for name in wanted})
    except (KeyError, TypeError):
        raise DataError(
            f"is not what the stage '{kind.STAGE}' writes",
            file=kind.FILE,
            hint=f"run `plumbline {kind.STAGE}`",
        ) from None


def write_split(index: SplitIndex, folder: Path) -> None:
    """The part of each row and its part in each fold, as columns `row`, `part`, `fold_0` …, and
    `bag` where the model is one."""
    folds = {f"fold_{k}": index.folds[:, k] for k in range(index.folds.shape[1])}
    rows = np.arange(len(index.part), dtype=np.uint32)
    bag = {} if index.bag is None else {"bag": index.bag}
    frame = pl.DataFrame({"row": rows, "part": index.part, **folds, **bag})
    frame.write_parquet(folder / SPLIT_INDEX, compression="zstd")


def read_split(folder: Path) -> SplitIndex:
    """What `write_split` wrote."""
    frame = pl.read_parquet(folder / SPLIT_INDEX)
    folds: ByteArray = frame.select(pl.col("^fold_.*$")).to_numpy()
    bag = frame["bag"].to_numpy() if "bag" in frame.columns else None
    return SplitIndex(part=frame["part"].to_numpy(), folds=folds, bag=bag)


def read_spec(folder: Path) -> InputSpec:
    """What the prepared examples in a folder hold."""
    return InputSpec.from_json(read_json(folder / INPUT_SPEC))
