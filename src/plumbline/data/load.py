"""expectations.yaml read, and held against the `data` section of params.yaml."""

from __future__ import annotations

from pathlib import Path

import yaml

from plumbline.config.build import build
from plumbline.config.data import DataConfig
from plumbline.data.expectations import ColumnExpectations, Expectations
from plumbline.data.fitting import check_fitting
from plumbline.errors import ParameterError, nearest
from plumbline.kinds import NUMERIC, Role, TargetKind


def load_expectations(path: Path, config: DataConfig) -> Expectations:
    """Read expectations.yaml and hold it against the `data` section.

    Raises:
        ParameterError: the file is missing or broken, a key is unknown, or the target, its
            classes or a role do not fit the `data` section.
    """
    try:
        raw = yaml.safe_load(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ParameterError(
            "no such file", file=path.name, hint="make it with `plumbline init`"
        ) from None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ParameterError(f"not readable as YAML: {error}", file=path.name) from None
    if not isinstance(raw, dict):
        raise ParameterError("wanted a mapping", file=path.name, got=raw)
    own = [w for w in config.format.missing if w]  # an empty cell is missing always
    known = {
        **raw,
        "task": config.task,
        "positive": config.positive,
        "missing_words": tuple(own),
    }
    loaded = build(Expectations, known, file=path.name)
    _check(loaded, config, path.name)
    check_fitting(loaded, path.name)
    return loaded


def _check(loaded: Expectations, config: DataConfig, file: str) -> None:
    roles = {
        Role.TARGET: config.target,
        Role.TIME: config.time,
        Role.GROUP: config.group,
        Role.ID: config.id,
    }
    for role, name in roles.items():
        has = [column for column, c in loaded.columns.items() if c.role is role]
        if name is not None and name not in loaded.columns:
            raise ParameterError(
                f"data.{role} is not a column of {file}",
                file="params.yaml",
                where=f"data.{role}",
                got=name,
                hint=nearest(name, loaded.columns),
            )
        fits = has == ([] if name is None else [name])
        if role is Role.ID:  # others may be found to name the row, too
            fits = name is None or name in has
        if not fits:
            raise ParameterError(
                f"the role {role} disagrees with params.yaml",
                file=file,
                wanted=f"{name or 'no column'} (data.{role})",
                got=", ".join(has) or "none",
                hint="make both the same, or run `plumbline init` again",
            )
    CHECKS[config.task.spec.target](loaded.columns[config.target], config, file)


def _check_classes(target: ColumnExpectations, config: DataConfig, file: str) -> None:
    classes = target.values.only if target.values else []
    two = config.task.spec.has_positive
    if len(set(classes)) < 2 or (two and len(classes) != 2):
        raise ParameterError(
            "the target's values are its classes",
            file=file,
            where=f"columns.{config.target}.values.only",
            wanted="two classes" if two else "two or more classes",
            got=classes,
        )
    if two and config.positive not in classes:
        raise ParameterError(
            "is not a class of the target",
            file="params.yaml",
            where="data.positive",
            got=config.positive,
            hint=nearest(str(config.positive), classes),
        )


def _check_numbers(target: ColumnExpectations, config: DataConfig, file: str) -> None:
    if target.type not in NUMERIC:
        raise ParameterError(
            f"a {config.task} task needs a target of numbers",
            file=file,
            where=f"columns.{config.target}.type",
            wanted="number or integer",
            got=str(target.type),
        )


CHECKS = {TargetKind.CLASSES: _check_classes, TargetKind.NUMBERS: _check_numbers}
