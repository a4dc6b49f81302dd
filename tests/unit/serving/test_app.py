"""The service answers rows as a file's rows are answered, and refuses the rest in words."""

from __future__ import annotations

import base64
import contextlib
import io
import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image
from starlette.testclient import TestClient
from tests.version import LABELS, Version, as_text, png

from plumbline.config.serve import ServeConfig
from plumbline.kinds import Task
from plumbline.serving.app import Service, create_app
from plumbline.serving.holder import Fetched, Holder
from plumbline.serving.measures import Measures

pytestmark = pytest.mark.usefixtures("one_thread")


def service_of(folder: Path, config: ServeConfig | None = None, **more: Any) -> Service:
    holder = Holder(Fetched(folder=folder, version="made/1"), measures=Measures())
    return Service(holder, config or ServeConfig(rate_per_second=0), **more)


@pytest.fixture(scope="module")
def versions(tmp_path_factory: pytest.TempPathFactory) -> dict[Task, Version]:
    root = tmp_path_factory.mktemp("versions")
    return {task: Version(root / str(task), task) for task in LABELS}


@pytest.fixture(scope="module")
def version(versions: dict[Task, Version]) -> Version:
    return versions[Task.BINARY]


@pytest.fixture(scope="module")
def client(version: Version) -> Iterator[TestClient]:
    config = ServeConfig(rate_per_second=0, explain_evaluations=40)  # of which some do explain
    with TestClient(create_app(service_of(version.folder, config))) as opened:
        yield opened


def as_json(rows: pl.DataFrame) -> list[dict[str, Any]]:
    """Rows as a client sends them: images in base64, dates as JSON has them."""
    photo = [None if v is None else base64.b64encode(v).decode() for v in rows["photo"]]
    day = rows["day"]
    if day.dtype != pl.String:
        day = day.dt.to_string("%Y-%m-%dT%H:%M:%S.000Z")
    return rows.with_columns(pl.Series("photo", photo), day).drop("y").to_dicts()


GOOD: dict[str, Any] = {
    "price": "900,50 €",
    "count": 3,
    "member": True,
    "day": "02/05/2024",
    "maker": "A",
    "note": "red shoes",
    "photo": base64.b64encode(png(1)).decode(),
}


@pytest.mark.parametrize("task", list(LABELS))
@pytest.mark.parametrize("form", ["typed", "text"])
def test_rows_are_answered_as_those_of_a_file(
    versions: dict[Task, Version], task: Task, form: str
) -> None:
    own = versions[task]
    rows = own.rows if form == "typed" else as_text(own.rows)
    expected = own.predictor.predict(rows.drop("y"))
    with TestClient(create_app(service_of(own.folder))) as client:
        response = client.post("/predict", json={"rows": as_json(rows)})
    assert response.status_code == 200, response.text
    body = response.json()
    assert body["version"] == "made/1"
    assert body["request_id"] == response.headers["x-request-id"]
    for answer, row in zip(body["predictions"], expected.to_dicts(), strict=True):
        probabilities = answer.pop("probabilities", {})
        assert {**answer, **{f"p_{k}": v for k, v in probabilities.items()}} == row


WORDS = ["12", "1,5", "1.234,50 €", "-", "NA", "1e3", "1e400", "-999", "yes", "TRUE", "0", "A"]
WORDS += ["02/05/2024", "2024-05-02", "30/02/2024", "1.0", "07", "inf", "nan", " 5 ", "", "€"]
WORDS += ["Zz", "１２"]
SLOW: Any = {"deadline": None, "suppress_health_check": [HealthCheck.function_scoped_fixture]}
CELLS = st.one_of(
    st.sampled_from(WORDS),
    st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=6),
)


