"""Every trial of a search as a line of text."""

from __future__ import annotations

import csv
import io

from plumbline.training.search_result import SearchResult


def trials_csv(result: SearchResult) -> str:
    """A line per trial: number, state, value, what its network takes where that was counted, its
    values, the score of each fold."""
    keys, sizes = sorted(result.trials[0].values), list(result.trials[0].size)
    folds = max(len(t.scores) for t in result.trials)
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(
        ["number", "state", "value", *sizes, *keys, *(f"fold_{k}" for k in range(folds))]
    )
    for t in result.trials:
        scores = [*t.scores, *[""] * (folds - len(t.scores))]
        value = "" if t.value is None else t.value
        taken = [*(t.size.get(s, "") for s in sizes), *(t.values.get(k, "") for k in keys)]
        writer.writerow([t.number, t.state, value, *taken, *scores])
    return text.getvalue()
