"""The log holds what was sent and answered, joins the labels that came later, and stops nothing."""

from __future__ import annotations

import datetime as dt
import errno
import hashlib
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from polars.testing import assert_series_equal
from starlette.testclient import TestClient
from tests.version import ALL_BUT_IMAGES, Version, as_text, png

from plumbline.config.serve import ServeConfig, ServeLogConfig
from plumbline.errors import DataError, ParameterError
from plumbline.kinds import Task
from plumbline.serving import day_files, request_log
from plumbline.serving.app import Service, create_app
from plumbline.serving.day_files import DayFiles
from plumbline.serving.holder import Fetched, Holder
from plumbline.serving.logged import read_log
from plumbline.serving.measures import Measures

pytestmark = pytest.mark.usefixtures("one_thread")
ROW: dict[str, Any] = dict.fromkeys(("member", "day", "note", "photo"))
ROW |= {"price": "1.234,50 €", "count": 3, "maker": "A"}


@pytest.fixture(scope="module")
def version(tmp_path_factory: pytest.TempPathFactory) -> Version:
    return Version(tmp_path_factory.mktemp("version") / "one", Task.BINARY)


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Version:
    """Without images: few rows take the short way."""
    folder = tmp_path_factory.mktemp("version") / "plain"
    return Version(folder, Task.BINARY, only=ALL_BUT_IMAGES)


def service(version: Version, folder: Path, **log: Any) -> Service:
    holder = Holder(Fetched(folder=version.folder, version="made/1"), measures=Measures())
    config = ServeConfig(log=ServeLogConfig(folder=str(folder), **log))
    return Service(holder, config, log_folder=folder, log_key=b"key")


def today() -> tuple[dt.datetime, dt.datetime]:
    now = dt.datetime.now(dt.UTC).replace(tzinfo=None)
    return now - dt.timedelta(hours=1), now + dt.timedelta(hours=1)


def send(client: TestClient, *rows: dict[str, Any]) -> dict[str, Any]:
    response = client.post("/predict", json={"rows": list(rows)})
    assert response.status_code == 200, response.text
    answer: dict[str, Any] = response.json()
    return answer


def test_what_was_sent_and_answered_is_read_with_its_labels(
    version: Version, tmp_path: Path
) -> None:
    with TestClient(
        create_app(service(version, tmp_path, mask=["note"], hash=["maker"]))
    ) as client:
        first = send(client, ROW, {**ROW, "price": None, "note": "private"})
        send(client, {**ROW, "price": 7})
        labels = [
            {"request_id": first["request_id"], "row": 1, "label": "no"},
            {"request_id": first["request_id"], "row": 1, "label": "yes"},  # corrected
        ]
        assert client.post("/feedback", json={"labels": labels}).status_code == 202
    rows = read_log(tmp_path, *today())
    assert rows["row"].to_list() == [0, 1, 0]
    assert rows["request_id"][0] == rows["request_id"][1] == first["request_id"]
    assert rows["input.price"].to_list() == [1234.5, None, 7.0]
    assert rows["input.count"].to_list() == [3, 3, 3]
    assert rows["input.note"].null_count() == 3
    assert rows["input.maker"].n_unique() == 1 and len(rows["input.maker"][0]) == 32
    assert [p["predicted"] for p in first["predictions"]] == rows["output.predicted"].to_list()[:2]
    assert rows["label"].to_list() == [None, "yes", None]
    assert rows["version"].unique().to_list() == ["made/1"]
    assert (
        "private" not in str(rows.to_dicts()) and read_log(tmp_path / "none", *today()).is_empty()
    )


