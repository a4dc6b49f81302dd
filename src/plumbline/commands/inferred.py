"""What `plumbline init` prints of each column: type, role, format, values, what was guessed."""

from __future__ import annotations

from datetime import datetime

from plumbline.data.expectations import ColumnExpectations
from plumbline.data.infer import Inferred
from plumbline.data.profile import ColumnProfile
from plumbline.kinds import Role

SHOWN = 60  # columns listed in the table
ORDER = (Role.TARGET, Role.TIME, Role.GROUP, Role.WEIGHT, Role.SPLIT)  # listed first


def columns_table(inferred: Inferred) -> list[tuple[str, str]]:
    """A line per column: the target and the roles first, then what was guessed, then the rest."""
    columns = inferred.expectations.columns

    def place(name: str) -> tuple[int, bool]:
        role = columns[name].role
        rank = ORDER.index(role) if role in ORDER else len(ORDER)
        return rank, len(columns) > SHOWN and name not in inferred.notes

    names = sorted(columns, key=place)
    lines = [
        (name[:30], _line(columns[name], inferred.profiles[name], inferred.notes.get(name)))
        for name in names[:SHOWN]
    ]
    if len(names) > SHOWN:
        lines.append((f"… {len(names) - SHOWN} more", "see expectations.yaml"))
    return lines


def _line(column: ColumnExpectations, profile: ColumnProfile, note: str | None) -> str:
    share = profile.missing / max(profile.rows, 1)
    words = [
        f"{column.type!s:<9}",
        f"{'' if column.role is Role.FEATURE else column.role.upper():<7}",
        f"{f'{share:.1%} missing' if profile.missing else '':<15}",
        f"{profile.distinct:,} values"
        if profile.low is None or profile.high is None
        else f"{_figure(profile.low)} … {_figure(profile.high)}",
    ]
    form = (
        {k: v for k, v in column.format.to_json().items() if k != "missing"}
        if (column.format)
        else {}
    )
    if form:
        words.append("· " + ", ".join(f"{key} {value}" for key, value in form.items()))
    if note:
        words.append(f"· {note}")
    return " ".join(words).rstrip()


def _figure(value: float | int | datetime) -> str:
    if isinstance(value, datetime):
        return f"{value:%Y-%m-%d}" if value.time() == datetime.min.time() else f"{value}"
    return str(value) if isinstance(value, int) else f"{value:g}"


def task_words(inferred: Inferred) -> str:
    """Task, rows, classes, and which class is positive."""
    expectations = inferred.expectations
    name, classes = expectations.schema.target, expectations.schema.classes
    words = f"{expectations.task} over {inferred.profiles[name].rows:,} rows"
    if classes:
        words += f", {len(classes)} classes"
    if expectations.positive:
        words += f"; positive is '{expectations.positive}' (--positive)"
    return words
