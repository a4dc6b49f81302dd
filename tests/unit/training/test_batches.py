"""Which rows make up each step: every row once, whatever the numbers."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from tests.made import image_tensor, made_examples, made_spec, short_fit

from plumbline.errors import ParameterError
from plumbline.kinds import Task
from plumbline.models.target import TargetTransform
from plumbline.preprocessing.arrays import read_examples, write_examples
from plumbline.training.batches import (
    TRIAL_EPOCHS,
    Plan,
    Rows,
    batch_size,
    epoch_order,
    epochs_of,
    with_epochs,
)
from plumbline.training.distributed import World

CPU = torch.device("cpu")
numbers = st.integers(1, 60)


@given(rows=numbers, batch=st.integers(0, 70), accumulate=st.integers(1, 5), norm=st.booleans())
def test_a_plan_takes_every_row_once(rows: int, batch: int, accumulate: int, norm: bool) -> None:
    config = short_fit(batch_size=batch, accumulate=accumulate)
    if norm and min(batch or rows, rows) == 1:
        with pytest.raises(ParameterError, match="at least two rows per batch"):
            Plan.of(rows, config, has_batch_norm=norm)
        return
    plan = Plan.of(rows, config, has_batch_norm=norm)
    steps = [plan.batches(step) for step in range(plan.steps)]
    taken = [position for step in steps for start, stop in step for position in range(start, stop)]
    assert taken == list(range(rows))
    sizes = [stop - start for step in steps for start, stop in step]
    assert all(1 <= len(step) <= accumulate for step in steps)
    assert all(size == plan.batch for size in sizes[:-1])
    if norm:
        assert min(sizes) > 1 and max(sizes) <= plan.batch + 1
    else:
        assert max(sizes) <= plan.batch


@given(rows=st.integers(1, 20_000))
def test_an_automatic_batch_leaves_an_epoch_enough_steps(rows: int) -> None:
    config = short_fit(batch_size="auto")
    size = batch_size(config, rows)
    assert size in (32, 64, 128, 256)
    assert size == 32 or rows >= 32 * size  # as many steps as asked for, where rows allow it
    assert size == 256 or rows < 64 * size  # and no more than needed
    assert Plan.of(rows, config).batch == min(size, rows)


@pytest.mark.parametrize(
    ("rows", "epochs"), [(2, 200), (64, 175), (196, 100), (1960, 32), (19_600, 10), (10**6, 10)]
)
def test_automatic_epochs_of_images_follow_from_their_number(rows: int, epochs: int) -> None:
    config, beside, without = short_fit(epochs="auto"), made_spec(images=1), made_spec()
    for spec in (beside, replace(beside, tensors=(image_tensor(),))):
        assert with_epochs(config, spec, rows).epochs == epochs
        assert with_epochs(short_fit(epochs=7), spec, rows).epochs == 7
        assert epochs_of("auto", spec, rows, of_tables=TRIAL_EPOCHS) == epochs
    assert with_epochs(config, without, rows).epochs == 100
    assert epochs_of("auto", without, rows, of_tables=TRIAL_EPOCHS) == 20


@given(n=st.integers(0, 50), start=st.integers(0, 9), size=st.integers(1, 7))
def test_shares_of_processes_are_contiguous_and_even(n: int, start: int, size: int) -> None:
    shares = [World(rank=rank, size=size).share(start, start + n) for rank in range(size)]
    taken = [row for a, b in shares for row in range(a, b)]
    assert taken == list(range(start, start + n))
    counts = [b - a for a, b in shares]
    assert max(counts) - min(counts) <= 1


def test_an_epochs_order_is_drawn_from_seed_and_epoch() -> None:
    order = epoch_order(3, 1, 100)
    assert sorted(order.tolist()) == list(range(100)) and order.dtype == torch.int64
    assert torch.equal(order, epoch_order(3, 1, 100))
    assert not torch.equal(order, epoch_order(3, 2, 100))
    assert not torch.equal(order, epoch_order(4, 1, 100))


def test_rows_stay_memory_mapped(tmp_path: Path) -> None:
    """Every process of a machine shares the pages of the one file."""
    write_examples(tmp_path, made_examples(made_spec(), 50))
    examples = read_examples(tmp_path, ("num", "cat"))
    (read,) = Rows.of(examples, Task.BINARY, CPU).source.read([(0, 50)])
    for name, array in examples.inputs.items():
        assert read[name].data_ptr() == array.__array_interface__["data"][0]


def test_targets_and_weights() -> None:
    made = made_examples(made_spec(Task.MULTICLASS), 50)
    made = replace(made, weight=np.linspace(0, 2, 50).astype(np.float32))
    per_class = np.array([1.0, 2.0, 3.0], dtype=np.float32)
    rows = Rows.of(made, Task.MULTICLASS, CPU, per_class=per_class)
    assert rows.y.dtype == torch.int64
    np.testing.assert_allclose(rows.weight, made.weight * per_class[made.y])
    losses = torch.arange(50.0)
    assert rows.mean(losses) == pytest.approx(
        np.average(np.arange(50), weights=made.weight * per_class[made.y])
    )

    values = made_examples(made_spec(Task.REGRESSION), 50)
    target = TargetTransform.fit(values.y, "standard")
    scaled = Rows.of(values, Task.REGRESSION, CPU, target=target).y
    assert scaled.dtype == torch.float32
    assert scaled.mean().item() == pytest.approx(0, abs=1e-5)
    assert scaled.std(correction=0).item() == pytest.approx(1, abs=1e-5)


def test_rows_that_weigh_nothing_have_the_mean_zero() -> None:
    made = made_examples(made_spec(), 5)
    rows = Rows.of(replace(made, weight=np.zeros(5, dtype=np.float32)), Task.BINARY, CPU)
    assert rows.mean(torch.ones(5)) == 0
