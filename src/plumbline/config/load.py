"""params.yaml -> Config: unknown keys and wrong values are refused with the nearest right one."""

from __future__ import annotations

import copy
import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import Any, Self

import yaml
from pydantic import Field

from plumbline.address import has_password
from plumbline.config.build import TUNED, build
from plumbline.config.data import DataConfig, NormalizeConfig, SplitConfig, ValidateConfig
from plumbline.config.evaluation import (
    DriftConfig,
    EvaluateConfig,
    ExplainConfig,
    ExportConfig,
    RegisterConfig,
    ReportConfig,
)
from plumbline.config.model import Dimension, ModelConfig, TrainConfig, TuneConfig
from plumbline.config.monitor import MonitorConfig
from plumbline.config.retrain import RetrainConfig
from plumbline.config.runtime import RuntimeConfig
from plumbline.config.section import section
from plumbline.config.serve import ServeConfig
from plumbline.errors import ParameterError, nearest
from plumbline.files import read_yaml

TUNE_STORAGE = "PLUMBLINE_TUNE_STORAGE"  # environment: the address with its password
# Keys of `train` that the tune stage always searches, so that it need not depend on them
# and changing one re-runs training alone.
ALWAYS_SEARCHED = ("train.learning_rate", "train.weight_decay")


@section
class Config:
    """All of params.yaml. `tuned` names the keys whose value the tune stage decides."""

    seed: int = Field(ge=0, lt=2**32)  # what numpy, torch and scikit-learn take
    data: DataConfig
    validate: ValidateConfig = Field(default_factory=ValidateConfig)
    split: SplitConfig = Field(default_factory=SplitConfig)
    normalize: NormalizeConfig = Field(default_factory=NormalizeConfig)
    model: ModelConfig = Field(default_factory=ModelConfig)
    tune: TuneConfig = Field(default_factory=TuneConfig)
    train: TrainConfig = Field(default_factory=TrainConfig)
    runtime: RuntimeConfig = Field(default_factory=RuntimeConfig)
    evaluate: EvaluateConfig = Field(default_factory=EvaluateConfig)
    explain: ExplainConfig = Field(default_factory=ExplainConfig)
    drift: DriftConfig = Field(default_factory=DriftConfig)
    export: ExportConfig = Field(default_factory=ExportConfig)
    register: RegisterConfig = Field(default_factory=RegisterConfig)
    report: ReportConfig = Field(default_factory=ReportConfig)
    serve: ServeConfig = Field(default_factory=ServeConfig)
    monitor: MonitorConfig = Field(default_factory=MonitorConfig)
    retrain: RetrainConfig = Field(default_factory=RetrainConfig)
    tuned: tuple[str, ...] = ()

    def replace(self, values: Mapping[str, Any]) -> Self:
        """A copy with other values, by key `section.name`, checked again.

        Raises:
            ParameterError: an unknown key or a wrong value.
        """
        raw = dataclasses.asdict(self)
        for key, value in values.items():
            _set(raw, key, value)
        raw["tuned"] = tuple(k for k in self.tuned if k not in values)
        return build(type(self), raw)


def load_config(path: Path) -> Config:
    """Read and check params.yaml. A key that is `tuned` holds the center of its search range.

    Raises:
        ParameterError: the file is missing, is not YAML, has an unknown key or a wrong value.
    """
    try:
        raw = read_yaml(path)
    except FileNotFoundError:
        raise ParameterError(
            "no such file", file=path, hint="run from the root of the checkout"
        ) from None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ParameterError(f"not readable as YAML: {error}", file=path) from None
    if not isinstance(raw, dict):
        raise ParameterError("wanted a mapping of sections", file=path, got=raw)
    return parse_config(raw)


def parse_config(raw: dict[str, Any]) -> Config:
    """Check parsed parameters (see `load_config`)."""
    raw = copy.deepcopy(raw)
    tuned = tuple(
        key for top in ("model", "train", "normalize") for key in _tuned_keys(raw.get(top), top)
    )
    space = _space(raw)
    for key in tuned:
        if key not in space:
            raise ParameterError(
                "is 'tuned', and the search space does not have it",
                file="params.yaml",
                where=key,
                hint=f"give it a value, or add {key} to tune.space",
            )
        _set(raw, key, space[key].center)
    if "tuned" in raw:
        raise ParameterError("unknown key", file="params.yaml", where="tuned")
    with _blaming_the_space(tuned):
        config = build(Config, {**raw, "tuned": tuned})
    _check_paths(config.data)
    _check_start(config)
    if config.tune.storage is not None and has_password(config.tune.storage):
        raise ParameterError(
            "may hold a password, and this file is shown on the page, in MLflow and in git",
            file="params.yaml",
            where="tune.storage",
            hint=f"leave user and password out and give the whole address in {TUNE_STORAGE}, or "
            "the password in the database's own variable (PGPASSWORD, say)",
        )
    _check_space(config)
    return config


