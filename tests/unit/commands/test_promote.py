"""`plumbline promote`, `rollback` and `versions`: who moved the champion, when and why, is kept."""

from __future__ import annotations

import dataclasses
import datetime as dt
import json
import shutil
import sqlite3
import subprocess
from pathlib import Path
from typing import Any

import pytest
from mlflow.tracking import MlflowClient

from plumbline import cli
from plumbline.commands.promote import promote, rollback
from plumbline.commands.versions import versions
from plumbline.config import Paths
from plumbline.errors import ParameterError, StorageError
from plumbline.files import read_json, sha256, write_json, write_text
from plumbline.store import fitted, moves, registry, tracking
from plumbline.store.moves import Move
from plumbline.store.tracking import Store

pytestmark = [
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),  # of mlflow's own imports
    pytest.mark.filterwarnings("ignore::ResourceWarning"),  # mlflow leaves its SQLite pool open
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]
PARAMS = """
seed: 0
tune: {trials: 0}
data: {name: toy, path: data/t.csv, target: label, task: binary}
register: {approvals: %d, ask_server: %s}
"""


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store with versions 1 to 4 of `toy`, of which 1 and then 2 became champion."""
    root = tmp_path_factory.mktemp("made")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(root)  # where the first experiment of a new store has its files
        store = tracking.open_store(root)
    run = store.client.create_run("0").info.run_id
    for name, value in {"test": 0.9, "test_ci95_low": 0.8, "test_ci95_high": 0.95}.items():
        store.client.log_metric(run, f"{name}/roc_auc", value)
    for _ in range(4):
        tags = {"plumbline.data": "d" * 32, "plumbline.git_commit": "c" * 40}
        version = registry.add_version(store, "toy", f"runs:/{run}/model", run, "card", tags)
        decision = {"decision": "hold", "rules": {"metric": "roc_auc"}}
        registry.write_decision(store, version, decision)
    for number in ("1", "2"):
        version = version_at(store, number)
        moves.move_champion(store, version, how="gate", who="Ann", why="better")
    return root / "mlflow" / "mlflow.db"


def version_at(store: Store, number: str) -> registry.Version:
    version = registry.version_at(store, "toy", number=number)
    assert version is not None
    return version


@pytest.fixture
def paths(made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Paths:
    """A checkout with that store; every version but 4 has its files."""
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    monkeypatch.setenv("MLFLOW_TRACKING_USERNAME", "Ann")
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mlflow").mkdir()
    shutil.copy(made, tmp_path / "mlflow" / "mlflow.db")
    write_text(tmp_path / "params.yaml", PARAMS % (1, "false"))
    model = tmp_path / "model"
    write_text(model / "model.onnx", "graph")
    digest = sha256(model / "model.onnx")
    write_json(model / "extra_files" / "contract.json", {"sha256": digest})
    monkeypatch.setattr(
        registry, "files_of", lambda _, which: None if which.number == "4" else model
    )
    return Paths(tmp_path)


def client(paths: Paths) -> MlflowClient:
    return tracking.open_store(paths.root).client


def champion(paths: Paths) -> str | None:
    version = registry.champion(tracking.open_store(paths.root), "toy")
    return version.number if version else None


def history(paths: Paths) -> list[Move]:
    return moves.moves_of(tracking.open_store(paths.root), "toy")


def steps(paths: Paths) -> list[tuple[str, str | None, str | None]]:
    return [(move.how, move.before, move.after) for move in history(paths)]


def shown(paths: Paths, number: str) -> str:
    """What MLflow shows of a version beside the gate's decision."""
    return str(client(paths).get_model_version("toy", number).tags["champion"])


GATE = [("gate", None, "1"), ("gate", "1", "2")]


