"""Labeled rows of the log become a new data version, once; then the graph runs, or says why not."""

from __future__ import annotations

import datetime as dt
import shutil
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
import yaml
from tests.behaviour.test_ingest import data, lines, version, write

from plumbline import cli
from plumbline.commands import retrain, warm
from plumbline.commands.retrain import append_labeled
from plumbline.config import Paths
from plumbline.config.monitor import MonitorConfig
from plumbline.config.retrain import RetrainConfig
from plumbline.errors import DataError, GateError
from plumbline.kinds import ColumnType, Role, Task
from plumbline.monitoring.labeled_rows import as_data, choose_rows
from plumbline.outcome import Outcome
from plumbline.retraining_state import note_begun, note_outcome, read_state
from plumbline.tables import Column, Schema

NOW = dt.datetime.now(dt.UTC).replace(tzinfo=None)


@pytest.fixture
def shop(checkout: Path, tmp_path: Path) -> Path:
    file = write(tmp_path / "shop.csv", lines(60))
    assert cli.main(["init", "--data", str(file), "--target", "bought"]) == 0
    set_params(checkout, min_rows=10)
    return checkout


def set_params(checkout: Path, **values: Any) -> None:
    params = yaml.safe_load((checkout / "params.yaml").read_text())
    params.setdefault("retrain", {}).update(values)
    (checkout / "params.yaml").write_text(yaml.safe_dump(params, sort_keys=False))


def log(
    checkout: Path,
    rows: int,
    labeled: int,
    seed: int = 1,
    age: int = 40,
    values: Sequence[str] = "ny",
) -> None:
    """A part of the service's log, with labels of the first rows, as `/feedback` keeps them."""
    rng = np.random.default_rng(seed)
    ids = [f"{seed:016x}{i:016x}" for i in range(rows)]
    keys = {"request_id": ids, "row": pl.Series([0] * rows, dtype=pl.Int32)}
    requests = pl.DataFrame(
        {
            **keys,
            "time": [NOW - dt.timedelta(minutes=rows - i) for i in range(rows)],
            "version": ["shop/1"] * rows,
            "input.age": pl.Series([age + i % 9 for i in range(rows)], dtype=pl.Int64),
            "input.income": rng.uniform(1, 90_000, rows).round(1),
            "input.city": rng.choice(["A", "B", "C"], rows),
        }
    )
    labels = pl.DataFrame({**keys, "label": [values[i % 2] for i in range(rows)]})
    labels = labels.with_columns(pl.lit(NOW).alias("time"))[:labeled]
    for kind, frame in (("requests", requests), ("feedback", labels)):
        place = checkout / "logs" / "serving" / kind / f"date={NOW:%Y-%m-%d}"
        place.mkdir(parents=True, exist_ok=True)
        frame.write_parquet(place / f"{seed}.parquet")


