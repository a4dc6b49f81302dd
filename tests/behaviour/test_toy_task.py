"""Two more tasks, registered here alone, go through every stage.

`quantiles` predicts three quantiles of a number, `counts` the mean of a Poisson count. Each takes
entries in dicts, those that docs/architecture.md names: nothing in `src` knows of them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
import torch
import yaml
from numpy.testing import assert_allclose
from sklearn.ensemble import HistGradientBoostingRegressor
from sklearn.linear_model import PoissonRegressor
from torch import Tensor

from plumbline.config import Config, Paths
from plumbline.config.load import load_config
from plumbline.evaluation.baselines import BASELINES, REGRESSORS, baselines_of
from plumbline.evaluation.conformal import CONFORMAL, Method, State, measure_intervals
from plumbline.evaluation.curves import CURVES
from plumbline.evaluation.metrics import METRICS, Metric
from plumbline.evaluation.metrics.weighted import Statistic, mean_of
from plumbline.export.weights_file import read_graph
from plumbline.files import read_json
from plumbline.inference.decided import CONFORMAL_COLUMNS
from plumbline.inference.decision import Decision
from plumbline.inference.onnx_predictor import OnnxPredictor
from plumbline.kinds import TASKS, DoubleArray, Part, TargetKind, Task, TaskSpec
from plumbline.models import TO_PREDICTION
from plumbline.report.sections.errors import residuals
from plumbline.report.sections.evaluation import PAGE_PARTS
from plumbline.stages import STAGES, load_stage
from plumbline.stages.inputs import load_part
from plumbline.store.bundle import load_bundle
from plumbline.training.batches import Rows
from plumbline.training.curve import CONSTANTS
from plumbline.training.losses import LOSSES
from plumbline.words import METRIC_WORDS, TASK_WORDS, MetricWord, TaskWords

pytestmark = [
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),  # of mlflow's own imports
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]
ROOT = Path(__file__).parents[2]
ROWS = 400
LEVELS = np.array([0.1, 0.5, 0.9])
QUANTILES, COUNTS = Task("quantiles"), Task("counts")


# --- quantiles: three values per row, the middle one counts


def pinball(output: Tensor, y: Tensor, config: object) -> Tensor:
    """(B, K, 3), (B,) to (B,)."""
    error = y[:, None, None] - output
    level = torch.tensor(LEVELS, dtype=output.dtype)
    return torch.maximum(level * error, (level - 1) * error).mean((1, 2))


def constant_quantiles(rows: Rows, outputs: int) -> Tensor:
    return torch.quantile(rows.y, torch.tensor(LEVELS, dtype=torch.float32))


def pinball_score(y: Any, p: DoubleArray, threshold: float | None) -> Statistic:
    error = np.asarray(y, dtype=np.float64)[:, None] - p
    return mean_of(np.maximum(LEVELS * error, (LEVELS - 1) * error).mean(axis=1))


def sample_quantiles(train: Any, spec: Any, seed: int) -> Callable[[Any], DoubleArray]:
    constant = np.quantile(train.y, LEVELS)
    return lambda rows: np.tile(constant, (len(rows), 1))


def fit_margin(y: Any, p: DoubleArray, k: int) -> dict[str, float | None]:
    """Conformalized quantile regression (Romano et al. 2019)."""
    outside = np.sort(np.maximum(p[:, 0] - y, y - p[:, 2]))
    return {"margin": float(outside[k - 1]) if k <= len(y) else None}


def between(state: State, p: DoubleArray) -> dict[str, DoubleArray]:
    margin = np.nan if state["margin"] is None else state["margin"]
    return {"low": p[:, 0] - margin, "high": p[:, 2] + margin}


# --- counts: one positive value per row, the exponential of the model's output


def poisson(output: Tensor, y: Tensor, config: object) -> Tensor:
    """(B, K, 1), (B,) to (B,)."""
    log_mean = output.squeeze(-1)
    return (log_mean.exp() - y[:, None] * log_mean).mean(1)


def constant_count(rows: Rows, outputs: int) -> Tensor:
    return (rows.weight * rows.y).sum().div(rows.total_weight).log()[None]


def deviance(y: Any, p: DoubleArray, threshold: float | None) -> Statistic:
    y, mean = np.asarray(y, dtype=np.float64), p[:, 0]
    return mean_of(2 * (y * np.log(np.where(y > 0, y, 1) / mean) - y + mean))


def fit_standardized(y: Any, p: DoubleArray, k: int) -> dict[str, float | None]:
    residuals = np.sort(np.abs(y - p[:, 0]) / np.sqrt(p[:, 0]))
    return {"deviations": float(residuals[k - 1]) if k <= len(y) else None}


def around(state: State, p: DoubleArray) -> dict[str, DoubleArray]:
    deviations = np.nan if state["deviations"] is None else state["deviations"]
    half = deviations * np.sqrt(p[:, 0])
    return {"low": np.maximum(p[:, 0] - half, 0), "high": p[:, 0] + half}


# --- what each adds


@dataclass(frozen=True, kw_only=True)
class Toy:
    """A task's entries: dict name -> (dict, key, value); its data; baselines that it has."""

    task: Task
    y: Callable[[np.random.Generator, DoubleArray], DoubleArray]
    baselines: list[str]
    width: int
    entries: Mapping[str, tuple[dict[Any, Any], Any, Any]]


