"""A stage that is run alone, after a parameter changed that an earlier stage read."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from plumbline.config import Paths
from plumbline.errors import DataError, ParameterError
from plumbline.manifest import sealed_dir
from plumbline.stages.consumed import note_made, refuse_changed

GRAPH = {
    "split": {"params": ["seed", "train.bag"], "outs": [{"artifacts/split": {"persist": True}}]},
    "tune": {
        "deps": ["artifacts/split"],
        "params": ["train.batch_size"],
        "outs": ["artifacts/tuning"],
    },
    "train": {
        "deps": ["artifacts/split", "artifacts/tuning", "src/plumbline/models"],
        "params": ["seed", "train"],
        "outs": ["artifacts/model"],
    },
    "evaluate": {"deps": ["artifacts/model"], "params": ["evaluate"], "outs": ["reports/e"]},
    "report": {"deps": ["reports/e"], "params": ["train"], "outs": ["reports/index.html"]},
}
PARAMS = {
    "seed": 0,
    "data": {"max_memory_mb": 2048},
    "train": {"bag": 5, "batch_size": 32, "augment": {"noise": 0.0}},
    "evaluate": {"bootstrap": 100},
}
Values = dict[str, Any]


@pytest.fixture
def paths(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Paths:
    monkeypatch.delenv("DVC_STAGE", raising=False)
    (tmp_path / "dvc.yaml").write_text(yaml.safe_dump({"stages": GRAPH}, sort_keys=False))
    return Paths(tmp_path)


def setting(paths: Paths, **train: Any) -> None:
    values = {**PARAMS, "train": {**PARAMS["train"], **train}}  # type: ignore[dict-item]
    paths.params.write_text(yaml.safe_dump(values))


def made(paths: Paths, stage: str, content: str = "") -> None:
    """What a stage leaves that is run alone."""
    for out in GRAPH[stage]["outs"]:
        name = out if isinstance(out, str) else next(iter(out))
        with sealed_dir(paths.root / name) as folder:
            (folder / "rows").write_text(content)
    note_made(stage, paths)


def locked(paths: Paths, stage: str, params: Values, content: str = "") -> None:
    """What DVC notes of a stage, and its outputs."""
    for out in GRAPH[stage]["outs"]:
        name = out if isinstance(out, str) else next(iter(out))
        with sealed_dir(paths.root / name) as folder:
            (folder / "rows").write_text(content)
    entry = {"cmd": stage, "params": {"params.yaml": params}}
    (paths.root / "dvc.lock").write_text(yaml.safe_dump({"stages": {stage: entry}}))


def test_a_key_that_an_earlier_stage_read_is_refused_with_the_command(paths: Paths) -> None:
    setting(paths)
    for stage in ("split", "tune", "train"):
        made(paths, stage)
    for stage in ("tune", "train", "evaluate", "report"):
        refuse_changed(stage, paths)
    setting(paths, bag=3)
    for stage in ("tune", "train", "evaluate"):
        with pytest.raises(ParameterError) as refused:
            refuse_changed(stage, paths)
        message = str(refused.value)
        assert "params.yaml" in message and "train.bag" in message and "'split'" in message
        assert "5" in message and "3" in message and f"`dvc repro {stage}`" in message
    made(paths, "split", "other folds")
    with pytest.raises(ParameterError, match="'train'"):
        refuse_changed("evaluate", paths)
    refuse_changed("train", paths)  # what the search found may be used


def test_a_key_within_a_section_is_named(paths: Paths) -> None:
    setting(paths)
    made(paths, "train")
    setting(paths, augment={"noise": 0.1})
    with pytest.raises(ParameterError, match=r"train\.augment\.noise"):
        refuse_changed("evaluate", paths)


def test_what_the_search_was_made_with_is_said_and_goes_on(
    paths: Paths, capsys: pytest.CaptureFixture[str]
) -> None:
    setting(paths)
    made(paths, "tune")
    setting(paths, batch_size=64)
    refuse_changed("train", paths)
    told = capsys.readouterr().err
    assert "train.batch_size" in told and "32 → 64" in told and "'tune'" in told


def test_the_page_is_made_and_says_it(paths: Paths, capsys: pytest.CaptureFixture[str]) -> None:
    setting(paths)
    made(paths, "train")
    setting(paths, bag=3)
    refuse_changed("report", paths)
    assert "train.bag" in capsys.readouterr().err


@pytest.mark.parametrize("key", ["bag", "batch_size"])
def test_the_key_of_another_section_or_none_before_is_no_hindrance(paths: Paths, key: str) -> None:
    setting(paths)
    made(paths, "train")
    setting(paths, **{key: 7})
    refuse_changed("split", paths)
    refuse_changed("train", paths)  # its own, that nothing before it read


def test_dvc_lock_says_what_dvc_ran(paths: Paths, monkeypatch: pytest.MonkeyPatch) -> None:
    setting(paths)
    locked(paths, "split", {"seed": 0, "train.bag": 5})
    refuse_changed("train", paths)
    setting(paths, bag=3)
    with pytest.raises(ParameterError, match=r"train\.bag"):
        refuse_changed("train", paths)
    made(paths, "split", "three")  # alone, later than the lock
    refuse_changed("train", paths)
    setting(paths, bag=5)
    with pytest.raises(ParameterError, match=r"train\.bag"):
        refuse_changed("train", paths)
    monkeypatch.setenv("DVC_STAGE", "split")
    made(paths, "split", "five")
    monkeypatch.delenv("DVC_STAGE")
    refuse_changed("train", paths)


def test_a_parameter_that_changed_nothing_may_be_set_back(paths: Paths) -> None:
    """DVC skips a stage whose parameters are those of its lock, so nothing else would help."""
    setting(paths)
    made(paths, "split", "rows")
    setting(paths, bag=3)
    made(paths, "split", "rows")
    refuse_changed("train", paths)
    setting(paths, bag=5)
    refuse_changed("train", paths)
    setting(paths, bag=4)
    with pytest.raises(ParameterError, match=r"train\.bag"):
        refuse_changed("train", paths)


def test_parameters_that_git_brought_back_are_held_against_the_outputs(paths: Paths) -> None:
    setting(paths, bag=3)
    made(paths, "split", "three")
    setting(paths, bag=5)
    locked(paths, "split", {"seed": 0, "train.bag": 5}, "three")  # the outputs stay
    with pytest.raises(ParameterError, match=r"train\.bag"):
        refuse_changed("train", paths)


def test_what_was_made_of_another_split_is_refused(
    paths: Paths, capsys: pytest.CaptureFixture[str]
) -> None:
    setting(paths)
    for stage in ("split", "tune", "train", "evaluate"):
        made(paths, stage, "before")
    made(paths, "split", "after")
    with pytest.raises(DataError, match=r"(?s)'train'.*`dvc repro evaluate`"):
        refuse_changed("evaluate", paths)
    for stage in ("train", "report"):
        refuse_changed(stage, paths)
        assert "other parts" in capsys.readouterr().err
    made(paths, "train", "after")
    refuse_changed("evaluate", paths)
    made(paths, "split", "before")  # as it was
    made(paths, "train", "before")
    refuse_changed("evaluate", paths)


def test_dvc_checked_out_other_outputs(paths: Paths) -> None:
    setting(paths)
    locked(paths, "split", {"seed": 0, "train.bag": 5})
    made(paths, "split", "five")
    kept = paths.split.rename(paths.root / "kept")
    setting(paths, bag=3)
    made(paths, "split", "three")
    refuse_changed("train", paths)
    paths.split.rename(paths.root / "three")
    kept.rename(paths.split)
    with pytest.raises(ParameterError, match=r"train\.bag"):
        refuse_changed("train", paths)


def test_under_dvc_nothing_is_refused(paths: Paths, monkeypatch: pytest.MonkeyPatch) -> None:
    setting(paths)
    made(paths, "split")
    setting(paths, bag=3)
    monkeypatch.setenv("DVC_STAGE", "train")
    refuse_changed("train", paths)


@pytest.mark.parametrize("content", ["", "{", "[]", '{"params": 3}'])
def test_a_broken_note_or_lock_is_none(paths: Paths, content: str) -> None:
    setting(paths)
    made(paths, "split")
    (paths.root / "dvc.lock").write_text(content)
    (paths.state / "made" / "split.json").write_text(content)
    setting(paths, bag=3)
    refuse_changed("train", paths)


def test_a_bound_of_memory_changes_no_result(paths: Paths) -> None:
    setting(paths)
    locked(paths, "split", {"data": {"max_memory_mb": 1}})
    refuse_changed("train", paths)


def test_a_number_is_the_same_however_it_is_written(paths: Paths) -> None:
    setting(paths)
    paths.params.write_text(paths.params.read_text().replace("noise: 0.0", "noise: 1.0e-5"))
    locked(paths, "split", {"train.augment": {"noise": 1e-5}})
    lock = paths.root / "dvc.lock"
    lock.write_text(lock.read_text().replace("1.0e-05", "1e-05"))
    refuse_changed("train", paths)


def test_what_dvc_brought_is_known_before_a_stage_replaces_it(paths: Paths) -> None:
    """As after `dvc pull`: no stage has run here."""
    setting(paths)
    locked(paths, "split", {"seed": 0, "train.bag": 5}, "rows")
    refuse_changed("split", paths)
    setting(paths, bag=3)
    made(paths, "split", "rows")
    refuse_changed("train", paths)
    setting(paths, bag=5)
    refuse_changed("train", paths)
