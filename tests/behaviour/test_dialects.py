"""Whatever dialect a table is written in, it is read as it was written, or refused: never wrong."""

from __future__ import annotations

import random
import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.dialects import Made, make

from plumbline.data.canonical import make_canonical
from plumbline.data.read import scan
from plumbline.errors import DataError

SEEDS = st.integers(min_value=0, max_value=2**32 - 1)


def reading(made: Made, folder: Path, target: str | None) -> tuple[list[str], list[list[str]]]:
    file = folder / "made.csv"
    file.write_bytes(made.content)
    result = make_canonical(file, folder / "plain", target=target)
    frame = scan(result.path, result.form).collect()
    return frame.columns, [[cell or "" for cell in row] for row in frame.rows()]


def written(made: Made) -> tuple[list[str], list[list[str]]]:
    """What a right reading gives: rows without a cell are left out, and so are empty columns at
    the end that have no name."""
    rows = [row for row in made.rows if any(cell.strip() for cell in row)]
    if made.names is not None:
        return made.names, rows
    used = max(i for row in rows for i, cell in enumerate(row, start=1) if cell.strip())
    return [f"column_{i}" for i in range(used)], [row[:used] for row in rows]


def read_right_or_refused(seed: int, *, targeted: bool) -> bool:
    made = make(random.Random(seed))
    target = made.names[-1] if targeted and made.names else None
    with tempfile.TemporaryDirectory() as folder:
        try:
            result = reading(made, Path(folder), target)
        except DataError:
            return False
    assert result == written(made), made.words
    return True


@settings(max_examples=40, deadline=None)
@given(seed=SEEDS, targeted=st.booleans())
def test_made_dialects(seed: int, targeted: bool) -> None:
    read_right_or_refused(seed, targeted=targeted)


def test_most_made_dialects_are_read() -> None:
    outcomes = [read_right_or_refused(seed, targeted=False) for seed in range(40)]
    assert sum(outcomes) >= 30


@pytest.mark.soak
@settings(max_examples=5000, deadline=None)
@given(seed=SEEDS, targeted=st.booleans())
def test_many_made_dialects(seed: int, targeted: bool) -> None:
    read_right_or_refused(seed, targeted=targeted)
