"""The part on texts, word by word: colored words of single rows, and the deletion tests."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from plumbline.numbers import aligned, number
from plumbline.report.about import About
from plumbline.report.blocks import ColoredText, Grid, Subsection, Word, figure_cell, name
from plumbline.report.read import Reports, listed, pick, real, whole
from plumbline.report.sections.colored import CELLS, WORDS, cell_caption, cells_part
from plumbline.report.sections.methods import explained_output, method_label, method_name
from plumbline.report.tints import FAINT, tint

TOP = 15  # words of a text that are listed
MOST_CHARACTERS = 1200  # of a text that are shown
# marks that would turn the words after them round
TURNS = dict.fromkeys((*range(0x202A, 0x202F), *range(0x2066, 0x206A)), "\ufffd")
NOT_VALUES = ("text", "start", "end", "known")


def words_part(reports: Reports, about: About) -> list[Subsection]:
    """Nothing where the model reads no text."""
    content = reports.json(WORDS.file)
    cells = [row for row in listed(pick(content, "rows")) if _pieces(row)]
    read = (
        f"A word's value is what it adds to {explained_output(about)}, compared with the same text "
        "in which it is replaced by the unknown token (or cut out); the rest of the row stays as "
        "it is. The SHAP values of a text add up to the difference between the row's prediction "
        "and the prediction without any of the words. The deletion test removes the words that a "
        "method ranks first and compares with words removed in random order. Attention shows where "
        "the encoder reads; that is no explanation unless its verdict says faithful."
    )
    return cells_part(
        reports,
        about,
        WORDS,
        title="Texts, word by word",
        read=read,
        drawn=[[_colored(row, about), _table(row)] for row in cells[:CELLS]],
        cells=len(cells),
        legend=[("unknown", "not in the vocabulary")],
    )


def _pieces(row: Any) -> list[dict[str, Any]]:
    """The words of a cell that can be shown."""
    return [w for w in listed(pick(row, "words")) if isinstance(pick(w, "text"), str)]


def _methods(row: Any) -> list[str]:
    first = _pieces(row)[0]
    return [key for key in first if key not in NOT_VALUES and real(first[key]) is not None]


def _values(pieces: Sequence[Mapping[str, Any]], method: str) -> list[float]:
    return [float(real(piece.get(method)) or 0.0) for piece in pieces]


def _colored(row: Any, about: About) -> ColoredText:
    pieces, methods = _pieces(row), _methods(row)
    first = methods[0] if methods else "shap"
    shown = _shown(pieces, _values(pieces, first))
    largest = max((abs(v) for v in _values(pieces, first)), default=0.0)
    text = cell_caption(row, about, WORDS, first, largest)
    if len(shown) < len(pieces):
        text += f" Shortened to the most important words: {len(shown)} of {len(pieces)} pieces."
    read, size = whole(pick(row, "characters_read")), whole(pick(row, "characters"))
    if read is not None and size is not None and read < size:
        text += f" The model reads the first {read:,} of its {size:,} characters."
    return ColoredText(
        words=_words(pieces, shown, first),
        caption=text,
        others=[(method_label(key), _words(pieces, shown, key)) for key in methods[1:]],
    )


def _shown(pieces: Sequence[Mapping[str, Any]], values: Sequence[float]) -> list[int]:
    """Which pieces are shown: all, or of a long text those of the largest values, each with the
    pieces before and after it."""
    room = MOST_CHARACTERS - sum(len(piece["text"]) for piece in pieces)
    if room >= 0:
        return list(range(len(pieces)))
    kept: set[int] = set()
    room = MOST_CHARACTERS
    for k in sorted(range(len(pieces)), key=lambda k: -abs(values[k])):
        for near in (k, k - 1, k + 1):
            if 0 <= near < len(pieces) and near not in kept:
                room -= len(pieces[near]["text"])
                if room < 0:
                    return sorted(kept or {k})
                kept.add(near)
    return sorted(kept)


def _words(pieces: Sequence[Mapping[str, Any]], shown: Sequence[int], method: str) -> list[Word]:
    values = _values(pieces, method)
    largest = max((abs(v) for v in values), default=0.0)
    colored = []
    for before, k in zip([-1, *shown], shown, strict=False):
        if k > before + 1:
            colored.append(Word(text="…"))
        piece = pieces[k]
        unknown = piece.get("known") is False and abs(values[k]) <= FAINT * largest
        follows = k > 0 and k == before + 1
        text = piece["text"].translate(TURNS)
        value = "not in the vocabulary" if unknown else number(values[k], 3)
        colored.append(
            Word(
                text=text,
                tint="unknown" if unknown else tint(values[k], largest),
                hint=f"{text[:60]}: {value}",
                joined=follows and piece.get("start") == pieces[before].get("end"),
            )
        )
    if shown and shown[-1] < len(pieces) - 1:
        colored.append(Word(text="…"))
    return colored


def _table(row: Any) -> Grid:
    """The most important words with the values of all methods."""
    pieces, methods = _pieces(row), _methods(row)
    first = _values(pieces, methods[0]) if methods else [0.0] * len(pieces)
    top = sorted(range(len(pieces)), key=lambda k: -abs(first[k]))[:TOP]
    columns = [aligned([_values(pieces, method)[k] for k in top]) for method in methods]
    return Grid(
        caption=f"Words of row {number(whole(pick(row, 'row')))}",
        columns=["words", *(method_name(method) for method in methods)],
        rows=[
            [name(pieces[k]["text"][:80]), *(figure_cell(column[i]) for column in columns)]
            for i, k in enumerate(top)
        ],
        more=f"The first {TOP} of {len(pieces)}; all are in reports/{WORDS.file}."
        if len(pieces) > TOP
        else "",
        folded=True,
        total=len(pieces),
    )
