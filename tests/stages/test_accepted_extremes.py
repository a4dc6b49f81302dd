"""Every value of params.yaml that is accepted when it is read also runs through the stages that
read it: to finite results, or to one message that names the key."""

from __future__ import annotations

import copy
import json
import random
import resource
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, is_dataclass
from pathlib import Path
from typing import Any, get_args

import numpy as np
import polars as pl
import pytest
import yaml
from safetensors.numpy import load_file
from tests.made import SMALL
from tests.unit.config.test_extremes import EXTREMES
from tests.unit.config.test_load import put

from plumbline.config import Config, Paths
from plumbline.config.load import parse_config
from plumbline.errors import GateError, ParameterError, UserError
from plumbline.stages import STAGES, load_stage

# of other people's imports
pytestmark = [pytest.mark.filterwarnings("ignore"), pytest.mark.usefixtures("one_thread")]
ROOT = Path(__file__).parents[2]
GRAPH = yaml.safe_load((ROOT / "dvc.yaml").read_text(encoding="utf-8"))["stages"]
ROWS = 100
GIGABYTE = 1_000_000  # in the units of ru_maxrss
EXPECTATIONS = """columns:
  size: {type: number}
  weight: {type: number}
  color: {type: category}
  day: {type: date}
  y: {type: category, role: target, values: {only: ["no", "yes"]}}
"""
RAW: dict[str, Any] = {
    "seed": 0,
    "data": {
        "name": "made",
        "path": "data/rows.csv",
        "target": "y",
        "task": "binary",
        "positive": "yes",
        "test_path": None,
        "time": None,
        "group": None,
        "id": None,
        "max_memory_mb": 2048,
        "format": {"type": "csv", "separator": ",", "missing": ["NA"]},
    },
    "model": {"name": "tabm_mini", **SMALL, "number_embedding": "periodic"},
    "normalize": {"columns": {"size": {"scale": "log"}}},
    "tune": {
        "trials": 1,
        "epochs": 1,
        "space": {
            "model.dropout": {"type": "float", "low": 0.0, "high": 0.2},
            "train.learning_rate": {"type": "float", "low": 1e-3, "high": 1e-2, "log": True},
            "train.weight_decay": {"type": "float", "low": 1e-5, "high": 1e-2, "log": True},
        },
    },
    "train": {
        "learning_rate": 0.01,
        "weight_decay": "tuned",
        "epochs": 2,
        "batch_size": 16,
    },
    "runtime": {"threads": 1, "device": "cpu"},
    "evaluate": {"bootstrap": 20},
    "explain": {"rows": 4, "background": 4, "lime_rows": 1, "lime_samples": 50},
}
# What makes a key matter
WITH: dict[str, dict[str, Any]] = {
    "train.focal_gamma": {"train.loss": "focal"},
    "train.momentum": {"train.optimizer": "sgd"},
    "train.step_epochs": {"train.schedule": "step"},
    "train.decay": {"train.schedule": "step", "train.step_epochs": 1},
    "train.plateau_epochs": {"train.schedule": "plateau"},
    "train.checkpoint_steps": {"train.batch_size": 4},
    "model.token_width": {"model.name": "ft_transformer"},
    "model.heads": {"model.name": "ft_transformer"},
    "model.bins": {"model.number_embedding": "piecewise_linear"},
    "normalize.impute_constant": {"normalize.impute": "constant"},
    "normalize.onehot_max": {"normalize.encode": "onehot"},
    "normalize.target_mean_folds": {"normalize.encode": "target_mean"},
    "normalize.target_mean_smoothing": {"normalize.encode": "target_mean"},
    "normalize.balance.ratio": {"normalize.balance.method": "oversample"},
    "normalize.balance.neighbors": {"normalize.balance.method": "smote"},
    "split.gap": {"split.method": "time", "data.time": "day"},
    "split.horizon": {"split.method": "time", "data.time": "day"},
    "evaluate.costs": {"evaluate.threshold": "cost"},
    "drift.threshold": {"drift.method": "psi"},
}
# Of keys whose extremes have a shape of their own
OWN: dict[str, list[Any]] = {
    "evaluate.costs": [{"fp": 0, "fn": 0}, {"fp": 1e9, "fn": 0}, {"fp": 5e-324, "fn": 1e9}],
    "train.class_weights": [[5e-324, 1e9], [1e9, 1e9], [1], [1, 1, 1]],
    "train.learning_curve": [[5e-324], [0.9999999], [0.1] * 20],
    "evaluate.slices": [["é"], ["size", "size"], ["y"], ["x" * 10_000]],
    "evaluate.baselines": [["linear"] * 3],
    "data.format.missing": [["", "red"], ["x" * 1000]],
}
TEXTS = ["x" * 80, "x" * 500, "x" * 10_000]  # as long as some keys allow
# Work and memory in proportion to the number, which was asked for: here by less of it
AMOUNTS = {
    "tune.trials": 5,
    "tune.epochs": 5,
    "train.epochs": 20,
    "runtime.processes": 1,
    "model.token_width": 512,
}


@dataclass(frozen=True)
class Case:
    """A value of a key that loads, and the stages that read the key's section."""

    key: str
    value: Any
    stages: tuple[str, ...]

    def __str__(self) -> str:
        return f"{self.key}={str(self.value)[:20]!r}"


