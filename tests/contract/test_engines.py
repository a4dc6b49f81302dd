"""Engines: each does the work or says why not, and what goes wrong elsewhere comes back."""

from __future__ import annotations

from pathlib import Path
from typing import get_args

import pytest
from tests.made import made_checkout, made_spec

from plumbline.config import load_config
from plumbline.config.runtime import EngineName, RuntimeConfig
from plumbline.errors import ParameterError, PlumblineError
from plumbline.stages import train
from plumbline.training.engines import ENGINES, run_stage


def test_choices_and_parameters_agree() -> None:
    assert {"auto", *ENGINES} == set(get_args(EngineName))


@pytest.mark.parametrize("engine", ["auto", "process"])
def test_a_single_process_does_the_work_itself(tmp_path: Path, engine: EngineName) -> None:
    done: list[str] = []
    config = RuntimeConfig(engine=engine)
    assert run_stage("train", tmp_path, config, lambda: done.append("work")) is None
    assert done == ["work"]


def test_one_process_cannot_be_two(tmp_path: Path) -> None:
    config = RuntimeConfig(engine="process", processes=2)
    with pytest.raises(ParameterError, match=r"runtime\.engine.*auto or launcher"):
        run_stage("train", tmp_path, config, lambda: None)


def test_the_launcher_is_taken_for_several(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    query: list[int] = []
    monkeypatch.setitem(ENGINES, "launcher", lambda s, r, config, w: query.append(config.processes))
    run_stage("train", tmp_path, RuntimeConfig(processes=3), lambda: None)
    assert query == [3]


def test_a_third_engine_is_an_entry(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What it returns is what the stage raises; nothing is written."""
    paths = made_checkout(tmp_path, made_spec(), runtime={"processes": 2})
    error = PlumblineError("the cluster is away")
    monkeypatch.setitem(ENGINES, "launcher", lambda stage, root, config, work: error)
    with pytest.raises(PlumblineError, match="the cluster is away"):
        train.run(load_config(paths.params), paths)
    assert not paths.model.exists()