def test_a_person_promotes_and_who_when_why_and_from_where_stay(paths: Paths) -> None:
    report = promote("3", "fewer false alarms", paths)
    assert ("champion", "toy version 3, before: version 2") in report.rows
    assert champion(paths) == "3"
    assert steps(paths) == [*GATE, ("promote", "2", "3")]
    last = history(paths)[-1]
    assert (last.who, last.why) == ("Ann", "fewer false alarms")
    assert last.when.endswith("+00:00")
    (tag,) = (
        value
        for key, value in client(paths).get_model_version("toy", "3").tags.items()
        if key.startswith("plumbline.champion.")
    )
    assert json.loads(tag) == dataclasses.asdict(last)
    words = f"{last.when[:16].replace('T', ' ')} UTC, plumbline promote (Ann): fewer false alarms"
    assert shown(paths, "3") == f"since {words}"
    assert shown(paths, "2") == f"until {words}; then version 3"
    again = promote("3", "again", paths)
    assert again.rows[0] == ("champion", "toy version 3 is the champion; nothing changed")
    assert len(history(paths)) == 3


def test_the_challenger_is_the_newest_that_is_not_the_champion(paths: Paths) -> None:
    def aliases() -> dict[str, str]:
        named = client(paths).get_registered_model("toy").aliases
        return {alias: str(number) for alias, number in named.items()}

    assert aliases() == {"champion": "2", "challenger": "4"}
    client(paths).delete_model_version("toy", "4")
    promote("3", "better", paths)
    assert aliases() == {"champion": "3", "challenger": "2"}
    rollback("worse after all", paths)
    assert aliases() == {"champion": "2", "challenger": "3"}
    promote("@challenger", "mended upstream", paths)
    assert aliases() == {"champion": "3", "challenger": "2"}
    for number in ("1", "2"):
        client(paths).delete_model_version("toy", number)
    client(paths).delete_registered_model_alias("toy", "champion")
    promote("3", "the only one", paths)
    assert aliases() == {"champion": "3"}


def test_a_rollback_undoes_and_the_next_one_goes_back_further(paths: Paths) -> None:
    promote("3", "looks good", paths)
    rollback("wrong prices", paths)
    assert champion(paths) == "2"
    rollback("still wrong", paths)
    assert champion(paths) == "1"
    assert steps(paths)[2:] == [
        ("promote", "2", "3"),
        ("rollback", "3", "2"),
        ("rollback", "2", "1"),
    ]
    with pytest.raises(ParameterError, match="model 'toy' has no former champion"):
        rollback("once more", paths)
    assert champion(paths) == "1"


def test_a_rollback_passes_over_versions_that_were_deleted(paths: Paths) -> None:
    promote("3", "looks good", paths)
    client(paths).delete_model_version("toy", "2")
    rollback("wrong prices", paths)
    assert champion(paths) == "1"


@pytest.mark.parametrize("command", ["versions", "promote", "rollback"])
def test_an_alias_set_by_hand_is_noticed(paths: Paths, command: str) -> None:
    client(paths).set_registered_model_alias("toy", "champion", "3")
    if command == "versions":
        assert "2 → 3  by hand in MLflow" in versions(paths, 100)
    else:
        report = promote("1", "r", paths) if command == "promote" else rollback("r", paths)
        assert any(
            label == "noticed" and "by hand in MLflow" in text for label, text in report.rows
        )
    assert steps(paths)[:3] == [*GATE, ("by hand", "2", "3")]
    assert history(paths)[2].who == "unknown"
    assert champion(paths) == {"versions": "3", "promote": "1", "rollback": "2"}[command]


def test_a_deleted_champion_is_noticed_and_a_rollback_restores_the_former(paths: Paths) -> None:
    client(paths).delete_model_version("toy", "2")
    assert "2 → –" in versions(paths, 100)
    rollback("the champion was deleted", paths)
    assert champion(paths) == "1"
    assert steps(paths) == [*GATE, ("by hand", "2", None), ("rollback", None, "1")]


class Killed(BaseException):
    """Stands for SIGKILL: nothing catches it."""


