"""Contributions add up, and a column that the model cannot see contributes nothing."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from starlette.testclient import TestClient
from tests.version import LABELS, Version

from plumbline.config.serve import ServeConfig
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


def client(folder: Path, **config: Any) -> TestClient:
    holder = Holder(Fetched(folder=folder, version="made/1"), measures=Measures())
    return TestClient(create_app(Service(holder, ServeConfig(**config))))


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
