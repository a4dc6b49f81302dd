"""Every trial of a search as a line of text."""

from __future__ import annotations

import csv
import io

from plumbline.training.search import SearchResult


def trials_csv(result: SearchResult) -> str:
    """A line per trial: number, state, value, its values, the score of each fold."""
    keys = sorted(result.trials[0].values)
    folds = max(len(t.scores) for t in result.trials)
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["number", "state", "value", *keys, *(f"fold_{k}" for k in range(folds))])
    for t in result.trials:
        scores = [*t.scores, *[""] * (folds - len(t.scores))]
        value = "" if t.value is None else t.value
        writer.writerow([t.number, t.state, value, *(t.values.get(k, "") for k in keys), *scores])
    return text.getvalue()
