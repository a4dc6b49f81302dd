"""The real server is started with a version and asked, before the version becomes champion."""

from __future__ import annotations

import re
import shutil
from pathlib import Path
from typing import Any

import pytest
from tests.version import Version

from plumbline.config import Config, Paths
from plumbline.config.load import parse_config
from plumbline.errors import GateError
from plumbline.files import read_json
from plumbline.kinds import Task
from plumbline.stages.server_check import check_server

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return Version(tmp_path_factory.mktemp("version") / "one", Task.BINARY).folder


def config(**serve: Any) -> Config:
    data = {"name": "toy", "path": "data/t.csv", "target": "y", "task": "binary"}
    return parse_config({"seed": 0, "data": data, "tune": {"trials": 0}, "serve": serve})


def test_a_version_with_a_column_of_every_type_answers_all_questions(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Under the owner's own settings, and nothing is written to the owner's log."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PYTHONPATH", "src")  # relative, as some set it
    hidden = {"mask": ["note"], "hash": ["maker"], "folder": str(tmp_path / "logs")}
    strict = config(rate_per_second=0.1, max_rows=1, port=1, host="0.0.0.0", log=hidden)
    words = check_server(folder, "toy version 1", strict, Paths(tmp_path))
    timed = r"answers with it \(one row in [\d.]+\sms over HTTP; 10 requests, [\d.]+ s\)"
    assert re.fullmatch(timed, words)
    result = read_json(tmp_path / ".plumbline" / "server_check.json")
    status = {one["question"]: one["status"] for one in result["exchanges"]}
    assert status["the registered example"] == status["the registered example, again"] == 200
    assert status["a row with an unknown column"] == 422
    assert status["a row of missing cells"] == 200
    assert result["problem"] is None
    assert not (tmp_path / "logs").exists()


@pytest.mark.parametrize(
    ("name", "content", "serve", "words"),
    [
        ("extra_files/decision.json", "{}", {}, "it does not start: .*decision.json"),
        ("model.onnx", "cut", {}, "it does not start: .*hash"),
        ("input_example.json", '[{"price": "cheap"}]', {}, "example .*a number"),
        (None, "", {"log": {"mask": ["nite"]}}, "'nite' is not a column"),
    ],
)
def test_a_version_that_cannot_be_served_is_refused_in_words(
    folder: Path, tmp_path: Path, name: str | None, content: str, serve: Any, words: str
) -> None:
    own = shutil.copytree(folder, tmp_path / "version")
    if name is not None:
        (own / name).write_text(content)
    with pytest.raises(GateError, match=words) as refused:
        check_server(own, "toy version 1", config(**serve), Paths(tmp_path))
    assert str(refused.value).startswith("toy version 1 does not become champion.")
    assert "See .plumbline/server_check.json" in str(refused.value)
    assert refused.value.exit_code == 3
