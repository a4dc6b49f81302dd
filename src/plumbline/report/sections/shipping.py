"""Sections on what is shipped: ONNX parity, lineage, parameters."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence
from typing import Any

from plumbline import artifacts
from plumbline.numbers import NBSP, NOTHING, number
from plumbline.report.about import About
from plumbline.report.blocks import (
    Block,
    Cell,
    Grid,
    Metadata,
    Section,
    Status,
    Subsection,
    name,
)
from plumbline.report.head import rebuild_note
from plumbline.report.read import Reports, entries, listed, pick, real, whole, words
from plumbline.report.sections.verdict import parity_status, registry_notes
from plumbline.words import MOVE_WORDS, lineage_words

MOVES, WHY = 20, 300  # moves of the champion, and characters of a reason, that are shown


def export(reports: Reports, about: About) -> Section:
    """The ONNX graph says what torch says."""
    parity = reports.json(artifacts.PARITY)
    blocks: list[Block] = []
    if isinstance(parity, dict):
        unit = words(parity.get("unit"))
        difference = number(real(parity.get("max_difference")), 3)
        metadata: list[tuple[str, str | Status]] = [
            ("parity", parity_status(reports)),
            ("rows compared", number(whole(parity.get("rows")))),
            ("largest difference", difference),
            ("tolerance", number(real(parity.get("tolerance")), 3)),
        ]
        if unit:
            metadata.append(("measured in", unit))
        blocks.append(Metadata(metadata))
    read = (
        "The ONNX file is what is registered: its predictions must equal those of the model "
        "evaluated above, within the tolerance."
    )
    return Section(
        id="export",
        title="ONNX parity",
        status=parity_status(reports),
        parts=[Subsection(read=read, blocks=blocks, files=[artifacts.PARITY])],
    )


def lineage(reports: Reports, about: About) -> Section:
    """What this model was made from, and where it is registered."""
    register = reports.json(artifacts.REGISTERED)
    metadata: list[tuple[str, Any]] = [
        ("model", pick(register, "model")),
        ("version", pick(register, "version")),
        ("alias", pick(register, "alias")),
        ("MLflow run", pick(register, "run_id")),
        ("the service", pick(register, "server")),
    ]
    made_from = {key: _written(v) for key, v in entries(pick(register, "lineage"))}
    metadata += lineage_words(made_from)[:20]
    known = [
        [Cell(text=key), Cell(text=_written(v), name=True, code=True)]
        for key, v in metadata
        if v not in (None, "")
    ]
    blocks = registry_notes(reports)
    blocks += [note] if (note := rebuild_note(reports)) else []
    if known:
        blocks.append(Grid(caption="Where it comes from", columns=["item", "value"], rows=known))
    moves = listed(pick(register, "history"))
    if moves:
        blocks.append(_history(moves[::-1]))
    read = (
        "What it takes to rebuild this version: the same commit, data and parameters give the "
        "same weights on the same kind of machine. `plumbline reproduce` rebuilds it and compares."
    )
    part = Subsection(read=read, blocks=blocks, files=[artifacts.REGISTERED])
    return Section(id="lineage", title="Lineage", parts=[part])


def _history(moves: Sequence[Any]) -> Grid:
    """Who moved the alias champion, the latest move first."""
    rows = [
        [
            Cell(text=(words(pick(one, "when")) or NOTHING)[:16].replace("T", NBSP)),
            Cell(text=f"{pick(one, 'before') or NOTHING} → {pick(one, 'after') or NOTHING}"),
            Cell(text=MOVE_WORDS.get(str(pick(one, "how")), str(pick(one, "how")))),
            name(_people(one)),
            name(_reasons(one)),
        ]
        for one in moves[:MOVES]
    ]
    return Grid(
        caption="Who moved the champion",
        columns=["when (UTC)", "version", "how", "who", "why"],
        rows=rows,
        more=f"{MOVES} of {len(moves)} moves shown; `plumbline versions` lists all."
        if len(moves) > MOVES
        else "",
    )


def _people(move: Any) -> str:
    """Who moved it, and who else approved."""
    approved = [str(pick(one, "who")) for one in listed(pick(move, "approvals"))]
    return ", approved by ".join(
        [str(pick(move, "who")), *([", ".join(approved)] * bool(approved))]
    )


def _reasons(move: Any) -> str:
    """Why it moved, and why the others approved."""
    others = (
        f"{pick(one, 'who')}: {str(pick(one, 'why'))[:WHY]}"
        for one in listed(pick(move, "approvals"))
    )
    return "; ".join([str(pick(move, "why"))[:WHY], *others])


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
    read = "Every value of params.yaml, defaults included; `tuned`: the search selects the value."
    return Section(id="parameters", title="Parameters", parts=[Subsection(read=read, blocks=parts)])


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
