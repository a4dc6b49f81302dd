"""What a table holds: type and role of each column, the task, and expectations with tolerance.

Looks at all rows, in one streaming pass and another for the values of columns of few. What is
inferred becomes expectations.yaml, which its owner edits.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace

import polars as pl

from plumbline.cells import TRUE, normal_forms, typed, written
from plumbline.config.data import FormatConfig
from plumbline.data.choose import MOST_VALUES, Choice
from plumbline.data.compatible import refuse_classes, refuse_unreadable
from plumbline.data.decide import decide
from plumbline.data.expectations import Expectations, RowCount
from plumbline.data.formats import Reading
from plumbline.data.profile import ColumnProfile, profile_columns
from plumbline.data.read import resident
from plumbline.data.tolerance import expect, rules
from plumbline.errors import DataError, nearest
from plumbline.kinds import ColumnType, Role, TargetKind, Task
from plumbline.tables import CellFormat, Column

PROSE_WORDS = 5  # per cell, in the mean; names and codes have fewer
MOST_CLASSES = 30  # a target of whole numbers with more different values is a regression
ID_NAME = re.compile(r"(^|[_\s.-])(id|pid|uuid|guid|key|index|row|rowid)$|[a-z](ID|Id)$", re.I)
INDEX_NAME = re.compile(r"__index_level_\d+__|Unnamed: \d+")  # of a pandas index written to a file
IDENTIFYING = (ColumnType.INTEGER, ColumnType.TEXT)  # types of which a column may name the row
POSITIVE = frozenset(
    (
        *("1", "+", "+1", "true", "t", "yes", "y", "on", "ja", "j", "oui", "sí", "si", "sì", "sim"),
        *("tak", "ano", "áno", "igen", "evet", "kyllä", "ναι", "да", "так", "はい", "是", "有"),
        *("positive", "pos", "positiv", "present", "abnormal", "case", "event", "failed"),
        *("failure", "fraud", "fraudulent", "spam", "malignant", "churn", "churned", "default"),
        *("defaulted", "died", "dead", "sick", "diseased", "infected", "attack", "anomaly"),
    )
)


@dataclass(frozen=True, kw_only=True)
class Inferred:
    """The expectations, and what the owner should know of each column and of the whole."""

    expectations: Expectations
    profiles: dict[str, ColumnProfile]
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


def infer(
    raw: pl.LazyFrame,
    form: FormatConfig,
    wishes: Wishes,
    *,
    file: str,
    test: pl.LazyFrame | None = None,
    test_file: str = "--test",
    known: Mapping[str, Reading] | None = None,
    unnamed: Collection[str] = (),
) -> Inferred:
    """Infer types, formats, roles, task and expectations of a table as read (see `read.scan`).

    Args:
        test: the rows of the test file. They are read as the others are, and count for limits.
        known: readings of columns, which are kept where they read every cell.
        unnamed: columns that had no name in the file.

    Raises:
        DataError: a named column is missing; the target is constant, empty, or has a class of
            one row; the test file does not fit.
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
                hint=nearest(wished, names),
            )
    words = tuple(w for w in form.missing if w)
    indexes = {n for n in names if n in unnamed or INDEX_NAME.fullmatch(n)}
    raw, at_once = resident(raw, file)
    choices = decide(
        raw,
        words,
        file,
        known=known or {},
        test=test,
        separator=form.separator,
        at_once=at_once,
    )
    target = wishes.target
    own = profile_columns(raw.select(target), {target: choices[target]}, file)[target]
    counts = _counts(raw, own.reading.column(target))
    spelt = merged(counts)
    task, note = _task(own, own.reading.type, spelt, wishes, file)
    _refuse_unlabeled(raw, own, target, file)
    classes = tuple(spelt) if task.has_classes else ()
    if classes:
        _refuse_alone(counts, spelt, target, file)
        missing = CellFormat(missing=own.reading.format.missing)
        choices[target] = Choice(reading=Reading(type=ColumnType.CATEGORY, format=missing))
    both, spelled = raw, []
    if test is not None:
        spelled = _refuse_test(test, choices, target, spelt if classes else {}, test_file)
        both = pl.concat([raw, test.select(names)], how="vertical_relaxed")
    profiles = profile_columns(both, choices, file, at_once)
    types = {name: profiles[name].reading.type for name in names}
    if wishes.time is not None and types[wishes.time] is ColumnType.CATEGORY:
        types[wishes.time] = ColumnType.TEXT  # ordered as text
    notes = {name: list(profiles[name].notes) for name in names}
    notes[target] = [*own.notes, *filter(None, [note]), *spelled]
    if classes:
        notes[target] += _spelling_notes(spelt)
        profiles[target] = replace(profiles[target], distinct=len(classes))
    positive = _positive(classes, wishes, file) if task.spec.has_positive else None
    if test is None:
        of_data = profiles
    else:  # rows of both files may have the same numbers
        unique = [n for n in names if types[n] in IDENTIFYING and profiles[n].distinct >= own.rows]
        of_data = profiles | profile_columns(
            raw.select(unique), {n: choices[n] for n in unique}, file, at_once
        )
    limits = {}
    for name in names:
        role, why = _role(name, of_data[name], types[name], wishes, indexes)
        if role is Role.FEATURE and types[name] is ColumnType.TEXT:
            types[name], why = _text_or_codes(profiles[name])
        notes[name] += [why] if why else []
        limits[name] = expect(profiles[name], types[name], role, classes, words)
    result = Expectations(
        columns=limits,
        rows=RowCount(min=max(1, profiles[target].rows // 2)),
        task=task,
        positive=positive,
        missing_words=words,
    )
    result = replace(result, rules=rules(both, result))
    return Inferred(
        expectations=result,
        profiles=profiles,
        notes={n: "; ".join(notes_of) for n, notes_of in notes.items() if notes_of},
    )


def _refuse_test(
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
    _refuse_unlabeled(test, profile, target, file)
    if not spelt:
        return []
    known = {cell for cells in spelt.values() for cell in cells}
    new = [cell for cell in _counts(test, column)["value"] if cell not in known]
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


def _task(
    profile: ColumnProfile,
    kind: ColumnType,
    spelt: Mapping[str, list[str]],
    wishes: Wishes,
    file: str,
) -> tuple[Task, str | None]:
    where = f"column '{wishes.target}'"
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
    if wishes.task is not None:
        if wishes.task.spec.target is TargetKind.NUMBERS and not numeric:
            raise DataError(
                f"a {wishes.task} task needs a target of numbers",
                file=file,
                where=where,
                got=str(kind),
            )
        if wishes.task.spec.has_positive and distinct != 2:
            raise DataError(
                f"a {wishes.task} task needs a target of two values",
                file=file,
                where=where,
                got=f"{distinct} values",
                hint="leave --task out, or say multiclass",
            )
        return wishes.task, None
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


def _refuse_unlabeled(raw: pl.LazyFrame, profile: ColumnProfile, target: str, file: str) -> None:
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


def _counts(raw: pl.LazyFrame, column: Column) -> pl.DataFrame:
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


def _spelling_notes(spelt: Mapping[str, list[str]]) -> list[str]:
    several = [names for names in spelt.values() if len(names) > 1]
    return [f"{', '.join(map(repr, names[:5]))} taken as one class" for names in several[:3]]


def _refuse_alone(
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
            + (f" (so it is with {len(alone)} classes)" if len(alone) > 1 else ""),
        )


def _positive(classes: tuple[str, ...], wishes: Wishes, file: str) -> str:
    """The class that counts as positive: as told, by its word, or the rarer one."""
    if wishes.positive is not None:
        if wishes.positive not in classes:
            raise DataError(
                "no such class",
                file=file,
                where="--positive",
                got=wishes.positive,
                hint=nearest(wishes.positive, classes),
            )
        return wishes.positive
    words = [c for c in classes if c.lower() in POSITIVE or c.lower() in TRUE]
    return words[0] if len(words) == 1 else classes[-1]


def _role(
    name: str, profile: ColumnProfile, kind: ColumnType, wishes: Wishes, indexes: Collection[str]
) -> tuple[Role, str | None]:
    for role in (Role.TARGET, Role.TIME, Role.GROUP, Role.ID):
        if getattr(wishes, role) == name:
            return role, None
    if profile.there == 0:
        return Role.IGNORE, "no values: not a feature"
    if profile.distinct < 2 and profile.missing == 0:
        return Role.FEATURE, "constant"
    unique = profile.rows >= 20 and profile.missing == 0 and profile.distinct >= profile.rows
    if unique and kind is ColumnType.TEXT and not _is_prose(profile):
        return Role.ID, "a text of its own in every row: not a feature"
    counts_up = (
        kind is ColumnType.INTEGER
        and profile.increasing
        and profile.low is not None
        and profile.high is not None
        and profile.high - profile.low == profile.rows - 1
        and profile.distinct == profile.rows
    )
    if counts_up:
        return Role.ID, "numbers the rows: not a feature"
    numbered = (
        kind is ColumnType.INTEGER and profile.missing == 0 and 2 * profile.distinct > profile.rows
    )
    if name in indexes and numbered:
        return Role.ID, "a row index without a name: not a feature"
    if unique and kind is ColumnType.INTEGER and ID_NAME.search(name):
        return Role.ID, "named like an id, a value of its own in every row: not a feature"
    return Role.FEATURE, None


def _is_prose(profile: ColumnProfile) -> bool:
    return profile.words is not None and profile.words >= PROSE_WORDS


def _text_or_codes(profile: ColumnProfile) -> tuple[ColumnType, str]:
    """Texts of many values are read by their words where they have several; codes and names are a
    category, of which the values that repeat say something."""
    words = f"{profile.words or 0:.1f} words per text in the mean"
    if _is_prose(profile):
        return ColumnType.TEXT, f"{words}: read by its words; type: category takes each as a value"
    return ColumnType.CATEGORY, f"{words}: codes or names; type: text reads their words"
