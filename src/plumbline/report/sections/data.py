"""Sections on the rows: validation, split, leakage."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import polars as pl

from plumbline import artifacts
from plumbline.numbers import NOTHING, number, percent, plural
from plumbline.report.about import About, networks_of
from plumbline.report.blocks import (
    Block,
    Cell,
    Figure,
    Figures,
    Grid,
    Item,
    Items,
    Links,
    Metadata,
    Section,
    Status,
    Subsection,
    Text,
    figure_cell,
    name,
    passed,
)
from plumbline.report.read import Reports, entries, listed, pick, real, texts, whole, words
from plumbline.report.sections.overview import overview
from plumbline.report.split_figure import split_figure

SHOWN = 40  # rows of a table
COLUMNS_SHOWN = 6  # column names in one cell


def data(reports: Reports, about: About) -> Section:
    """What is in the data; validation by Great Expectations: what was asked, and what failed."""
    result = reports.json(artifacts.VALIDATION)
    failed = [f for f in listed(pick(result, "failed")) if isinstance(f, dict)]
    blocks: list[Block] = []
    if isinstance(result, dict):
        blocks.append(_validation_metadata(reports, result, failed))
        blocks.append(
            _failed_table(failed) if failed else Text("Every expectation held on every row.")
        )
    if reports.exists(artifacts.VALIDATION_PAGE):
        blocks.append(
            Links(
                [
                    (
                        artifacts.VALIDATION_PAGE,
                        "Great Expectations' page, expectation by expectation",
                    )
                ]
            )
        )
    read = (
        "An expectation is a rule for a column in expectations.yaml; a failed critical one "
        "stops the run, a warning is shown here and the run goes on."
    )
    files = [artifacts.VALIDATION, artifacts.FAILING_ROWS]
    return Section(
        id="data",
        title="Data and validation",
        status=validation_status(reports),
        parts=[
            overview(reports, about),
            Subsection(title="Validation", read=read, blocks=blocks, files=files),
        ],
    )


def validation_status(reports: Reports) -> Status:
    """Whether the validation gate let the data through, and with how many warnings."""
    result = reports.json(artifacts.VALIDATION)
    success = pick(result, "success")
    if not isinstance(success, bool):
        return passed(None)
    warnings = len(listed(pick(result, "failed")))
    if success and warnings:
        return Status(state="warn", word=f"passed with {plural(warnings, 'warning')}")
    return passed(success)


def _validation_metadata(
    reports: Reports, result: dict[str, Any], failed: Sequence[dict[str, Any]]
) -> Metadata:
    critical = sum(f.get("severity") == "critical" for f in failed)
    frame = reports.frame(artifacts.FAILING_ROWS) if failed else pl.DataFrame()
    rows = None if reports.problem(artifacts.FAILING_ROWS) else len(set(texts(frame, "row")))
    return Metadata(
        [
            ("rows", number(whole(result.get("rows")))),
            ("expectations", number(whole(result.get("evaluated")))),
            ("critical failures", f"{critical:,}"),
            ("warnings", f"{len(failed) - critical:,}"),
            ("failing rows listed", number(rows)),
        ]
    )


def _failed_table(failed: Sequence[dict[str, Any]]) -> Grid:
    ordered = sorted(failed, key=lambda f: f.get("severity") != "critical")
    return Grid(
        caption="Expectations that failed",
        columns=["column", "expectation", "severity", "observed", "values"],
        rows=[
            [
                name(str(f.get("column") or "whole table")),
                name(str(f.get("expectation") or NOTHING)),
                Cell(text="", status=_severity(f.get("severity"))),
                name((words(f.get("detail")) or _observed(f.get("observed")))[:300]),
                figure_cell(number(whole(f.get("unexpected_count")))),
            ]
            for f in ordered[:SHOWN]
        ],
        more=_more(len(ordered), f"reports/{artifacts.VALIDATION}"),
    )


def _observed(value: Any) -> str:
    rate = real(value)
    if rate is not None:
        return number(rate)
    return NOTHING if value is None else str(value)


def _more(count: int, where: str) -> str:
    return f"{count - SHOWN:,} more in {where}." if count > SHOWN else ""


def _severity(value: Any) -> Status:
    if value == "critical":
        return Status(state="bad", word="critical")
    return Status(state="warn", word=str(value or "warning")[:40])


def split(reports: Reports, about: About) -> Section:
    """How the rows were parted, and what was found to leak."""
    return Section(
        id="split",
        title="Split and leakage",
        status=leakage_status(reports),
        parts=[_split_part(reports), _leakage_part(reports)],
    )


def _split_part(reports: Reports) -> Subsection:
    summary = reports.json(artifacts.SPLIT)
    blocks: list[Block] = []
    if isinstance(summary, dict):
        method = _method(summary.get("method"))
        folds = _method(summary.get("folds_method"))
        metadata: list[tuple[str, str | Status]] = [
            ("method", method),
            ("folds", f"{len(listed(summary.get('folds')))} · {folds}"),
        ]
        for part, words_of in (("train", "training"), ("val", "validation"), ("test", "test")):
            rows = whole(pick(summary, "parts", part, "rows"))
            share = real(pick(summary, "parts", part, "share"))
            metadata.append((f"{words_of} rows", f"{number(rows)} ({percent(share)})"))
        unlabeled = whole(summary.get("unlabeled"))
        if unlabeled:
            word = f"{plural(unlabeled, 'row')} without a target"
            metadata.append(("left out", Status(state="warn", word=word)))
        blocks.append(Metadata(metadata))
    drawn = split_figure(summary) if isinstance(summary, dict) else None
    if drawn is not None:
        by = " and by class" if isinstance(pick(summary, "classes"), dict) else ""
        caption = (
            f"Training, validation and test rows, in the order of the rows{by}; beside a fold the "
            "number of its training and validation rows."
        )
        blocks.append(Figures([Figure(svg=drawn, caption=caption, wide=True)]))
    dropped = [
        [name(column), name(str(why)[:300])]
        for column, why in entries(pick(summary, "dropped_columns"))
    ]
    if dropped:
        blocks.append(
            Grid(
                caption="Columns that are not used as features",
                columns=["column", "reason"],
                rows=dropped[:SHOWN],
                more=_more(len(dropped), f"reports/{artifacts.SPLIT}"),
            )
        )
    return Subsection(
        title="Split", read=_used_for(networks_of(reports)), blocks=blocks, files=[artifacts.SPLIT]
    )


def _used_for(networks: int) -> str:
    """What the rows of each part are used for."""
    tested = "the test rows are used for the evaluation only."
    if networks == 1:
        return (
            "The model is fitted on the training rows; early stopping and calibration use the "
            f"validation rows; {tested}"
        )
    return (
        f"The model is a bag of {number(networks)} networks, and training and validation rows are "
        f"one pool for it, cut into {number(networks)} folds: each network is fitted on all folds "
        "but one, and that one stops it early; calibration uses what each network predicts of its "
        "own. What is fitted on training rows alone and compared on validation rows (tuning, the "
        f"choice among baselines) keeps to the parts as they are; {tested}"
    )


def _method(value: Any) -> str:
    """A method of splitting in words, with a hyphen that no line breaks at."""
    return (words(value) or NOTHING).replace("_", " ").replace("kfold", "k\u2011fold")


def leakage_status(reports: Reports) -> Status:
    """Whether the leakage gate is content."""
    leakage = reports.json(artifacts.LEAKAGE)
    if not isinstance(pick(leakage, "clean"), bool):
        return passed(None)
    findings = [f for f in listed(leakage.get("findings")) if isinstance(f, dict)]
    open_ones = [f for f in findings if f.get("policy") != "drop"]
    if any(f.get("severity") == "critical" for f in open_ones):
        return Status(state="bad", word=f"{plural(len(open_ones), 'finding')}, critical")
    if open_ones:
        return Status(state="warn", word=plural(len(open_ones), "finding"))
    return Status(state="good", word="clean, after dropping" if findings else "clean")


def _leakage_part(reports: Reports) -> Subsection:
    leakage = reports.json(artifacts.LEAKAGE)
    findings = [f for f in listed(pick(leakage, "findings")) if isinstance(f, dict)]
    blocks: list[Block] = []
    if isinstance(leakage, dict) and not findings:
        blocks.append(Text("No check found a leak."))
    elif findings:
        blocks.append(_findings(findings))
    read = (
        "A leak gives the model information that it will not have in production, so that its "
        "scores here are too high; each finding has its evidence and a fix."
    )
    return Subsection(title="Leakage", read=read, blocks=blocks, files=[artifacts.LEAKAGE])


def _findings(findings: Sequence[dict[str, Any]]) -> Items:
    return Items(
        [
            Item(
                title=str(f.get("title") or f.get("check") or NOTHING).replace("_", " ")[:80],
                status=_severity(f.get("severity")),
                aside=f"{plural(_rows(f), 'row')} · policy {str(f.get('policy') or NOTHING)[:20]}",
                texts=[
                    ("evidence", str(f.get("detail") or NOTHING)[:800]),
                    ("columns", _columns([str(c) for c in listed(f.get("columns"))])),
                    ("fix", str(f.get("hint") or NOTHING)[:600]),
                ],
            )
            for f in findings[:SHOWN]
        ],
        more=_more(len(findings), f"reports/{artifacts.LEAKAGE}"),
    )


def _rows(finding: dict[str, Any]) -> int:
    counted = whole(finding.get("row_count"))
    return len(listed(finding.get("rows"))) if counted is None else counted


def _columns(names: Sequence[str]) -> str:
    if not names:
        return NOTHING
    shown = ", ".join(names[:COLUMNS_SHOWN])
    rest = len(names) - COLUMNS_SHOWN
    return f"{shown} and {rest:,} more" if rest > 0 else shown