@settings(
    max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(rows=st.lists(st.lists(CELLS, min_size=6, max_size=6), min_size=1, max_size=4))
def test_the_text_of_a_cell_says_the_same_in_a_file_and_in_a_request(
    client: TestClient, version: Version, rows: list[list[str]]
) -> None:
    names = [c.name for c in version.predictor.columns if c.name != "photo"]
    frame = pl.DataFrame(dict(zip(names, zip(*rows, strict=True), strict=True)))
    frame = frame.with_columns(photo=pl.lit(None, dtype=pl.Binary))
    expected, problems = version.predictor.predict_readable(frame)
    response = client.post("/predict", json={"rows": frame.to_dicts()})
    if len(problems):
        assert response.status_code == 422, response.text
        cells = [(c["row"], c["column"], c["reason"]) for c in response.json()["cells"]]
        assert cells == problems.select("row", "column", "reason").rows()
    else:
        predictions = response.json()["predictions"]
        assert [p["predicted"] for p in predictions] == expected["predicted"].to_list()
        assert [p["probabilities"]["yes"] for p in predictions] == expected["p_yes"].to_list()


def test_a_number_is_the_number_whatever_the_format_of_the_file_and_types_may_mix(
    client: TestClient, version: Version
) -> None:
    """1.234 is no 1234, though the file has a point between thousands."""
    prices = [1.234, "1,234 €", 1234, "1.234,00 €", None, "-"]
    rows = [{**GOOD, "price": price} for price in prices]
    answers = client.post("/predict", json={"rows": rows}).json()["predictions"]
    assert answers[0] == answers[1] and answers[2] == answers[3] and answers[4] == answers[5]
    assert answers[0] != answers[2]
    expected = version.predictor.predict(
        pl.DataFrame(
            [{**GOOD, "photo": png(1), "price": 1.234, "member": "true"}],
            schema_overrides={"photo": pl.Binary},
        )
    )
    # a batch of another size adds in another order
    assert answers[0]["probabilities"]["yes"] == pytest.approx(expected["p_yes"][0], abs=1e-6)


@pytest.mark.parametrize(
    ("change", "status", "words"),
    [
        ({"price": "cheap"}, 422, ["row 1", "'price'", "a number"]),
        ({"price": [1]}, 422, ["row 1", "'price'", "array"]),
        ({"price": {"a": 1}}, 422, ["'price'", "object"]),
        ({"count": 1.5}, 422, ["'count'", "a whole number"]),
        ({"count": True}, 422, ["row 1", "'count'", "true or false", "wanted a whole number"]),
        ({"maker": 3}, 422, ["row 1", "'maker'", "wanted text, such as 'B'", "quotes"]),
        ({"note": False}, 422, ["row 1", "'note'", "wanted text"]),
        ({"count": 10**25}, 422, ["'count'"]),
        ({"day": "2024-02-30"}, 422, ["'day'", "a date"]),
        ({"day": "9999-12-31T23:59:59-23:59"}, 422, ["'day'", "a date"]),
        ({"member": "perhaps"}, 422, ["'member'", "true or false"]),
        ({"photo": "a.png"}, 422, ["'photo'", "base64"]),
        ({"photo": "aGVsbG8="}, 422, ["'photo'", "not an image"]),
        ({"color": "red"}, 422, ["'color'", "not a column of the training data"]),
        ({"prcie": 1}, 422, ["'prcie'", "did you mean 'price'"]),
    ],
)
def test_what_does_not_fit_is_refused_by_row_and_column(
    client: TestClient, change: dict[str, Any], status: int, words: list[str]
) -> None:
    response = client.post("/predict", json={"rows": [GOOD, {**GOOD, **change}]})
    assert response.status_code == status
    message = response.json()["error"]
    assert all(word in message for word in words), message
    assert response.json()["cells"][0]["row"] == 1


def test_a_row_lacks_a_column_and_unknown_ones_may_be_ignored(client: TestClient) -> None:
    less = {k: v for k, v in GOOD.items() if k != "maker"}
    response = client.post("/predict", json={"rows": [less]})
    assert response.status_code == 422 and "'maker'" in response.json()["error"]
    more = {**GOOD, "color": {"nested": [1]}, "id": "k1"}
    assert client.post("/predict?extra=ignore", json={"rows": [more]}).status_code == 200
    for other in ("extra=perhaps", "extra=ignore&extra=refuse"):
        assert client.post(f"/predict?{other}", json={"rows": [more]}).status_code == 422
    assert client.post("/predict", json={"rows": [{**GOOD, "dropped": 1}]}).status_code == 200


def test_a_date_that_python_does_not_know_is_one_all_the_same(client: TestClient) -> None:
    """Of the year 12345, which polars reads: alone and in a batch alike."""
    row = {**GOOD, "day": "02/05/+12345"}
    alone, several = (client.post("/predict", json={"rows": [row] * n}) for n in (1, 2))
    assert alone.status_code == several.status_code == 200
    (one,), (first, _) = alone.json()["predictions"], several.json()["predictions"]
    assert one["probabilities"] == pytest.approx(first["probabilities"], abs=1e-6)


def bomb() -> str:
    content = io.BytesIO()
    Image.new("1", (9_000, 9_000)).save(content, "PNG")
    return base64.b64encode(content.getvalue()).decode()


HOSTILE = {
    "no JSON": (b"rows", 400),
    "nothing": (b"", 400),
    "NaN": (b'{"rows": [{"price": NaN}]}', 400),
    "not UTF-8": (b'{"rows": [{"maker": "\xff"}]}', 400),
    "a lone surrogate": (b'{"rows": [{"maker": "\\ud800"}]}', 400),
    "UTF-16": ('{"rows": []}'.encode("utf-16"), 400),
    "deep": (b'{"rows": ' + b"[" * 100_000 + b"]" * 100_000 + b"}", 400),
    "deep in a cell": (b'{"rows": [{"price": ' + b"[" * 900 + b"]" * 900 + b"}]}", 422),
    "a list": (b"[]", 422),
    "null": (b"null", 422),
    "no rows": (b'{"rows": []}', 422),
    "rows of numbers": (b'{"rows": [1, 2]}', 422),
    "another key": (b'{"rows": [{}], "model": "x"}', 422),
    "too many rows": (json.dumps({"rows": [{}] * 1001}).encode(), 413),
    "a long number": (b'{"rows": [{"price": ' + b"9" * 5000 + b"}]}", 400),
    "a long name": (json.dumps({"rows": [{"x" * 10_000: 1}]}).encode(), 422),
    "a key twice": (b'{"rows": [{"price": 1, "price": 2}]}', 400),
    "a key twice, of which one escaped": (b'{"rows": [{"price": 1, "pr\\u0069ce": 2}]}', 400),
    "rows twice": (b'{"rows": [{}], "rows": [{}]}', 400),
    "a byte order mark": (b'\xef\xbb\xbf{"rows": [{}]}', 400),
    "a bomb": (json.dumps({"rows": [{**GOOD, "photo": bomb()}]}).encode(), 422),
    "100 MB": (b" " * 100_000_000, 413),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_body_is_refused_without_a_traceback(client: TestClient, name: str) -> None:
    body, status = HOSTILE[name]
    headers = {"content-type": "application/json"}
    response = client.post("/predict", content=body, headers=headers)
    assert response.status_code == status, response.text[:300]
    assert set(response.json()) >= {"request_id", "error"}
    assert "Traceback" not in response.text and len(response.content) < 100_000
    assert client.post("/predict", json={"rows": [GOOD]}).status_code == 200


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (
            b'{"rows": [{"maker": "A",\n "note": "caf\xe9"}]}',
            ["line 2", "byte 38", "0xe9", "UTF-8"],
        ),
        ('{"rows": [{"note": "ü"},\n {"price": NaN}]}'.encode(), ["line 2, column 12", "null"]),
        ('{"rows": [{"note": "ü"},\n {"price": 1,}]}'.encode(), ["line 2, column 13"]),
        (b'{"rows": [{"price": 1, "note": "a:b", "price": 2}]}', ["'price' twice"]),
        (b'{"rows": [{"price": 1}], "rows": []}', ["'rows' twice"]),
    ],
)
def test_what_is_no_json_is_refused_by_its_place(
    client: TestClient, body: bytes, words: list[str]
) -> None:
    headers = {"content-type": "application/json"}
    response = client.post("/predict", content=body, headers=headers)
    message = response.json()["error"]
    assert response.status_code == 400 and all(word in message for word in words), message
    response = client.post("/feedback", content=body, headers=headers)
    assert response.status_code in (400, 409)


