"""Texts at the defaults beside what two lines of scikit-learn give, on the same rows.

Needs real data sets (`PLUMBLINE_TEST_DATA`): sms_spam, alexa_reviews. Each seed makes its own
split. `PLUMBLINE_BENCH_SEEDS` (3) is the number of seeds.
"""

from __future__ import annotations

import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from benchmarks.defaults import default
from benchmarks.quality import DATA, SEEDS, Task, normalized, opened, peer_rows
from benchmarks.result import Figure, Result, Table, no_data, together
from plumbline.evaluation.metrics import all_scores
from plumbline.kinds import DoubleArray

Scores = dict[str, float]
Fit = Callable[[Task, int], DoubleArray]


@dataclass(frozen=True, kw_only=True)
class Contender:
    """Who is fitted, on which columns."""

    name: str
    fit: Fit
    drop: tuple[str, ...] = ()


def run() -> Result:
    """Messages alone, and reviews beside columns."""
    if not DATA.is_dir():
        return no_data("Texts")
    return together("Texts", [sms(), alexa()])


def sms() -> Result:
    """Text messages: a message and nothing else."""
    made = fit_all(
        DATA / "sms_spam" / "SMSSpamCollection",
        "column_0",
        "spam",
        [
            Contender(name="plumbline, the defaults", fit=default),
            Contender(name="TfidfVectorizer and LogisticRegression", fit=tf_idf),
        ],
    )
    ours, theirs = made.values()
    return Result(
        title="",
        figures=[
            above(f"SMS spam: {metric} over that of TF-IDF", ours, theirs, metric)
            for metric in ("accuracy", "average_precision")
        ],
        tables=[table("SMS spam", made)],
        notes=[
            "TfidfVectorizer and LogisticRegression at scikit-learn's defaults; both learn from "
            "the training and the validation rows together",
        ],
    )


def alexa() -> Result:
    """Reviews beside date and variation; `rating` gives the target away and is left out.

    Split by the text alone for all, as rows that share a text would share a part if no other column
    were there: on splits of their own the contenders' scores would differ by chance alone.
    """
    made = fit_all(
        DATA / "alexa_reviews" / "reviews.tsv",
        "feedback",
        "0",
        [
            Contender(name="text and columns", fit=default, drop=("rating",)),
            Contender(name="text alone", fit=default, drop=("rating", "date", "variation")),
            Contender(name="columns alone", fit=default, drop=("rating", "verified_reviews")),
            Contender(
                name="TfidfVectorizer and LogisticRegression",
                fit=tf_idf,
                drop=("rating", "date", "variation"),
            ),
        ],
        alike=("verified_reviews",),
    )
    whole, *others = made.values()
    return Result(
        title="",
        figures=[
            above(f"Alexa reviews: average precision over that of {name}", whole, other)
            for name, other in zip(list(made)[1:], others, strict=True)
        ],
        tables=[table("Alexa reviews without `rating`", made)],
        notes=[
            "Alexa reviews: all contenders learn from the same rows and are tested on the same; "
            "equal texts are in one part, also where date or variation differ",
            "8 % of the reviews are negative: the average precision of chance is .08",
        ],
    )


def fit_all(
    file: Path,
    target: str,
    positive: str,
    contenders: Sequence[Contender],
    *,
    alike: Sequence[str] = (),
) -> dict[str, list[Scores]]:
    """The test scores of each contender, a list over seeds; each seed splits anew."""
    made: dict[str, list[Scores]] = {}
    for seed in range(SEEDS):
        for one in contenders:
            data = opened(
                file.name,
                file,
                None,
                target,
                positive=positive,
                seed=seed,
                drop=one.drop,
                alike=alike,
            )
            task = normalized(data)
            scores = all_scores(task.test.y, one.fit(task, seed), task.spec.task)
            made.setdefault(one.name, []).append(scores)
            print(file.name, one.name, seed, scores, flush=True)
    return made


def tf_idf(task: Task, seed: int) -> DoubleArray:
    """What a user of scikit-learn would write in two lines."""
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline

    x, y, test = peer_rows(task)
    (column,) = x.columns
    texts, held = (frame[column].astype(object).fillna("") for frame in (x, test))
    model = make_pipeline(TfidfVectorizer(), LogisticRegression(max_iter=1000)).fit(texts, y)
    return np.asarray(model.predict_proba(held), dtype=np.float64)


def above(
    name: str, ours: list[Scores], theirs: list[Scores], metric: str = "average_precision"
) -> Figure:
    """The difference of two means over seeds."""
    gain = statistics.mean(a[metric] - b[metric] for a, b in zip(ours, theirs, strict=True))
    return Figure(name=name, reached=gain, unit="", target="≥ 0", holds=gain >= 0)


def table(title: str, made: dict[str, list[Scores]]) -> Table:
    """Mean and spread of the seeds."""
    shown = ("accuracy", "average_precision", "roc_auc", "log_loss")
    return Table(
        title=f"{title}: mean ± spread of {SEEDS} seeds",
        columns=["model", *(name.replace("_", " ") for name in shown)],
        rows=[
            [name, *(spread([one[metric] for one in scores]) for metric in shown)]
            for name, scores in made.items()
        ],
    )


def spread(values: list[float]) -> str:
    """Mean ± the distance of the largest from the smallest."""
    return f"{statistics.mean(values):.4f} ± {max(values) - min(values):.2g}"
