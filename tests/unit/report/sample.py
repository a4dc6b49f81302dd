"""Plausible reports of a whole run, for every task, without running one."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from tests.made import spec_of

from plumbline.artifacts import to_json
from plumbline.config import Config
from plumbline.config.load import parse_config
from plumbline.config.model import ModelConfig
from plumbline.images import as_data_uri
from plumbline.kinds import Task
from plumbline.models import build_on_meta
from plumbline.models.architecture import describe

CLASSES = {
    "binary": ["benign", "malignant"],
    "multiclass": ["spruce", "pine", "willow", "aspen", "fir"],
    "regression": [],
}


def config(task: str = "binary", **data: Any) -> Config:
    """Parameters of the sample run."""
    section = {"name": "sample", "path": "data/sample.csv", "target": "diagnosis", "task": task}
    if task == "binary":
        section["positive"] = "malignant"
    space = {
        "train.learning_rate": {"type": "float", "low": 1e-4, "high": 1e-2, "log": True},
        "train.weight_decay": {"type": "float", "low": 1e-6, "high": 1e-2, "log": True},
    }
    return parse_config({"seed": 0, "data": {**section, **data}, "tune": {"space": space}})


def write_sample(
    folder: Path,
    task: str = "binary",
    *,
    classes: list[str] | None = None,
    columns: list[str] | None = None,
    rows: int = 120,
    seed: int = 0,
) -> Path:
    """Everything the stages write to `reports/`, into `folder`; returns it.

    `rows` are test rows; `classes` and `columns` replace the names that the sample has.
    """
    rng = np.random.default_rng(seed)
    names = CLASSES[task] if classes is None else classes
    features = columns or [f"{part} {what}" for part in PARTS_OF for what in MEASURES]
    made = Made(folder, rng, task, names, features, rows)
    for write in (
        _validation,
        _columns,
        _split,
        _tuning,
        _training,
        _metrics,
        _evaluation,
        _explain,
        _drift,
        _gates,
    ):
        write(made)
    return folder


PARTS_OF = ("radius", "texture", "area", "concavity")
MEASURES = ("mean", "error", "worst")
METRICS = {
    "binary": [
        "accuracy",
        "balanced_accuracy",
        "precision",
        "recall",
        "f1",
        "roc_auc",
        "average_precision",
    ],
    "multiclass": ["accuracy", "balanced_accuracy", "precision", "recall", "f1", "roc_auc"],
    "regression": [],
}


class Made:
    """Where the sample goes, and what it is of."""

    def __init__(
        self,
        folder: Path,
        rng: np.random.Generator,
        task: str,
        classes: list[str],
        columns: list[str],
        rows: int,
    ) -> None:
        self.folder, self.rng, self.task = folder, rng, task
        self.classes, self.columns, self.rows = classes, columns, rows
        self.metric = {"binary": "roc_auc", "multiclass": "accuracy", "regression": "rmse"}[task]
        if task == "regression":
            self.actual = rng.lognormal(12, 0.4, rows)
            self.predicted = self.actual * rng.lognormal(0, 0.12, rows)
        else:
            self.labels = rng.integers(0, len(classes), rows)
            logits = rng.normal(0, 1, (rows, len(classes)))
            logits[np.arange(rows), self.labels] += 3
            self.prob = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
            self.predicted = self.prob.argmax(1)

    def json(self, name: str, content: Any) -> None:
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(content, ensure_ascii=False), encoding="utf-8")

    def csv(self, name: str, columns: dict[str, Any]) -> None:
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        pl.DataFrame(columns).write_csv(path)

    def parquet(self, name: str, columns: dict[str, Any]) -> None:
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        pl.DataFrame(columns).write_parquet(path)


def _validation(made: Made) -> None:
    failed = {
        "column": made.columns[0],
        "expectation": "expect_column_values_to_be_between",
        "severity": "warning",
        "observed": 31.2,
        "unexpected_count": 2,
        "detail": "2 values outside 6.98 to 28.1",
        "examples": [31.2, 30.1],
    }
    made.json(
        "validation/result.json",
        {"success": True, "evaluated": 94, "rows": 5 * made.rows, "failed": [failed]},
    )
    made.parquet(
        "validation/failing_rows.parquet",
        {
            "row": [3, 8],
            "column": [made.columns[0]] * 2,
            "expectation": ["between"] * 2,
            "value": ["31.2", "30.1"],
        },
    )
    (made.folder / "validation/index.html").write_text("<p>Great Expectations</p>")


def _columns(made: Made) -> None:
    rows, target = 5 * made.rows, "diagnosis"
    number = {"type": "number", "role": "feature", "missing": 0, "min": 6.981, "max": 28.11}
    columns = [{"name": c, **number, "median": 13.37} for c in made.columns]
    columns[0]["missing"] = rows // 8
    entry = {"name": target, "role": "target", "missing": 0}
    if made.task == "regression":
        columns.append({**entry, "type": "number", "min": 1.2e4, "median": 1.6e5, "max": 7.5e5})
    else:
        values = [{"value": c, "rows": rows // len(made.classes)} for c in made.classes]
        columns.append(
            {**entry, "type": "category", "distinct": len(made.classes), "values": values}
        )
    histogram = {"low": 1.2e4, "high": 7.5e5, "counts": made.rng.integers(0, 50, 30).tolist()}
    made.json(
        "validation/columns.json",
        {
            "rows": rows,
            "test_file_rows": 0,
            "columns": columns,
            "target": {"name": target, "histogram": histogram},
        },
    )


def _split(made: Made) -> None:
    total, rows = 5 * made.rows, made.rows
    counts = {"train": total - 2 * rows, "val": rows, "test": rows}
    bins = 30
    order = made.rng.multinomial(total // bins, [0, 0.6, 0.2, 0.2], bins).tolist()

    def target(n: int) -> dict[str, float]:
        if made.task == "regression":
            return {"mean": 180_000.0, "std": 79_000.0, "min": 12_000.0, "max": 755_000.0}
        return {name: n // len(made.classes) for name in made.classes}

    summary = {
        "method": "stratified",
        "folds_method": "stratified_kfold",
        "rows": total,
        "unused": 0,
        "parts": {
            p: {"rows": n, "share": n / total, "target": target(n)} for p, n in counts.items()
        },
        "folds": [{"train": 2 * rows, "val": rows // 2}] * 5,
        "classes": None if made.task == "regression" else {"rare": {}},
        "groups": None,
        "order": {"by": "row", "parts": order, "folds": [order] * 3},
        "dropped_columns": {made.columns[-1]: "giveaway: it gives the target away"},
    }
    made.json("split/summary.json", summary)
    finding = {
        "check": "duplicates",
        "columns": made.columns,
        "rows": [4, 17],
        "row_count": 2,
        "detail": "2 held-out rows (1.67%) equal 2 rows of an earlier part in every feature",
        "severity": "warning",
        "hint": "set split.keep_duplicates_together: true",
        "policy": "warn",
    }
    made.json("leakage.json", {"clean": False, "findings": [finding]})


def _tuning(made: Made) -> None:
    n = 24
    value = made.rng.beta(8, 2, n) * (1 if made.task != "regression" else 40_000)
    pruned = made.rng.random(n) < 0.25
    made.csv(
        "tuning/trials.csv",
        {
            "number": np.arange(n),
            "state": np.where(pruned, "pruned", "complete"),
            "value": np.where(pruned, np.nan, value),
            "train.learning_rate": 10 ** made.rng.uniform(-4, -2, n),
            "train.weight_decay": 10 ** made.rng.uniform(-6, -2, n),
            "fold_0": value,
            "fold_1": value,
        },
    )
    made.json(
        "tuning/summary.json",
        {
            "metric": made.metric,
            "score": float(value.max()),
            "std_error": 0.004,
            "values": {"train.learning_rate": 0.00312, "train.weight_decay": 1.2e-5},
            "importance": {"train.learning_rate": 0.81, "train.weight_decay": 0.19},
            "sampler": "tpe",
            "pruner": "median",
            "folds": 5,
            "trials": n,
            "inside_noise": 3,
            "gain_over_default": {"mean": 0.012, "std_error": 0.005},
        },
    )


def _training(made: Made) -> None:
    epochs = np.arange(1, 41)
    fall = np.exp(-epochs / 9)
    made.csv(
        "training/curves.csv",
        {
            "epoch": epochs,
            "learning_rate": np.full(40, 0.003),
            "train_loss": 0.05 + 0.6 * fall + made.rng.normal(0, 0.004, 40),
            "val_loss": 0.09 + 0.6 * fall + 0.0006 * epochs + made.rng.normal(0, 0.006, 40),
            f"val_{made.metric}": 0.99 - 0.3 * fall,
        },
    )
    rates = 10.0 ** np.linspace(-6, 0, 120)
    made.csv(
        "training/learning_rate.csv",
        {"learning_rate": rates, "loss": 0.7 - 0.4 / (1 + (0.002 / rates) ** 2) + 3 * rates**2},
    )
    architecture = _architecture(made)
    made.json("training/architecture.json", architecture)
    made.json(
        "training/summary.json",
        {
            "model": "mlp",
            "parameters": architecture["parameters"],
            "values": {"train.learning_rate": 0.00312},
            "epochs": 40,
            "best_epoch": 26,
            "stopped_early": True,
            "monitor": made.metric,
            "best_score": 0.9912,
            "proposed_learning_rate": 0.00135,
            "verdict": {
                "fit": "balanced",
                "more_rows": "unknown",
                "text": [
                    "Balanced: training loss 8%, validation loss 12% of a constant prediction's; "
                    "the gap is small.",
                    "Whether more rows would help is within noise.",
                ],
                "numbers": {"train_loss": 0.05, "val_loss": 0.09},
            },
            "learning_curve": [
                {"rows": 90, "val_loss": 0.21, "low": 0.17, "high": 0.25},
                {"rows": 180, "val_loss": 0.11, "low": 0.08, "high": 0.14},
                {"rows": 360, "val_loss": 0.09, "low": 0.09, "high": 0.09},
            ],
        },
    )


def _architecture(made: Made) -> dict[str, Any]:
    """What the stage writes of a small network over the sample's columns."""
    task = Task.of(made.task)
    spec = spec_of(task=task, num_names=tuple(made.columns), classes=tuple(made.classes))
    config = ModelConfig(
        name="tabm_mini", number_embedding="periodic", width=64, depth=4, members=4
    )
    return to_json(describe(build_on_meta(config, spec), spec))