def test_texts_with_colons_are_no_keys(client: TestClient) -> None:
    rows = [{**GOOD, "note": '"price": 1, "price": 2'}, {**GOOD, "day": "2024-05-02T00:00:00Z"}]
    assert client.post("/predict", json={"rows": rows}).status_code == 200


SCALAR = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text()
FLAT = SCALAR | st.lists(SCALAR, max_size=3)
ANY = FLAT | st.lists(FLAT, max_size=3) | st.dictionaries(st.text(), FLAT, max_size=3)


@settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(row=st.fixed_dictionaries({}, optional=dict.fromkeys(GOOD, ANY)), whole=ANY)
def test_no_json_is_a_defect(client: TestClient, row: dict[str, Any], whole: Any) -> None:
    bodies = [("/predict", {"rows": [{**GOOD, **row}]}), ("/explain", {"rows": [{**GOOD, **row}]})]
    bodies += [(path, one) for path in ("/predict", "/explain") for one in ({"rows": whole}, whole)]
    for path, body in bodies:
        content = json.dumps(body).encode("utf-8", "surrogatepass")
        headers = {"content-type": "application/json"}
        response = client.post(path, content=content, headers=headers)
        assert response.status_code in (200, 400, 413, 422), response.text


MODES = ("1", "L", "P", "RGB", "RGBA", "CMYK", "YCbCr", "LAB", "HSV", "I", "F", "LA", "PA", "I;16")


