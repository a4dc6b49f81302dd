from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import pytest
import yaml

from plumbline.config import load_config
from plumbline.config.load import parse_config
from plumbline.config.renamed import RENAMED
from plumbline.errors import ParameterError


@pytest.fixture
def raw(root: Path) -> dict[str, Any]:
    loaded: dict[str, Any] = yaml.safe_load((root / "params.yaml").read_text())
    return copy.deepcopy(loaded)


def put(raw: dict[str, Any], key: str, value: Any) -> dict[str, Any]:
    *parents, last = key.split(".")
    node = raw
    for name in parents:
        node = node.setdefault(name, {})
    node[last] = value
    return raw


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("train.learning_rat", 1.0, r"train\.learning_rat: unknown key.*'learning_rate'"),
        ("trian", {}, r"trian: unknown key.*'train'"),
        ("split.leakage.group", "fail", r"unknown key.*'groups'"),
        ("train.optimizer", "adm", r"train\.optimizer.*got 'adm'.*'adam'"),
        ("split.test_share", -0.2, r"split\.test_share.*got -0\.2"),
        ("split.test_share", 0.9, r"split.*leave no training rows"),
        ("tune.metric", "acc", r"tune\.metric: .*got 'acc'"),
        ("train.epochs", "tuned", r"train\.epochs.*add train\.epochs to tune\.space"),
        ("train.clip_norm", float("nan"), r"train\.clip_norm"),
        ("tune.space.train.depht", {}, r"tune\.space"),
        ("data.group", "diagnosis", r"one column in two roles"),
        ("seed", "x", r"seed: .*integer"),
    ],
)
def test_wrong_parameters_are_refused_by_name(
    raw: dict[str, Any], key: str, value: Any, message: str
) -> None:
    with pytest.raises(ParameterError, match=message) as caught:
        parse_config(put(raw, key, value))
    assert str(caught.value).startswith("params.yaml: ")


@pytest.mark.parametrize(("before", "now"), list(RENAMED.items()))
def test_a_key_of_before_is_answered_with_its_present_name(
    raw: dict[str, Any], before: str, now: str
) -> None:
    value: Any = raw
    for name in now.split("."):
        value = value[name]
    with pytest.raises(ParameterError, match=rf"{before}: unknown key. It is {now} now"):
        parse_config(put(raw, before, value))


def test_a_search_dimension_must_name_a_key(raw: dict[str, Any]) -> None:
    raw["tune"]["space"]["train.momentun"] = {"type": "float", "low": 0.1, "high": 0.9}
    with pytest.raises(ParameterError, match=r"train\.momentun.*'momentum'"):
        parse_config(raw)


def test_a_search_range_must_be_valid_at_both_ends(raw: dict[str, Any]) -> None:
    raw["tune"]["space"]["model.dropout"]["high"] = 1.5
    with pytest.raises(ParameterError, match=r"model\.dropout"):
        parse_config(raw)


def test_what_tune_does_not_depend_on_must_be_searched(raw: dict[str, Any]) -> None:
    del raw["tune"]["space"]["train.weight_decay"]
    raw["train"]["weight_decay"] = 0.1
    with pytest.raises(ParameterError, match=r"train\.weight_decay.*tune\.trials to 0"):
        parse_config(raw)
    raw["tune"]["trials"] = 0
    assert parse_config(raw).train.weight_decay == 0.1


def test_tuned_values_are_replaced(raw: dict[str, Any]) -> None:
    config = parse_config(raw)
    assert "train.learning_rate" in config.tuned
    assert config.train.learning_rate == pytest.approx(1.5e-3)
    made = config.replace({"train.learning_rate": 0.5})
    assert made.train.learning_rate == 0.5
    assert "train.learning_rate" not in made.tuned
    assert config.train.learning_rate == pytest.approx(1.5e-3)


def test_a_misspelt_tuned_is_answered_with_the_word(raw: dict[str, Any]) -> None:
    with pytest.raises(ParameterError, match=r"train\.learning_rate.* [Dd]id you mean 'tuned'"):
        parse_config(put(raw, "train.learning_rate", "tunned"))
    with pytest.raises(ParameterError) as caught:  # nothing of the sort was meant
        parse_config(put(raw, "train.learning_rate", "fast"))
    assert "tuned" not in str(caught.value)


def test_a_value_wins_over_the_tuner(raw: dict[str, Any]) -> None:
    config = parse_config(put(raw, "train.learning_rate", 0.25))
    assert config.train.learning_rate == 0.25
    assert "train.learning_rate" not in config.tuned


@pytest.mark.parametrize("text", ["a: [", "", "- 1", "\x00"])
def test_a_broken_file_is_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "params.yaml"
    path.write_text(text)
    with pytest.raises(ParameterError, match=r"params\.yaml"):
        load_config(path)


def test_no_file(tmp_path: Path) -> None:
    with pytest.raises(ParameterError, match="no such file"):
        load_config(tmp_path / "params.yaml")


def test_a_key_left_out_has_the_value_of_the_file(raw: dict[str, Any]) -> None:
    """Whoever deletes a line keeps what the line said, but for what the tuner finds."""
    whole = parse_config(copy.deepcopy(raw))
    for section in ("split", "normalize", "model", "tune", "train"):
        for key, value in list(raw[section].items()):
            if key == "space" or value == "tuned" or isinstance(value, dict):
                continue
            less = copy.deepcopy(raw)
            del less[section][key]
            assert parse_config(less) == whole, f"{section}.{key}"
