"""A rebuild that differs: the causes are those that can explain the first difference."""

from __future__ import annotations

from typing import Any

import pytest

from plumbline.store.recorded import Recorded, compare


def made(lineage: dict[str, str] | None = None, **of: Any) -> Recorded:
    """What is recorded of a graph of three stages; `of`: what differs."""
    values = {
        "data": "1",
        "code": "1",
        "rows": "1",
        "weights": "1",
        "batch": 32,
        "share": 0.2,
        **of,
    }

    def stage(deps: dict[str, str], params: Any, outs: dict[str, str]) -> dict[str, Any]:
        return {
            "deps": [{"path": path, "md5": md5} for path, md5 in deps.items()],
            "params": {"params.yaml": params},
            "outs": [{"path": path, "md5": md5} for path, md5 in outs.items()],
        }

    rows, weights = {"rows": values["rows"]}, {"model": values["weights"]}
    stages = {
        "validate": stage({"data": values["data"]}, {"data": {"name": "a"}}, rows),
        "split": stage(rows, {"split": {"share": values["share"]}}, {"parts": "1"}),
        "train": stage(
            {**rows, "src/fit.py": values["code"]}, {"train.batch_size": values["batch"]}, weights
        ),
    }
    return Recorded(lineage=lineage or {}, metrics={}, stages=stages)


@pytest.mark.parametrize(
    ("other", "stage", "causes"),
    [
        ({"data": "2", "rows": "2", "batch": 64, "code": "2"}, "validate", ["data"]),
        ({"data": "2", "weights": "2", "batch": 64}, "train", ["parameter train.b", "data"]),
        ({"data": "2", "weights": "2", "share": 0.3}, "train", ["data"]),
        ({"batch": 64, "weights": "2", "share": 0.3}, "train", ["parameter train"]),
    ],
)
def test_causes_are_what_the_stage_depends_on_its_own_first(
    other: dict[str, Any], stage: str, causes: list[str]
) -> None:
    comparison = compare(made(), made(**other), [])
    assert comparison.stage == stage
    assert len(comparison.causes) == len(causes)
    for cause, begins in zip(comparison.causes, causes, strict=True):
        assert cause.startswith(begins)


def test_a_library_explains_what_a_parameter_of_a_later_stage_cannot() -> None:
    before, after = ({"libraries": f"polars=={version}"} for version in ("1.0", "1.1"))
    comparison = compare(made(before), made(after, rows="2", batch=64), [])
    assert [cause.split()[0] for cause in comparison.causes] == ["library"]