def images() -> Iterator[bytes]:
    """Of every mode in every format that takes it; the same, cut; and one with other bytes."""
    for mode in MODES:
        for kind in ("PNG", "TIFF", "GIF", "JPEG", "BMP", "ICO"):
            content = io.BytesIO()
            with contextlib.suppress(OSError, KeyError, ValueError):
                Image.new(mode, (9, 8)).save(content, kind)
                yield content.getvalue()
                yield content.getvalue()[:-5]
    rng = np.random.default_rng(0)
    for _ in range(60):
        changed = bytearray(png(1))
        for place in rng.integers(0, len(changed), 3):
            changed[place] = rng.integers(0, 256)
        yield bytes(changed)


@pytest.mark.filterwarnings("ignore::UserWarning")  # pillow's, of what is cut
def test_no_image_is_a_defect(client: TestClient) -> None:
    status = []
    for content in images():
        row = {**GOOD, "photo": base64.b64encode(content).decode()}
        response = client.post("/predict", json={"rows": [row]})
        assert response.status_code == 200 or "'photo'" in response.json()["error"], response.text
        status.append(response.status_code)
    assert set(status) == {200, 422}


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"content-type": "text/csv"}, 415),
        ({"content-type": "multipart/form-data"}, 400),
        ({"content-type": "multipart/form-data; boundary=x"}, 400),
        ({"content-type": "application/json", "content-encoding": "gzip"}, 415),
        ({"content-type": "application/json; charset=iso-8859-1"}, 415),
    ],
)
def test_another_encoding_is_refused(
    client: TestClient, headers: dict[str, str], status: int
) -> None:
    response = client.post("/predict", content=b"price\n1\n", headers=headers)
    assert response.status_code == status, response.text


def test_a_form_is_one_row_with_its_image(client: TestClient) -> None:
    fields = {**GOOD, "count": "3", "member": "true"}
    del fields["photo"]
    response = client.post("/predict", data=fields, files={"photo": ("a.png", png(1))})
    assert response.status_code == 200, response.text
    same = client.post("/predict", json={"rows": [GOOD]}).json()["predictions"]
    assert response.json()["predictions"] == same
    del fields["note"]
    refused = client.post("/predict", data=fields, files={"note": ("a.txt", b"red shoes")})
    assert "'note': wanted text, got a file" in refused.json()["error"]


@pytest.mark.parametrize(
    ("charset", "content", "status"),
    [("utf-8", "ü".encode(), 422), ("utf-8", b"\xfc", 400), ("latin-1", b"\xfc", 415)]
    + [(other, b"a", 415) for other in ("none", "rot13", "punycode", "idna")],
)
def test_a_field_of_a_form_is_utf_8(
    client: TestClient, charset: str, content: bytes, status: int
) -> None:
    head = 'Content-Disposition: form-data; name="note"\r\nContent-Type: text/plain; charset='
    body = f"--x\r\n{head}{charset}\r\n\r\n".encode() + content + b"\r\n--x--\r\n"
    headers = {"content-type": "multipart/form-data; boundary=x"}
    response = client.post("/predict", content=body, headers=headers)
    assert response.status_code == status, response.text
    assert "note" in response.text or status == 422


