"""The section on the network: its parts as a figure and as a table."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import groupby
from typing import Any

from plumbline import artifacts
from plumbline.numbers import NBSP, NOTHING, number, percent, plural
from plumbline.report.about import About, networks_of
from plumbline.report.architecture_figure import PartBox, architecture_figure
from plumbline.report.blocks import (
    Block,
    Cell,
    Figure,
    Figures,
    Grid,
    Metadata,
    Section,
    Status,
    Subsection,
    Text,
    figure_cell,
    name,
)
from plumbline.report.plots import bars
from plumbline.report.read import Reports, listed, pick, whole, words
from plumbline.words import TASK_WORDS, shape_words

SINGLY = 3  # tensors of one kind and encoder that are drawn one by one
BARS = 10
LAYERS = 200  # rows of the table
STYLES = {"encoder": "h1", "weight": "", "backbone": "", "head": "h2"}
IN_ROLE = {"encoder": "in encoders", "backbone": "in blocks", "head": "in the head"}


def architecture(reports: Reports, about: About) -> Section:
    """The network: what reads each column, the blocks, the head; shapes and parameters."""
    content = reports.json(artifacts.ARCHITECTURE)
    parts = [part for part in listed(pick(content, "parts")) if words(pick(part, "role")) in STYLES]
    blocks: list[Block] = []
    if parts:
        blocks += [_metadata(content, parts), *_bag(networks_of(reports))]
        blocks.append(_figures(content, parts, about))
        blocks += [_parts_table(content, parts), _layers_table(parts)]
    read = (
        "From top to bottom: the columns, the encoder that reads each of them, and the parts that "
        "follow. Shapes are those of what a part gives, N rows; equal blocks are shown once."
    )
    part = Subsection(read=read, blocks=blocks, files=[artifacts.ARCHITECTURE])
    return Section(id="architecture", title="Architecture", parts=[part])


def _int(value: Any, key: str) -> int:
    return max(0, whole(pick(value, key)) or 0)


def _repeats(part: Any) -> int:
    return max(1, _int(part, "repeats"))


def _total(part: Any, key: str = "parameters") -> int:
    """Of all that it repeats."""
    return _int(part, key) * _repeats(part)


def _share(count: int, content: Any) -> float:
    return min(1.0, count / max(1, _int(content, "parameters")))


def _bag(networks: int) -> list[Block]:
    if networks == 1:
        return []
    return [
        Text(
            f"The model is a bag of {number(networks)} networks that are built alike; shown and "
            "counted here is the first."
        )
    ]


def _metadata(content: Any, parts: Sequence[Any]) -> Metadata:
    total, trainable = _int(content, "parameters"), _int(content, "trainable")
    columns = {str(c) for t in listed(pick(content, "tensors")) for c in listed(pick(t, "columns"))}
    items: list[tuple[str, str | Status]] = [("parameters", number(total))]
    if trainable != total:
        items.append(("of them trainable", number(trainable)))
    items.append(("columns read", number(len(columns))))
    if _members(content) > 1:
        items.append(("ensemble members", number(_members(content))))
    for role, label in IN_ROLE.items():
        count = sum(_total(part) for part in parts if part["role"] == role)
        if count:
            items.append((label, percent(_share(count, content))))
    return Metadata(items)


def _members(content: Any) -> int:
    return whole(next(iter(listed(pick(content, "output"))), None)) or 1


def _shape(value: Any, *, rows: bool = True) -> str:
    if not isinstance(value, list):
        return ""
    return shape_words(list(map(whole, value)), rows=rows).replace(" ", NBSP)


def _shape_of(part: Any) -> str:
    """Of what a part or layer gives; a weight has no rows."""
    is_weight = pick(part, "role") == "weight" or pick(part, "module") == "Parameter"
    return _shape(pick(part, "shape"), rows=not is_weight)


def _trainable(part: Any) -> str:
    total, trainable = _total(part), _total(part, "trainable")
    if not total:
        return NOTHING
    if trainable in (0, total):
        return "yes" if trainable else "no"
    return f"{number(trainable)} of {number(total)}"


def _steps(part: Any) -> list[str]:
    return [step for step in map(words, listed(pick(part, "steps"))) if step]


def _read_by(content: Any, part: Any) -> Any:
    """The tensor that an encoder reads."""
    name = words(pick(part, "reads"))
    return next((t for t in listed(pick(content, "tensors")) if pick(t, "name") == name), None)


def _columns(tensors: Sequence[Any]) -> str:
    """The column by name, or how many they are: `12 columns as numbers`."""
    columns = [str(c) for tensor in tensors for c in listed(pick(tensor, "columns"))]
    kind = words(pick(tensors[0], "kind")) or "tensors"
    return columns[0] if len(columns) == 1 else f"{plural(len(columns), 'column')} as {kind}"


def _figures(content: Any, parts: Sequence[Any], about: About) -> Figures:
    boxes = list(_boxes(content, parts))
    prediction = [f"prediction {_shape(pick(content, 'prediction'))}"]
    if _members(content) > 1:
        prediction.append(f"mean over {number(_members(content))} members")
    prediction.append(about.task_words(TASK_WORDS[about.task].unit))
    figures = [
        Figure(
            svg=architecture_figure(boxes, prediction),
            caption="The network: what each part gives, and its parameters.",
        )
    ]
    largest = sorted((box for box in boxes if box.share), key=lambda box: -box.share)[:BARS]
    if len(largest) > 1:
        shares = [(box.name, 100 * box.share) for box in largest]
        drawn = bars(shares, title="Parameters by part", axis="% of all parameters")
        figures.append(Figure(svg=drawn, caption="Where the parameters are, the largest first."))
    return Figures(figures)


def _boxes(content: Any, parts: Sequence[Any]) -> Iterator[PartBox]:
    """The parts to draw; encoders of one kind, where they are many, as one."""
    for (_, steps, shape), group in groupby(parts, key=lambda part: _appearance(content, part)):
        alike = list(group)
        folded = alike[0]["role"] == "encoder" and len(alike) > SINGLY
        for some in [alike] if folded else [[part] for part in alike]:
            tensors = [t for part in some if (t := _read_by(content, part)) is not None]
            count = sum(_total(part) for part in some)
            yield PartBox(
                name=_columns(tensors) if tensors else words(pick(some[0], "path")) or "part",
                style=STYLES[some[0]["role"]],
                reads=_reads(tensors),
                steps=steps,
                shape=shape,
                amount=_amount(some, _share(count, content)),
                share=_share(count, content),
                repeats=len(some) if folded else _repeats(some[0]),
            )


def _appearance(content: Any, part: Any) -> tuple[str, tuple[str, ...], str]:
    """What must be equal for parts to be drawn as one."""
    kind = words(pick(_read_by(content, part), "kind")) or words(pick(part, "path")) or ""
    return kind, tuple(_steps(part)), _shape_of(part)


def _reads(tensors: Sequence[Any]) -> list[str]:
    """The lines of the cell beside an encoder: its columns, and the tensor that they became."""
    if not tensors:
        return []
    columns = [str(c) for tensor in tensors for c in listed(pick(tensor, "columns"))]
    shapes = {_shape(pick(tensor, "shape")) for tensor in tensors}
    kind = words(pick(tensors[0], "kind")) or ""
    return [
        columns[0] if len(columns) == 1 else plural(len(columns), "column"),
        f"{kind} {shapes.pop() if len(shapes) == 1 else ''}".strip(),
    ]


def _amount(parts: Sequence[Any], share: float) -> str:
    """Their parameters, what share of all they are, and whether they are frozen."""
    count, trainable = (sum(_total(p, key) for p in parts) for key in ("parameters", "trainable"))
    if not count:
        return "no parameters"
    frozen = "" if trainable == count else " · partly frozen" if trainable else " · frozen"
    return f"{number(count)} · {percent(share)}{frozen}"


def _parts_table(content: Any, parts: Sequence[Any]) -> Grid:
    rows = [
        [
            Cell(text=_path(part), name=True, code=True),
            name(_columns([tensor]) if (tensor := _read_by(content, part)) else NOTHING),
            name(", ".join(_steps(part))),
            Cell(text=_shape_of(part) or NOTHING),
            figure_cell(number(_total(part))),
            figure_cell(percent(_share(_total(part), content))),
            Cell(text=_trainable(part)),
        ]
        for part in parts
    ]
    rows.append(
        [
            Cell(text="all", strong=True),
            Cell(text=""),
            Cell(text=""),
            Cell(text=_shape(pick(content, "output"))),
            figure_cell(number(_int(content, "parameters")), strong=True),
            figure_cell(percent(1.0)),
            Cell(text=_trainable(content)),
        ]
    )
    columns = ["part", "reads", "modules", "output", "parameters", "share", "trainable"]
    return Grid(caption="Parts of the network", columns=columns, rows=rows)


def _path(part: Any) -> str:
    path = words(pick(part, "path")) or ""
    return f"{path} × {_repeats(part)}" if _repeats(part) > 1 else path


def _layers_table(parts: Sequence[Any]) -> Grid:
    layers = [(layer, _repeats(part)) for part in parts for layer in listed(pick(part, "layers"))]
    rows = [
        [
            Cell(text=words(pick(layer, "path")) or "", name=True, code=True),
            name(words(pick(layer, "module")) or ""),
            Cell(text=_shape_of(layer) or NOTHING),
            figure_cell(number(_repeats(layer) * times)),
            figure_cell(number(_total(layer) * times)),
            Cell(text=_trainable(layer)),
        ]
        for layer, times in layers[:LAYERS]
    ]
    rest = len(layers) - LAYERS
    return Grid(
        caption="Layers",
        columns=["layer", "module", "output", "times", "parameters", "trainable"],
        rows=rows,
        more=f"{rest:,} more in reports/{artifacts.ARCHITECTURE}." if rest > 0 else "",
        folded=True,
        total=len(layers),
    )