def words(label: str, prediction: str, output: str) -> TaskWords:
    return TaskWords(
        label=label,
        prediction=prediction,
        output=output,
        in_a_sentence=f"the {output} of {{target}}",
        unit="{target}",
        size="mean width",
    )


def number_task(loss: str, metric: str, outputs: int, column: int, scaled: bool) -> TaskSpec:
    return TaskSpec(
        target=TargetKind.NUMBERS,
        losses=(loss,),
        metrics=(metric,),
        metric=metric,
        outputs=outputs,
        column=column,
        scaled=scaled,
    )


def interval_method(name: str, fit: Any, ends: Any) -> Method:
    return Method(
        name=name,
        fit=fit,
        columns=ends,
        measure=lambda state, y, p: measure_intervals(ends(state, p), y),
    )


def interval_columns(ends: Any) -> Any:
    """Of raw rows that a version answers."""
    return lambda state, p, classes: {n: pl.Series(v) for n, v in ends(state, p).items()}


POISSON_MODELS = replace(
    REGRESSORS,
    linear=lambda steps: PoissonRegressor(max_iter=steps),
    trees=partial(HistGradientBoostingRegressor, loss="poisson"),
)
TOYS = [
    Toy(
        task=QUANTILES,
        y=lambda rng, x: 10 + 5 * x + (1 + x**2) * rng.standard_t(4, len(x)),
        baselines=["majority"],
        width=3,
        entries={
            "TASKS": (TASKS, QUANTILES, number_task("pinball", "pinball", 3, 1, True)),
            "TASK_WORDS": (
                TASK_WORDS,
                QUANTILES,
                words("quantile regression", "0.1, 0.5 and 0.9 quantile", "median"),
            ),
            "METRIC_WORDS": (
                METRIC_WORDS,
                "pinball",
                MetricWord(label="pinball loss", greater_is_better=False, unit=False),
            ),
            "TO_PREDICTION": (TO_PREDICTION, QUANTILES, lambda o: o.mean(1).sort(dim=1).values),
            "LOSSES": (LOSSES, "pinball", pinball),
            "CONSTANTS": (CONSTANTS, "pinball", constant_quantiles),
            "METRICS": (
                METRICS,
                "pinball",
                Metric(statistic=pinball_score, greater_is_better=False, relative=True),
            ),
            "BASELINES": (BASELINES, QUANTILES, {"majority": sample_quantiles}),
            "CONFORMAL": (CONFORMAL, QUANTILES, interval_method("cqr", fit_margin, between)),
            "CONFORMAL_COLUMNS": (CONFORMAL_COLUMNS, "cqr", interval_columns(between)),
            "CURVES": (CURVES, QUANTILES, {}),
            "PAGE_PARTS": (PAGE_PARTS, QUANTILES, (residuals,)),
        },
    ),
    Toy(
        task=COUNTS,
        y=lambda rng, x: rng.poisson(np.exp(0.7 * x + 0.5)).astype(np.float64),
        baselines=["majority", "linear", "gradient_boosting"],
        width=1,
        entries={
            "TASKS": (TASKS, COUNTS, number_task("poisson", "deviance", 1, 0, False)),
            "TASK_WORDS": (TASK_WORDS, COUNTS, words("count regression", "mean", "mean")),
            "METRIC_WORDS": (
                METRIC_WORDS,
                "deviance",
                MetricWord(label="Poisson deviance", greater_is_better=False, unit=False),
            ),
            "TO_PREDICTION": (TO_PREDICTION, COUNTS, lambda o: o.exp().mean(1)),
            "LOSSES": (LOSSES, "poisson", poisson),
            "CONSTANTS": (CONSTANTS, "poisson", constant_count),
            "METRICS": (
                METRICS,
                "deviance",
                Metric(statistic=deviance, greater_is_better=False, relative=True),
            ),
            "BASELINES": (BASELINES, COUNTS, baselines_of(POISSON_MODELS)),
            "CONFORMAL": (
                CONFORMAL,
                COUNTS,
                interval_method("standardized", fit_standardized, around),
            ),
            "CONFORMAL_COLUMNS": (CONFORMAL_COLUMNS, "standardized", interval_columns(around)),
            "CURVES": (CURVES, COUNTS, {}),
            "PAGE_PARTS": (PAGE_PARTS, COUNTS, (residuals,)),
        },
    ),
]


