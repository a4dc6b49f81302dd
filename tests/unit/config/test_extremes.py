"""Every key of params.yaml with its type's extremes: refused by name, or within bounds."""

from __future__ import annotations

import copy
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from tests.unit.config.test_load import put

from plumbline.config import Config
from plumbline.config.load import parse_config
from plumbline.errors import ParameterError

ROOT = Path(__file__).parents[3]
WRITTEN = yaml.safe_load((ROOT / "params.yaml").read_text(encoding="utf-8"))
EXTREMES: dict[str, Any] = {
    "nothing": None,
    "no": False,
    "zero": 0,
    "minus one": -1,
    "a fraction": 0.5,
    "tiny": 5e-324,
    "huge": 10**30,
    "past 32 bits": 2**32,
    "past 64 bits": 2**64,
    "large": 1e308,
    "infinite": math.inf,
    "minus infinite": -math.inf,
    "not a number": math.nan,
    "empty": "",
    "line feed": "a\nb",
    "nul": "a\0b",
    "digits": "1e5",
    "unicode": "é中\u202e",
    "long": "x" * 100_000,
    "list": [1, "a", None],
    "empty list": [],
    "mapping": {"a": 1},
    "nested": {"a": {"b": [{}]}},
}
FREE = ("tune.space", "normalize.columns")  # keys of the user's own below them


def leaves(node: Any, prefix: str = "") -> Iterator[str]:
    for name, value in node.items():
        key = f"{prefix}{name}"
        if isinstance(value, dict) and value and key not in FREE:
            yield from leaves(value, f"{key}.")
        else:
            yield key


KEYS = [*leaves(WRITTEN), "normalize.columns.area_error.clip", "tune.space.model.dropout.low"]


def values(config: Any) -> Iterator[float | str]:
    """All numbers and texts in a configuration."""
    if isinstance(config, (list, tuple)):
        parts: Any = config
    elif isinstance(config, dict):
        parts = [*config.keys(), *config.values()]
    elif hasattr(config, "__dataclass_fields__"):
        parts = [getattr(config, name) for name in config.__dataclass_fields__]
    else:
        if isinstance(config, (int, float, str)):
            yield config
        return
    for part in parts:
        yield from values(part)


def load(key: str, value: Any) -> Config:
    raw = copy.deepcopy(WRITTEN)
    if key.startswith("tune.space.model.dropout"):
        raw["tune"]["space"]["model.dropout"][key.rpartition(".")[2]] = value
    else:
        put(raw, key, value)
    return parse_config(raw)


@pytest.mark.parametrize("key", KEYS)
def test_extremes_are_refused_by_name_or_are_none(key: str) -> None:
    for name, value in EXTREMES.items():
        try:
            config = load(key, value)
        except ParameterError as refused:
            text = str(refused)
            own = "tune.space" if key.startswith("tune.space.") else key.rpartition(".")[2]
            assert own in text, (name, text)
            assert len(text) < 1000 and "\n" not in text and "\0" not in text, (name, text)
            continue
        for held in values(config):
            if isinstance(held, str):
                assert len(held) <= 10_000 and "\0" not in held, (name, held)
            elif not isinstance(held, bool):
                assert math.isfinite(held) and abs(held) <= 2**32, (name, held)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("seed", 2**32),
        ("evaluate.bootstrap", 10**8),
        ("model.depth", 10**6),
        ("split.repeats", 10**9),
        ("evaluate.costs", {"fp": 1.0}),
        ("data.format.separator", "é"),
        ("data.format.separator", "\n"),
    ],
)
def test_what_would_run_for_ever_or_fail_late_is_refused_at_once(key: str, value: Any) -> None:
    with pytest.raises(ParameterError, match=rf"params\.yaml: {key}: "):
        load(key, value)
