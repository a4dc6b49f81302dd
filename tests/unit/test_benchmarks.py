"""The benchmarks say plainly what they cannot do."""

from __future__ import annotations

import pytest
import torch
from benchmarks import gpu


def test_without_a_gpu_nothing_is_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(gpu, "run_tests", lambda device: pytest.fail("tests were run"))
    with pytest.raises(SystemExit, match=r"no GPU is at hand.*\nFix: .*--device cpu"):
        gpu.run()
