"""Data sets at hand, as they are: real ones where there are any, and scikit-learn's own."""

from __future__ import annotations

import gzip
import io
import os
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from benchmarks.planted import Data
from plumbline.kinds import Task

ROOT = Path(__file__).resolve().parents[1]
REAL = Path(os.environ.get("PLUMBLINE_TEST_DATA", ROOT.parent / "shared" / "data"))
ROWS = 10_000  # of each, at most, drawn at random; in time order where rows have one


def data_sets() -> Iterator[Data]:
    """Every data set at hand, without the columns known to give its target away."""
    yield from bundled()
    for name, load in LOADERS.items():
        if REAL.is_dir():
            yield load(name)


def bundled() -> Iterator[Data]:
    """Data sets that come with scikit-learn."""
    from sklearn import datasets

    for name, task in BUNDLED.items():
        loaded: Any = getattr(datasets, f"load_{name}")(as_frame=True)
        frame = pl.DataFrame({str(n): s.to_numpy() for n, s in loaded.data.items()})
        y = loaded.target.to_numpy()
        if task != Task.REGRESSION:
            y = np.array([f"class {c}" for c in y])
        yield Data(
            name=name, frame=frame.with_columns(target=pl.Series(y)), target="target", task=task
        )


BUNDLED = {
    "breast_cancer": Task.BINARY,
    "wine": Task.MULTICLASS,
    "iris": Task.MULTICLASS,
    "digits": Task.MULTICLASS,
    "diabetes": Task.REGRESSION,
}


def _some(frame: pl.DataFrame, rows: int = ROWS) -> pl.DataFrame:
    """At most so many rows, in file order."""
    if len(frame) <= rows:
        return frame
    selected = np.random.default_rng(0).choice(len(frame), rows, replace=False)
    return frame[np.sort(selected)]


def _csv(path: str, **options: Any) -> pl.DataFrame:
    return pl.read_csv(
        REAL / path, infer_schema_length=None, null_values=["", "?", "NA"], **options
    )


def _adult(name: str) -> Data:
    frame = _some(_csv("adult/train.csv"))
    return Data(name=name, frame=frame, target="income", task=Task.BINARY)


def _ames(name: str) -> Data:
    frame = _csv("ames_housing/AmesHousing.txt", separator="\t").drop("Order", "PID")
    return Data(name=name, frame=frame, target="SalePrice", task=Task.REGRESSION)


def _bike(name: str) -> Data:
    frame = _some(_csv("bike_sharing/hour.csv", try_parse_dates=True))
    frame = frame.drop("casual", "registered", "instant")
    return Data(name=name, frame=frame, target="cnt", task=Task.REGRESSION, time="dteday")


def _covtype(name: str) -> Data:
    frame = _some(_csv("covtype_20k/covtype.csv"))
    return Data(name=name, frame=frame, target="cover_type", task=Task.MULTICLASS)


def _credit(name: str) -> Data:
    frame = _csv("creditcard_fraud_sample/creditcard_sample.csv")
    return Data(name=name, frame=frame, target="Class", task=Task.BINARY)


def _kddcup(name: str) -> Data:
    raw = gzip.decompress((REAL / "kddcup99_10pct/kddcup.data_10_percent.gz").read_bytes())
    frame = _some(pl.read_csv(io.BytesIO(raw), has_header=False))
    frame = frame.rename({frame.columns[-1]: "label"})
    common = frame.group_by("label").len().filter(pl.col("len") >= 10)["label"]
    frame = frame.filter(pl.col("label").is_in(common.implode()))
    return Data(name=name, frame=frame, target="label", task=Task.MULTICLASS)


def _weather(name: str) -> Data:
    frame = _csv("weather_nebraska/weather.csv")
    return Data(name=name, frame=frame, target="target", task=Task.BINARY, split={"method": "time"})


def _ett(name: str) -> Data:
    frame = _some(_csv("ett/ETTh1.csv", try_parse_dates=True))
    return Data(name=name, frame=frame, target="OT", task=Task.REGRESSION, time="date")


def _sms(name: str) -> Data:
    frame = _csv(
        "sms_spam/SMSSpamCollection", separator="\t", has_header=False, quote_char=None,
        new_columns=["label", "message"],
    )  # fmt: skip
    frame = frame.with_columns(length=pl.col("message").str.len_chars())
    return Data(name=name, frame=frame, target="label", task=Task.BINARY)


LOADERS: dict[str, Callable[[str], Data]] = {
    "adult": _adult,
    "ames": _ames,
    "bike_sharing": _bike,
    "covtype": _covtype,
    "creditcard": _credit,
    "kddcup": _kddcup,
    "weather": _weather,
    "ett": _ett,
    "sms_spam": _sms,
}


def known_leaks() -> Iterator[tuple[Data, str, tuple[str, ...]]]:
    """Data sets with what leaks in them as published, and the columns (none: rows)."""
    if not REAL.is_dir():
        return
    bike = _csv("bike_sharing/hour.csv", try_parse_dates=True)
    yield (
        Data(name="bike_sharing", frame=bike, target="cnt", task=Task.REGRESSION, time="dteday"),
        "casual + registered = cnt",
        ("casual", "registered"),
    )
    alexa = pl.read_csv(REAL / "alexa_reviews/reviews.tsv", separator="\t", infer_schema=False)
    yield (
        Data(name="alexa_reviews", frame=alexa, target="feedback", task=Task.BINARY),
        "rating decides feedback",
        ("rating",),
    )
    kdd = _kddcup("kddcup")
    yield (
        replace(kdd, split={"keep_duplicates_together": False}),
        "rows that occur many times, on both sides of a random split",
        (),
    )
