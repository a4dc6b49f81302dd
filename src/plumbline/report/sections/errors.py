"""Parts on errors: the confusion matrix, or residuals where a number is predicted."""

from __future__ import annotations

import numpy as np
import polars as pl

from plumbline import artifacts
from plumbline.kinds import DoubleArray
from plumbline.numbers import fixed, number, percent, plural
from plumbline.report.about import About
from plumbline.report.blocks import (
    Block,
    Figure,
    Figures,
    Grid,
    Note,
    Status,
    Subsection,
    Text,
    figure_cell,
    name,
)
from plumbline.report.clouds import cloud, heat_map
from plumbline.report.plots import histogram
from plumbline.report.read import Reports, numbers, pick, real, texts

CLASSES = 30  # a larger matrix could not be read
MISTAKES = 10


def confusion(reports: Reports, about: About) -> Subsection:
    """The confusion matrix of test rows, and what is mistaken most often."""
    frame = reports.frame(artifacts.CONFUSION)
    names, counts = confusion_counts(frame)
    blocks: list[Block] = []
    if names and len(names) <= CLASSES:
        drawn = heat_map(counts, names, title="Confusion matrix")
        caption = "Test rows by actual and predicted class; the shade is the share of the row."
        blocks.append(Figures([Figure(svg=drawn, caption=caption, wide=len(names) > 8)]))
    elif names:
        blocks.append(
            Text(f"{plural(len(names), 'class', 'classes')}: too many for a matrix on a page.")
        )
    elif reports.problem(artifacts.CONFUSION) is None:
        blocks.append(Text("There is no test row to count."))
    if names:
        blocks += [Text(_decision(reports, about)), _per_class(names, counts)]
    if missed := never_predicted(reports):
        listed = ", ".join(f"{label} ({plural(rows, 'test row')})" for label, rows in missed)
        blocks.append(Note(Status(state="warn", word="never predicted"), f"{listed}."))
    mistakes = _mistakes(names, counts)
    if mistakes and len(names) > 2:
        blocks.append(mistakes)
    read = (
        "Rows: actual class; columns: predicted. Everything off the diagonal is a mistake, and a "
        "dark cell there is a pair of classes that the model confuses."
    )
    return Subsection(title="Mistakes", read=read, blocks=blocks, files=[artifacts.CONFUSION])


def never_predicted(reports: Reports) -> list[tuple[str, int]]:
    """The classes of test rows that the model predicts for none, with the number of their rows."""
    names, counts = confusion_counts(reports.frame(artifacts.CONFUSION))
    actual, predicted = counts.sum(axis=1), counts.sum(axis=0)
    return [
        (label, int(actual[i]))
        for i, label in enumerate(names)
        if actual[i] > 0 and predicted[i] == 0
    ]


def _decision(reports: Reports, about: About) -> str:
    """What makes a probability a class."""
    if not about.task.spec.has_positive:
        return "The class with the highest probability is predicted."
    threshold = real(pick(reports.json(artifacts.COMPARISON), "threshold"))
    where = "the default" if threshold is None else "chosen on validation rows"
    value = fixed(0.5 if threshold is None else threshold, 3 if threshold else 1)
    return (
        f"The class {about.positive} is predicted where its probability is at least {value}, "
        f"{where} (evaluate.threshold); another threshold trades one kind of mistake for the other."
    )


def _per_class(names: list[str], counts: DoubleArray) -> Grid:
    """Precision, recall and F1 of every class, the largest first."""
    right, actual, predicted = np.diag(counts), counts.sum(axis=1), counts.sum(axis=0)
    order = np.argsort(-actual, kind="stable")[:CLASSES].tolist()
    rest = len(names) - len(order)
    return Grid(
        caption="Test rows by class",
        columns=["class", "precision", "recall", "F1", "actual", "predicted"],
        rows=[
            [
                name(names[i]),
                figure_cell(fixed(_share(right[i], predicted[i]))),
                figure_cell(fixed(_share(right[i], actual[i]))),
                figure_cell(fixed(_share(2 * right[i], actual[i] + predicted[i]))),
                figure_cell(number(int(actual[i]))),
                figure_cell(number(int(predicted[i]))),
            ]
            for i in order
        ],
        more=f"{plural(rest, 'smaller class', 'smaller classes')} not shown." if rest else "",
    )


