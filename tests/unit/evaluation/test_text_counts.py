"""What baselines read of texts."""

from __future__ import annotations

import numpy as np

from plumbline.evaluation.text_counts import TfIdf


def test_a_term_of_one_row_counts_and_none_of_other_rows_does() -> None:
    known = np.array([["red car"], ["red boat"], [None]], dtype=object)
    counts = TfIdf(known)
    other = counts(np.array([["a boat"], ["a plane"]], dtype=object)).toarray()
    assert (other.sum(axis=1) > 0).tolist() == [True, False]
    assert not TfIdf(np.array([[None], [""]], dtype=object))
