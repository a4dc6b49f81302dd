"""Sections on what leaves: drift, ONNX parity, lineage, parameters."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from typing import Any

from plumbline.report.about import About
from plumbline.report.blocks import (
    Block,
    Cell,
    Facts,
    Grid,
    Links,
    Part,
    Section,
    Status,
    Text,
    figure_cell,
    name,
)
from plumbline.report.numbers import NOTHING, number, percent
from plumbline.report.read import Reports, entries, pick, real, whole, words
from plumbline.report.sections.verdict import parity_status, registry_notes

COLUMNS_SHOWN = 40
LINEAGE_WORDS = {
    "git_dirty": "changes not committed",
    "data": "data hash",
    "params": "parameters hash",
    "dvc_lock": "dvc.lock hash",
    "model": "model hash",
}


def drift(reports: Reports, about: About) -> Section:
    """Test rows against training rows, by Evidently."""
    result = reports.json("drift/result.json")
    columns = [(key, v) for key, v in entries(pick(result, "columns")) if isinstance(v, dict)]
    drifted = sum(v.get("drifted") is True for _, v in columns)
    blocks: list[Block] = []
    status = None
    if isinstance(pick(result, "dataset_drift"), bool):
        yes = result["dataset_drift"]
        status = Status(state="warn", word="drifted") if yes else Status(state="good", word="none")
        share = percent(real(result.get("drifted_share")))
        facts: list[tuple[str, str | Status]] = [
            ("data set", Status(state=status.state, word="drifted" if yes else "no drift")),
            ("drifted columns", f"{drifted:,} of {len(columns):,} ({share})"),
        ]
        blocks.append(Facts(facts))
    ends = [(key, pick(result, key)) for key in ("target", "prediction")]
    both = [(key, v) for key, v in ends if isinstance(v, dict)]
    if both:
        blocks.append(_drift_table("Target and predictions", both))
    if columns:
        blocks += _drift_tables(columns)
    elif isinstance(result, dict):
        blocks.append(Text("No column was compared."))
    if reports.exists("drift/index.html"):
        blocks.append(Links([("drift/index.html", "Evidently's page, column by column")]))
    read = (
        "A column drifts when its values in the test rows are spread otherwise than in the "
        "training rows, past the threshold of its method: scores may then not hold in use."
    )
    part = Part(read=read, blocks=blocks, files=["drift/result.json"])
    return Section(id="drift", title="Drift", status=status, parts=[part])


def _drift_tables(columns: list[tuple[str, dict[str, Any]]]) -> list[Grid]:
    """Drifted columns, then the others, folded."""
    drifted = [c for c in columns if c[1].get("drifted") is True]
    others = [c for c in columns if c[1].get("drifted") is not True]
    tables = [
        _drift_table("Columns that drifted", drifted),
        _drift_table("Columns that did not", others, folded=True),
    ]
    return [table for table in tables if table.rows]


def _drift_table(
    caption: str, found: list[tuple[str, dict[str, Any]]], *, folded: bool = False
) -> Grid:
    rest = len(found) - COLUMNS_SHOWN
    return Grid(
        caption=caption,
        columns=["column", "drift", "method", "score", "threshold"],
        rows=[
            [
                name(key),
                Cell(text="", status=_drifted(v.get("drifted"))),
                Cell(text=str(v.get("method") or NOTHING)[:80]),
                figure_cell(number(real(v.get("score")), 3)),
                figure_cell(number(real(v.get("threshold")), 3)),
            ]
            for key, v in found[:COLUMNS_SHOWN]
        ],
        more=f"{rest:,} more in reports/drift/result.json." if rest > 0 else "",
        folded=folded,
    )


def _drifted(value: Any) -> Status:
    if value is True:
        return Status(state="warn", word="drifted")
    return (
        Status(state="good", word="no") if value is False else Status(state="info", word="unknown")
    )


def export(reports: Reports, about: About) -> Section:
    """The ONNX graph says what torch says."""
    parity = reports.json("parity.json")
    blocks: list[Block] = []
    if isinstance(parity, dict):
        unit = words(parity.get("unit"))
        difference = number(real(parity.get("max_difference")), 3)
        facts: list[tuple[str, str | Status]] = [
            ("parity", parity_status(reports)),
            ("rows compared", number(whole(parity.get("rows")))),
            ("largest difference", difference),
            ("tolerance", number(real(parity.get("tolerance")), 3)),
        ]
        if unit:
            facts.append(("measured in", unit))
        blocks.append(Facts(facts))
    read = (
        "The ONNX file is what is served: its predictions must equal those of the model that "
        "was judged above, up to the tolerance."
    )
    return Section(
        id="export",
        title="ONNX parity",
        status=parity_status(reports),
        parts=[Part(read=read, blocks=blocks, files=["parity.json"])],
    )


def lineage(reports: Reports, about: About) -> Section:
    """What this model was made from, and where it is registered."""
    register = reports.json("register.json")
    facts: list[tuple[str, Any]] = [
        ("model", pick(register, "model")),
        ("version", pick(register, "version")),
        ("alias", pick(register, "alias")),
        ("former champion", pick(register, "champion_version")),
        ("MLflow run", pick(register, "run_id")),
    ]
    made_from = entries(pick(register, "lineage"))
    facts += [(LINEAGE_WORDS.get(key, key.replace("_", " ")), v) for key, v in made_from][:20]
    known = [
        [Cell(text=key), Cell(text=_written(v)[:200], name=True, code=True)]
        for key, v in facts
        if v not in (None, "")
    ]
    blocks = registry_notes(reports)
    if known:
        blocks.append(Grid(caption="Where it comes from", columns=["what", "value"], rows=known))
    read = (
        "With these the version can be built again: the same commit, data and parameters give "
        "the same weights on the same kind of machine."
    )
    part = Part(read=read, blocks=blocks, files=["register.json"])
    return Section(id="lineage", title="Lineage", parts=[part])


def parameters(reports: Reports, about: About) -> Section:
    """params.yaml as this run read it."""
    config = dataclasses.asdict(about.config)
    tuned = set(config.pop("tuned"))
    parts = []
    for section, content in config.items():
        flat = list(_flat(section, content))
        rows = [
            [name(key), name("tuned" if key in tuned else _written(value))] for key, value in flat
        ]
        parts.append(
            Grid(caption=section, columns=["parameter", "value"], rows=rows[:300], folded=True)
        )
    read = "Every value of params.yaml, defaults included; `tuned` was decided by the search."
    return Section(id="parameters", title="Parameters", parts=[Part(read=read, blocks=parts)])


def _flat(prefix: str, value: Any) -> Iterator[tuple[str, Any]]:
    """Nested mappings as `section.key`, in the order of the file."""
    if isinstance(value, dict) and value:
        for key, inner in value.items():
            yield from _flat(f"{prefix}.{key}", inner)
    else:
        yield prefix, value


def _written(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, int | float):
        return number(value)
    if value is None:
        return "null"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(_written(v) for v in value)[:400] + "]"
    return str(value)[:400]
