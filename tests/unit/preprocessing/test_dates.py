"""Dates become parts and points on circles."""

from __future__ import annotations

import datetime as dt

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal

from plumbline.kinds import DoubleArray
from plumbline.preprocessing.dates import CYCLES, PARTS, date_names, date_numbers, is_cyclic

EPOCH = dt.datetime(1970, 1, 1)
moments = st.datetimes(dt.datetime(1678, 1, 1), dt.datetime(2250, 1, 1))


def us(*moments: dt.datetime) -> DoubleArray:
    return np.array([(m - EPOCH) / dt.timedelta(microseconds=1) for m in moments])


@settings(max_examples=300, deadline=None)
@given(moments)
def test_the_parts_are_the_calendar_s(moment: dt.datetime) -> None:
    days, year, month, day, weekday, hour = date_numbers(us(moment), PARTS)[0]
    assert (year, month, day) == (moment.year, moment.month, moment.day)
    assert (weekday, hour) == (moment.weekday(), moment.hour)
    assert days == pytest.approx((moment - EPOCH) / dt.timedelta(days=1), abs=1e-6)


@settings(max_examples=200, deadline=None)
@given(moments)
def test_points_lie_on_circles(moment: dt.datetime) -> None:
    names = date_names("cyclic")
    points = date_numbers(us(moment), names)[0].reshape(len(CYCLES), 2)
    assert_allclose(np.square(points).sum(axis=1), 1)
    angle = np.mod(np.arctan2(points[:, 0], points[:, 1]) / (2 * np.pi), 1)
    of_year = (moment - dt.datetime(moment.year, 1, 1)).days / 365.2425
    hour = (moment - dt.datetime(moment.year, moment.month, moment.day)) / dt.timedelta(days=1)
    for result, wanted in zip(angle, (of_year, moment.weekday() / 7, hour), strict=True):
        assert min(abs(result - wanted), 1 - abs(result - wanted)) < 1e-6


def test_midnight_is_near_one_to_midnight() -> None:
    """What a circle is for: the hours 23:59 and 0:00 are far apart as parts."""
    times = us(dt.datetime(2024, 1, 1, 23, 59), dt.datetime(2024, 1, 2, 0, 0))
    cyclic = date_numbers(times, ("hour_sin", "hour_cos"))
    assert np.abs(cyclic[0] - cyclic[1]).max() < 0.005
    assert np.ptp(date_numbers(times, ("hour",))) == 23


@settings(max_examples=50, deadline=None)
@given(st.lists(st.one_of(moments, st.none()), min_size=1, max_size=20))
def test_one_moment_is_the_same_as_among_many(given_moments: list[dt.datetime | None]) -> None:
    values = np.concatenate([us(m) if m else [np.nan] for m in given_moments])
    names = date_names("both")
    together = date_numbers(values, names)
    assert_array_equal(np.isnan(together).all(axis=1), np.isnan(values))
    assert_array_equal(np.isnan(together).any(axis=1), np.isnan(values))
    for i in range(len(values)):
        assert date_numbers(values[i : i + 1], names).tobytes() == together[i].tobytes()


def test_the_methods() -> None:
    assert date_names("drop") == ()
    assert date_names("parts") == PARTS
    assert date_names("both") == (*PARTS, *date_names("cyclic"))
    assert [is_cyclic(n) for n in ("hour", "hour_sin", "weekday_cos")] == [False, True, True]
