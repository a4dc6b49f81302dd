"""Contributions add up, and a column that the model cannot see contributes nothing."""

from __future__ import annotations

import base64
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from starlette.testclient import TestClient
from tests.version import LABELS, Version, png

from plumbline.config.serve import ServeConfig
from plumbline.evaluation.masker import Masker
from plumbline.images import ImageReader
from plumbline.kinds import Task
from plumbline.serving.app import Service, create_app
from plumbline.serving.holder import Fetched, Holder
from plumbline.serving.measures import Measures

pytestmark = pytest.mark.usefixtures("one_thread")
ROW: dict[str, Any] = dict.fromkeys(("member", "day", "note", "photo"))
ROW |= {"price": "1.234,50 €", "count": 3, "maker": "A"}


@pytest.fixture(scope="module", params=[Task.BINARY, Task.REGRESSION])
def version(tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest) -> Version:
    return Version(tmp_path_factory.mktemp("version") / "one", request.param)


WHOLE = {
    **ROW,
    "member": True,
    "day": "02/05/2024",
    "note": "red shoes",
    "photo": base64.b64encode(png(1)).decode(),
}


def held(folder: Path) -> Holder:
    return Holder(Fetched(folder=folder, version="made/1"), measures=Measures())


def client(folder: Path, **config: Any) -> TestClient:
    return TestClient(create_app(Service(held(folder), ServeConfig(**config))))


def test_contributions_add_up_to_the_prediction(version: Version) -> None:
    with client(version.folder, explain_evaluations=200) as own:
        response = own.post("/explain", json={"rows": [ROW]})
        assert response.status_code == 200, response.text
        again = own.post("/explain", json={"rows": [ROW]}).json()
        answer = own.post("/predict", json={"rows": [ROW]}).json()["predictions"][0]
    (explained,) = response.json()["explanations"]
    assert again["explanations"] == [explained]
    values = explained["contributions"]
    assert sum(values.values()) == pytest.approx(explained["value"] - explained["reference"])
    for name in ("member", "day", "note", "photo"):
        assert values[name] == pytest.approx(0, abs=1e-6), name
    assert any(abs(values[name]) > 1e-4 for name in ("price", "count", "maker"))
    predicted = answer["predicted"]
    is_class = bool(LABELS[version.schema.task])
    expected = answer["probabilities"][predicted] if is_class else predicted
    assert explained["value"] == pytest.approx(expected, rel=1e-6)


def test_the_cost_is_bounded(version: Version) -> None:
    with client(version.folder, explain_rows=2, explain_evaluations=31) as own:
        assert own.post("/explain", json={"rows": [ROW] * 3}).status_code == 413
        costly = own.post("/explain", json={"rows": [ROW] * 2})
        assert costly.status_code == 422 and "serve.explain_evaluations" in costly.text
        assert own.post("/explain", json={"rows": [ROW]}).status_code == 200
        bad = own.post("/explain", json={"rows": [{**ROW, "price": "cheap"}]})
        assert bad.status_code == 422 and bad.json()["cells"][0]["column"] == "price"


def test_tensors_taken_apart_are_those_of_a_row_with_some_cells(version: Version) -> None:
    served = held(version.folder).current
    (row,) = served.parse([WHOLE])
    predictor, names = served.predictor, [column.name for column in served.parser.columns]
    shown = np.random.default_rng(0).random((20, len(names))) < 0.5
    rows = [
        {name: row[name] if there else None for name, there in zip(names, one, strict=True)}
        for one in shown
    ]
    masker = Masker.of(predictor.spec)
    present = shown[:, [names.index(name) for name in masker.names]]
    both = served.inputs([row, dict.fromkeys(row)])
    own, reference = ({k: v[i : i + 1] for k, v in both.items()} for i in (0, 1))
    mixed = masker.mix(present, own, reference)
    for name, expected in served.inputs(rows).items():
        np.testing.assert_array_equal(mixed[name], expected, err_msg=name)


def test_an_image_is_opened_a_few_times_whatever_the_evaluations(
    version: Version, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened, pixels = [], ImageReader.pixels

    def counted(reader: ImageReader, *arguments: Any) -> Any:
        opened.append(reader)
        return pixels(reader, *arguments)

    with client(version.folder, explain_evaluations=1000) as own:
        monkeypatch.setattr(ImageReader, "pixels", counted)
        response = own.post("/explain", json={"rows": [WHOLE]})
    assert response.json()["explanations"][0]["permutations"] > 100
    assert 1 <= len(opened) <= 4


@pytest.mark.parametrize(
    "bounds",
    [
        {"explain_seconds": 0.5},
        {"explain_seconds": 60.0, "timeout_seconds": 1.5},  # that of the request is less
    ],
)
def test_the_time_is_bounded_and_an_answer_says_that_it_was(
    version: Version, bounds: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    holder = held(version.folder)
    graph = holder.current.predictor.graph

    def slow(inputs: Any) -> Any:
        time.sleep(0.05)
        return graph(inputs)

    monkeypatch.setattr(holder.current.predictor, "graph", slow)
    config = ServeConfig(**bounds, explain_evaluations=1_000_000)
    with TestClient(create_app(Service(holder, config))) as own:
        response = own.post("/explain", json={"rows": [ROW, WHOLE]})
    for explained in response.json()["explanations"]:
        assert explained["limited_by"] == "time" and explained["permutations"] >= 2
        change = explained["value"] - explained["reference"]
        assert sum(explained["contributions"].values()) == pytest.approx(change)


def test_what_is_not_explained_in_time_is_refused(version: Version) -> None:
    with client(version.folder, explain_seconds=1e-6) as own:
        late = own.post("/explain", json={"rows": [ROW]})
    assert late.status_code == 503 and late.headers["retry-after"]
    assert "serve.explain_seconds" in late.json()["error"]
