"""A stage run by its own command after params.yaml changed: never with half of the change."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import polars as pl
import pytest
import yaml
from tests.made import plumbline_here


def test_a_changed_bag_is_never_ignored(
    checkout: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("DVC_STAGE", raising=False)
    rng = np.random.default_rng(0)
    x = rng.normal(size=200).round(3)
    noisy = x + rng.normal(size=200)
    pl.DataFrame({"x": x, "y": np.where(noisy > 0, "yes", "no")}).write_csv(checkout / "t.csv")
    assert plumbline_here(checkout, "init", "--data", "t.csv", "--target", "y") == 0
    file = checkout / "params.yaml"

    def bag(networks: int) -> None:
        params = yaml.safe_load(file.read_text())
        params["train"]["bag"] = networks
        file.write_text(yaml.safe_dump(params, sort_keys=False))

    bag(4)
    for stage in ("validate", "split", "normalize"):
        assert plumbline_here(checkout, stage) == 0
    bag(3)
    kept = (checkout / "artifacts/prepared/spec.json").read_bytes()
    capsys.readouterr()
    assert plumbline_here(checkout, "normalize") == 2
    message = capsys.readouterr().err
    assert "params.yaml" in message and "train.bag" in message
    assert "`dvc repro normalize`" in message and "'split'" in message
    assert (checkout / "artifacts/prepared/spec.json").read_bytes() == kept
    for stage in ("split", "normalize"):
        assert plumbline_here(checkout, stage) == 0
    assert (checkout / "artifacts/prepared/spec.json").read_bytes() != kept
