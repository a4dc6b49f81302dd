"""What a table's target says: the task, the classes and their spellings, the positive one."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace

import polars as pl

from plumbline.cells import TRUE, normal_forms, typed, written
from plumbline.data.choose import MOST_VALUES, Choice
from plumbline.data.compatible import refuse_classes, refuse_unreadable
from plumbline.data.profile import ColumnProfile, profile_columns
from plumbline.errors import DataError, nearest
from plumbline.kinds import ColumnType, Role, TargetKind, Task
from plumbline.tables import CellFormat, Column

MOST_CLASSES = 30  # a target of whole numbers with more different values is a regression
POSITIVE = frozenset(
    (
        *("1", "+", "+1", "true", "t", "yes", "y", "on", "ja", "j", "oui", "sí", "si", "sì", "sim"),
        *("tak", "ano", "áno", "igen", "evet", "kyllä", "ναι", "да", "так", "はい", "是", "有"),
        *("positive", "pos", "positiv", "present", "abnormal", "case", "event", "failed"),
        *("failure", "fraud", "fraudulent", "spam", "malignant", "churn", "churned", "default"),
        *("defaulted", "died", "dead", "sick", "diseased", "infected", "attack", "anomaly"),
    )
)


def refuse_test(
    test: pl.LazyFrame,
    choices: Mapping[str, Choice],
    target: str,
    spelt: Mapping[str, list[str]],
    file: str,
) -> list[str]:
    """Refuse a test file whose cells or classes are not those of the data.

    Args:
        spelt: class -> its spellings in the data; empty for a regression.

    Returns:
        what is to be said of the target: classes that are spelled differently.
    """
    columns = {name: choice.reading.column(name) for name, choice in choices.items()}
    if spelt:
        column = replace(columns.pop(target), role=Role.TARGET, labels=tuple(spelt))
        refuse_classes(column, test, file=file)
    refuse_unreadable(test, list(columns.values()), file=file)
    profile = profile_columns(test.select(target), {target: choices[target]}, file)[target]
    refuse_unlabeled(test, profile, target, file)
    if not spelt:
        return []
    known = {cell for cells in spelt.values() for cell in cells}
    new = [cell for cell in count_texts(test, column)["value"] if cell not in known]
    if not new:
        return []
    dtype = test.collect_schema()[target]
    pairs = test.select(written(column, dtype).alias("cell"), typed(column, dtype).alias("class"))
    meant = dict(pairs.filter(pl.col("cell").is_in(new)).unique().collect().iter_rows())
    listed = ", ".join(f"'{cell}' is '{meant[cell]}'" for cell in new[:5])
    return [f"in the test file {listed}"]


def _or_a_class(cells: Sequence[str]) -> str:
    """What to do where the cells are values after all; infinity is none for a number."""
    if not cells or any(re.fullmatch(r"[+-]?inf(inity)?", c.strip(), re.IGNORECASE) for c in cells):
        return ""
    return "; if the word is a class, pass --missing without it"


def task_of(
    profile: ColumnProfile,
    kind: ColumnType,
    spelt: Mapping[str, list[str]],
    wished: Task | None,
    target: str,
    file: str,
) -> tuple[Task, str | None]:
    """The task that the target asks for, or the wished one; and what is to be said of it."""
    where = f"column '{target}'"
    numeric = kind in (ColumnType.NUMBER, ColumnType.INTEGER)
    distinct = profile.distinct if numeric else len(spelt)
    if profile.there == 0:
        hint = "choose another --target, or fill in the column"
        raise DataError("the target has no values", file=file, where=where, hint=hint)
    if distinct < 2:
        raise DataError(
            "the target is constant: there is nothing to learn",
            file=file,
            where=where,
            wanted="two or more values",
            got=next(iter(spelt), None),
            hint="choose another --target, or add rows of other values",
        )
    if kind is ColumnType.DATE:
        raise DataError(
            "a date is neither a class nor a number to predict",
            file=file,
            where=where,
            wanted="classes or numbers",
            hint="make a number of it (days since a fixed date), or choose another --target",
        )
    if wished is not None:
        if wished.spec.target is TargetKind.NUMBERS and not numeric:
            raise DataError(
                f"a {wished} task needs a target of numbers", file=file, where=where, got=str(kind)
            )
        if wished.spec.has_positive and distinct != 2:
            raise DataError(
                f"a {wished} task needs a target of two values",
                file=file,
                where=where,
                got=f"{distinct} values",
                hint="leave --task out, or say multiclass",
            )
        return wished, None
    if distinct == 2:
        return Task.BINARY, None
    if kind is ColumnType.INTEGER and distinct <= min(MOST_CLASSES, profile.there // 10):
        return Task.MULTICLASS, f"{distinct} whole numbers taken as classes; --task regression"
    if numeric:
        return Task.REGRESSION, None
    if distinct > MOST_VALUES or distinct > profile.there // 2:
        raise DataError(
            f"the target has {distinct} different texts: too many to be classes",
            file=file,
            where=where,
            hint="choose another --target",
        )
    return Task.MULTICLASS, None


def refuse_unlabeled(raw: pl.LazyFrame, profile: ColumnProfile, target: str, file: str) -> None:
    """Rows without a target can be neither learned from nor scored on."""
    if not profile.missing:
        return
    column, dtype = profile.reading.column(target), raw.collect_schema()[target]
    empty = raw.select(
        typed(column, dtype).is_null().arg_true().alias("row"),
        written(replace(column, format=CellFormat(missing=())), dtype)
        .filter(typed(column, dtype).is_null())
        .alias("cell"),
    )
    first = empty.head(5).collect()
    cells = [c for c in first["cell"].unique(maintain_order=True).to_list() if c is not None]
    outside = ""
    if not cells and first["row"][0] == profile.rows - profile.missing:
        outside = f"; if they stand below the table, pass --footer {profile.missing}"
    elif not cells and first["row"].to_list() == [0]:
        outside = "; if it belongs to the header, pass --header-lines 2"
    shown = ", ".join(str(row) for row in first["row"])
    text = f"; cells {', '.join(map(repr, cells))} are taken as missing" if cells else ""
    raise DataError(
        f"the target is missing in {profile.missing:,} row{'s' if profile.missing > 1 else ''}",
        file=file,
        where=f"column '{target}'",
        wanted="a value in every row",
        got=f"none in row {shown}{' …' if profile.missing > 5 else ''} (counted from 0{text})",
        hint=f"remove these rows, or fill them in{outside}" + _or_a_class(cells),
    )


def count_texts(raw: pl.LazyFrame, column: Column) -> pl.DataFrame:
    """The target's texts and how many rows have each, the most frequent first."""
    dtype = raw.collect_schema()[column.name]
    return (
        raw.select(written(column, dtype).drop_nulls().alias("value"))
        .group_by("value")
        .len("rows")
        .sort(["rows", "value"], descending=[True, False])
        .collect(engine="streaming")
    )