@pytest.mark.parametrize("command", ["promote", "rollback"])
@pytest.mark.parametrize("after", [False, True])
@pytest.mark.parametrize("step", range(7))
def test_killed_anywhere_the_command_run_again_ends_right(
    paths: Paths, monkeypatch: pytest.MonkeyPatch, step: int, after: bool, command: str
) -> None:
    """At each write, before it and after it; the challenger is another than it should be."""
    client(paths).set_registered_model_alias("toy", "challenger", "3")
    count = iter(range(100))

    def dying(name: str) -> Any:
        real = getattr(registry, name)

        def call(*arguments: Any) -> None:
            dies = next(count) == step
            if not dies or after:
                real(*arguments)
            if dies:
                raise Killed

        return call

    def run() -> None:
        promote("3", "better", paths) if command == "promote" else rollback("worse", paths)

    with monkeypatch.context() as patch:
        for name in ("set_version_tag", "set_alias", "set_model_tag"):
            patch.setattr(registry, name, dying(name))
        with pytest.raises(Killed):
            run()
    if (step, after) != (6, True):  # then it was complete, and only its last words are missing
        run()
    wanted = ("promote", "2", "3") if command == "promote" else ("rollback", "2", "1")
    assert steps(paths) == [*GATE, wanted]
    assert champion(paths) == wanted[2]
    assert int(client(paths).get_registered_model("toy").aliases["challenger"]) == 4
    assert shown(paths, wanted[2]).startswith("since ")
    assert shown(paths, "2").endswith(f"; then version {wanted[2]}")


