"""The part on the worst mistakes, as pictures."""

from __future__ import annotations

from typing import Any

from markupsafe import Markup

from plumbline import artifacts
from plumbline.numbers import fixed, number, plural
from plumbline.report.about import About
from plumbline.report.blocks import Block, Pictures, Subsection, Text, Tile
from plumbline.report.pictures import plain, read_picture
from plumbline.report.read import Reports, listed, pick, real, whole
from plumbline.report.sections.methods import shown

PICTURES = 24  # at most, of all columns together
NAME = 60  # characters of a file's name that are shown, those at its end


def pictured_mistakes(reports: Reports, about: About) -> list[Subsection]:
    """Nothing where the model reads no image."""
    content = reports.json(artifacts.MISTAKES)
    columns = [text for text in listed(pick(content, "columns")) if isinstance(text, str)]
    if not columns and reports.problem(artifacts.MISTAKES) is None:
        return []
    rows = listed(pick(content, "rows"))[: max(1, PICTURES // max(1, len(columns)))]
    tiles = [_tile(row, columns) for row in rows if listed(pick(row, "pictures"))]
    blocks: list[Block] = []
    if tiles:
        caption = _caption(content, len(tiles), columns, of_classes=about.task.has_classes)
        blocks.append(Pictures(tiles=tiles, caption=caption))
    elif reports.problem(artifacts.MISTAKES) is None:
        blocks.append(Text("No test row was mistaken."))
    read = (
        "The test rows whose predictions are farthest from the truth, the worst first: by the "
        "probability of their actual class, or by the size of the error. Pictures are shown as "
        "the model reads them. Look for wrong labels, for rows that should not be there, and for "
        "what the pictures have in common."
    )
    title = "The worst mistakes, as pictures"
    return [Subsection(title=title, read=read, blocks=blocks, files=[artifacts.MISTAKES])]


def _caption(content: Any, count: int, columns: list[str], *, of_classes: bool) -> str:
    mistakes = whole(pick(content, "mistakes"))
    text = f"The {count:,} largest errors on test rows"
    if of_classes:
        of = "" if mistakes is None else f" of {plural(mistakes, 'mistaken test row')}"
        text = f"The worst {count:,}{of}"
    if len(columns) > 1:
        text += f", with the pictures of {', '.join(columns)}"
    others = [name for name in listed(pick(content, "others")) if isinstance(name, str)]
    return f"{text}; not shown: {', '.join(others[:10])}." if others else f"{text}."


def _tile(row: Any, columns: list[str]) -> Tile:
    called = f"Row {number(whole(pick(row, 'row')))}"
    actual, predicted = shown(pick(row, "actual")), shown(pick(row, "predicted"))
    probability = real(pick(row, "probability"))
    if probability is not None:
        predicted = f"{predicted} ({fixed(probability, 2)})"
    pictures = listed(pick(row, "pictures"))
    names = [shown(own) for own in listed(pick(row, "names")) if own is not None]
    svgs = [
        _drawn(each, f"{called}, {column}: actual {actual}, predicted {predicted}")
        for each, column in zip(pictures, columns, strict=False)
    ]
    texts = [called, *(own[-NAME:] for own in names), f"actual {actual}", f"predicted {predicted}"]
    if probability is not None and (own := real(pick(row, "probability_of_actual"))) is not None:
        texts[-2] += f" ({fixed(own, 2)})"
    return Tile(svgs=svgs, texts=texts)


def _drawn(content: Any, alt: str) -> Markup:
    picture = read_picture(content)
    if picture is None:
        return Markup('<span class="none">{}</span>').format("no image")
    return plain(picture, alt)
