"""How methods of explanation, explained rows and deletion tests are called on the page."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from plumbline.numbers import NOTHING, cell, fixed, number
from plumbline.report.about import About
from plumbline.report.blocks import Block, Cell, Grid, Status, Text, figure_cell
from plumbline.report.read import pick, real, whole, words
from plumbline.words import TASK_WORDS

METHOD_WORDS = {
    "shap": "SHAP",
    "lime": "LIME",
    "integrated_gradients": "integrated gradients",
}
UNSIGNED = ("saliency", "attention")
VERDICTS = {
    "faithful": Status(state="good", word="faithful"),
    "no better than a random ranking": Status(state="warn", word="no better than random"),
    "misleading: worse than a random ranking": Status(state="bad", word="misleading"),
}


def method_name(key: str) -> str:
    """A method, inside a sentence."""
    return METHOD_WORDS.get(key, key.replace("_", " "))


def method_label(key: str) -> str:
    """A method, above its colors."""
    return f"{method_name(key)} (no sign)" if key in UNSIGNED else method_name(key)


def explained_output(about: About) -> str:
    """What is explained, inside a sentence."""
    return about.task_words(TASK_WORDS[about.task].in_a_sentence)


def explained_unit(about: About) -> str:
    """What values are measured in, for an axis."""
    return about.task_words(TASK_WORDS[about.task].unit)


def used_of(entry: Any) -> str | None:
    """`12 of 100`; None where nothing is known."""
    used, requested = whole(pick(entry, "used")), whole(pick(entry, "requested"))
    if used is None or requested is None:
        return None
    return f"{used:,}" if used == requested else f"{used:,} of {requested:,}"


def limits(used: Mapping[str, Any]) -> list[Block]:
    """Why less was used of some than params.yaml asks for.

    Args:
        used: what it is -> its entry of the budget.
    """
    limited: dict[str, list[str]] = {}
    for label, entry in used.items():
        if limit := words(pick(entry, "limited_by")):
            limited.setdefault(limit, []).append(label)
    if not limited:
        return []
    listed = "; ".join(f"{', '.join(labels)} ({limit})" for limit, labels in limited.items())
    return [Text(f"Fewer than params.yaml asks for: {listed}.")]


def outcome(row: Any) -> str:
    """What is true of a row and what was predicted."""
    if about_class := words(pick(row, "class")):
        probability = _probability(real(pick(row, "prediction")))
        text = f"probability of {about_class} {probability}. "
        if pick(row, "actual") is None:
            return text[:1].upper() + text[1:]
        both = f"actual {shown(pick(row, 'actual'))}, predicted {shown(pick(row, 'predicted'))}"
        return f"{both[:1].upper()}{both[1:]}, {text}"
    actual, prediction = pick(row, "actual"), number(real(pick(row, "prediction")))
    if actual is None:
        return f"Predicted {prediction}. "
    return f"Actual {shown(actual)}, predicted {prediction}. "


def predicted(row: Any, key: str) -> str:
    """A prediction of a row: a probability where it has a class, else a value."""
    value = real(pick(row, key))
    return _probability(value) if words(pick(row, "class")) else number(value)


def _probability(value: float | None) -> str:
    """With three decimals; what these cannot tell from certain is said to be beyond them."""
    if value is None or 0.001 <= value <= 0.999:
        return fixed(value)
    return "below 0.001" if value < 0.5 else "above 0.999"


def shown(value: Any, digits: int = 4) -> str:
    """A cell of the data."""
    number = real(value)
    if number is not None:
        return cell(number, digits)
    return "missing" if value is None else str(value)[:200]


def deletion_grid(caption: str, tests: Sequence[tuple[str, Any]]) -> Grid:
    """The deletion test of each method."""
    rows = [
        [
            Cell(text=method_name(key)),
            figure_cell(fixed(real(pick(v, "area")), 3), strong=True),
            figure_cell(fixed(real(pick(v, "random")), 3)),
            figure_cell(fixed(real(pick(v, "reversed")), 3)),
            figure_cell(_better(v)),
            Cell(text="", status=verdict_of(v)),
        ]
        for key, v in tests
    ]
    columns = ["method", "area", "random", "reversed", "rows better", "verdict"]
    return Grid(caption=caption, columns=columns, rows=rows)


def _better(test: Any) -> str:
    rows, better = whole(pick(test, "rows")), whole(pick(test, "rows_better_than_random"))
    return NOTHING if better is None else f"{number(better)} of {number(rows)}"


def verdict_of(test: Any) -> Status:
    """What a deletion test says of its method."""
    text = words(pick(test, "verdict")) or "unknown"
    return VERDICTS.get(text, Status(state="info", word=text[:60]))
