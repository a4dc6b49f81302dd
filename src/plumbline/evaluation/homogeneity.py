"""Tests that two samples of categories have one distribution, for Evidently to use.

Its own chi-square test takes the reference for the distribution itself, not for a sample of it, and
so finds a difference by chance wherever the other sample is not much smaller; its exact test wants
as many rows in one sample as in the other.
"""

from __future__ import annotations

import os
import warnings

import pandas as pd
from scipy.stats import chi2_contingency, fisher_exact

os.environ.setdefault("DO_NOT_TRACK", "1")  # before the import: Evidently sends nothing home

with warnings.catch_warnings():
    warnings.simplefilter("ignore", DeprecationWarning)  # of names that numpy has moved
    from evidently.legacy.calculations.stattests.registry import StatTest, register_stattest
    from evidently.legacy.core import ColumnType as EvidentlyType


def _homogeneity(
    reference: pd.Series, current: pd.Series, _kind: EvidentlyType, threshold: float
) -> tuple[float, bool]:
    """Pearson's chi-square test that two samples have one distribution."""
    table = _counts(reference, current).to_numpy()
    p_value = float(chi2_contingency(table, correction=False).pvalue)
    return p_value, p_value < threshold


def _fisher(
    reference: pd.Series, current: pd.Series, _kind: EvidentlyType, threshold: float
) -> tuple[float, bool]:
    """Fisher's exact test, of two values."""
    p_value = float(fisher_exact(_counts(reference, current).to_numpy(dtype=int)).pvalue)
    return p_value, p_value < threshold


def _counts(reference: pd.Series, current: pd.Series) -> pd.DataFrame:
    """(values, 2): how often each value is in either, in an order of their own: the sums round."""
    both = {"reference": reference.value_counts(), "current": current.value_counts()}
    return pd.DataFrame(both).fillna(0.0).sort_index()


homogeneity_test = StatTest(
    name="homogeneity",
    display_name="chi-square of homogeneity",
    allowed_feature_types=[EvidentlyType.Categorical, EvidentlyType.Numerical],
)
fisher_test = StatTest(
    name="fisher",
    display_name="Fisher's exact test",
    allowed_feature_types=[EvidentlyType.Categorical],
)
register_stattest(homogeneity_test, default_impl=_homogeneity)
register_stattest(fisher_test, default_impl=_fisher)
