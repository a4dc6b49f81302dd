"""Examples are taken and put together as rows; a description of tensors goes through JSON."""

from __future__ import annotations

import dataclasses
import json
from typing import Any

import numpy as np
import pytest
from numpy.testing import assert_array_equal
from tests.made import made_examples, made_spec

from plumbline.examples import Examples, InputSpec, TensorSpec, count_rows, take_inputs
from plumbline.kinds import TASKS, Task

MADE = dataclasses.replace(
    made_examples(made_spec(), 12), weight=np.linspace(0, 1, 12, dtype=np.float32)
)


def columns(examples: Examples) -> dict[str, Any]:
    beside = {"y": examples.y, "rows": examples.rows, "weight": examples.weight}
    return {**examples.inputs, **beside}


KEPT = {
    "slice": slice(3, 9),
    "indices": np.array([5, 0, 5]),
    "mask": np.arange(12) % 3 == 0,
    "none": slice(0, 0),
}


@pytest.mark.parametrize("keep", KEPT.values(), ids=list(KEPT))
def test_rows_are_taken_of_everything(keep: Any) -> None:
    taken = MADE.take(keep)
    for name, array in columns(MADE).items():
        assert_array_equal(columns(taken)[name], array[keep])
        assert columns(taken)[name].dtype == array.dtype
    assert len(taken) == count_rows(taken.inputs) == len(np.arange(12)[keep])
    assert_array_equal(take_inputs(MADE.inputs, keep)["num"], taken.inputs["num"])


def test_parts_put_together_are_the_whole() -> None:
    parts = [MADE.take(slice(0, 5)), MADE.take(slice(5, 5)), MADE.take(slice(5, 12))]
    whole = Examples.concatenate(iter(parts))
    for name, array in columns(MADE).items():
        assert_array_equal(columns(whole)[name], array)
        assert columns(whole)[name].dtype == array.dtype


@pytest.mark.parametrize("task", list(TASKS))
def test_a_description_goes_through_json(task: Task) -> None:
    spec = made_spec(task)
    spec = dataclasses.replace(
        spec,
        tensors=(
            *spec.tensors,
            TensorSpec(
                name="words",
                kind="text",
                dtype="int64",
                shape=(None, 2),
                features=("note",),
                sources=("note",),
                plain=("note",),
                details={"vocabulary": 99},
            ),
        ),
    )
    assert InputSpec.from_json(json.loads(json.dumps(spec.to_json()))) == spec
    empty = spec.empty(3)
    assert {name: array.shape for name, array in empty.items()} == {
        "num": (3, 3),
        "cat": (3, 2),
        "words": (3, 1, 2),
    }
    assert empty["words"].dtype == np.int64 and count_rows(empty) == 3
    assert [tensor.name for tensor in spec.of_kind("text")] == ["words"]
