"""What a table holds: type and role of each column, the task, and expectations with slack.

Looks at all rows, in one streaming pass and another for the values of columns of few. What is
inferred becomes expectations.yaml, which its owner edits.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field

import polars as pl

from plumbline.config.data import FormatConfig
from plumbline.data.cells import TRUE, text
from plumbline.data.expectations import Expectations, RowCount
from plumbline.data.look import MOST_VALUES, Seen, look
from plumbline.data.slack import LISTED_VALUES, expect, rules
from plumbline.errors import DataError, nearest
from plumbline.kinds import ColumnType, Role, Task

MOST_CLASSES = 30  # a target of whole numbers with more different values is a regression
READABLE = 0.9  # a text column is of a type where this share of its cells is
ID_NAME = re.compile(r"(^|[_\s.-])(id|pid|uuid|guid|key|index|row|rowid)$|[a-z](ID|Id)$", re.I)
POSITIVE = (
    "1",
    "true",
    "yes",
    "y",
    "t",
    "positive",
    "pos",
    "malignant",
    "fraud",
    "spam",
    "churned",
)


@dataclass(frozen=True, kw_only=True)
class Inferred:
    """The expectations, and what the owner should know of each column and of the whole."""

    expectations: Expectations
    seen: dict[str, Seen]
    notes: dict[str, str] = field(default_factory=dict)  # column -> what was guessed
    general: list[str] = field(default_factory=list)


@dataclass(frozen=True, kw_only=True)
class Wishes:
    """What the owner said on the command line."""

    target: str
    task: Task | None = None
    positive: str | None = None
    time: str | None = None
    group: str | None = None
    id: str | None = None


def infer(raw: pl.LazyFrame, form: FormatConfig, wishes: Wishes, *, file: str) -> Inferred:
    """Infer types, roles, task and expectations of a table as read (see `read.scan`).

    Raises:
        DataError: a named column is missing; the target is constant, empty, or has a class of
            one row.
    """
    names = raw.collect_schema().names()
    for key in ("target", "time", "group", "id"):
        wished = getattr(wishes, key)
        if wished is not None and wished not in names:
            raise DataError(
                "no such column",
                file=file,
                where=f"--{key}",
                wanted="a column of the file",
                got=wished,
                mend=nearest(wished, names),
            )
    seen = look(raw, form, file)
    types = {name: _type(seen[name]) for name in names}
    if wishes.time is not None and types[wishes.time] is ColumnType.CATEGORY:
        types[wishes.time] = ColumnType.TEXT  # ordered as text
    task, note = _task(seen[wishes.target], types[wishes.target], wishes, file)
    notes = {wishes.target: note} if note else {}
    if task.is_classification:
        types[wishes.target] = ColumnType.CATEGORY
    classes = _classes(raw, form, wishes.target, file) if task.is_classification else ()
    positive = _positive(classes, wishes, file) if task is Task.BINARY else None
    _refuse_unlabelled(raw, form, seen[wishes.target], wishes.target, file)
    columns = {}
    for name in names:
        role, why = _role(name, seen[name], types[name], wishes)
        if why:
            notes[name] = why
        trouble = _trouble(seen[name], types[name])
        if trouble and name != wishes.target:
            notes[name] = trouble
        columns[name] = expect(seen[name], types[name], role, classes)
    found = Expectations(
        columns=columns,
        rows=RowCount(min=max(1, seen[wishes.target].rows // 2)),
        rules=rules(raw, columns),
        task=task,
        positive=positive,
    )
    return Inferred(expectations=found, seen=seen, notes=notes)


def _type(seen: Seen) -> ColumnType:
    """The narrowest type that reads (nearly) all cells."""
    there = seen.there
    if there == 0:
        return ColumnType.CATEGORY
    whole = seen.readable.get(ColumnType.INTEGER, 0)
    number = seen.readable.get(ColumnType.NUMBER, 0)
    if whole == there:
        compact_date = seen.readable.get(ColumnType.DATE, 0) == there and (seen.low or 0) > 1e7
        return ColumnType.DATE if compact_date and seen.distinct > 2 else ColumnType.INTEGER
    if number >= READABLE * there:
        return ColumnType.NUMBER
    if seen.readable.get(ColumnType.BOOLEAN, 0) == there:
        return ColumnType.BOOLEAN
    if seen.readable.get(ColumnType.DATE, 0) >= READABLE * there:
        return ColumnType.DATE
    few = min(MOST_VALUES, max(LISTED_VALUES, there // 2))
    return ColumnType.CATEGORY if seen.distinct <= few else ColumnType.TEXT


def _trouble(seen: Seen, kind: ColumnType) -> str | None:
    """Cells that are not of the column's type: validation will refuse them by row."""
    if kind not in seen.readable:
        return None
    bad = seen.there - seen.readable[kind]
    if not bad:
        return None
    what = f"{bad} cell{'s are' if bad > 1 else ' is'} not a {kind}"
    return f"{what}: validation will refuse {'them' if bad > 1 else 'it'}"


