"""The section on drift: do test rows look like training rows."""

from __future__ import annotations

from typing import Any

from plumbline import artifacts
from plumbline.numbers import NOTHING, fixed, method_words, number, percent, plural
from plumbline.report.about import About
from plumbline.report.blocks import (
    Block,
    Cell,
    Grid,
    Links,
    Metadata,
    Section,
    State,
    Status,
    Subsection,
    Text,
    figure_cell,
    name,
)
from plumbline.report.read import Reports, entries, pick, real, whole

COLUMNS_SHOWN = 40

BAGGED = (
    "The model is a bag: the predictions compared here are of single networks on both sides, of a "
    "validation row the one that it was held out from, of a test row one of them in turn. The mean "
    "of all, which answers, is spread less."
)


def drift(reports: Reports, about: About) -> Section:
    """Test rows against training rows, by Evidently."""
    result = reports.json(artifacts.DRIFT)
    columns = [(key, v) for key, v in entries(pick(result, "columns")) if isinstance(v, dict)]
    status = _status(result, columns)
    blocks: list[Block] = []
    if status is not None:
        blocks.append(Metadata(_metadata(result, columns, status.state, about)))
        blocks += _chance(pick(result, "chance"))
    both = [
        (key, v) for key in ("target", "prediction") if isinstance(v := pick(result, key), dict)
    ]
    if both:
        caption = "Target: training and test rows; prediction: validation and test rows"
        blocks.append(_table(caption, both))
        if reports.exists(artifacts.BAG):
            blocks.append(Text(BAGGED))
    if columns:
        blocks += [*_tables(columns), *_cells(columns)]
    elif isinstance(result, dict):
        blocks.append(Text("No column was compared."))
    if reports.exists(artifacts.DRIFT_PAGE):
        blocks.append(Links([(artifacts.DRIFT_PAGE, "Evidently's page, column by column")]))
    read = (
        "A column has drifted when its values in the test rows are distributed differently from "
        "those in the training rows: a p-value below its threshold, or a distance at or above it. "
        "Missing numbers are left out of the score."
    )
    part = Subsection(read=read, blocks=blocks, files=[artifacts.DRIFT])
    return Section(id="drift", title="Drift", status=status, parts=[part])


def _drifted(columns: list[tuple[str, dict[str, Any]]]) -> int:
    return sum(v.get("drifted") is True for _, v in columns)


def _status(result: Any, columns: list[tuple[str, dict[str, Any]]]) -> Status | None:
    """The data set's verdict; single columns are told unless they are what chance gives."""
    whole_set = pick(result, "dataset_drift")
    if not isinstance(whole_set, bool):
        return None
    if whole_set:
        return Status(state="warn", word="drifted")
    drifted = _drifted(columns)
    tested = whole(pick(result, "chance", "drifted")) or 0
    if drifted > tested or pick(result, "chance", "exceeded") is True:
        return Status(state="info", word=f"{plural(drifted, 'column')} drifted")
    return Status(state="good", word="no drift")


def _metadata(
    result: Any, columns: list[tuple[str, dict[str, Any]]], state: State, about: About
) -> list[tuple[str, str | Status]]:
    share = percent(real(pick(result, "drifted_share")))
    word = "drifted" if pick(result, "dataset_drift") is True else "no drift"
    return [
        ("data set", Status(state=state, word=word)),
        ("drifted columns", f"{_drifted(columns):,} of {len(columns):,} ({share})"),
        ("limit for the data set", f"{percent(about.config.drift.share, 0)} of columns"),
        ("training rows", number(whole(pick(result, "rows", "reference")))),
        ("test rows", number(whole(pick(result, "rows", "current")))),
    ]


def _chance(chance: Any) -> list[Block]:
    """What a test finds where nothing has changed, beside what it found."""
    tested, drifted, at_most = (whole(pick(chance, k)) for k in ("tested", "drifted", "at_most"))
    expected, threshold = (real(pick(chance, k)) for k in ("expected", "threshold"))
    if tested is None or drifted is None or at_most is None or expected is None:
        return []
    verdict = "more than" if pick(chance, "exceeded") is True else "no more than"
    return [
        Text(
            f"{plural(tested, 'column was', 'columns were')} compared by a test at "
            f"p < {number(threshold)}, which calls about {fixed(expected, 1)} of {tested:,} "
            f"drifted by chance where nothing has changed (up to {at_most:,} in 95% of runs, for "
            f"independent columns). It found {drifted:,}: {verdict} chance explains."
        )
    ]


def _tables(columns: list[tuple[str, dict[str, Any]]]) -> list[Grid]:
    """Drifted columns, then the others, folded."""
    drifted = [c for c in columns if c[1].get("drifted") is True]
    others = [c for c in columns if c[1].get("drifted") is not True]
    tables = [
        _table("Columns that drifted", drifted),
        _table("Columns that did not drift", others, folded=True),
    ]
    return [table for table in tables if table.rows]


def _cells(columns: list[tuple[str, dict[str, Any]]]) -> list[Grid]:
    """What describes texts and images, compared one by one."""
    parts = [
        (f"{key}: {part}", v)
        for key, column in columns
        for part, v in entries(column.get("descriptors"))
        if isinstance(v, dict)
    ]
    caption = "Texts and images by their descriptors; p-values are corrected for their number"
    return [_table(caption, parts)] if parts else []


def _table(caption: str, listed: list[tuple[str, dict[str, Any]]], *, folded: bool = False) -> Grid:
    return Grid(
        caption=caption,
        columns=["column", "drift", "method", "score", "threshold", "missing"],
        rows=[
            [
                name(key),
                Cell(text="", status=_column_status(v.get("drifted"))),
                Cell(text=_method(v)),
                figure_cell(_score(v)),
                figure_cell(number(real(v.get("threshold")), 3)),
                figure_cell(_missing(v.get("missing"))),
            ]
            for key, v in listed[:COLUMNS_SHOWN]
        ],
        more=f"The first {COLUMNS_SHOWN} of {len(listed):,}; all are in reports/drift/result.json."
        if len(listed) > COLUMNS_SHOWN
        else "",
        folded=folded,
        total=len(listed),
    )


def _method(column: dict[str, Any]) -> str:
    """Evidently's name of the method, in words."""
    return method_words(str(column.get("method") or NOTHING)[:80])


def _score(column: dict[str, Any]) -> str:
    """A p-value or a distance, with three decimals unless these would show nothing."""
    score = real(column.get("score"))
    return number(score, 2) if score and abs(score) < 0.001 else fixed(score)


def _missing(shares: Any) -> str:
    before, after = real(pick(shares, "reference")), real(pick(shares, "current"))
    if before is None or after is None:
        return NOTHING
    return "none" if before == after == 0 else f"{percent(before)} → {percent(after)}"


def _column_status(value: Any) -> Status:
    if value is True:
        return Status(state="warn", word="drifted")
    if value is False:
        return Status(state="good", word="no")
    return Status(state="info", word="unknown")