def merged(counts: pl.DataFrame) -> dict[str, list[str]]:
    """Class -> its spellings, the most frequent first: `Yes` and `yes`, `1` and `1.0` are one.

    Single letters that are more than two classes without their case keep it.
    """
    values = counts["value"].to_list()
    merged_spellings: dict[str, list[str]] = {}
    for value, form in zip(values, normal_forms(values), strict=True):
        merged_spellings.setdefault(form, []).append(value)
    if len(merged_spellings) > 2 and all(len(v) == 1 for v in values):
        merged_spellings = {value: [value] for value in values}
    return {spellings[0]: spellings for spellings in merged_spellings.values()}


def spelling_notes(spelt: Mapping[str, list[str]]) -> list[str]:
    """Which spellings are taken as one class, in words."""
    several = [names for names in spelt.values() if len(names) > 1]
    return [f"{', '.join(map(repr, names[:5]))} taken as one class" for names in several[:3]]


def refuse_alone(
    counts: pl.DataFrame, spelt: Mapping[str, list[str]], target: str, file: str
) -> None:
    """Refuse a class of one row."""
    rows = dict(counts.iter_rows())
    alone = [name for name, texts in spelt.items() if sum(rows[t] for t in texts) < 2]
    if alone:
        raise DataError(
            f"class '{alone[0]}' has one row, which cannot be both learned from and tested on",
            file=file,
            where=f"column '{target}'",
            wanted="two rows or more in every class",
            hint="add rows, merge the class with another, or leave the row out"
            + (f" ({len(alone)} classes are like that)" if len(alone) > 1 else ""),
        )


def positive_class(classes: tuple[str, ...], wished: str | None, file: str) -> str:
    """The class that counts as positive: as told, by its word, or the rarer one."""
    if wished is not None:
        if wished not in classes:
            raise DataError(
                "no such class",
                file=file,
                where="--positive",
                got=wished,
                hint=nearest(wished, classes),
            )
        return wished
    words = [c for c in classes if c.lower() in POSITIVE or c.lower() in TRUE]
    return words[0] if len(words) == 1 else classes[-1]