def _share(part: float, whole: float) -> float | None:
    return float(part / whole) if whole else None


def confusion_counts(frame: pl.DataFrame) -> tuple[list[str], DoubleArray]:
    """Class names in order of appearance, those that occur first, and counts of rows (k, k).

    A line stands for `count` rows where there is such a column, else for one.
    """
    actual, predicted = texts(frame, "actual"), texts(frame, "predicted")
    if not actual or len(actual) != len(predicted):
        return [], np.zeros((0, 0))
    names = list(dict.fromkeys([*actual, *predicted]))
    place = {label: i for i, label in enumerate(names)}
    weight = numbers(frame, "count")
    weight = np.nan_to_num(weight) if len(weight) else np.ones(len(actual))
    counts = np.zeros((len(names), len(names)))
    np.add.at(counts, ([place[a] for a in actual], [place[p] for p in predicted]), weight)
    return names, counts.round()


def _mistakes(names: list[str], counts: DoubleArray) -> Grid | None:
    wrong = counts.copy()
    np.fill_diagonal(wrong, 0)
    if not wrong.any():
        return None
    totals = counts.sum(axis=1)
    order = np.argsort(-wrong, axis=None, kind="stable")[:MISTAKES].tolist()
    cells = [divmod(position, len(names)) for position in order]
    return Grid(
        caption="Most frequent mistakes on test rows",
        columns=["actual", "predicted", "rows", "share of the class"],
        rows=[
            [
                name(names[i]),
                name(names[j]),
                figure_cell(number(int(wrong[i, j]))),
                figure_cell(percent(float(wrong[i, j] / totals[i]))),
            ]
            for i, j in cells
            if wrong[i, j] > 0
        ],
    )


def residuals(reports: Reports, about: About) -> Subsection:
    """Predicted against actual, and the residuals, of test rows."""
    actual, predicted = test_values(reports, "actual"), test_values(reports, "predicted")
    keep = np.isfinite(actual) & np.isfinite(predicted) if len(actual) == len(predicted) else None
    blocks: list[Block] = []
    if keep is not None and keep.any():
        actual, predicted = actual[keep], predicted[keep]
        residual = actual - predicted
        blocks.append(
            Figures(
                [
                    Figure(
                        svg=cloud(
                            predicted,
                            actual,
                            title="Actual against predicted",
                            axes=("predicted", "actual"),
                            diagonal=True,
                        ),
                        caption="Actual against predicted, test rows; equal on the dotted line.",
                    ),
                    Figure(
                        svg=cloud(
                            predicted,
                            residual,
                            title="Residuals against predicted",
                            axes=("predicted", "actual − predicted"),
                            level=0.0,
                        ),
                        caption="Residuals against predicted: a slope is a bias; a funnel means "
                        "errors that grow with the prediction.",
                    ),
                    Figure(
                        svg=histogram(residual, title="Residuals", axis="actual − predicted"),
                        caption="Distribution of the residuals.",
                    ),
                ]
            )
        )
    elif reports.problem(artifacts.PREDICTIONS) is None:
        blocks.append(Text("There is no test row to show."))
    read = (
        "Points on the line are exact; those above it were predicted too low, those below it "
        "too high, and a pattern among them is something the model has not learned."
    )
    files = [artifacts.PREDICTIONS]
    return Subsection(title="Mistakes", read=read, blocks=blocks, files=files)


def test_frame(reports: Reports) -> pl.DataFrame:
    """Predictions of test rows."""
    frame = reports.frame(artifacts.PREDICTIONS)
    if "part" not in frame.columns:
        return frame
    return frame.filter(pl.col("part").cast(pl.String) == "test")


def test_values(reports: Reports, column: str) -> DoubleArray:
    """A column of the predictions of test rows, as numbers."""
    return numbers(test_frame(reports), column)