def test_an_image_may_be_base64_in_lines(version: Version, tmp_path: Path) -> None:
    """As `base64 FILE` writes it, and MLflow the example that a version is registered with."""
    lines = base64.encodebytes(png(1)).decode()
    assert lines.count("\n") > 1
    folder = shutil.copytree(version.folder, tmp_path / "version")
    (folder / "input_example.json").write_text(json.dumps([{**GOOD, "day": None, "photo": lines}]))
    with TestClient(create_app(service_of(folder))) as client:  # answers its own example
        sent = [GOOD, {**GOOD, "photo": lines}, {**GOOD, "photo": f"data:image/png;base64,{lines}"}]
        first, *others = client.post("/predict", json={"rows": sent}).json()["predictions"]
    assert others == [first, first]


def test_addresses_that_are_not_there(client: TestClient) -> None:
    for method, path, status in [("GET", "/none", 404), ("GET", "/predict", 405)]:
        response = client.request(method, path)
        assert response.status_code == status and "error" in response.json()


@pytest.mark.parametrize("path", ["/health", "/ready", "/metrics", "/docs", "/openapi.json"])
def test_the_head_of_what_can_be_read_is_answered(client: TestClient, path: str) -> None:
    head, whole = client.head(path), client.get(path)
    assert head.status_code == whole.status_code == 200
    assert head.headers["content-type"] == whole.headers["content-type"]


def test_health_readiness_and_metrics(client: TestClient) -> None:
    client.post("/predict", json={"rows": [GOOD, GOOD]})
    assert client.get("/health").json() == {"status": "ok"}
    assert client.get("/ready").json()["version"] == "made/1"
    page = client.get("/metrics").text
    assert 'plumbline_version{version="made/1"} 1.0' in page
    assert 'plumbline_request_seconds_count{path="/predict",status="200"}' in page
    assert "plumbline_batch_rows_bucket" in page and "plumbline_predictions_total{" in page


def test_the_example_of_the_description_works(versions: dict[Task, Version]) -> None:
    for own in versions.values():
        with TestClient(create_app(service_of(own.folder))) as client:
            described = client.get("/openapi.json").json()
            row = described["components"]["schemas"]["Row"]
            assert list(row["properties"]) == [c.name for c in own.predictor.columns]
            assert sorted(row["properties"]["maker"]["examples"]) == ["A", "B", "C"]
            types = {name: one["type"] for name, one in row["properties"].items()}
            assert types["count"] == ["integer", "string", "null"]
            assert types["maker"] == types["note"] == ["string", "null"]
            assert types["member"] == ["boolean", "number", "string", "null"]
            words = {name: one["description"] for name, one in row["properties"].items()}
            assert "in base64" in words["photo"] and words["note"] == "a text"
            content = described["paths"]["/predict"]["post"]["requestBody"]["content"]
            answer = client.post("/predict", json=content["application/json"]["example"])
            assert answer.status_code == 200, answer.text
            page = client.get("/docs")
            assert page.status_code == 200 and "https://" not in page.text


def test_the_token_is_wanted_of_all_that_says_something(version: Version) -> None:
    with TestClient(create_app(service_of(version.folder, token="secret"))) as client:
        for path in ("/metrics", "/openapi.json", "/none"):
            assert client.get(path).status_code == 401
        assert client.post("/predict", json={"rows": [GOOD]}).status_code == 401
        wrong = {"authorization": "Bearer secres"}
        assert client.get("/metrics", headers=wrong).headers["www-authenticate"] == "Bearer"
        right = {"authorization": "Bearer secret"}
        assert client.post("/predict", json={"rows": [GOOD]}, headers=right).status_code == 200
        assert client.get("/health").status_code == client.get("/docs").status_code == 200


def test_a_client_that_asks_too_often_has_to_wait(version: Version) -> None:
    config = ServeConfig(rate_per_second=0.5)
    with TestClient(create_app(service_of(version.folder, config))) as client:
        assert client.get("/health").status_code == 200
        refused = client.get("/health")
        assert refused.status_code == 429
        assert 1 <= int(refused.headers["retry-after"]) <= 2
