"""What a table holds: type and role of each column, the task, and expectations with tolerance.

Looks at all rows, in one streaming pass and another for the values of columns of few. What is
inferred becomes expectations.yaml, which its owner edits.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace

import polars as pl

from plumbline.config.data import FormatConfig, NormalizeConfig
from plumbline.data.choose import Choice
from plumbline.data.decide import decide
from plumbline.data.expectations import Expectations, RowCount
from plumbline.data.formats import Reading
from plumbline.data.profile import MANY_WORDS, ColumnProfile, profile_columns
from plumbline.data.read import resident
from plumbline.data.target import (
    alone_note,
    classes_of_one_row,
    count_texts,
    merged,
    positive_class,
    refuse_ambiguous,
    refuse_cut,
    refuse_test,
    spelling_notes,
    task_of,
    unlabeled,
)
from plumbline.data.text_profile import profile_texts
from plumbline.data.tolerance import expect, rules
from plumbline.errors import DataError, nearest
from plumbline.kinds import ColumnType, Role, Task
from plumbline.tables import MISSING, CellFormat

CLOCK = re.compile(r"\d{1,2}:\d{2}(:\d{2})?")
TIMES = (
    "times of day, each taken as a category: to keep their order, write them as numbers, or as "
    "times in a workbook or Parquet file"
)
WITHOUT_GAPS, CODE_ROWS = 1.1, 20  # share of the range, and rows per value, of what may be codes
COUNTS_UP = "numbers the rows: not a feature"
RECURRING = 0.5  # of the words of few: those of names and codes come once
ID_NAME = re.compile(r"(^|[_\s.-])(id|pid|uuid|guid|key|index|row|rowid)$|[a-z](ID|Id)$", re.I)
INDEX_NAME = re.compile(r"__index_level_\d+__|Unnamed: \d+")  # of a pandas index written to a file
IDENTIFYING = (ColumnType.INTEGER, ColumnType.TEXT)  # types of which a column may name the row


@dataclass(frozen=True, kw_only=True)
class Inferred:
    """The expectations, and what the owner should know of each column and of the whole."""

    expectations: Expectations
    profiles: dict[str, ColumnProfile]
    notes: dict[str, str] = field(default_factory=dict)  # column -> what was guessed
    general: list[str] = field(default_factory=list)
    spelled: tuple[str, ...] = ()  # texts to be read by their characters


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
        DataError: a named column is missing; the target is constant, empty, or has fewer than
            two classes of several rows; the test file does not fit.
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
    counts = count_texts(raw, own.reading.column(target))
    spelt = merged(counts)
    alone = classes_of_one_row(counts, spelt)
    task, note = task_of(own, own.reading.type, spelt, wishes.task, target, file, alone=bool(alone))
    target_notes = [note, unlabeled(raw, own, target, file)]
    classes = tuple(spelt) if task.has_classes else ()
    if classes:
        if list(form.missing) == list(MISSING):  # nobody said which words are meant
            refuse_ambiguous(raw, own, choices, counts, target, file)
        target_notes.append(alone_note(alone, spelt, target, file))
        missing = CellFormat(missing=own.reading.format.missing)
        choices[target] = Choice(reading=Reading(type=ColumnType.CATEGORY, format=missing))
    both, spelled = raw, []
    if test is not None:
        spelled = refuse_test(test, choices, target, spelt if classes else {}, test_file)
        both = pl.concat([raw, test.select(names)], how="vertical_relaxed")
    profiles = profile_columns(both, choices, file, at_once)
    if test is None:
        refuse_cut(raw, profiles, target, file)
    types = {name: profiles[name].reading.type for name in names}
    if wishes.time is not None and types[wishes.time] is ColumnType.CATEGORY:
        types[wishes.time] = ColumnType.TEXT  # ordered as text
    notes = {name: list(profiles[name].notes) for name in names}
    notes[target] = [*own.notes, *filter(None, target_notes), *spelled]
    if classes:
        notes[target] += spelling_notes(spelt)
        profiles[target] = replace(profiles[target], distinct=len(classes))
    positive = positive_class(classes, wishes.positive, file) if task.spec.has_positive else None
    if test is None:
        of_data = profiles
    else:  # rows of both files may have the same numbers
        unique = [n for n in names if types[n] in IDENTIFYING and profiles[n].distinct >= own.rows]
        of_data = profiles | profile_columns(
            raw.select(unique), {n: choices[n] for n in unique}, file, at_once
        )
    roles: dict[str, Role] = {}
    for name in names:
        role, why = _role(name, of_data[name], types[name], wishes, indexes)
        if role is Role.FEATURE:
            types[name], of_type = _type_of_feature(profiles[name], types[name])
            why = of_type or why
        notes[name] += [why] if why else []
        if role is Role.FEATURE and types[name] is ColumnType.INTEGER:
            notes[name] += _maybe_codes(name, profiles[name])
        roles[name] = role
    counting = [n for n in names if COUNTS_UP in notes[n] and n not in indexes]
    spelled = []
    if all(_says_nothing(profiles[n], choices[n]) for n in names if roles[n] is Role.FEATURE):
        for name in counting:  # a year, a day: a trend is all that there is to learn
            roles[name] = Role.FEATURE
            notes[name] = ["numbers the rows, and nothing else is there to learn from: a feature"]
        for name in names:
            kept = roles[name] in (Role.FEATURE, Role.ID) and not ID_NAME.search(name)
            if kept and _says_nothing(profiles[name], choices[name]):
                roles[name], types[name] = Role.FEATURE, ColumnType.TEXT
                notes[name][-1:] = ["nothing else is there to learn from: read by its characters"]
                spelled.append(name)
    prose = [n for n in names if roles[n] is Role.FEATURE and types[n] is ColumnType.TEXT]
    texts = profile_texts(both, {n: choices[n].reading.column(n) for n in prose}, file)
    profiles |= {n: replace(profiles[n], text=text) for n, text in texts.items()}
    result = Expectations(
        columns={n: expect(profiles[n], types[n], roles[n], classes, words) for n in names},
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
        spelled=tuple(spelled),
    )


def infer_types(
    raw: pl.LazyFrame, form: FormatConfig, *, file: str
) -> dict[str, tuple[ColumnType, list[str]]]:
    """The type of each column, and what was guessed, as `infer` has them of what is no target.

    Raises:
        DataError: there are no rows, or a column that cannot be read.
    """
    choices = decide(
        raw, tuple(w for w in form.missing if w), file, known={}, separator=form.separator
    )
    inferred = {}
    for name, profile in profile_columns(raw, choices, file).items():
        kind = profile.reading.type
        role, why = _role(name, profile, kind, Wishes(target=""), ())
        if role is Role.FEATURE:
            kind, of_type = _type_of_feature(profile, kind)
            why = of_type or why
        inferred[name] = kind, [*profile.notes, *([why] if why else [])]
    return inferred


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
        return Role.ID, COUNTS_UP
    numbered = (
        kind is ColumnType.INTEGER and profile.missing == 0 and 2 * profile.distinct > profile.rows
    )
    if name in indexes and numbered:
        return Role.ID, "a row index without a name: not a feature"
    if unique and kind is ColumnType.INTEGER and ID_NAME.search(name):
        return Role.ID, "named like an id, a value of its own in every row: not a feature"
    return Role.FEATURE, None


def _maybe_codes(name: str, profile: ColumnProfile) -> list[str]:
    """What is to be said of whole numbers 1 … k, each in many rows, that are too many to be
    embedded as categories by default: they may number communes or products."""
    if profile.low not in (0, 1) or profile.high is None:
        return []
    without_gaps = profile.high - profile.low + 1 <= WITHOUT_GAPS * profile.distinct
    often = CODE_ROWS * profile.distinct <= profile.there
    if profile.distinct <= NormalizeConfig().as_category_max_values or not (without_gaps and often):
        return []
    return [
        f"{profile.distinct:,} whole numbers in many rows each: if they are codes, without an "
        f"order, set normalize.columns.{name}.as_category: true"
    ]


def _is_clock(profile: ColumnProfile) -> bool:
    """Whether its texts are times of day: all of few values, or their common structure."""
    if profile.values:
        return all(map(CLOCK.fullmatch, profile.values))
    return profile.regex in (r"^\d{2}:\d{2}$", r"^\d{2}:\d{2}:\d{2}$")


def _says_nothing(profile: ColumnProfile, choice: Choice) -> bool:
    """Whether a column holds codes or names of which hardly any comes twice: as a category they say
    nothing of new rows."""
    if choice.reading.type is not ColumnType.TEXT or _is_clock(profile) or _is_prose(profile):
        return False
    return 2 * profile.distinct > profile.there


def _is_prose(profile: ColumnProfile) -> bool:
    if profile.recurring is not None:
        return profile.recurring >= RECURRING
    return profile.words is not None and profile.words >= MANY_WORDS


def _type_of_feature(profile: ColumnProfile, kind: ColumnType) -> tuple[ColumnType, str | None]:
    if _is_clock(profile):
        return ColumnType.CATEGORY, TIMES
    return _text_or_codes(profile) if kind is ColumnType.TEXT else (kind, None)


def _text_or_codes(profile: ColumnProfile) -> tuple[ColumnType, str]:
    """Texts of many values are read by their words where they have several; codes and names are a
    category, of which the values that repeat say something."""
    words = f"{profile.words or 0:.1f} words per text on average"
    if _is_prose(profile):
        return ColumnType.TEXT, f"{words}: read by its words; type: category takes each as a value"
    return ColumnType.CATEGORY, f"{words}: codes or names; type: text reads their words"
