"""`plumbline monitor` on a made version and a log that the service's own code wrote."""

from __future__ import annotations

import datetime as dt
import http.server
import json
import shutil
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import polars as pl
import pytest
import yaml
from tests.served_log import ServedLog, draw, made_version
from tests.version import Version

from plumbline.commands import monitor as command
from plumbline.commands.monitor import Monitored, monitor, refuse_firing
from plumbline.config import Paths
from plumbline.errors import DataError, GateError
from plumbline.inference.version_files import EXTRA
from plumbline.kinds import Task
from plumbline.monitoring import alerts
from plumbline.monitoring.history import History

pytestmark = pytest.mark.usefixtures("one_thread")
TODAY = dt.datetime.now(dt.UTC).replace(tzinfo=None, hour=0, minute=0, second=0, microsecond=0)
FIRST = TODAY - dt.timedelta(days=6)  # of the log
ROWS = 240
NAME = "made/1"


@pytest.fixture(scope="module")
def version(tmp_path_factory: pytest.TempPathFactory) -> Version:
    return made_version(tmp_path_factory.mktemp("version") / "one")


@pytest.fixture(scope="module")
def one_column(tmp_path_factory: pytest.TempPathFactory) -> Version:
    return made_version(tmp_path_factory.mktemp("version") / "price", only="price")


@pytest.fixture
def paths(tmp_path: Path, root: Path, version: Version, monkeypatch: pytest.MonkeyPatch) -> Paths:
    """A checkout whose champion is the version."""
    parameters = yaml.safe_load((root / "params.yaml").read_text())
    parameters["monitor"] |= {"min_rows": 100, "min_labels": 60, "false_alarm_windows": 10}
    (tmp_path / "params.yaml").write_text(yaml.safe_dump(parameters))
    use(version, monkeypatch)
    return Paths(tmp_path)


