"""`plumbline reproduce` on a small graph: a rebuild is the same, or what differs is named."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from mlflow.exceptions import MlflowException
from mlflow.tracking import MlflowClient

from plumbline.cli import main
from plumbline.files import sha256, write_json, write_text
from plumbline.store import tracking
from plumbline.store.fitted import libraries
from plumbline.store.lineage import lineage

pytestmark = [
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),  # of mlflow's own imports
    pytest.mark.filterwarnings("ignore::ResourceWarning"),  # mlflow leaves its SQLite pool open
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]
AUTHOR = ("-c", "user.name=t", "-c", "user.email=t@localhost")
GRAPH = f"""
stages:
  train:
    cmd: {sys.executable} step.py train
    deps: [data, step.py]
    params: [train.epochs]
    outs: [artifacts/model]
  evaluate:
    cmd: {sys.executable} step.py evaluate
    deps: [artifacts/model, step.py]
    outs: [reports/metrics.json]
"""
STEP = """
import json, os, sys, time
from pathlib import Path

if sys.argv[1] == "train":
    if "HOLD" in os.environ:
        hold = Path(os.environ["HOLD"])
        hold.touch()
        while hold.exists():
            time.sleep(0.05)
    folder = Path("artifacts/model")
    folder.mkdir(parents=True, exist_ok=True)
    content = Path("data/a.csv").read_text() + Path("params.yaml").read_text()
    (folder / "weights.safetensors").write_text(content)
else:
    score = len(Path("artifacts/model/weights.safetensors").read_text()) / 1000
    empty = dict.fromkeys(("val", "test_ci95", "baselines"), {})
    Path("reports").mkdir(exist_ok=True)
    metrics = {"train": {"roc_auc": score}, "test": {"roc_auc": score}, **empty}
    Path("reports/metrics.json").write_text(json.dumps(metrics))
"""


def run(folder: Path, *command: str) -> None:
    subprocess.run(command, cwd=folder, check=True, stdout=subprocess.DEVNULL)


def commit(folder: Path) -> None:
    run(folder, "git", "add", ".")
    run(folder, "git", *AUTHOR, "commit", "-qm", "change")


def dvc(folder: Path, *arguments: str) -> None:
    run(folder, sys.executable, "-m", "dvc", *arguments)


@pytest.fixture(scope="module")
def trained(root: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkout under git and DVC in which the stages have run once, and its version."""
    folder = tmp_path_factory.mktemp("trained")
    run(folder, "git", "init", "-q")
    dvc(folder, "init", "-q")
    write_text(folder / "dvc.yaml", GRAPH)
    write_text(folder / "step.py", STEP)
    write_text(folder / ".gitignore", "/data\n/artifacts\n/reports\n/mlflow\n/.plumbline\n")
    shutil.copy(root / "params.yaml", folder)
    write_text(folder / "expectations.yaml", "columns: {}\n")
    write_text(folder / "data" / "a.csv", "x\n1\n")
    dvc(folder, "add", "-q", "data")
    commit(folder)
    dvc(folder, "repro", "-q")
    register(folder)
    return folder


def register(folder: Path, **tags: str) -> None:
    """A version as the stage registers it, as far as a rebuild needs it."""
    store = tracking.open_store(folder)
    where = tracking.experiment(store, "toy")
    run_id = str(store.client.create_run(where).info.run_id)
    score = json.loads((folder / "reports" / "metrics.json").read_text())["test"]["roc_auc"]
    store.client.log_metric(run_id, "test/roc_auc", score)
    store.client.log_artifact(run_id, str(folder / "dvc.lock"))
    own = {
        **lineage(folder, folder / "artifacts" / "model"),
        "weights": sha256(folder / "artifacts" / "model" / "weights.safetensors"),
        "metrics": sha256(folder / "reports" / "metrics.json"),
        "libraries": libraries(),
    }
    with contextlib.suppress(MlflowException):  # it is there
        store.client.create_registered_model("breast-cancer")
    version = store.client.create_model_version(
        "breast-cancer",
        source=(folder / "dvc.lock").as_uri(),
        run_id=run_id,
        tags={f"plumbline.{name}": value for name, value in {**own, **tags}.items()},
    )
    store.client.set_registered_model_alias("breast-cancer", "champion", version.version)


