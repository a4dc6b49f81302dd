"""What a table's target says: the task, the classes and their spellings, the positive one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import polars as pl

from plumbline.cells import TRUE, normal_forms, typed, written
from plumbline.data.choose import MOST_VALUES, Choice
from plumbline.data.compatible import refuse_classes, refuse_unreadable
from plumbline.data.profile import ColumnProfile, profile_columns
from plumbline.errors import DataError, nearest
from plumbline.kinds import NUMERIC, ORDERED, ColumnType, Role, TargetKind, Task
from plumbline.numbers import plural
from plumbline.tables import CellFormat, Column

MOST_CLASSES = 30  # a target of whole numbers with more different values is a regression
INFINITE = r"(?i)^\s*[+-]?inf(inity)?\s*$"
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
        what is to be said of the target: rows without one, classes that are spelled differently.
    """
    columns = {name: choice.reading.column(name) for name, choice in choices.items()}
    if spelt:
        column = replace(columns.pop(target), role=Role.TARGET, labels=tuple(spelt))
        refuse_classes(column, test, file=file)
    refuse_unreadable(test, list(columns.values()), file=file)
    profile = profile_columns(test.select(target), {target: choices[target]}, file)[target]
    if not profile.there:
        raise DataError(
            "no row of the test file has a target",
            file=file,
            where=f"column '{target}'",
            hint="leave --test out: a part of the data is then held out as the test part; "
            "`plumbline predict` answers rows without a target",
        )
    note = unlabeled(test, profile, target, file)
    notes = [f"in the test file {note}"] if note else []
    if not spelt:
        return notes
    known = {cell for cells in spelt.values() for cell in cells}
    new = [cell for cell in count_texts(test, column)["value"] if cell not in known]
    if not new:
        return notes
    dtype = test.collect_schema()[target]
    pairs = test.select(written(column, dtype).alias("cell"), typed(column, dtype).alias("class"))
    meant = dict(pairs.filter(pl.col("cell").is_in(new)).unique().collect().iter_rows())
    listed = ", ".join(f"'{cell}' is '{meant[cell]}'" for cell in new[:5])
    return [*notes, f"in the test file {listed}"]


def task_of(
    profile: ColumnProfile,
    kind: ColumnType,
    spelt: Mapping[str, list[str]],
    wished: Task | None,
    target: str,
    file: str,
    *,
    alone: bool,
) -> tuple[Task, str | None]:
    """The task that the target asks for, or the wished one; and what is to be said of it.

    Args:
        alone: a value is that of one row. Among whole numbers that speaks against classes.
    """
    where = f"column '{target}'"
    numeric = kind in NUMERIC
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
        if alone:
            note = f"{distinct} whole numbers, one of them in one row alone, taken as numbers"
            return Task.REGRESSION, f"{note}; --task multiclass takes them as classes"
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


def unlabeled(raw: pl.LazyFrame, profile: ColumnProfile, target: str, file: str) -> str | None:
    """What is to be said of rows without a target, which are neither learned from nor scored.

    Raises:
        DataError: a target is infinite: it is there, and cannot be learned.
    """
    if not profile.missing:
        return None
    empty = _empty(raw, profile, target)
    infinite = empty.filter(pl.col("cell").str.contains(INFINITE)).head(1).collect()
    if len(infinite):
        row, cell = infinite.row(0)
        raise DataError(
            f"the target is infinite ('{cell}')",
            file=file,
            where=f"column '{target}', row {row}",
            wanted="a number, or an empty cell",
            hint="remove such rows, or write the largest number that can be",
        )
    first = empty.head(5).collect()
    cells = [c for c in first["cell"].unique(maintain_order=True).to_list() if c is not None]
    why = ""
    if not cells and first["row"][0] == profile.rows - profile.missing:
        why = f"; if they stand below the table, pass --footer {profile.missing}"
    elif not cells and first["row"].to_list() == [0]:
        why = "; if it belongs to the header, pass --header-lines 2"
    shown = ", ".join(str(row) for row in first["row"])
    text = f"; cells {', '.join(map(repr, cells))} are taken as missing" if cells else ""
    return (
        f"missing in {plural(profile.missing, 'row')}, which are left out (row {shown}"
        f"{' …' if profile.missing > 5 else ''}, counted from 0{text}){why}"
    )


