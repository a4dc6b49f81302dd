"""One feature column: its settings, what was learned of it, and that as JSON."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import polars as pl

from plumbline.config.data import ColumnConfig, NormalizeConfig
from plumbline.errors import ParameterError, choose, nearest
from plumbline.kinds import NUMERIC, ColumnType, DoubleArray, IntArray, Role
from plumbline.preprocessing.encode import number_vocabulary, vocabulary
from plumbline.preprocessing.impute import IMPUTERS, ORDERED
from plumbline.preprocessing.scale import SCALERS, ScaleState, fit_linear_channel, fit_scaler
from plumbline.preprocessing.summary import NumberSummary, has_many_values
from plumbline.tables import Column, Schema

AS_NUMBERS = (*NUMERIC, ColumnType.BOOLEAN)


@dataclass(frozen=True, kw_only=True)
class Settings:
    """`normalize` as it holds for one column."""

    scale: str
    linear_channel: str
    impute: str
    impute_constant: float
    indicator: bool
    clip: float | None
    encode: str
    max_categories: int
    min_count: int
    dates: str
    as_category: bool | None


def settings_of(config: NormalizeConfig, column: Column) -> Settings:
    """The section's values under the column's own."""
    own = config.columns.get(column.name, ColumnConfig())
    given = {f.name: getattr(own, f.name) for f in dataclasses.fields(Settings)}
    values: dict[str, Any] = {
        name: getattr(config, name, None) if value is None else value
        for name, value in given.items()
    }
    return Settings(**values)


def check_columns(config: NormalizeConfig, schema: Schema) -> None:
    """Refuse overrides of columns that are no features, or of keys that cannot act.

    Those of a column that is ignored are passed over: the split may have dropped it.

    Raises:
        ParameterError: names the nearest feature, or the keys that the column's type knows.
    """
    features = {c.name: c for c in schema.features}
    ignored = schema.names(Role.IGNORE)
    for name, own in config.columns.items():
        if name in ignored:
            continue
        where = f"normalize.columns.{name}"
        if name not in features:
            known = name in (c.name for c in schema.columns)
            raise ParameterError(
                "the column is not a feature" if known else "no such column",
                file="params.yaml",
                where=where,
                hint=nearest(name, features),
            )
        valid = _keys_of(features[name].type)
        for key in (f.name for f in dataclasses.fields(own)):
            if getattr(own, key) is not None and key not in valid:
                raise ParameterError(
                    f"has no effect on a column of type {features[name].type}",
                    file="params.yaml",
                    where=f"{where}.{key}",
                    hint=f"keys for this column: {', '.join(valid) or 'none'}",
                )


def _keys_of(kind: ColumnType) -> tuple[str, ...]:
    number = ("scale", "linear_channel", "impute", "impute_constant", "indicator", "clip")
    if kind in AS_NUMBERS:
        return (*number, "as_category", "max_categories", "min_count")
    if kind is ColumnType.DATE:
        return (*number, "dates", "as_category", "max_categories", "min_count")
    if kind is ColumnType.TEXT:
        return ("tokenizer",)
    if kind is ColumnType.IMAGE:
        return ()
    return ("encode", "max_categories", "min_count")


@dataclass(frozen=True, kw_only=True)
class NumberState:
    """A number column, or one number made of a date.

    `scale` None: the value itself says nothing (constant in training), only that it is
    missing does. `linear`: of the number that goes beside it uncurved. `values`: embedded as a
    category too, code = position + 1.
    """

    source: str
    part: str | None
    fill: float
    indicator: bool
    scale: ScaleState | None
    clip: float | None
    values: tuple[float, ...] | None
    linear: ScaleState | None = None

    @property
    def name(self) -> str:
        return self.source if self.part is None else f"{self.source}.{self.part}"

    def to_json(self) -> dict[str, Any]:
        state = dataclasses.asdict(self)
        return {**state, "values": None if self.values is None else list(self.values)}

    @classmethod
    def from_json(cls, state: Mapping[str, Any]) -> Self:
        values = state["values"]
        return cls(**{**state, "values": None if values is None else tuple(values)})


@dataclass(frozen=True, kw_only=True)
class CategoryState:
    """A category column. `table` (K + 1, w), standardized, where it becomes numbers."""

    source: str
    encode: str
    values: tuple[str, ...]
    columns: tuple[str, ...] = ()
    table: tuple[tuple[float, ...], ...] = ()

    @property
    def codes(self) -> int:
        """Number of codes, the unknown one included."""
        return len(self.values) + 1

    def to_json(self) -> dict[str, Any]:
        state = dataclasses.asdict(self)
        return {
            **state,
            "values": list(self.values),
            "columns": list(self.columns),
            "table": [list(row) for row in self.table],
        }

    @classmethod
    def from_json(cls, state: Mapping[str, Any]) -> Self:
        return cls(
            source=state["source"],
            encode=state["encode"],
            values=tuple(state["values"]),
            columns=tuple(state["columns"]),
            table=tuple(tuple(row) for row in state["table"]),
        )


def needs_order(settings: Settings, config: NormalizeConfig) -> bool:
    """Whether learning a number column takes its sorted values, or its moments do."""
    scale = settings.scale == "auto" or SCALERS[settings.scale].ordered
    scale = scale or settings.linear_channel != "none"
    return scale or settings.impute in ORDERED or _may_be_category(settings, config)


def _may_be_category(settings: Settings, config: NormalizeConfig) -> bool:
    own = settings.as_category
    return config.numbers_as_categories if own is None else own


def fit_number(
    source: str,
    part: str | None,
    settings: Settings,
    config: NormalizeConfig,
    summary: NumberSummary,
    *,
    indicator: bool,
    fixed: bool,
) -> NumberState | str:
    """Learn one number column, or say why it is dropped.

    Args:
        indicator: a 0/1 column is made where training rows miss the value.
        fixed: leave the value as it is (points on a circle).
    """
    if summary.count == 0:
        return "no value in the training rows"
    indicator = indicator and summary.count < summary.rows
    constant = summary.low == summary.high
    if constant and not indicator:
        return "one value in all training rows"
    values: DoubleArray | None = None
    if _may_be_category(settings, config) and not fixed and not constant:
        forced = settings.as_category is True
        values = number_vocabulary(
            summary,
            few=len(summary.ordered) if forced else config.as_category_max_values,
            mode_share=0.0 if forced else config.as_category_mode_share,
            most=settings.max_categories,
            min_count=settings.min_count,
        )
    scale = None if constant else fit_scaler("none" if fixed else settings.scale, summary)
    linear = None
    if scale is not None and not fixed:
        linear = fit_linear_channel(settings.linear_channel, scale, summary)
    return NumberState(
        source=source,
        part=part,
        fill=choose(IMPUTERS, settings.impute, "normalize.impute")(
            summary, settings.impute_constant
        ),
        indicator=indicator,
        scale=scale,
        clip=None if fixed else settings.clip,
        values=None if values is None or not len(values) else tuple(values.tolist()),
        linear=linear,
    )


def fit_vocabulary(
    counts: pl.DataFrame, missing: int, settings: Settings, *, exact: bool = False
) -> tuple[tuple[str, ...], IntArray] | str:
    """Values kept and the training count of every code (K + 1,), or why it is dropped.

    A column of very many values (codes, names) keeps only those that came twice: one seen once is
    noise.

    Args:
        exact: the column has a `min_count` of its own, which holds as it is.
    """
    rows = int(counts["count"].sum())
    many = has_many_values(len(counts), rows) and not exact
    min_count = max(settings.min_count, 2) if many else settings.min_count
    kept = vocabulary(counts, most=settings.max_categories, min_count=min_count)
    if not len(counts):
        return "no value in the training rows"
    if not len(kept):
        return f"no value occurs {min_count} times in the training rows"
    if len(counts) == 1 and not missing:
        return "one value in all training rows"
    rest = rows - int(kept["count"].sum()) + missing
    count = np.concatenate([[rest], kept["count"].to_numpy()]).astype(np.int64)
    return tuple(kept["value"].to_list()), count
