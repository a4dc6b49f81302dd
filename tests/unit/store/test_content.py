"""What a run in MLflow holds, and what a URI shows."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from tests.records import architecture, drift, metrics, slices

from plumbline import artifacts
from plumbline.files import write_text
from plumbline.store import content, tracking
from plumbline.store.card import model_card
from plumbline.store.content import flat_metrics, flatten, read_content
from plumbline.store.tracking import Content, shown

LINEAGE = {"git_commit": "c0ffee", "data": "d" * 40}
METRICS = metrics(
    train={"rmse": 1.0},
    val={"rmse": 2.0},
    test={"rmse": 3.0, "r2": 0.5},
    test_ci95={"rmse": [2.5, 3.5]},
    baselines={"linear": {"rmse": 4.0}},
)


def reports(root: Path, trials: int = 0, epochs: int = 1) -> None:
    artifacts.write(METRICS, root / "reports")
    curve = ["epoch,train_loss,val_rmse", *(f"{e},{1 / e},nan" for e in range(1, epochs + 1))]
    write_text(root / "reports" / "training" / "curves.csv", "\n".join(curve) + "\n")
    lines = [f"{n},{'complete' if n % 2 else 'pruned'},{n},0.1,{n}" for n in range(trials)]
    text = "\n".join(["number,state,value,train.learning_rate,fold_0", *lines])
    write_text(root / "reports" / "tuning" / "trials.csv", text + "\n")
    summary = artifacts.TuningSummary(
        values={}, score=0.0, std_error=0.0, metric="rmse", trials=trials, selected=0
    )
    artifacts.write(summary, root / "reports" / "tuning")


def read(root: Path, files: list[tuple[Path, str]] | None = None) -> Content:
    data = {"name": "toy", "path": "data/t.csv"}
    (root / "model").mkdir(exist_ok=True)
    return read_content(root, {"seed": 0}, LINEAGE, data, files or [], root / "model")


def test_parameters_are_flat_and_lists_stay() -> None:
    nested = {"a": {"b": {"c": 1}, "d": [1, 2]}, "e": {}, "f": None}
    assert dict(flatten(nested)) == {"a.b.c": 1, "a.d": [1, 2], "e": {}, "f": None}


def test_metrics_are_grouped_by_part() -> None:
    flat = flat_metrics(METRICS)
    assert flat["test/rmse"] == 3.0 and flat["train/rmse"] == 1.0
    assert (flat["test_ci95_low/rmse"], flat["test_ci95_high/rmse"]) == (2.5, 3.5)
    assert flat["baseline_linear/rmse"] == 4.0
    assert "test_ci95_low/r2" not in flat


def test_undefined_values_are_left_out_of_curves(tmp_path: Path) -> None:
    reports(tmp_path, epochs=3)
    result = read(tmp_path)
    assert [step for _, step, _ in result.curves] == [1, 2, 3]
    assert {key for key, _, _ in result.curves} == {"training/train_loss"}
    assert result.dataset["digest"] == "d" * 36
    assert result.tags["mlflow.source.git.commit"] == "c0ffee"


def test_trials_are_bounded_and_the_best_is_among_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(content, "MAX_TRIALS", 4)
    reports(tmp_path, trials=10)
    trials = read(tmp_path).trials
    assert [name for name, *_ in trials] == ["trial 0", "trial 1", "trial 3", "trial 5"]
    _, params, metrics, tags = trials[1]
    assert (params, metrics) == ({"train.learning_rate": "0.1"}, {"rmse/fold_0": 1.0, "rmse": 1.0})
    assert tags == {"plumbline.state": "complete"}


def test_long_curves_are_thinned(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(content, "MAX_CURVE", 10)
    reports(tmp_path, epochs=95)
    assert len(read(tmp_path).curves) == 10


def test_large_and_many_files_stay_and_are_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(content, "MAX_FILE", 3)
    monkeypatch.setattr(content, "MAX_FILES", 2)
    reports(tmp_path)
    folder = tmp_path / "kept"
    for name, text in (("a", "1"), ("b/large", "12345"), ("b/c/d", "1"), ("z", "1")):
        write_text(folder / name, text)
    result = read(tmp_path, [(folder, "reports")])
    assert result.files == [(folder / "a", "reports"), (folder / "b/c/d", "reports/b/c")]
    assert result.tags["plumbline.left_out"] == "large, z"


@pytest.mark.parametrize(
    ("text", "safe"),
    [
        ("http://u:geheim@host:1/x", "http://host:1/x"),
        ("postgresql+psycopg2://u:geheim@h/db?sslmode=on", "postgresql+psycopg2://h/db?sslmode=on"),
        ("cannot reach https://tok-geheim@h: refused", "cannot reach https://h: refused"),
        ("postgresql://h/db?user=u&password=geheim", "postgresql://h/db?user=u&password=…"),
        ("sqlite:////srv/mlflow.db", "sqlite:////srv/mlflow.db"),
    ],
)
def test_a_uri_is_shown_without_credentials(text: str, safe: str) -> None:
    assert shown(text) == safe


def test_calls_stay_within_what_mlflow_takes() -> None:
    calls: list[dict[str, int]] = []

    class Client:
        def log_batch(self, _run_id: str, **entries: list[Any]) -> None:
            calls.append({kind: len(values) for kind, values in entries.items()})

    client: Any = Client()
    tracking._log(client, "r", metrics=[0] * 2500, params=[0] * 188, tags=[0] * 5)
    assert [call["metrics"] for call in calls if "metrics" in call] == [1000, 1000, 500]
    assert [call["params"] for call in calls if "params" in call] == [100, 88]
    assert [call["tags"] for call in calls if "tags" in call] == [5]


def test_the_card_names_weak_slices_and_drift() -> None:
    contract = {
        "task": "regression",
        "classes": [],
        "inputs": {"num": {"sources": [f"c{i}" for i in range(9)]}, "cat": {"sources": ["c0"]}},
    }
    scored = slices(
        "rmse",
        {"column": "city", "value": "Ulm", "rows": 40, "score": 9.0, "worse": True},
        {"column": "city", "value": "Bonn", "rows": 60, "score": 2.0, "worse": False},
    )
    card = model_card(
        name="prices",
        target="price",
        contract=contract,
        architecture=architecture(parameters=40, trainable=10),
        metric="r2",
        metrics=METRICS,
        verdict="It outperforms every baseline.",
        slices=scored,
        drift=drift({"c1": True, "c2": False}),
        lineage={"data": "abc", "git_dirty": "false"},
    )
    assert "Predicts `price` (regression: a number) from 9 columns (" in card
    assert card.index("**R²**") < card.index("| RMSE | 3 | 2.5 to 3.5 | 4 |")
    assert "where `city` is Ulm (RMSE 9, 40 rows)" in card and "Bonn" not in card
    assert "test and training rows: `c1`\n" in card
    assert "| `head` | `ReLU`, `Linear` | (N, 2) | 10 | 25.0% |" in card
    assert "40 parameters (10 trainable); N is the number of rows." in card
    assert "- data hash (DVC): `abc`" in card and "- uncommitted changes: `none`" in card


def test_the_card_writes_numbers_as_people_do() -> None:
    measured = metrics(
        test={"rmse": 23292.2942, "mse": 542530972.1, "r2": 0.90123},
        test_ci95={"rmse": [13580.0, 31234.6], "mse": [184416400.0, 975594990.0]},
        baselines={"gradient_boosting": {"rmse": 1.358e4, "r2": 0.95}},
    )
    card = model_card(
        name="prices",
        target="price",
        contract={"task": "regression", "classes": [], "inputs": {}},
        architecture=architecture(),
        metric="rmse",
        metrics=measured,
        verdict="",
        slices=slices("rmse"),
        drift=drift({}),
        lineage={},
    ).replace("\u00a0", " ")
    assert "| **RMSE** | 23,292 | 13,580 to 31,235 | 13,580 |" in card
    assert "| MSE | 542.5 million | 184.4 to 975.6 million | – |" in card
    assert "| R² | 0.901 |  | 0.950 |" in card
    assert "e+0" not in card and "gradient boosting |" in card
