"""expectations.yaml written for people, and changes proposed to one that people have edited."""

from __future__ import annotations

import dataclasses
import difflib
from typing import Any

import yaml

from plumbline.data.expectations import ColumnExpectations, Expectations
from plumbline.data.formats import Reading
from plumbline.data.infer import Inferred
from plumbline.data.profile import ColumnProfile
from plumbline.data.text_profile import TextProfile
from plumbline.data.tolerance import limits
from plumbline.kinds import Role
from plumbline.tables import CellFormat

LONG_KEY = 1000  # characters; YAML takes no longer ones for keys unless told
HEADER = """\
# What the data must look like: inferred by `plumbline init`, yours to edit.
#
# type      number, integer, boolean, category, text, date, image
# role      feature (default), target, time, group, id, weight, split, ignore
# format    how cells are written, where not as 1234.5 or 2024-12-31: {decimal: ',',
#           thousands: '.', unit: '$' (`%` divides by 100), parentheses: true for (5) = -5,
#           date: '%d/%m/%Y', missing: [words for a missing cell]}
# missing   {max: largest share of missing cells}
# range     {min: , max: } both allowed; inferred with tolerance around what was seen
# values    {only: [...]} nothing else; of the target: its classes
# pattern   {regex: } that every value matches
# length    {min: , max: } characters of a text, both allowed
# garbled   {max: largest share of texts with control or replacement characters, or UTF-8 that
#           was read as another encoding}
# repeated  {max: largest share of the rows that have one and the same text}
# unique, increasing   {} no value twice; no value smaller than the one before
# severity  critical stops the graph (exit code 3), warning goes on the page
#
# `plumbline init --update` proposes what new data ask for, and changes nothing by itself.
"""


def to_yaml(expectations: Expectations) -> str:
    """The file's text; the task and the positive class live in params.yaml."""
    lines = [HEADER, f"rows: {_flow(_plain(expectations.rows))}"]
    lines.append(f"ordered_columns: {str(expectations.ordered_columns).lower()}")
    rules = [_plain(rule) for rule in expectations.rules]
    lines.append("rules:" + ("" if rules else " []") + "  # between two columns of a row")
    lines += [f"  - {_flow(rule)}" for rule in rules]
    lines.append("columns:")
    for name, column in expectations.columns.items():
        lines.append(f"  {_key(name)}")
        for key, value in _plain(column).items():
            if value is None or (key == "role" and value == Role.FEATURE):
                continue
            lines.append(f"    {key}: {_flow(value)}")
    return "\n".join(lines) + "\n"


def _plain(value: Any) -> dict[str, Any]:
    return {
        f.name: _value(getattr(value, f.name))
        for f in dataclasses.fields(value)
        if not (getattr(value, f.name) is None and f.name not in ("min", "max"))
    }


def _value(value: Any) -> Any:
    if isinstance(value, CellFormat):
        return value.to_json()
    if dataclasses.is_dataclass(value):
        return _plain(value)
    return str(value) if isinstance(value, str) else value


class _Dumper(yaml.SafeDumper):
    """Texts with line ends or other marks that do not print are written on one line, escaped."""


def _text(dumper: yaml.SafeDumper, value: str) -> yaml.ScalarNode:
    style = None if value.isprintable() else '"'
    return dumper.represent_scalar("tag:yaml.org,2002:str", value, style=style)


_Dumper.add_representer(str, _text)


def _flow(value: Any) -> str:
    """One line of YAML."""
    text: str = yaml.dump(
        value,
        Dumper=_Dumper,
        default_flow_style=True,
        allow_unicode=True,
        sort_keys=False,
        width=10**9,
    )
    return text.strip().removesuffix("...").strip()


def _key(name: str) -> str:
    """A name and the colon behind it; YAML wants long ones said to be keys."""
    key = _flow(name)
    return f"{key}:" if len(key) <= LONG_KEY else f"? {key}\n  :"


def propose(current: Expectations, inferred: Inferred) -> Expectations:
    """The current expectations, changed only where the data at hand contradict them.

    Columns come and go with the data; a range, a list of values or a share of missing cells is
    widened where it would fail; everything else, an owner's edits above all, stays.
    """
    columns = {}
    for name, proposed in inferred.expectations.columns.items():
        own = current.columns.get(name)
        columns[name] = proposed if own is None else _widen(own, proposed, inferred.profiles[name])
    kept = [r for r in current.rules if r.left in columns and r.right in columns]
    return dataclasses.replace(current, columns=columns, rules=kept)


def _widen(
    own: ColumnExpectations, proposed: ColumnExpectations, profile: ColumnProfile
) -> ColumnExpectations:
    if own.type is not proposed.type:  # the own type does not read every cell
        return dataclasses.replace(proposed, role=own.role)
    changes: dict[str, Any] = {"format": proposed.format}
    limited = own.role is not Role.TARGET
    if (
        limited
        and own.missing
        and proposed.missing
        and profile.missing > own.missing.max * profile.rows
    ):
        changes["missing"] = dataclasses.replace(own.missing, max=proposed.missing.max)
    if own.range is not None and profile.low is not None and profile.high is not None:
        low, high = own.range.min, own.range.max
        wide = limits(profile.low, profile.high, own.role)
        if low is not None and profile.low < low:
            low = wide.min
        if high is not None and profile.high > high:
            high = wide.max
        changes["range"] = dataclasses.replace(own.range, min=low, max=high)
    if profile.text is not None:
        changes |= _widen_texts(own, proposed, profile.text)
    if own.values is not None and proposed.values is not None:
        new = [v for v in proposed.values.only if v not in own.values.only]
        changes["values"] = dataclasses.replace(own.values, only=[*own.values.only, *new])
    return dataclasses.replace(own, **changes)


def _widen_texts(
    own: ColumnExpectations, proposed: ColumnExpectations, text: TextProfile
) -> dict[str, Any]:
    """What a text's expectations become where the texts at hand would fail them."""
    changes: dict[str, Any] = {}
    if own.length is not None and proposed.length is not None:
        low, high = own.length.min, own.length.max
        if text.shortest < low:
            low = proposed.length.min
        if high is not None and text.longest > high:
            high = proposed.length.max
        changes["length"] = dataclasses.replace(own.length, min=low, max=high)
    for key, share in (("garbled", text.garbled), ("repeated", text.repeated)):
        limit, wide = getattr(own, key), getattr(proposed, key)
        if limit is not None and wide is not None and share > limit.max:
            changes[key] = dataclasses.replace(limit, max=wide.max)
    return changes


def known(current: Expectations) -> dict[str, Reading]:
    """How the columns are read now."""
    return {c.name: Reading(type=c.type, format=c.format) for c in current.schema.columns}


def diff(before: str, after: str) -> str:
    """A readable difference of two texts, the unchanged parts left out."""
    return "".join(
        difflib.unified_diff(
            before.splitlines(keepends=True),
            after.splitlines(keepends=True),
            fromfile="expectations.yaml",
            tofile="expectations.proposed.yaml",
            n=1,
        )
    )