def _scores(made: Made, shift: float) -> dict[str, float]:
    if made.task == "regression":
        return {
            "mae": 16_400.0 - 9e4 * shift,
            "mse": 6.1e8,
            "rmse": 24_700.0 - 9e4 * shift,
            "r2": 0.91 + shift,
            "mape": 0.09,
        }
    good = dict.fromkeys(METRICS[made.task], 0.962 + shift)
    return {**good, "log_loss": 0.101 - shift, "brier": 0.031, "ece": 0.018}


def _metrics(made: Made) -> None:
    test = _scores(made, 0.0)
    made.json(
        "metrics.json",
        {
            "train": _scores(made, 0.02),
            "val": _scores(made, 0.01),
            "test": test,
            "test_ci95": {k: [v - 0.015 * abs(v), v + 0.012 * abs(v)] for k, v in test.items()},
            "baselines": {
                "majority": _scores(made, -0.46),
                "linear": _scores(made, -0.03),
                "gradient_boosting": _scores(made, -0.005),
            },
        },
    )


def _evaluation(made: Made) -> None:
    rows = {"row": np.arange(made.rows, dtype=np.uint32), "part": ["test"] * made.rows}
    if made.task == "regression":
        half = 40_000.0
        made.parquet(
            "evaluation/predictions.parquet",
            {
                **rows,
                "actual": made.actual,
                "predicted": made.predicted,
                "low": made.predicted - half,
                "high": made.predicted + half,
            },
        )
        for name, columns in (
            ("roc", ("false_positive_rate", "true_positive_rate")),
            ("pr", ("recall", "precision")),
            ("baseline_roc", ("model", "false_positive_rate", "true_positive_rate")),
            ("baseline_pr", ("model", "recall", "precision")),
            ("calibration", ("predicted", "observed", "low", "high", "rows")),
            ("confusion", ("actual", "predicted")),
        ):
            made.csv(f"evaluation/{name}.csv", {c: [] for c in columns})
    else:
        actual = [made.classes[i] for i in made.labels]
        predicted = [made.classes[i] for i in made.predicted]
        probabilities = {f"p_{c}": made.prob[:, i] for i, c in enumerate(made.classes)}
        made.parquet(
            "evaluation/predictions.parquet",
            {**rows, "actual": actual, "predicted": predicted, **probabilities},
        )
        made.csv("evaluation/confusion.csv", {"actual": actual, "predicted": predicted})
        t = np.linspace(0, 1, 200)
        made.csv(
            "evaluation/roc.csv",
            {"false_positive_rate": t, "true_positive_rate": t**0.12},
        )
        made.csv("evaluation/pr.csv", {"recall": t, "precision": 1 - 0.6 * t**9})
        names = np.repeat(["majority", "linear", "gradient_boosting"], 200)
        three = np.tile(t, 3)
        made.csv(
            "evaluation/baseline_roc.csv",
            {"model": names, "false_positive_rate": three, "true_positive_rate": three**0.2},
        )
        made.csv(
            "evaluation/baseline_pr.csv",
            {"model": names, "recall": three, "precision": 1 - 0.7 * three**8},
        )
        p = np.linspace(0.04, 0.97, 9)
        values = np.clip(p + made.rng.normal(0, 0.04, 9), 0, 1)
        made.csv(
            "evaluation/calibration.csv",
            {
                "predicted": p,
                "observed": values,
                "low": np.clip(values - 0.08, 0, 1),
                "high": np.clip(values + 0.08, 0, 1),
                "rows": np.full(9, made.rows // 9),
            },
        )

    made.json("evaluation/mistakes.json", mistakes_of(made.classes))
    _verdict(made)


def _verdict(made: Made) -> None:
    better = -1 if made.task == "regression" else 1
    conformal = {"promised": 0.9, "coverage": 0.917, "mean_size": 1.08}
    made.json(
        "evaluation/verdict.json",
        {
            "metric": made.metric,
            "outperforms_baselines": False,
            "text": "The deep model is not significantly better than a simpler baseline.",
            "best_baseline": "gradient_boosting",
            "baselines": {
                name: {
                    "verdict": verdict,
                    "difference": better * gain,
                    "ci95": [better * gain - 0.011, better * gain + 0.011],
                    "p_value": 0.002,
                    "error_reduction": 0.3,
                    "small": False,
                    "text": "In words.",
                }
                for name, verdict, gain in (
                    ("majority", "better", 0.46),
                    ("linear", "better", 0.03),
                    ("gradient_boosting", "within noise", 0.005),
                )
            },
            "temperature": 1.3 if made.classes else 1.0,
            "threshold": 0.42 if made.task == "binary" else None,
            "conformal": conformal,
        },
    )
    made.json(
        "evaluation/out_of_distribution.json",
        {
            "method": "mahalanobis",
            "share": 0.01,
            "threshold": 1.34,
            "flagged": {"val": 0.009, "test": 0.018},
            "shuffled_roc_auc": 0.94,
            "rows": [
                {
                    "row": 10 + i,
                    "score": 4.0 - i,
                    "distance": 1.6,
                    "column": column,
                    "value": "12.5",
                    "excess": 2.4 - i,
                    "reason": "above the range",
                }
                for i, column in enumerate(made.columns[:2])
            ]
            + [{"row": 4, "score": 1.2, "distance": 1.2}],
        },
    )
    made.json(
        "evaluation/slices.json",
        {
            "metric": made.metric,
            "reference": "gradient_boosting",
            "slices": [
                {
                    "column": column,
                    "value": f"≤ {i + 0.5}",
                    "rows": 30 + i,
                    "score": 0.9 + 0.004 * i,
                    "ci95": [0.85 + 0.004 * i, 0.94 + 0.004 * i],
                    "difference": -0.06 + 0.004 * i,
                    "worse": i == 0,
                    "loss": {
                        "name": "log_loss" if made.classes else "mse",
                        "model": 0.3 - 0.004 * i,
                        "reference": 0.25,
                        "rise": 0.2 - 0.016 * i,
                        "p_value": 0.004 if i == 0 else 1.0,
                    },
                    "metrics": {},
                }
                for i, column in enumerate(made.columns)
            ],
        },
    )


def picture_of(seed: int = 0, channels: int = 3, side: int = 12) -> dict[str, Any]:
    """Noise, as a stage writes it."""
    pixels = np.random.default_rng(seed).integers(1, 256, (channels, side, side), dtype=np.uint8)
    return {"height": side, "width": side, "picture": as_data_uri(pixels, 96)}


def mistakes_of(classes: list[str]) -> dict[str, Any]:
    """mistakes.json of two image columns; of the second row the second image is missing."""
    of_classes = {
        "actual": classes[0] if classes else 181_000.0,
        "predicted": classes[-1] if classes else 176_500.0,
        **({"probability": 0.97, "probability_of_actual": 0.01} if classes else {}),
    }
    pairs = [[picture_of(1), picture_of(2, 1)], [picture_of(3), None]]
    rows = [{"row": 5 + i, **of_classes, "pictures": pair} for i, pair in enumerate(pairs)]
    rows[0]["names"], rows[1]["names"] = ["photos/7.png", "1234 bytes"], ["a" * 80 + "8.png", None]
    return {"columns": ["photo", "scan"], "others": [], "mistakes": 9, "rows": rows}


def patches_of(classes: list[str]) -> dict[str, Any]:
    """patches.json of one image; the patch in the second row and third column counts most."""
    values = np.random.default_rng(0).normal(0, 0.05, (4, 4))
    values[1, 2] = 0.5
    return {
        **words_of(classes),
        "columns": ["photo"],
        "absent": {"photo": "mean of the training images"},
        "rows": [
            {
                **{k: v for k, v in words_of(classes)["rows"][0].items() if k != "words"},
                "column": "photo",
                "without_patches": 0.13,
                **picture_of(),
                "down": [0, 3, 6, 9, 12],
                "across": [0, 3, 6, 9, 12],
                "patches": {"shap": values.tolist(), "saliency": np.abs(values).tolist()},
            }
        ],
        "faithfulness": {"photo": words_of(classes)["faithfulness"]["message"]},
    }


def words_of(classes: list[str], text: str = "Win a FREE prize, call now") -> dict[str, Any]:
    """words.json of one text, the third word of which counts most."""
    words, at = [], 0
    for k, word in enumerate(text.split(" ")):
        value = 0.5 if k == 2 else 0.3 * (-0.5) ** k
        values = {"shap": value, "lime": value / 2, "saliency": abs(value)}
        words.append({"text": word, "start": at, "end": at + len(word), "known": True, **values})
        at += len(word) + 1
    test = {
        "rows": 20,
        "area": 0.8,
        "random": 0.6,
        "reversed": 0.3,
        "rows_better_than_random": 19,
        "verdict": "faithful",
    }
    return {
        "of": "probability",
        "columns": ["message"],
        "others": [],
        "absent": {"message": "unknown token"},
        "rows": [
            {
                "row": 17,
                "column": "message",
                "reason": "the mistake with the highest probability",
                "actual": classes[0] if classes else 1.0,
                "predicted": classes[-1] if classes else 2.0,
                "class": classes[-1] if classes else None,
                "prediction": 0.97,
                "without_words": 0.13,
                "std_error": 0.001,
                "r2": 0.8,
                "characters": at - 1,
                "characters_read": at - 1,
                "words": words,
            }
        ],
        "faithfulness": {"message": {"shap": test, "lime": test, "saliency": test}},
        "budget": {
            "rows": {"requested": 20, "used": 20, "limited_by": None},
            "permutations": 64,
        },
    }


def _explain(made: Made) -> None:
    weight = np.sort(made.rng.exponential(0.1, len(made.columns)))[::-1]
    ranking = {name: float(w) for name, w in zip(made.columns, weight, strict=True)}
    other = dict(sorted(ranking.items(), key=lambda item: -item[1] * made.rng.uniform(0.5, 1)))
    n = min(made.rows, 200)
    made.json(
        "explain/importance.json",
        {
            "of": "probability of 'malignant'",
            "rows": n,
            "background": 100,
            "exact": False,
            "permutations": 400,
            "std_error": 0.0004,
            "budget": {
                "rows": {"requested": 200, "used": n, "limited_by": f"{n} test rows"},
                "background": {"requested": 100, "used": 100, "limited_by": None},
                "lime_rows": {"requested": 5, "used": 5, "limited_by": None},
                "lime_samples": {"requested": 1000, "used": 1000, "limited_by": None},
                "faithfulness_rows": {"requested": 100, "used": 100, "limited_by": None},
            },
            "columns": ranking,
            "methods": {"integrated_gradients": other, "saliency": other, "lime": other},
        },
    )
    values = {name: made.rng.normal(0, w, n) for name, w in ranking.items()}
    made.parquet("explain/shap.parquet", {"row": np.arange(n, dtype=np.uint32), **values})
    made.json(
        "explain/lime.json",
        {
            "of": "probability of 'malignant'",
            "rows": [
                {
                    "row": 17 * i,
                    "reason": "drawn at random",
                    "actual": made.classes[0] if made.classes else 181_000.0,
                    "predicted": made.classes[-1] if made.classes else 176_500.0,
                    "class": made.classes[-1] if made.classes else None,
                    "prediction": 0.97,
                    "local_prediction": 0.91,
                    "intercept": 0.4,
                    "r2": 0.71,
                    "agreement_with_shap": 0.93,
                    "weights": {k: float(v[i]) for k, v in values.items()},
                    "values": {k: 0.147 * j for j, k in enumerate(values)},
                }
                for i in range(5)
            ],
        },
    )
    made.json("explain/words.json", words_of(made.classes))
    made.json("explain/patches.json", patches_of(made.classes))
    made.json(
        "explain/faithfulness.json",
        {
            method: {
                "rows": 100,
                "area": area,
                "random": 0.52,
                "reversed": 0.31,
                "gain": area - 0.52,
                "std_error": 0.01,
                "rows_better_than_random": 88,
                "verdict": verdict,
            }
            for method, area, verdict in (
                ("shap", 0.78, "faithful"),
                ("saliency", 0.53, "no better than a random ranking"),
                ("lime", 0.41, "misleading: worse than a random ranking"),
            )
        },
    )


def _drift(made: Made) -> None:
    columns = {
        name: {
            "method": "K-S p_value",
            "score": float(score),
            "threshold": 0.05,
            "drifted": bool(score < 0.05),
            "missing": {"reference": 0.0, "current": 0.0},
        }
        for name, score in zip(made.columns, made.rng.random(len(made.columns)), strict=True)
    }
    share = float(np.mean([c["drifted"] for c in columns.values()]))
    made.json(
        "drift/result.json",
        {
            "dataset_drift": share > 0.5,
            "drifted_share": share,
            "chance": {
                "tested": len(columns),
                "drifted": round(share * len(columns)),
                "threshold": 0.05,
                "expected": 0.05 * len(columns),
                "at_most": 2,
                "exceeded": round(share * len(columns)) > 2,
            },
            "rows": {"reference": 3 * made.rows, "current": made.rows},
            "columns": columns,
            "target": columns[made.columns[0]],
            "prediction": columns[made.columns[-1]],
        },
    )
    (made.folder / "drift/index.html").write_text("<p>Evidently</p>")


def _gates(made: Made) -> None:
    made.json(
        "parity.json",
        {
            "rows": made.rows,
            "max_difference": 2.4e-7,
            "tolerance": 1e-4,
            "passed": True,
            "unit": "probability",
            "batches": [1, 7, made.rows],
        },
    )
    made.json(
        "register.json",
        {
            "model": "sample",
            "version": 3,
            "run_id": "0f7c2b4d9e8a4a61b2c3d4e5f6a7b8c9",
            "decision": "promote",
            "reasons": ["ROC AUC +0.012 (95% interval 0.004 to 0.020) over version 2"],
            "alias": "champion",
            "history": [
                {
                    "when": "2026-05-04T09:30:00.000000+00:00",
                    "how": how,
                    "who": "Ann Example",
                    "why": why,
                    "before": before,
                    "after": after,
                    "approvals": [],
                }
                for how, why, before, after in (
                    ("gate", "there was no champion", None, "2"),
                    ("promote", "fewer false alarms in May", "2", "3"),
                )
            ],
            "lineage": {
                "git_commit": "9b1c7e1f0a3d4c5b6a798897a6b5c4d3e2f10a9b",
                "git_dirty": "false",
                "data": "1f3870be274f6c49b3e31a0c6728957f",
                "params": "d41d8cd98f00b204e9800998ecf8427e",
                "dvc_lock": "900150983cd24fb0d6963f7d28e17f72",
                "model": "5d41402abc4b2a76b9719d911017c592",
            },
        },
    )