def test_two_people_must_approve_where_two_are_wanted(
    paths: Paths, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_text(paths.params, PARAMS % (2, "false"))
    for who in ("Ann", " ann "):  # once is enough, and twice is no more
        monkeypatch.setenv("MLFLOW_TRACKING_USERNAME", who)
        report = promote("3", "checked on May", paths)
        assert ("approved", "toy version 3, by Ann") in report.rows
        assert any(text.startswith("1 more person") for _, text in report.rows)
        assert champion(paths) == "2"
        already = [text for _, text in report.rows if text.startswith("you approved it already")]
        assert [text.endswith("UTC: checked on May") for text in already] == [True] * (who != "Ann")
    assert "hold, approved by Ann: checked on May" in versions(paths, 200)
    monkeypatch.setenv("MLFLOW_TRACKING_USERNAME", "Bob")
    promote("3", "checked too", paths)
    assert champion(paths) == "3"
    last = history(paths)[-1]
    assert last.who == "Bob" and [one["who"] for one in last.approvals] == ["Ann"]
    assert "    checked too\n    Ann: checked on May\n" in versions(paths, 200)
    rollback("one person may", paths)
    assert champion(paths) == "2"
    promote("3", "again", paths)  # what was approved before the champion moved does not count
    assert champion(paths) == "2"


@pytest.mark.parametrize(
    ("which", "reason", "message"),
    [
        ("9", "r", "model 'toy' has no version '9'"),
        ("best", "r", "model 'toy' has no version 'best'"),
        ("3", "  ", "--reason: the reason is kept"),
        ("4", "r", "toy version 4 cannot become champion: its files are not where"),
    ],
)
def test_mistakes_end_with_2_and_move_nothing(
    paths: Paths, capsys: pytest.CaptureFixture[str], which: str, reason: str, message: str
) -> None:
    assert cli.main(["promote", which, "--reason", reason]) == 2
    assert message in capsys.readouterr().err
    assert champion(paths) == "2" and steps(paths) == GATE


@pytest.mark.parametrize(
    "command", [["versions"], ["promote", "3", "--reason", "r"], ["rollback", "--reason", "r"]]
)
def test_a_registry_that_is_locked_or_away_ends_with_2(
    paths: Paths,
    command: list[str],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(tracking, "LOCK_SECONDS", 0.2)
    database = sqlite3.connect(paths.root / "mlflow" / "mlflow.db", isolation_level=None)
    database.execute("BEGIN EXCLUSIVE")
    try:
        assert cli.main(command) == 2
    finally:
        database.rollback()
        database.close()
    assert "another process writes to MLflow's database" in capsys.readouterr().err
    assert steps(paths) == GATE
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")
    assert cli.main(command) == 2
    assert "MLflow refused or did not answer" in capsys.readouterr().err


def test_nothing_registered_makes_no_store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    write_text(tmp_path / "params.yaml", PARAMS % (1, "false"))
    with pytest.raises(StorageError, match="no version is registered yet"):
        versions(Paths(tmp_path), 80)
    assert not (tmp_path / "mlflow").exists()


@pytest.mark.parametrize("width", [40, 80, 200])
def test_the_versions_fit_the_terminal(paths: Paths, width: int) -> None:
    promote("3", "fewer false alarms in May, and the calibration holds for both regions", paths)
    text = versions(paths, width)
    assert max(map(len, text.splitlines())) <= width
    words = " ".join(text.split())
    assert "champion" in words and "hold" in words and "dddddddd" in words and "cccccccc" in words
    assert "ROC AUC 0.900 (0.800 to 0.950)" in words
    assert "2 → 3 plumbline promote, Ann" in words
    assert "calibration holds for both regions" in words


def test_who_fitted_and_who_moves_are_named_by_one_rule(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("MLFLOW_TRACKING_USERNAME", raising=False)
    subprocess.run(["git", "init", "-q"], cwd=tmp_path, check=True)
    subprocess.run(["git", "config", "user.name", "Ann Lee"], cwd=tmp_path, check=True)
    write_text(tmp_path / "weights", "w")
    state, now = tmp_path / ".plumbline", dt.datetime.now(dt.UTC)
    fitted.note_fit(state, tmp_path / "weights", began=now, seconds=1, device="cpu", threads="1")
    assert fitted.fit_of(state, tmp_path / "weights")["user"] == "Ann Lee"
    assert fitted.person(tmp_path) == "Ann Lee"


def test_where_no_version_is_champion_predict_says_what_makes_one(
    paths: Paths, capsys: pytest.CaptureFixture[str]
) -> None:
    client(paths).delete_registered_model_alias("toy", "champion")
    assert cli.main(["predict", "new.csv", "--output", "out.csv"]) == 2
    message = capsys.readouterr().err
    assert "plumbline promote VERSION" in message and "plumbline rollback" in message
    assert "--model" not in message


def test_a_move_reaches_the_page_by_the_next_run(paths: Paths) -> None:
    note = paths.root / "mlflow" / "registered.json"
    write_json(note, {"model": "toy", "version": "2", "history": []})
    promote("3", "better", paths)
    assert [one["after"] for one in read_json(note)["history"]] == ["1", "2", "3"]


@pytest.mark.parametrize("approvals", [1, 2])
def test_a_version_with_which_the_server_does_not_answer_is_not_promoted(
    paths: Paths, capsys: pytest.CaptureFixture[str], approvals: int
) -> None:
    """The files of the store here are no model."""
    write_text(paths.params, PARAMS % (approvals, "true"))
    assert cli.main(["promote", "3", "--reason", "looks good"]) == 3
    message = capsys.readouterr().err
    assert "toy version 3 does not become champion. The server was started with it" in message
    assert champion(paths) == "2" and steps(paths) == GATE
    tags = client(paths).get_model_version("toy", "3").tags
    assert not [name for name in tags if name.startswith("plumbline.approval.")]
    rollback("prices were right before", paths)  # undoes, and waits for no server
    assert champion(paths) == "1"


def test_the_description_of_the_run_says_since_when(paths: Paths) -> None:
    """Beside the verdict of the gate, which may have been another."""
    store = tracking.open_store(paths.root)
    runs = {}
    for number in ("2", "3"):
        runs[number] = store.client.create_run("0").info.run_id
        store.client.set_tag(runs[number], tracking.NOTE, "Better than chance.\n\n- held back")
        tags = {"plumbline.data": "d" * 32, "plumbline.git_commit": "c" * 40}
        again = registry.add_version(
            store, "toy", f"runs:/{runs[number]}/model", runs[number], "card", tags
        )
        runs[number] = again.number
    promote(runs["3"], "fewer false alarms *in May*", paths)
    note = tracking.note_of(store, version_at(store, runs["3"]).run_id)
    assert note is not None
    first, champion, rest = note.split("\n\n")
    assert (first, rest) == ("Better than chance.", "- held back")
    assert champion.startswith("**Champion since") and "&#42;in May&#42;**" in champion
    promote(runs["2"], "once more", paths)
    notes = [tracking.note_of(store, version_at(store, runs[n]).run_id) for n in ("2", "3")]
    assert [str(n).count("**Champion") for n in notes] == [1, 1]
    assert "**Champion until" in str(notes[1])
    store.client.delete_run(version_at(store, runs["2"]).run_id)
    promote(runs["3"], "a deleted run stops nothing", paths)