def fields(cls: Any, prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Each key of params.yaml with its declaration."""
    for name, field in cls.__pydantic_fields__.items():
        if is_dataclass(field.annotation):
            yield from fields(field.annotation, f"{prefix}{name}.")
        elif name != "tuned":
            yield prefix + name, field


def bounds(declared: Any) -> Iterator[float]:
    """The numbers at the bounds of a declaration, or as near to an open one as can be."""
    for one in getattr(declared, "metadata", ()):
        whole = int in (getattr(declared, "annotation", None), *get_args(declared)[:1])
        for sign, closed, opened in ((-1, "le", "lt"), (1, "ge", "gt")):
            if hasattr(one, closed):
                yield getattr(one, closed)
            elif hasattr(one, opened):
                edge = getattr(one, opened)
                yield edge + sign if whole else float(np.nextafter(edge, sign * np.inf))
        yield from bounds(one)
    for inner in get_args(getattr(declared, "annotation", declared)):
        yield from bounds(inner)
    for inner in getattr(declared, "__metadata__", ()):
        yield from bounds(inner)


def readers(key: str) -> tuple[str, ...]:
    """The stages that depend on a key, in the graph's order; the page, which shows all, only
    where no other stage reads it."""
    result = [
        name
        for name in STAGES[:-1]
        for read in GRAPH[name].get("params", ())
        if key == read or key.startswith(f"{read}.")
    ]
    return tuple(dict.fromkeys(result)) or ("report",)


def with_value(key: str, value: Any) -> dict[str, Any]:
    """The parameters with a value, and with what makes its key matter."""
    raw = copy.deepcopy(RAW)
    for name, given in {**WITH.get(key, {}), key: value}.items():
        node = raw
        for part in name.split(".")[:-1]:
            node = node.setdefault(part, {})
        put(raw, name, given)
    return raw


def cases() -> Iterator[Case]:
    """All that is accepted of the extremes and of the bounds of each key."""
    for key, field in fields(Config):
        tried: dict[str, Any] = {}
        for value in (*EXTREMES.values(), *TEXTS, *bounds(field), *OWN.get(key, ())):
            most = AMOUNTS.get(key)
            if most and isinstance(value, int | float) and value > most:
                value = most
            try:
                parse_config(with_value(key, value))
            except ParameterError:
                continue
            tried[repr(value)] = value
        for value in tried.values():
            yield Case(key, value, readers(key))


CASES = list(cases())


def sample() -> list[Case]:
    """One or two of each section, the same in each run."""
    sections: dict[str, list[Case]] = {}
    for case in CASES:
        sections.setdefault(case.key.partition(".")[0], []).append(case)
    return [
        case
        for name, own in sections.items()
        for case in random.Random(name).sample(own, 1 if name in ("seed", "data") else 2)
    ]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkout in which every stage has run once."""
    root = tmp_path_factory.mktemp("made")
    paths = Paths(root)
    paths.data.mkdir()
    rng = np.random.default_rng(0)
    size, weight = rng.lognormal(1, 1, ROWS), rng.normal(0, 1, ROWS)
    color = rng.choice(["red", "green", "blue"], ROWS)
    y = np.where(weight + (color == "red") + rng.normal(0, 0.5, ROWS) > 0.4, "yes", "no")
    gaps = np.where(rng.random(ROWS) < 0.1, None, weight.round(3).astype(str))
    day = pl.date_range(pl.date(2024, 1, 1), pl.date(2024, 4, 9), eager=True)
    frame = pl.DataFrame({"size": size, "weight": gaps, "color": color, "day": day, "y": y})
    frame.write_csv(paths.data / "rows.csv")
    paths.expectations.write_text(EXPECTATIONS)
    paths.params.write_text(yaml.safe_dump(RAW, sort_keys=False))
    for name in STAGES:
        load_stage(name)(parse_config(RAW), paths)
    return root


def finite(values: Any) -> bool:
    return bool(np.isfinite(np.asarray(values)).all())


def refuse_constant(name: str) -> float:
    raise AssertionError(name)


def check_written(root: Path, before: Mapping[Path, int]) -> None:
    """What the stages wrote anew is finite and is not empty."""
    for file in sorted(root.rglob("*")):
        if not file.is_file() or before.get(file.relative_to(root)) == file.stat().st_mtime_ns:
            continue
        assert file.stat().st_size, file
        if file.suffix == ".npy":
            assert finite(np.load(file)), file
        elif file.suffix == ".safetensors":
            assert all(finite(tensor) for tensor in load_file(file).values()), file
        elif file.suffix == ".json":
            json.loads(file.read_text(encoding="utf-8"), parse_constant=refuse_constant)
        elif file.suffix == ".parquet":
            frame = pl.read_parquet(file)
            numbers = frame.select(pl.selectors.float())
            assert all(finite(c.drop_nulls()) for c in numbers), file


def run_case(case: Case, made: Path, root: Path) -> None:
    shutil.copytree(made, root)
    before = {
        file.relative_to(root): file.stat().st_mtime_ns
        for file in root.rglob("*")
        if file.is_file()
    }
    raw = with_value(case.key, case.value)
    config, paths = parse_config(raw), Paths(root)
    paths.params.write_text(yaml.safe_dump(raw, sort_keys=False))
    if case.key in ("split.gap", "split.horizon"):  # of a split by time
        timed = EXPECTATIONS.replace("{type: date}", "{type: date, role: time}")
        paths.expectations.write_text(timed)
    try:
        for stage in case.stages:
            load_stage(stage)(config, paths)
    except (UserError, GateError) as refused:
        text = str(refused)
        assert case.key.rpartition(".")[2] in text, text
        assert len(text) < 2000, text
    else:
        check_written(root, before)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss < 4 * GIGABYTE


@pytest.mark.parametrize("case", sample(), ids=str)
def test_what_is_accepted_runs(case: Case, made: Path, tmp_path: Path) -> None:
    run_case(case, made, tmp_path / "checkout")


@pytest.mark.soak
@pytest.mark.parametrize("case", CASES, ids=str)
def test_all_that_is_accepted_runs(case: Case, made: Path, tmp_path: Path) -> None:
    run_case(case, made, tmp_path / "checkout")