def refuse_cut(
    raw: pl.LazyFrame, profiles: Mapping[str, ColumnProfile], target: str, file: str
) -> None:
    """Refuse a file whose last row ends before the target does: it was cut.

    Raises:
        DataError: the last row alone lacks the target and other columns that no other row lacks.
    """
    once = [name for name, profile in profiles.items() if profile.missing == 1]
    if target not in once or len(once) < 2:
        return
    dtypes = raw.collect_schema()
    cells = [_plain(profiles[n], n, dtypes[n]).last().is_null().alias(n) for n in once]
    lacks = raw.select(cells).collect(engine="streaming").row(0, named=True)
    others = [name for name in once if lacks[name] and name != target]
    if lacks[target] and others:
        raise DataError(
            "the target is missing in 1 row, the last, and with it "
            f"{plural(len(others), 'column')} that no other row lacks ('{others[0]}' is one): the "
            "file may have been cut",
            file=file,
            where=f"column '{target}'",
            hint="get the whole file, or remove its last row",
        )


def refuse_ambiguous(
    raw: pl.LazyFrame,
    profile: ColumnProfile,
    choices: Mapping[str, Choice],
    counts: pl.DataFrame,
    target: str,
    file: str,
) -> None:
    """Refuse a word that may be a class or a missing cell: as frequent as a class, and nowhere
    among numbers or dates.

    Raises:
        DataError: names the word and both ways out.
    """
    if not profile.missing:
        return
    empty = _empty(raw, profile, target).drop_nulls("cell")
    words = empty.group_by("cell").len("rows").sort("rows", "cell", descending=True).collect()
    least = int(counts["rows"].min() or 0)  # type: ignore[arg-type]
    dtypes = raw.collect_schema()
    others = [
        name
        for name, choice in choices.items()
        if name != target and dtypes[name] == pl.String and choice.reading.type in ORDERED
    ]
    for word, rows in words.filter(pl.col("rows") >= least).iter_rows():
        among = [(pl.col(name).str.strip_chars() == word).any() for name in others]
        if among and raw.select(pl.any_horizontal(among)).collect(engine="streaming").item():
            continue
        raise DataError(
            f"'{word}' in {plural(rows, 'row')} of the target may be a class, or a missing cell",
            file=file,
            where=f"column '{target}'",
            hint=f"pass --missing '{word}' if it is missing (such rows are left out), or --missing "
            "without it if it is a class",
        )


def _empty(raw: pl.LazyFrame, profile: ColumnProfile, target: str) -> pl.LazyFrame:
    """Row and cell, as it is written, of each row without a target."""
    dtype = raw.collect_schema()[target]
    missing = typed(profile.reading.column(target), dtype).is_null()
    return raw.select(
        missing.arg_true().alias("row"),
        _plain(profile, target, dtype).filter(missing).alias("cell"),
    )


def _plain(profile: ColumnProfile, name: str, dtype: pl.DataType) -> pl.Expr:
    """A column's cells as they are written, null where nothing is: words for "missing" too."""
    column = profile.reading.column(name)
    return written(replace(column, format=CellFormat(missing=())), dtype)


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


def classes_of_one_row(counts: pl.DataFrame, spelt: Mapping[str, list[str]]) -> list[str]:
    """The classes that a single row has."""
    rows = dict(counts.iter_rows())
    return [name for name, texts in spelt.items() if sum(rows[t] for t in texts) < 2]


def alone_note(
    alone: Sequence[str], spelt: Mapping[str, list[str]], target: str, file: str
) -> str | None:
    """What is to be said of classes of one row, which cannot be learned from and tested on.

    Raises:
        DataError: no two other classes are left.
    """
    if not alone:
        return None
    if len(spelt) - len(alone) < 2:
        raise DataError(
            f"class '{alone[0]}' has one row, which cannot be both learned from and tested on",
            file=file,
            where=f"column '{target}'",
            wanted="two rows or more in two classes",
            hint="add rows, merge the class with another, or leave the row out"
            + (f" ({len(alone)} classes are like that)" if len(alone) > 1 else ""),
        )
    if len(alone) == 1:
        return f"class '{alone[0]}' has one row: it trains and is never tested"
    listed = ", ".join(f"'{name}'" for name in alone[:5]) + (" …" if len(alone) > 5 else "")
    return f"{len(alone)} classes have one row each ({listed}): they train and are never tested"


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
