"""The part on texts, word by word: colored words of single rows, and the deletion tests."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from plumbline import artifacts
from plumbline.numbers import aligned, number
from plumbline.report.about import About
from plumbline.report.blocks import (
    Block,
    ColoredText,
    Grid,
    Legend,
    Subsection,
    Text,
    Word,
    figure_cell,
    name,
)
from plumbline.report.read import Reports, listed, pick, real, whole, words
from plumbline.report.sections.methods import (
    UNSIGNED,
    cells_metadata,
    deletion_grid,
    explained_output,
    explained_unit,
    method_name,
    outcome,
    predicted,
    tests_of,
)
from plumbline.report.tints import FAINT, tint

CELLS, COLUMNS, TOP = 6, 3, 15  # texts, columns and words of a text that are shown
MOST_CHARACTERS = 1200  # of a text that are shown
# marks that would turn the words after them round
TURNS = dict.fromkeys((*range(0x202A, 0x202F), *range(0x2066, 0x206A)), "\ufffd")
NOT_VALUES = ("text", "start", "end", "known")


def word_tests(reports: Reports) -> list[tuple[str, list[tuple[str, Any]]]]:
    """By column: the deletion test of each method."""
    return tests_of(reports.json(artifacts.WORDS), COLUMNS)


def words_part(reports: Reports, about: About) -> list[Subsection]:
    """Nothing where the model reads no text."""
    content = reports.json(artifacts.WORDS)
    cells = [row for row in listed(pick(content, "rows")) if _pieces(row)]
    if not cells and reports.problem(artifacts.WORDS) is None:
        return []
    output = explained_output(about)
    blocks: list[Block] = (
        [cells_metadata(content, about, "word", "text", COLUMNS), _legend(output)] if cells else []
    )
    for row in cells[:CELLS]:
        blocks += [_colored(row, about), _table(row)]
    if len(cells) > CELLS:
        blocks.append(
            Text(f"{CELLS} of {len(cells):,} texts; all are in reports/{artifacts.WORDS}.")
        )
    for column, tests in word_tests(reports):
        caption = f"The deletion test on the words of {column}"
        blocks.append(deletion_grid(caption, tests[:10]))
    read = (
        f"A word's value is what it adds to {output}, compared with the same text in which it is "
        "replaced by the unknown token (or cut out); the rest of the row stays as it is. The "
        "SHAP values of a text add up to the difference between the row's prediction and the "
        "prediction without any of the words. The deletion test removes the words that a method "
        "ranks first and compares with words removed in random order. Attention shows where the "
        "encoder reads; that is no explanation unless its verdict says faithful."
    )
    return [
        Subsection(title="Texts, word by word", read=read, blocks=blocks, files=[artifacts.WORDS])
    ]


def _legend(output: str) -> Legend:
    scale = [("n4", "lowers most"), ("n2", "lowers"), ("p2", "raises"), ("p4", "raises most")]
    scale.append(("unknown", "not in the vocabulary"))
    return Legend([("", f"What a word does to {output}:"), *scale])


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
    text = f"Row {number(whole(pick(row, 'row')))}, {words(pick(row, 'column')) or 'text'}"
    if reason := words(pick(row, "reason")):
        text += f": {reason}"
    largest = max((abs(v) for v in _values(pieces, first)), default=0.0)
    text += (
        f". {outcome(row)}Without the words {predicted(row, 'without_words')}. "
        f"The strongest color is {number(largest, 2)} ({explained_unit(about)}, "
        f"{method_name(first)})."
    )
    if len(shown) < len(pieces):
        text += f" Shortened to the most important words: {len(shown)} of {len(pieces)} pieces."
    read, size = whole(pick(row, "characters_read")), whole(pick(row, "characters"))
    if read is not None and size is not None and read < size:
        text += f" The model reads the first {read:,} of its {size:,} characters."
    return ColoredText(
        words=_words(pieces, shown, first),
        caption=text,
        others=[(_method_words(key), _words(pieces, shown, key)) for key in methods[1:]],
    )


def _method_words(method: str) -> str:
    return f"{method_name(method)} (no sign)" if method in UNSIGNED else method_name(method)


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
        more=f"The first {TOP} of {len(pieces)}; all are in reports/{artifacts.WORDS}."
        if len(pieces) > TOP
        else "",
        folded=True,
        total=len(pieces),
    )