def test_labeled_rows_are_appended_once(
    shop: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    runs: list[Path] = []
    monkeypatch.setattr(retrain, "repro", lambda root, *_, **__: runs.append(root) or 0)
    before = version(shop)
    log(shop, rows=30, labeled=20)
    assert cli.main(["retrain"]) == 0
    assert "20 rows of the log are part" in capsys.readouterr().out
    assert len(data(shop)) == 80 and data(shop)[:60] == lines(60) and version(shop) != before
    assert data(shop)[60].startswith("40,") and data(shop)[60].endswith(",n")
    assert len(runs) == 1
    assert cli.main(["retrain"]) == 0
    assert "too early" in capsys.readouterr().out
    assert cli.main(["retrain", "--now"]) == 0
    assert "too few: 0 labeled rows" in capsys.readouterr().out
    log(shop, rows=30, labeled=15, seed=2)
    assert cli.main(["retrain", "--now", "--rows-only"]) == 0
    assert len(data(shop)) == 95 and len(runs) == 1


def test_what_was_appended_is_pushed_if_the_user_wants_it(
    shop: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """So that the version can be rebuilt though nobody commits data.dvc; a remote that is away
    stops no retraining."""
    remote = tmp_path / "remote"
    dvc = [sys.executable, "-m", "dvc"]
    add = [*dvc, "remote", "add", "--local", "--force", "--default", "own", str(remote)]
    subprocess.run(add, cwd=shop, check=True)
    log(shop, rows=20, labeled=20)
    assert cli.main(["retrain", "--rows-only"]) == 0
    assert "pushed" not in capsys.readouterr().out and not remote.exists()
    set_params(shop, push=True)
    log(shop, rows=20, labeled=20, seed=2)
    assert cli.main(["retrain", "--now", "--rows-only"]) == 0
    assert "pushed" in capsys.readouterr().out
    digest = version(shop)
    assert (remote / "files" / "md5" / digest[:2] / digest[2:]).exists()
    shutil.rmtree(remote)
    remote.touch()
    log(shop, rows=20, labeled=20, seed=3)
    assert cli.main(["retrain", "--now", "--rows-only"]) == 0
    assert "`dvc push data.dvc` failed" in " ".join(capsys.readouterr().out.split())
    assert len(data(shop)) == 120


def test_labels_that_meet_no_row_are_counted(shop: Path) -> None:
    log(shop, rows=30, labeled=5)
    strange = pl.DataFrame({"request_id": ["f" * 32] * 3, "row": [0, 1, 2], "label": ["y"] * 3})
    strange = strange.with_columns(pl.col("row").cast(pl.Int32), pl.lit(NOW).alias("time"))
    place = shop / "logs" / "serving" / "feedback" / f"date={NOW:%Y-%m-%d}"
    strange.write_parquet(place / "strange.parquet")
    appended = append_labeled(Paths(shop))
    assert not appended.due and "too few: 5 labeled rows" in appended.why
    assert "3 labels meet no row of the log" in appended.why
    log(shop, rows=30, labeled=30, seed=2)
    appended = append_labeled(Paths(shop))
    assert appended.rows == 35 and "3 labels meet no row of the log" in appended.why


def dying(killed_at: str | None) -> Callable[[pl.DataFrame, Path], None]:
    """Writes frames until one of this name, at which the process is killed."""
    write_frame = retrain._write

    def write(frame: pl.DataFrame, path: Path) -> None:
        if path.name == killed_at:
            raise KeyboardInterrupt
        write_frame(frame, path)

    return write


@pytest.mark.parametrize(
    "killed_at", ["labeled_rows.parquet", "pending.parquet", "appended.parquet"]
)
def test_a_killed_run_is_finished_by_the_next_and_no_row_is_appended_twice(
    shop: Path, killed_at: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    log(shop, rows=20, labeled=20)
    with monkeypatch.context() as patched:
        patched.setattr(retrain, "_write", dying(killed_at))
        with pytest.raises(KeyboardInterrupt):
            append_labeled(Paths(shop))
    log(shop, rows=20, labeled=20, seed=2)
    assert append_labeled(Paths(shop)).due
    append_labeled(Paths(shop), now=True)
    assert len(data(shop)) == len(set(data(shop))) == 100


def test_an_identifier_that_counts_rows_counts_on(
    checkout: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "shop.csv"
    body = [f"{i},{line}" for i, line in enumerate(lines(60))]
    file.write_text("\n".join(["row_id,age,income,city,bought", *body]) + "\n")
    assert cli.main(["init", "--data", str(file), "--target", "bought"]) == 0
    set_params(checkout, min_rows=10)
    log(checkout, rows=20, labeled=20)
    with monkeypatch.context() as patched:
        patched.setattr(retrain, "_write", dying("appended.parquet"))
        with pytest.raises(KeyboardInterrupt):
            append_labeled(Paths(checkout))
    assert append_labeled(Paths(checkout)).due
    log(checkout, rows=15, labeled=15, seed=2)
    assert append_labeled(Paths(checkout), now=True).rows == 15
    assert [int(line.split(",")[0]) for line in data(checkout)] == list(range(95))
    assert cli.main(["validate"]) == 0


def test_values_of_a_target_of_whole_numbers_are_appended_as_such(
    checkout: Path, tmp_path: Path
) -> None:
    file = write(tmp_path / "shop.csv", lines(60))
    assert cli.main(["init", "--data", str(file), "--target", "age"]) == 0
    set_params(checkout, min_rows=10)
    log(checkout, rows=20, labeled=20, values=("41.0", "36.0"))
    logged = checkout / "logs/serving/requests" / f"date={NOW:%Y-%m-%d}" / "1.parquet"
    requests = pl.read_parquet(logged).rename({"input.age": "input.bought"})
    requests.with_columns(pl.lit(True).alias("input.bought")).write_parquet(logged)
    assert append_labeled(Paths(checkout)).rows == 20
    assert {line.split(",")[0] for line in data(checkout)[60:]} == {"41", "36"}


def test_where_most_rows_break_an_expectation_it_stops(shop: Path) -> None:
    before = (data(shop), version(shop))
    log(shop, rows=20, labeled=20, age=4000)
    with pytest.raises(GateError, match="column 'age'") as refused:
        append_labeled(Paths(shop))
    assert "widen columns.age.range" in str(refused.value)
    assert "plumbline retrain" in str(refused.value) and "--quarantine" not in str(refused.value)
    assert (data(shop), version(shop)) == before
    assert not (shop / ".plumbline/retrain/pending.parquet").exists()
    state = read_state(shop / "monitoring")
    assert state["outcome"] == "failed" and "column 'age'" in state["message"]


@pytest.mark.parametrize("killed_at", [None, "put_aside.parquet", "appended.parquet"])
def test_few_rows_that_break_an_expectation_are_left_out_until_it_changes(
    shop: Path, killed_at: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    log(shop, rows=20, labeled=20)
    log(shop, rows=4, labeled=4, seed=2, age=4000)
    if killed_at is not None:
        with monkeypatch.context() as patched:
            patched.setattr(retrain, "_write", dying(killed_at))
            with pytest.raises(KeyboardInterrupt):
                append_labeled(Paths(shop))
    appended = append_labeled(Paths(shop))
    assert appended.rows == 20 and len(data(shop)) == 80
    assert "; 4 were left out: they fail expectations.yaml" in appended.why
    (listed,) = (shop / ".plumbline" / "quarantine").iterdir()
    assert pl.read_csv(listed)["age"].to_list() == [4000, 4001, 4002, 4003]
    note_outcome(shop / "monitoring", "done", "")
    set_params(shop, min_rows=4)
    again = append_labeled(Paths(shop), now=True)
    assert not again.due and "too few: 0 labeled rows" in again.why and "4 were left" in again.why
    own = shop / "expectations.yaml"
    written = yaml.safe_load(own.read_text())
    written["columns"]["age"]["range"]["max"] = 5000
    own.write_text(yaml.safe_dump(written, sort_keys=False))
    assert append_labeled(Paths(shop), now=True).rows == 4 and len(data(shop)) == 84
    assert append_labeled(Paths(shop), now=True).rows == 0


def test_a_training_that_was_killed_is_tried_again_but_not_for_ever(shop: Path) -> None:
    log(shop, rows=20, labeled=20)
    begun = [append_labeled(Paths(shop)) for _ in range(4)]  # and nobody trains to the end
    assert [one.due for one in begun] == [True, True, True, False]
    assert "was killed: 20 rows" in begun[1].why and "too early" in begun[3].why
    assert len(data(shop)) == 80


def test_a_stage_that_fails_leaves_the_champion_and_says_so(
    shop: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(retrain, "repro", lambda *_, **__: 3)
    log(shop, rows=20, labeled=20)
    assert cli.main(["retrain"]) == 3
    assert "the champion is as it was" in capsys.readouterr().err
    state = (shop / "monitoring" / "retraining.json").read_text()
    assert '"failed"' in state and "a stage ended with 3" in state


def test_a_second_fit_wants_rows_that_the_champion_has_not_seen(
    shop: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    set_params(shop, warm=True)
    log(shop, rows=20, labeled=20)
    assert cli.main(["retrain"]) == 2
    assert "retrain.warm" in capsys.readouterr().err and len(data(shop)) == 60


def test_a_second_fit_starts_from_the_champion_that_served(
    shop: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The experiment itself runs in tests/e2e/test_loop.py."""
    asked: list[Sequence[str]] = []

    def run_dvc(_root: Path, settings: Sequence[str], *_: Any, command: Sequence[str]) -> Outcome:
        asked.append([*command, *settings])
        return Outcome(stage="train", code=2, message="no tensor fits")

    monkeypatch.setattr(warm, "run_dvc", run_dvc)
    assert warm.fit_from_champion(Paths(shop))[0] == 0 and not asked  # there was none
    note_begun(shop / "monitoring", "2026-11-27T09:00:00+00:00", 20, "all", "3")
    code, report = warm.fit_from_champion(Paths(shop))
    assert (code, report.rows[0][1]) == (2, "no tensor fits")
    assert asked[0][:3] == ["exp", "run", "--temp"]
    assert asked[0][-1] == "model.start_from='models:/shop/3'"


def made(rows: int) -> pl.DataFrame:
    return pl.DataFrame(
        {
            "request_id": [f"{i:032x}" for i in range(rows)],
            "row": pl.Series([0] * rows, dtype=pl.Int32),
            "time": [NOW - dt.timedelta(hours=rows - i) for i in range(rows)],
        }
    )


def chosen_rows(logged: pl.DataFrame, taken: pl.DataFrame | None = None, **config: Any) -> set[str]:
    taken = logged[:0] if taken is None else taken
    now = round(NOW.replace(tzinfo=dt.UTC).timestamp() * 1e6)
    monitor = MonitorConfig(window_hours=2)
    kept = choose_rows(
        logged, taken.select("request_id", "row"), RetrainConfig(**config), monitor, now
    )
    return set(kept["request_id"])


def test_which_rows_are_taken() -> None:
    rows = made(400)
    names = rows["request_id"].to_list()
    assert chosen_rows(rows) == set(names)
    assert chosen_rows(rows, rows[:300]) == set(names[300:])
    assert chosen_rows(rows, rows="window", windows=5) == set(names[-10:])
    sample = chosen_rows(rows, rows="reservoir", max_rows=100)
    assert len(sample) == 100
    later = chosen_rows(made(800), rows="reservoir", max_rows=100)
    assert 25 < len(sample & later) < 75  # half of the sample goes when as many rows have come


@pytest.mark.parametrize(
    ("column", "hidden", "words"),
    [
        (Column(name="c", type=ColumnType.IMAGE), (), "hashes of images"),
        (Column(name="c", type=ColumnType.NUMBER), ("c",), "masks or hashes"),
        (Column(name="g", type=ColumnType.CATEGORY, role=Role.GROUP), (), "group of the rows"),
    ],
)
def test_what_the_log_has_not_got_is_named(
    column: Column, hidden: tuple[str, ...], words: str
) -> None:
    target = Column(name="y", type=ColumnType.CATEGORY, role=Role.TARGET)
    schema = Schema(columns=(column, target), task=Task.BINARY, classes=("n", "y"))
    rows = made(3).with_columns(pl.lit("x").alias("input.c"), pl.lit("n").alias("label"))
    with pytest.raises(DataError, match=f"column '{column.name}'.*{words}"):
        as_data(rows, schema, hidden, {})


def test_what_the_model_does_not_read_is_filled() -> None:
    schema = Schema(
        columns=(
            Column(name="id", type=ColumnType.CATEGORY, role=Role.ID),
            Column(name="number", type=ColumnType.INTEGER, role=Role.ID),
            Column(name="float", type=ColumnType.NUMBER, role=Role.ID),
            Column(name="day", type=ColumnType.DATE, role=Role.ID),
            Column(name="when", type=ColumnType.DATE, role=Role.TIME),
            Column(name="note", type=ColumnType.TEXT, role=Role.IGNORE),
            Column(name="x", type=ColumnType.INTEGER),
            Column(name="y", type=ColumnType.NUMBER, role=Role.TARGET),
        ),
        task=Task.REGRESSION,
    )
    rows = made(2).with_columns(pl.Series("input.x", [1.0, None]), pl.lit("2.5").alias("label"))
    frame = as_data(rows, schema, (), {"number": 41, "float": 6.5})
    assert frame["id"].to_list() == [f"{i:032x}-0" for i in range(2)]
    assert frame["number"].to_list() == [42, 43] and frame["float"].to_list() == [7.0, 8.0]
    assert frame["day"].null_count() == 2
    assert as_data(rows, schema, (), {"number": None, "float": None})["number"].to_list() == [0, 1]
    with pytest.raises(DataError, match="no number follows 9223372036854775806"):
        as_data(rows, schema, (), {"number": 2**63 - 2, "float": None})
    assert frame["when"].to_list() == rows["time"].to_list()
    assert frame["note"].null_count() == 2 and frame["x"].to_list() == [1, None]
    assert frame["y"].to_list() == [2.5, 2.5]