def checkout(root: Path, toy: Toy) -> tuple[Config, Paths]:
    """`x` drives the target, `noise` and `group` do not."""
    paths, rng = Paths(root), np.random.default_rng(0)
    x = rng.normal(size=ROWS)
    paths.data.mkdir(parents=True)
    frame = pl.DataFrame(
        {
            "x": x,
            "noise": rng.normal(size=ROWS),
            "group": rng.choice(["a", "b"], ROWS),
            "y": toy.y(rng, x),
        }
    )
    frame.write_csv(paths.data / "t.csv")
    expectations = {
        "x": {"type": "number"},
        "noise": {"type": "number"},
        "group": {"type": "category"},
        "y": {"type": "number", "role": "target"},
    }
    paths.expectations.write_text(yaml.safe_dump({"columns": expectations}, sort_keys=False))
    rate = {"type": "float", "low": 0.01, "high": 0.04, "log": True}
    decay = {"type": "float", "low": 1e-6, "high": 1e-3, "log": True}
    space = {"train.learning_rate": rate, "train.weight_decay": decay}
    params = {
        "seed": 0,
        "data": {"name": "toy", "path": "data/t.csv", "target": "y", "task": str(toy.task)},
        "split": {"folds": 2},
        "model": {"name": "mlp", "width": 16, "depth": 1},
        "tune": {"trials": 1, "epochs": 2, "space": space},
        "train": {
            "epochs": 20,
            "batch_size": 32,
            "learning_rate": "tuned",
            "learning_curve": [],
        },
        "evaluate": {"bootstrap": 50, "baselines": toy.baselines},
        "explain": {"rows": 8, "background": 10, "lime_rows": 1, "faithfulness_rows": 4},
        "register": {"ask_server": False},  # another process, which knows no such task
    }
    paths.params.write_text(yaml.safe_dump(params, sort_keys=False))
    return load_config(paths.params), paths


@pytest.mark.parametrize("toy", TOYS, ids=[str(toy.task) for toy in TOYS])
def test_it_goes_through_every_stage(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, toy: Toy
) -> None:
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    for mapping, key, value in toy.entries.values():
        monkeypatch.setitem(mapping, key, value)
    metric = toy.task.spec.metric
    config, paths = checkout(tmp_path, toy)
    for stage in STAGES:
        load_stage(stage)(config, paths)

    assert read_json(paths.prepared / "spec.json")["task"] == toy.task
    metrics = read_json(paths.reports / "metrics.json")
    assert list(metrics["test"]) == [metric] and list(metrics["baselines"]) == toy.baselines
    assert metrics["test"][metric] < 0.8 * metrics["baselines"]["majority"][metric]
    training = read_json(paths.reports / "training" / "summary.json")
    assert training["monitor"] == metric
    numbers = training["verdict"]["numbers"]
    assert numbers["val_loss"] < numbers["constant_loss"]
    conformal = read_json(paths.reports / "evaluation" / "verdict.json")["conformal"]
    assert 0.75 < conformal["coverage"] <= 1
    table = pl.read_parquet(paths.reports / "evaluation" / "predictions.parquet")
    assert table.select(pl.col("predicted").is_between("low", "high").all()).item()
    importance = read_json(paths.reports / "explain" / "importance.json")
    assert next(iter(importance["columns"])) == "x"
    assert read_json(paths.reports / "register.json")["decision"] == "first"
    page, label = (paths.reports / "index.html").read_text(), TASK_WORDS[toy.task].label
    assert label in page and METRIC_WORDS[metric].label in page and "Residuals" in page

    bundle, decision = load_bundle(paths.model), Decision.read(paths.decision)
    scaled = any(".inverse." in name for name in bundle.model.state_dict())  # in each network
    assert scaled == toy.task.spec.scaled
    graph = OnnxPredictor(read_graph(paths.onnx / "model.onnx"))
    inputs = load_part(paths, Part.TEST).inputs
    prediction = graph(inputs)
    assert_allclose(prediction, bundle.predictor(decision)(inputs), rtol=1e-4, atol=1e-4)
    assert prediction.shape[1] == toy.width and (np.diff(prediction, axis=1) >= 0).all()
    assert read_json(paths.onnx / "contract.json")["output"]["shape"] == ["rows", toy.width]


@pytest.mark.parametrize("toy", TOYS, ids=[str(toy.task) for toy in TOYS])
def test_the_docs_name_every_entry(toy: Toy) -> None:
    text = (ROOT / "docs" / "architecture.md").read_text()
    (row,) = [part for part in text.split("\n- ") if part.startswith("**task**")]
    assert all(f"`{name}`" in row for name in toy.entries)