def _check_paths(data: DataConfig) -> None:
    """Only what lies under data/ is a version that DVC keeps."""
    for key in ("path", "test_path"):
        path = getattr(data, key)
        parts = PurePosixPath(path or "data/x").parts
        if len(parts) < 2 or parts[0] != "data" or ".." in parts:
            raise ParameterError(
                "lies outside data/, where DVC keeps no version of it",
                file="params.yaml",
                where=f"data.{key}",
                wanted="a path under data/",
                got=path,
                hint="move it there and run `dvc add data`, or run `plumbline init` with it",
            )


def _check_start(config: Config) -> None:
    """What needs a network to start from is refused where there is none."""
    if config.model.start_from is not None:
        return
    needing = {
        "normalize.from_start": (config.normalize.from_start, "[]"),
        "train.freeze": (config.train.freeze, "{}"),
    }
    for key, (value, empty) in needing.items():
        if value:
            raise ParameterError(
                "needs a network to start from, and model.start_from is null",
                file="params.yaml",
                where=key,
                got=value,
                hint=f"set model.start_from, or this to {empty}",
            )


def _tuned_keys(node: Any, prefix: str) -> Iterator[str]:
    if isinstance(node, dict):
        for name, value in node.items():
            if value == TUNED:
                yield f"{prefix}.{name}"
            elif isinstance(value, dict):
                yield from _tuned_keys(value, f"{prefix}.{name}")


def _space(raw: dict[str, Any]) -> dict[str, Dimension]:
    tune = raw.get("tune")
    if not isinstance(tune, dict):
        return {}
    return build(TuneConfig, tune, prefix="tune").space


def _check_space(config: Config) -> None:
    for key, dimension in config.tune.space.items():
        if not key.startswith(("model.", "train.", "normalize.balance.")):
            raise ParameterError(
                "only keys of model, train and normalize.balance can be searched",
                file="params.yaml",
                where=f"tune.space: {key}",
            )
        _check_conditions(config.tune, key)
        with _blaming_the_space([key]):
            for value in dimension.ends:
                config.replace({key: value})
    missing = [k for k in ALWAYS_SEARCHED if k not in config.tune.space]
    if config.tune.trials and missing:
        raise ParameterError(
            f"the search space lacks {', '.join(missing)}",
            file="params.yaml",
            where="tune.space",
            hint="add it, or set tune.trials to 0",
        )


def _check_conditions(tune: TuneConfig, key: str) -> None:
    """What `when` of a dimension names is searched, on no condition of its own."""
    for name, values in tune.space[key].when.items():
        where = f"tune.space: {key}.when"
        if tune.sampler == "grid":
            raise ParameterError(
                "the sampler grid tries every point, and knows no conditions",
                file="params.yaml",
                where=where,
                hint="choose another tune.sampler, or leave `when` out",
            )
        parent = tune.space.get(name)
        if parent is None or parent.when:
            others = [k for k, d in tune.space.items() if k != key and not d.when]
            raise ParameterError(
                "no dimension of the space that is always searched",
                file="params.yaml",
                where=where,
                got=name,
                hint=nearest(name, others),
            )
        wrong = [value for value in values if not parent.holds(value)]
        if wrong or not values:
            raise ParameterError(
                f"names no value that {name} takes",
                file="params.yaml",
                where=where,
                wanted=f"some of {parent.choices}" if parent.choices else "whole numbers within it",
                got=wrong[0] if wrong else "an empty list",
            )


@contextmanager
def _blaming_the_space(keys: Sequence[str]) -> Iterator[None]:
    """A value that came from the search space is wrong there, not where it was put."""
    try:
        yield
    except ParameterError as error:
        if error.where not in keys:
            raise
        raise ParameterError(
            error.what,
            file=error.file,
            where=f"tune.space: {error.where}",
            wanted=error.wanted,
            got=error.got,
            hint=error.hint,
        ) from None


def _set(raw: dict[str, Any], key: str, value: Any) -> None:
    """Set a nested key; an unknown one is refused with the nearest known."""
    node: Any = raw
    *parents, last = key.split(".")
    for name in parents:
        if not isinstance(node, dict) or not isinstance(node.get(name), dict):
            known = node if isinstance(node, dict) else {}
            raise ParameterError(
                "unknown key", file="params.yaml", where=key, hint=nearest(name, known)
            )
        node = node[name]
    node[last] = value
