"""What a run in MLflow holds, and what a URI shows."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from tests.records import (
    architecture,
    comparison,
    drift,
    leakage,
    metrics,
    slices,
    training,
)

from plumbline import artifacts
from plumbline.config.evaluation import CardConfig
from plumbline.files import write_text
from plumbline.store import content, tracking
from plumbline.store.card import CardSource, model_card
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
    return read_content(root, {"seed": 0}, LINEAGE, data, files or [], root / "model", "rmse")


def test_parameters_are_flat_and_lists_stay() -> None:
    nested = {"a": {"b": {"c": 1}, "d": [1, 2]}, "e": {}, "f": None}
    assert dict(flatten(nested)) == {"a.b.c": 1, "a.d": [1, 2], "e": {}, "f": None}


def test_metrics_are_grouped_by_part() -> None:
    flat = flat_metrics(METRICS, "r2")
    assert list(flat)[:2] == ["test/r2", "test/rmse"]
    assert flat["test/rmse"] == 3.0 and flat["train/rmse"] == 1.0
    assert (flat["test_ci95_low/rmse"], flat["test_ci95_high/rmse"]) == (2.5, 3.5)
    assert not [name for name in flat if "linear" in name]
    assert "test_ci95_low/r2" not in flat


def test_undefined_values_are_left_out_of_curves(tmp_path: Path) -> None:
    reports(tmp_path, epochs=3)
    result = read(tmp_path)
    assert [step for _, step, _ in result.curves] == [1, 2, 3]
    assert {key for key, _, _ in result.curves} == {"training/train_loss"}
    assert result.dataset["digest"] == "d" * 12
    assert result.tags["mlflow.source.git.commit"] == "c0ffee"


def test_trials_are_bounded_and_the_best_is_among_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(content, "MAX_TRIALS", 4)
    reports(tmp_path, trials=10)
    trials = [child for child in read(tmp_path).children if child.kind == "trial"]
    assert [trial.name for trial in trials] == ["trial 0", "trial 1", "trial 3", "trial 5"]
    assert trials[1].params == {"train.learning_rate": "0.1"}
    assert trials[1].metrics == {"folds/rmse_fold_0": 1.0, "folds/rmse": 1.0}
    assert trials[1].tags == {"plumbline.state": "complete"}


def test_a_baseline_is_a_run_whose_scores_have_the_model_s_names(tmp_path: Path) -> None:
    reports(tmp_path)
    (baseline,) = [child for child in read(tmp_path).children if child.kind == "baseline"]
    assert baseline.name == "baseline: linear model"
    assert dict(baseline.metrics) == {"test/rmse": 4.0}


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


def card(**of: Any) -> str:
    contract = {"task": "regression", "classes": [], "inputs": {}}
    source = {
        "name": "prices",
        "target": "price",
        "owner": CardConfig(),
        "contract": contract,
        "split": {},
        "architecture": architecture(),
        "training": training(),
        "metrics": METRICS,
        "comparison": comparison("rmse", "The deep model is best: RMSE −1.0 (p = 0.01)."),
        "slices": slices("rmse"),
        "leakage": leakage(),
        "drift": drift({}),
        "lineage": {},
    }
    return model_card(CardSource(**{**source, **of})).replace("\u00a0", " ").replace("&ensp;", "")


def test_the_card_names_weak_slices_and_drift() -> None:
    contract = {
        "task": "regression",
        "classes": [],
        "inputs": {"num": {"sources": [f"c{i}" for i in range(9)]}, "cat": {"sources": ["c0"]}},
    }
    scored = slices(
        "rmse",
        {
            "column": "city",
            "value": "Ulm",
            "rows": 40,
            "score": 9.0,
            "worse": True,
            "loss": {"name": "mse", "model": 9.0, "reference": 4.0},
        },
        {"column": "city", "value": "Bonn", "rows": 60, "score": 2.0, "worse": False},
    )
    text = card(
        contract=contract,
        architecture=architecture(parameters=40, trainable=10),
        comparison=comparison("r2", "It outperforms every baseline."),
        slices=scored,
        drift=drift({"c1": True, "c2": False}),
        lineage={"data": "abc", "git_dirty": "false", "model": "e" * 64},
    )
    assert "Predicts `price` (regression: a number) from 9 columns (" in text
    assert text.index("**R²**") < text.index("| RMSE | 3 | 2.5 to 3.5 | 4 |")
    assert "In 1 of 2 slices the model loses significantly more than the linear model" in text
    assert "weak: MSE 9 against 4 |" in text
    assert "test and training rows: `c1`\n" in text
    assert "| `head` | `ReLU`, `Linear` | (N, 2) | 10 | 25.0% |" in text
    assert "40 parameters (10 trainable); N is the number of rows." in text
    assert "- data hash (DVC): `abc`" in text and "- uncommitted changes: `none`" in text
    assert "`eeeeeeeeeeee`" in text and "e" * 13 not in text


def test_the_card_says_which_slices_it_leaves_out() -> None:
    loss = {"name": "mse", "model": 9.0, "reference": 4.0}
    own = {"column": "city", "rows": 40, "score": 9.0, "worse": True, "loss": loss}
    text = card(slices=slices("rmse", *({**own, "value": f"v{i}"} for i in range(25))))
    assert (
        "The table has 8 of 25 slices, 8 of the 25 that are weak; all are in "
        "`reports/evaluation/slices.json`." in text
    )
    assert text.count("weak: MSE") == 8


def test_the_card_writes_numbers_as_people_do() -> None:
    measured = metrics(
        test={"rmse": 23292.2942, "mse": 542530972.1, "r2": 0.90123},
        test_ci95={"rmse": [13580.0, 31234.6], "mse": [184416400.0, 975594990.0]},
        baselines={"gradient_boosting": {"rmse": 1.358e4, "r2": 0.95}},
    )
    text = card(metrics=measured)
    assert "| **RMSE** | 23,292 | 13,580 to 31,235 | 13,580 |" in text
    assert "| MSE | 542.5 million | 184.4 to 975.6 million | – |" in text
    assert "| R² | 0.901 |  | 0.950 |" in text
    assert "e+0" not in text and "gradient boosting |" in text


def test_the_card_starts_with_the_verdict_as_plain_text() -> None:
    """MLflow's list of versions shows the first line without rendering it."""
    assert card().splitlines()[0] == "The deep model is best: RMSE −1.0 (p = 0.01)."
    hostile = card(comparison=comparison("rmse", "Best of <script>alert(1)</script>."))
    assert "<" not in hostile


def test_the_owner_s_words_stand_in_the_card_and_what_is_missing_is_named() -> None:
    owner = CardConfig(intended_use="Pricing\nof *flats*", contact="risk@example.org")
    text = card(owner=owner)
    assert "**Intended use:** Pricing of &#42;flats&#42;" in text
    assert "**Ethics:** not stated" in text
    assert "register.card" in card() and "register.card" not in text


def test_the_card_tells_how_the_fit_was_made_and_how_to_rebuild_it() -> None:
    fitted = {"fit_seconds": "42", "user": "ada", "device": "cpu", "processor": "EPYC"}
    commit = {"git_commit": "c" * 40, "git_dirty": "true"}
    text = card(lineage={**commit, **fitted, "libraries": "python==3.11.9 torch==2.13.0"})
    assert "fitted in 42 s by `ada`" in text and "- on cpu, EPYC" in text
    assert "`python==3.11.9 torch==2.13.0`" in text
    assert f"git checkout {'c' * 40}\n" in text
    assert "files were not committed" in text