def _task(seen: Seen, kind: ColumnType, wishes: Wishes, file: str) -> tuple[Task, str | None]:
    where = f"column '{wishes.target}'"
    if seen.there == 0:
        raise DataError("the target has no values", file=file, where=where)
    if seen.distinct < 2:
        raise DataError(
            "the target is constant: there is nothing to learn",
            file=file,
            where=where,
            wanted="two or more values",
            got=seen.values[0] if seen.values else None,
            mend="choose another --target, or add rows of other values",
        )
    numeric = kind in (ColumnType.NUMBER, ColumnType.INTEGER)
    if wishes.task is not None:
        if wishes.task is Task.REGRESSION and not numeric:
            raise DataError(
                "a regression needs a target of numbers", file=file, where=where, got=str(kind)
            )
        if wishes.task is Task.BINARY and seen.distinct != 2:
            raise DataError(
                "a binary task needs a target of two values",
                file=file,
                where=where,
                got=f"{seen.distinct} values",
                mend="leave --task out, or say multiclass",
            )
        return wishes.task, None
    if seen.distinct == 2:
        return Task.BINARY, None
    if kind is ColumnType.INTEGER and seen.distinct <= min(MOST_CLASSES, seen.there // 10):
        return Task.MULTICLASS, f"{seen.distinct} whole numbers taken as classes; --task regression"
    if numeric:
        return Task.REGRESSION, None
    if seen.distinct > MOST_VALUES or seen.distinct > seen.there // 2:
        raise DataError(
            f"the target has {seen.distinct} different texts: too many to be classes",
            file=file,
            where=where,
            mend="choose another --target",
        )
    return Task.MULTICLASS, None


def _refuse_unlabelled(
    raw: pl.LazyFrame, form: FormatConfig, seen: Seen, target: str, file: str
) -> None:
    """Rows without a target can be neither learnt from nor scored on."""
    if not seen.missing:
        return
    dtype = raw.collect_schema()[target]
    empty = raw.select(text(target, dtype, form).is_null().arg_true()).head(5).collect()
    first = ", ".join(str(row) for row in empty[target])
    raise DataError(
        f"the target is missing in {seen.missing:,} row{'s' if seen.missing > 1 else ''}",
        file=file,
        where=f"column '{target}'",
        wanted="a value in every row",
        got=f"none in row {first}{' …' if seen.missing > 5 else ''} (counted from 0)",
        mend="remove these rows, or fill them in",
    )


def _classes(raw: pl.LazyFrame, form: FormatConfig, target: str, file: str) -> tuple[str, ...]:
    """The target's values, the most frequent first; refuses a class of one row."""
    dtype = raw.collect_schema()[target]
    counts = (
        raw.select(text(target, dtype, form).drop_nulls().alias("value"))
        .group_by("value")
        .len()
        .sort(["len", "value"], descending=[True, False])
        .collect(engine="streaming")
    )
    alone = counts.filter(pl.col("len") < 2)["value"].to_list()
    if alone:
        raise DataError(
            f"class '{alone[0]}' has one row, which cannot be both learnt from and tested on",
            file=file,
            where=f"column '{target}'",
            wanted="two rows or more in every class",
            mend="add rows, merge the class with another, or leave the row out"
            + (f" (so it is with {len(alone)} classes)" if len(alone) > 1 else ""),
        )
    return tuple(counts["value"].to_list())


def _positive(classes: tuple[str, ...], wishes: Wishes, file: str) -> str:
    """The class that counts as positive: as told, by its word, or the rarer one."""
    if wishes.positive is not None:
        if wishes.positive not in classes:
            raise DataError(
                "no such class",
                file=file,
                where="--positive",
                got=wishes.positive,
                mend=nearest(wishes.positive, classes),
            )
        return wishes.positive
    words = [c for c in classes if c.lower() in POSITIVE or c.lower() in TRUE]
    return words[0] if len(words) == 1 else classes[-1]


def _role(name: str, seen: Seen, kind: ColumnType, wishes: Wishes) -> tuple[Role, str | None]:
    for role in (Role.TARGET, Role.TIME, Role.GROUP, Role.ID):
        if getattr(wishes, role) == name:
            return role, None
    if seen.there == 0:
        return Role.IGNORE, "no values: not a feature"
    if seen.distinct < 2 and seen.missing == 0:
        return Role.FEATURE, "constant"
    unique = seen.rows >= 20 and seen.missing == 0 and seen.distinct >= seen.rows
    if unique and kind is ColumnType.TEXT:
        return Role.ID, "a text of its own in every row: not a feature"
    counts_up = (
        kind is ColumnType.INTEGER
        and seen.increasing
        and seen.low is not None
        and seen.high is not None
        and seen.high - seen.low == seen.rows - 1
    )
    if counts_up:
        return Role.ID, "numbers the rows: not a feature"
    if unique and kind is ColumnType.INTEGER and ID_NAME.search(name):
        return Role.ID, "named like an id, a value of its own in every row: not a feature"
    return Role.FEATURE, None