def test_rows_that_took_the_short_way_are_logged_as_those_of_the_long_one(
    plain: Version, tmp_path: Path
) -> None:
    """Every cell as the model read it, every answer, by time; hidden columns are hidden."""
    some = as_text(plain.rows).drop("id", "y").head(12)
    odd = {"price": "1.234.567,1 €", "maker": '"\u2028\\\n', "note": "日本 🙂"}
    sent = [*some.to_dicts(), {**some.row(0, named=True), **odd}]
    with TestClient(create_app(service(plain, tmp_path, mask=["note"], hash=["maker"]))) as client:
        send(client, sent[0])
        send(client, *sent)  # in three ways: alone, few, and many
        send(client, *sent * 3)
    rows = read_log(tmp_path, *today())
    table = pl.DataFrame([sent[0], *sent * 4])
    typed = plain.predictor.typed(table)
    assert len(rows) == len(table) and rows["row"].to_list() == [0, *range(13), *range(39)]
    for name in ("price", "count", "member", "day"):
        assert_series_equal(rows[f"input.{name}"], typed[name], check_names=False)
    assert rows["input.note"].null_count() == len(rows)
    assert rows["input.maker"].drop_nulls().str.len_chars().unique().to_list() == [32]
    outputs = rows.select(c for c in rows.columns if c.startswith("output."))
    answers = plain.predictor.predict(table.select(c.name for c in plain.predictor.columns))
    assert outputs.rename(lambda name: name.removeprefix("output.")).schema == answers.schema
    assert rows["output.predicted"].to_list() == answers["predicted"].to_list()


def test_an_image_is_logged_as_its_hash(version: Version, tmp_path: Path) -> None:
    with TestClient(create_app(service(version, tmp_path))) as client:
        files = {"photo": ("a.png", png(1))}
        fields = {"price": "1", "count": "3", "member": "", "day": "", "maker": "A", "note": ""}
        assert client.post("/predict", data=fields, files=files).status_code == 200
    assert read_log(tmp_path, *today())["input.photo"].to_list() == [
        hashlib.sha256(png(1)).hexdigest()
    ]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"label": "perhaps"}, ["'perhaps'", "no, yes"]),
        ({"label": None}, ["label"]),
        ({"request_id": "../x"}, ["request_id"]),
        ({"row": -1}, ["row"]),
        ({"row": True}, ["row"]),
        ({"more": 1}, ["more"]),
    ],
)
def test_feedback_that_says_nothing_is_refused(
    version: Version, tmp_path: Path, change: dict[str, Any], words: list[str]
) -> None:
    label = {"request_id": "0" * 32, "row": 0, "label": "yes", **change}
    with TestClient(create_app(service(version, tmp_path))) as client:
        response = client.post("/feedback", json={"labels": [label]})
    assert response.status_code == 422
    assert all(word in response.json()["error"] for word in words), response.text