def use(version: Version, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(command, "named_address", lambda model, paths: model)
    monkeypatch.setattr(command, "version_folder", lambda *_: (version.folder, NAME))


def set_monitor(paths: Paths, section: str = "monitor", **values: Any) -> None:
    parameters = yaml.safe_load(paths.params.read_text())
    parameters[section] |= values
    paths.params.write_text(yaml.safe_dump(parameters))


def day(number: int) -> tuple[dt.datetime, dt.datetime]:
    start = FIRST + dt.timedelta(days=number)
    return start + dt.timedelta(hours=8), start + dt.timedelta(hours=20)


def after(number: int) -> int:
    """When the window of a day is over, in microseconds."""
    moment = (FIRST + dt.timedelta(days=number + 1, minutes=5)).replace(tzinfo=dt.UTC)
    return round(moment.timestamp()) * 1_000_000


def dearer(rows: pl.DataFrame) -> pl.DataFrame:
    return rows.with_columns(pl.col("price") + 900)


def history(paths: Paths) -> list[dict[str, Any]]:
    return History(paths.root / "monitoring" / "made-1" / "24h", 1000).records


def files(paths: Paths) -> dict[str, bytes]:
    folder = paths.root / "monitoring"
    return {str(f.relative_to(folder)): f.read_bytes() for f in folder.rglob("*") if f.is_file()}


def alarms(monitored: Monitored) -> list[str]:
    return [name for one in monitored.firings for name in one.columns]


def test_drift_is_found_named_and_told_once(
    paths: Paths, version: Version, caplog: pytest.LogCaptureFixture
) -> None:
    log = ServedLog(version, paths.root / "logs/serving", NAME)
    for number in (0, 1):
        log.send(draw(version, ROWS, number), *day(number))
    quiet = monitor(paths, now=after(1))
    refuse_firing(quiet)
    assert [one["alarms"]["rows"] for one in history(paths)] == [[], []]
    first = history(paths)[0]
    assert first["rows"] == first["compared"] == ROWS and first["requests"] == ROWS / 20
    assert set(first["columns"]) == {c.name for c in version.predictor.columns}
    assert set(first["columns"]["note"]["descriptors"]) >= {"length", "share of letters"}
    assert set(first["columns"]["photo"]["descriptors"]) >= {"brightness", "width"}
    for number in (2, 3):
        log.send(dearer(draw(version, ROWS, number)), *day(number))
    assert not monitor(paths, now=after(2)).firings  # one window of three
    fires = monitor(paths, now=after(3))
    assert "price" in alarms(fires)
    with pytest.raises(GateError, match=r"made/1 drifts: 2 of the last 3 windows: .*price") as stop:
        refuse_firing(fires)
    assert stop.value.exit_code == 3 and "monitoring/index.html" in str(stop.value)
    before = files(paths)
    again = monitor(paths, now=after(3))
    assert again.firings == fires.firings and files(paths) == before
    assert caplog.text.count("made/1: drift in 2 of the last 3 windows") == 1
    page = (paths.root / "monitoring" / "index.html").read_text()
    assert "the rule fires" in page and "price" in page


def test_labels_that_come_late_renew_their_windows(
    paths: Paths, version: Version, one_column: Version, monkeypatch: pytest.MonkeyPatch
) -> None:
    use(one_column, monkeypatch)
    log = ServedLog(one_column, paths.root / "logs/serving", NAME)
    sent = {}
    for number in (0, 1, 2):
        rows = draw(one_column, ROWS, number)
        sent[number] = (log.send(rows, *day(number)), rows["y"].to_list())
    monitor(paths, now=after(2))
    assert all(one["alarms"]["labels"] is None for one in history(paths))
    log.label(*sent[0], time=day(3)[0])
    monitor(paths, now=after(2))
    first, *others = history(paths)
    assert first["labels"] == ROWS and first["alarms"]["labels"] == []
    assert first["performance"]["metrics"]["log_loss"]["window"] > 0
    assert all(one["alarms"]["labels"] is None for one in others)
    wrong = {
        n: ["yes" if p < 0.5 else "no" for p in predicted(paths, keys)]
        for n, (keys, _) in sent.items()
    }
    for number in (1, 2):  # the opposite of what was predicted
        log.label(sent[number][0], wrong[number], time=day(4)[0])
    fires = monitor(paths, now=after(2))
    assert "performance" in alarms(fires) and [one.kind for one in fires.firings] == ["labels"]
    assert history(paths)[0] == first


def test_labels_that_meet_no_row_are_counted(
    paths: Paths, one_column: Version, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of an id that nobody was given, or of a row that the request had not: else a client that
    sends its own ids waits in vain for a performance."""
    use(one_column, monkeypatch)
    log = ServedLog(one_column, paths.root / "logs/serving", NAME)
    older = ServedLog(one_column, paths.root / "logs/serving", "made/0")
    older._requests = 10_000  # of another version, and known all the same
    rows = draw(one_column, ROWS, 0)
    keys = log.send(rows, *day(0))
    before = older.send(rows[:20], *day(0))
    log.label([*keys, *before], [*rows["y"], *rows["y"][:20]], time=day(1)[0])
    assert "labels" not in dict(monitor(paths, now=after(1)).report.rows)
    log.label([("f" * 32, 0), (keys[0][0], 999)], ["yes", "no"], time=day(1)[0])
    said = dict(monitor(paths, now=after(1)).report.rows)
    assert said["labels"].startswith("2 labels meet no row of the log")
    assert history(paths)[0]["labels"] == ROWS


@pytest.mark.parametrize("task", [Task.MULTICLASS, Task.REGRESSION])
def test_every_task_has_a_performance(
    task: Task, tmp_path: Path, paths: Paths, monkeypatch: pytest.MonkeyPatch
) -> None:
    own = made_version(tmp_path / "own", task, only="price")
    use(own, monkeypatch)
    log = ServedLog(own, paths.root / "logs/serving", NAME)
    same, other = draw(own, ROWS, 0), draw(own, ROWS, 1)
    keys = [log.send(same, *day(0)), log.send(other, *day(1))]
    log.label(keys[0], same["y"].to_list(), time=day(1)[0])
    far = [float(v) + 9 for v in other["y"]] if task is Task.REGRESSION else ["a"] * ROWS
    log.label(keys[1], far, time=day(1)[0])
    monitor(paths, now=after(1))
    first, second = history(paths)
    assert first["alarms"] == {"rows": [], "labels": []}
    assert first["performance"]["metrics"][task.spec.metric]["reference"] is not None
    assert "target" in second["alarms"]["labels"]
    if task is Task.REGRESSION:
        assert set(second["alarms"]["labels"]) == {"target", "concept", "performance"}


def predicted(paths: Paths, keys: list[tuple[str, int]]) -> list[float]:
    rows = pl.concat(
        [pl.read_parquet(f) for f in (paths.root / "logs/serving/requests").rglob("*.parquet")],
        how="diagonal_relaxed",
    )
    wanted = pl.DataFrame(keys, schema={"request_id": pl.String, "row": pl.Int32}, orient="row")
    joined = wanted.join(rows, on=["request_id", "row"], how="left", maintain_order="left")
    return joined["output.p_yes"].to_list()


def test_a_run_that_is_killed_half_way_is_finished_by_the_next(
    paths: Paths, version: Version, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = ServedLog(version, paths.root / "logs/serving", NAME)
    for number in (0, 1, 2):
        log.send(draw(version, ROWS, number), *day(number))
    real, calls = command.measure, []

    def dies(*given: Any) -> Any:
        calls.append(given)
        if len(calls) == 2:
            raise KeyboardInterrupt
        return real(*given)

    monkeypatch.setattr(command, "measure", dies)
    with pytest.raises(KeyboardInterrupt):
        monitor(paths, now=after(2))
    assert len(history(paths)) == 1
    monitor(paths, now=after(2))
    after_kill = files(paths)
    shutil.rmtree(paths.root / "monitoring")
    monitor(paths, now=after(2))
    assert files(paths) == after_kill and not list(paths.root.rglob("*.tmp"))


def test_what_the_log_has_no_longer_stays_recorded_and_a_broken_record_is_made_again(
    paths: Paths, version: Version
) -> None:
    log = ServedLog(version, paths.root / "logs/serving", NAME)
    for number in (0, 1):
        log.send(draw(version, ROWS, number), *day(number))
    monitor(paths, now=after(1))
    before = files(paths)
    (broken,) = (paths.root / "monitoring/made-1/24h").glob(f"{day(1)[0]:%Y%m%d}*.json")
    broken.write_text("{")
    shutil.rmtree(paths.root / f"logs/serving/requests/date={day(0)[0]:%Y-%m-%d}")
    monitor(paths, now=after(1))
    assert files(paths) == before


def test_other_settings_make_other_records(paths: Paths, version: Version) -> None:
    log = ServedLog(version, paths.root / "logs/serving", NAME)
    log.send(draw(version, ROWS, 0), *day(0))
    monitor(paths, now=after(0))
    set_monitor(paths, latency_seconds=0.001, least_rows=1000)
    monitor(paths, now=after(0))
    assert history(paths)[0]["alarms"]["rows"] == ["latency", "volume"]


def test_hidden_columns_are_not_compared(paths: Paths, version: Version) -> None:
    hidden = {"mask": ["note"], "hash": ["maker", "photo"]}
    parameters = yaml.safe_load(paths.params.read_text())
    parameters["serve"]["log"] |= hidden
    paths.params.write_text(yaml.safe_dump(parameters))
    log = ServedLog(version, paths.root / "logs/serving", NAME, **hidden)
    log.send(draw(version, ROWS, 0), *day(0))
    monitor(paths, now=after(0))
    (record,) = history(paths)
    assert set(record["left_out"]) == {"note", "maker", "photo"} and record["alarms"]["rows"] == []


def test_few_rows_count_for_nothing_and_no_rows_are_no_error(
    paths: Paths, version: Version
) -> None:
    nothing = monitor(paths, now=after(0))
    assert not nothing.firings and "none of this version" in str(nothing.report.rows)
    log = ServedLog(version, paths.root / "logs/serving", NAME)
    log.send(dearer(draw(version, 40, 0)), *day(0))
    monitor(paths, now=after(0))
    assert history(paths)[0]["alarms"] == {"rows": None, "labels": None}


def test_a_broken_file_of_the_log_is_named(paths: Paths, version: Version) -> None:
    ServedLog(version, paths.root / "logs/serving", NAME).send(draw(version, 40, 0), *day(0))
    (file,) = (paths.root / "logs/serving/requests").rglob("*.parquet")
    file.write_bytes(file.read_bytes()[:-20])
    with pytest.raises(DataError, match=f"{file.name}.*move the file away|Move the file away"):
        monitor(paths, now=after(0))


def test_a_version_without_a_reference_is_refused(
    paths: Paths, version: Version, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(version.folder, copy)
    (copy / EXTRA / "reference.parquet").unlink()
    monkeypatch.setattr(command, "version_folder", lambda *_: (copy, NAME))
    with pytest.raises(DataError, match="made/1: has no reference"):
        monitor(paths)


class Receiver(http.server.BaseHTTPRequestHandler):
    """Keeps what is posted; hangs while `hang` is set."""

    posted: list[dict[str, Any]]
    hang: threading.Event

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        if self.hang.is_set():
            while self.hang.is_set():
                time.sleep(0.05)
            return
        self.posted.append(json.loads(body))
        self.send_response(204)
        self.end_headers()

    def log_message(self, *_: Any) -> None: ...


@pytest.fixture
def webhook() -> Iterator[tuple[str, type[Receiver]]]:
    kind = type("Own", (Receiver,), {"posted": [], "hang": threading.Event()})
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), kind)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}/secret-path", kind
    kind.hang.clear()
    server.shutdown()
    thread.join()
    server.server_close()


def test_a_webhook_that_hangs_is_given_up_and_tried_again_and_its_address_is_told_nowhere(
    paths: Paths,
    version: Version,
    webhook: tuple[str, type[Receiver]],
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    address, receiver = webhook
    monkeypatch.setenv(alerts.WEBHOOK, address)
    set_monitor(paths, webhook_seconds=0.3, alarm_windows=1, of_windows=1)
    ServedLog(version, paths.root / "logs/serving", NAME).send(
        dearer(draw(version, ROWS, 0)), *day(0)
    )
    receiver.hang.set()
    late = monitor(paths, now=after(0))
    assert "did not answer within 0.3 s" in str(late.report.rows)
    receiver.hang.clear()
    for _ in range(2):
        monitor(paths, now=after(0))
    (posted,) = receiver.posted
    assert posted["text"].startswith("made/1: drift in 1 of the last 1 windows: ")
    assert posted["columns"] and posted["version"] == NAME
    everything = str(late.report.rows) + caplog.text + str(files(paths).values())
    assert "secret-path" not in everything


@pytest.mark.parametrize(
    ("address", "words"),
    [
        ("file:///etc/secret-path", "no http or https address"),
        ("http://127.0.0.1:9/secret-path", "cannot be reached"),
        ("http://[secret-path", "cannot be reached"),
        ("secret-path", "no http or https address"),
    ],
)
def test_a_webhook_that_is_none_is_said_without_its_address(
    address: str, words: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(alerts.WEBHOOK, address)
    firing = command.Firing(kind="rows", window="w", begun="b", windows=2, of=3, columns=("age",))
    problem = alerts.post(firing, NAME, seconds=2.0)
    assert problem is not None and words in problem and "secret-path" not in problem
