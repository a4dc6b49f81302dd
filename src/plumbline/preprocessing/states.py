"""The state of a fitted transformer: what it holds of the columns and of each preparer."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from plumbline.config.data import NormalizeConfig
from plumbline.errors import DataError, ParameterError
from plumbline.kinds import ColumnType
from plumbline.preprocessing.preparers import PREPARER_OF, columns_by_preparer
from plumbline.tables import Schema

FORMAT = 3  # of the state; 2 had numbers and categories only


def kept_states(schema: Schema, config: NormalizeConfig, kept: Mapping[str, Any]) -> dict[str, Any]:
    """The states of the preparers that `config.from_start` names, by preparer.

    Args:
        kept: the state of a transformer.

    Raises:
        ParameterError: they read other columns than the schema has of their types.
    """
    if not config.from_start:
        return {}
    before, states = schema_and_states(kept)
    here, there = columns_by_preparer(schema.features), columns_by_preparer(before.features)
    for name in config.from_start:
        own = {c.name: str(c.type) for c in here.get(name, ())}
        other = {c.name: str(c.type) for c in there.get(name, ())}
        if not own or own != other or name not in states:
            differing = sorted(own.items() ^ other.items())
            raise ParameterError(
                f"'{name}' reads other columns in the network to start from"
                if own
                else f"no feature is read as '{name}'",
                file="params.yaml",
                where="normalize.from_start",
                wanted="the same columns, of the same types" if own else None,
                got=f"{differing[0][0]} ({differing[0][1]}) in one of them" if own else None,
                hint=f"take '{name}' out, or give the columns the same names and types",
            )
    return {name: states[name] for name in config.from_start}


def state_of_one(state: Mapping[str, Any]) -> dict[str, Any]:
    """The state of a network's transformer; of a bag that of its first network."""
    return dict(state["networks"][0] if "networks" in state else state)


def schema_and_states(state: Mapping[str, Any]) -> tuple[Schema, Mapping[str, Any]]:
    """What a transformer's state says of the columns, and of each preparer."""
    if state.get("format") not in (2, FORMAT):
        raise DataError(
            "the fitted preprocessor is of another format",
            wanted=str(FORMAT),
            got=state.get("format"),
            hint="fit it again: dvc repro normalize --force",
        )
    states = state["preparers"] if state["format"] == FORMAT else {"scalars": state}
    schema = Schema.from_json(state)
    if PREPARER_OF[ColumnType.TEXT] not in states:  # made before texts had tokens
        schema = _with_texts_as_categories(schema)
    return schema, states


def _with_texts_as_categories(schema: Schema) -> Schema:
    kinds = {ColumnType.TEXT: ColumnType.CATEGORY}
    columns = tuple(replace(c, type=kinds.get(c.type, c.type)) for c in schema.columns)
    return replace(schema, columns=columns)