def test_a_full_disk_is_counted_and_what_waits_is_written_later(
    version: Version, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write = pl.DataFrame.write_parquet

    def full(*_given: Any, **_more: Any) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    own = service(version, tmp_path, flush_seconds=1000.0)
    with TestClient(create_app(own)) as client:
        monkeypatch.setattr(pl.DataFrame, "write_parquet", full)
        send(client, ROW)
        assert own.log is not None
        own.log.flush()
        assert "No space left" in client.get("/ready").json()["log"]
        assert "plumbline_log_failures_total 1.0" in client.get("/metrics").text
        monkeypatch.setattr(pl.DataFrame, "write_parquet", write)
        send(client, ROW)
        own.log.flush()
        assert client.get("/ready").json()["log"] is None
    assert len(read_log(tmp_path, *today())) == 2
    assert not list(tmp_path.rglob("*.tmp"))


def test_what_does_not_fit_into_the_queue_is_counted(
    version: Version, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(request_log, "MB", 200)  # a queue of 200 bytes: one request
    own = service(version, tmp_path, flush_seconds=1000.0, max_queue_mb=1)
    with TestClient(create_app(own)) as client:
        for _ in range(3):
            send(client, ROW)
        assert "plumbline_log_dropped_rows_total 2.0" in client.get("/metrics").text
    assert len(read_log(tmp_path, *today())) == 1


def test_files_are_written_anew_until_they_are_large_and_old_days_go(
    version: Version, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(day_files, "FILE_ROWS", 2)
    old = tmp_path / "requests" / "date=2020-01-01"
    old.mkdir(parents=True)
    own = service(version, tmp_path, flush_seconds=1000.0)
    with TestClient(create_app(own)) as client:
        for _ in range(3):
            send(client, ROW)
            assert own.log is not None
            own.log.flush()
    assert not old.exists()
    assert len(list(tmp_path.rglob("*.parquet"))) == 2
    assert len(read_log(tmp_path, *today())) == 3


def test_a_log_that_somebody_removed_is_begun_anew(version: Version, tmp_path: Path) -> None:
    own = service(version, tmp_path / "log", flush_seconds=1000.0)
    assert own.log is not None
    with TestClient(create_app(own)) as client:
        send(client, ROW)
        own.log.flush()
        shutil.rmtree(tmp_path / "log")
        send(client, ROW)
        own.log.flush()
        assert client.get("/ready").json()["log"] is None
    assert len(read_log(tmp_path / "log", *today())) == 1


def frame(**columns: Any) -> pl.DataFrame:
    now = dt.datetime.now(dt.UTC).replace(tzinfo=None)
    own = {"request_id": "a" * 32, "row": 0, "time": now, **columns}
    return pl.DataFrame(own, schema_overrides={"row": pl.Int32, "b": pl.Int64})


def test_a_column_that_becomes_of_another_type_begins_a_new_file(tmp_path: Path) -> None:
    """Versions of a day may have a column as a number, a text, a date, and not at all."""
    day = dt.datetime.now(dt.UTC).date()
    files = DayFiles(tmp_path / "requests")
    moment = dt.datetime(2024, 5, 2)
    for cell in (1, 2, None, 2.5, True, moment, "x", [["y"]]):
        files.append(day, frame(a=cell, b=1))
    files.append(day, frame(c=1))
    rows = read_log(tmp_path, *today())
    texts = ["1", "2", None, "2.5", "true", f"{moment}.000000", "x", "['y']", None]
    assert rows["a"].to_list() == texts
    assert rows["b"].to_list() == [1] * 8 + [None]
    assert len(list(tmp_path.rglob("*.parquet"))) == 6


def test_a_column_that_is_a_whole_number_for_one_version_is_a_number(tmp_path: Path) -> None:
    day = dt.datetime.now(dt.UTC).date()
    files = DayFiles(tmp_path / "requests")
    for cell in (1, 2.5, None):
        files.append(day, frame(a=cell))
    assert read_log(tmp_path, *today())["a"].to_list() == [1.0, 2.5, None]


def test_a_damaged_file_is_named_and_stops_no_other(version: Version, tmp_path: Path) -> None:
    own = service(version, tmp_path, flush_seconds=1000.0)
    assert own.log is not None
    with TestClient(create_app(own)) as client:
        send(client, ROW)
        own.log.flush()
        (damaged,) = tmp_path.rglob("*.parquet")
        damaged.write_bytes(b"cut")
        send(client, ROW)
        own.log.flush()
        assert client.get("/ready").json()["log"] is None
    with pytest.raises(DataError, match=damaged.name):
        read_log(tmp_path, *today())
    damaged.unlink()
    assert len(read_log(tmp_path, *today())) == 1


def test_a_request_that_makes_no_frame_stops_no_other(version: Version, tmp_path: Path) -> None:
    own = service(version, tmp_path, flush_seconds=1000.0)
    assert own.log is not None
    with TestClient(create_app(own)) as client:
        send(client, ROW)
        records = own.log._batches[0].records
        records[0] = replace(records[0], rows=[{"price": object()}])
        own.log.flush()
        send(client, ROW)
        own.log.flush()
        assert "plumbline_log_dropped_rows_total 1.0" in client.get("/metrics").text
    assert len(read_log(tmp_path, *today())) == 1


def test_what_is_written_is_not_written_again_where_the_rest_is_not(
    version: Version, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    own = service(version, tmp_path, flush_seconds=1000.0)
    assert own.log is not None
    with TestClient(create_app(own)) as client:
        first = send(client, ROW)
        labels = [{"request_id": first["request_id"], "row": 0, "label": "no"}]
        client.post("/feedback", json={"labels": labels})
        with monkeypatch.context() as disk:
            disk.setattr(request_log, "_label_frame", lambda _labels: frame(a=object()))
            own.log.flush()
        assert client.get("/ready").json()["log"] is not None
        own.log.flush()
    assert read_log(tmp_path, *today())["label"].to_list() == ["no"]


def test_a_column_that_is_to_be_hidden_has_to_be_there(version: Version, tmp_path: Path) -> None:
    with pytest.raises(ParameterError, match=r"serve\.log\.mask: .*Did you mean 'note'"):
        service(version, tmp_path, mask=["nite"])