@pytest.fixture
def checkout(trained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    folder = tmp_path / "checkout"
    shutil.copytree(trained, folder, symlinks=True)
    monkeypatch.chdir(folder)
    return folder


def client(checkout: Path) -> MlflowClient:
    return tracking.open_store(checkout).client


def retag(checkout: Path, **tags: str) -> None:
    for name, value in tags.items():
        client(checkout).set_model_version_tag("breast-cancer", "1", f"plumbline.{name}", value)


def files(checkout: Path) -> set[str]:
    places = [p for p in checkout.rglob("*") if not {".dvc", "mlflow"} & set(p.parts)]
    return {p.relative_to(checkout).as_posix() for p in places if ".git/" not in p.as_posix()}


def result(checkout: Path) -> dict[str, Any]:
    content: dict[str, Any] = json.loads((checkout / ".plumbline/reproduced.json").read_text())
    return content


def test_the_same_and_nothing_is_left_behind(
    checkout: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = files(checkout)
    assert main(["reproduce"]) == 0
    assert "the same, bit for bit" in capsys.readouterr().out
    assert result(checkout)["same"] == {"weights": True, "metrics": True}
    assert result(checkout)["causes"] == []
    left = {name for name in files(checkout) - before if not name.startswith(".plumbline")}
    assert left == set() and not (checkout / ".plumbline" / "reproduce").exists()
    assert len(client(checkout).search_model_versions()) == 1
    assert len(client(checkout).search_runs(["1"])) == 1


def test_a_parameter_and_a_data_byte_are_named(
    checkout: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    text = (checkout / "params.yaml").read_text()
    before, after = "  epochs: auto # at most", "  epochs: 7 # at most"
    assert before in text
    write_text(checkout / "params.yaml", text.replace(before, after))
    commit(checkout)
    assert main(["reproduce", "breast-cancer/1", "--commit", "HEAD"]) == 3
    assert 'Most likely cause: parameter train.epochs: "auto" → 7.' in capsys.readouterr().err
    assert result(checkout)["stage"] == "train"

    write_text(checkout / "params.yaml", text)
    (checkout / "data" / "a.csv").unlink()
    write_text(checkout / "data" / "a.csv", "x\n2\n")
    dvc(checkout, "add", "-q", "data")
    commit(checkout)
    assert main(["reproduce", "--commit", "HEAD"]) == 3
    assert "Most likely cause: data: data/a.csv." in capsys.readouterr().err


def test_a_version_of_data_that_nobody_committed_is_rebuilt(
    checkout: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """As a retraining leaves it; the data have grown again since."""
    for line in ("2", "3"):
        content = (checkout / "data" / "a.csv").read_text()
        (checkout / "data" / "a.csv").unlink()
        write_text(checkout / "data" / "a.csv", f"{content}{line}\n")
        dvc(checkout, "add", "-q", "data")
        if line == "2":
            dvc(checkout, "repro", "-q")
            register(checkout)
    assert main(["reproduce", "breast-cancer/2"]) == 0
    assert "the same, bit for bit" in capsys.readouterr().out


def test_a_byte_that_changed_in_the_cache_is_named(
    checkout: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for file in (checkout / ".dvc" / "cache").rglob("*"):
        if file.is_file() and file.read_bytes() == b"x\n1\n":
            file.chmod(0o644)
            file.write_bytes(b"x\n3\n")
    assert main(["reproduce"]) == 3
    assert "Most likely cause: data: data/a.csv." in capsys.readouterr().err


def test_a_library_of_another_version_is_named(
    checkout: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    retag(checkout, weights="0" * 64, libraries=libraries().replace("numpy==", "numpy==0."))
    assert main(["reproduce"]) == 3
    shown = capsys.readouterr()
    assert "Most likely cause: library numpy 0." in shown.err
    assert "differs from the machine that fitted it: library numpy 0." in shown.out


def test_what_cannot_be_rebuilt_is_refused_with_its_fix(
    checkout: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["reproduce", "breast-cancer/9"]) == 2
    assert "There are breast-cancer@champion, breast-cancer/1" in capsys.readouterr().err
    retag(checkout, git_dirty="true", rebuildable="no: not committed: params.yaml")
    assert main(["reproduce"]) == 2
    message = capsys.readouterr().err
    assert "not committed (not committed: params.yaml)" in message and "--commit HEAD" in message
    retag(checkout, git_dirty="false", git_commit="0" * 40)
    assert main(["reproduce"]) == 2
    assert "is not in this repository" in capsys.readouterr().err


def test_without_the_data_it_says_where_to_push_them_and_removes_what_a_killed_one_left(
    checkout: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_json(checkout / ".plumbline" / "reproduce" / "artifacts" / "model" / "left.json", {})
    shutil.rmtree(checkout / ".dvc" / "cache")
    assert main(["reproduce"]) == 2
    message = capsys.readouterr().err
    assert "dvc push data.dvc" in message and ": ." not in message
    assert not (checkout / ".plumbline" / "reproduce").exists()


def test_killed_by_force_the_next_works_though_its_stage_runs_on(
    checkout: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    hold = tmp_path / "hold"
    killed = subprocess.Popen(
        [sys.executable, "-m", "plumbline", "reproduce"],
        cwd=checkout,
        env={**os.environ, "HOLD": str(hold)},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        until = time.monotonic() + 120
        while not hold.exists() and time.monotonic() < until:
            time.sleep(0.05)
        killed.kill()
        killed.wait()
        assert hold.exists() and not (checkout / ".plumbline" / "reproduced.json").exists()
        assert main(["reproduce"]) == 0
        assert "the same, bit for bit" in capsys.readouterr().out
    finally:
        hold.unlink(missing_ok=True)
