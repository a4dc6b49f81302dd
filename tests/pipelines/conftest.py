"""A small DVC repository whose stages are shell commands."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

BIN = Path(sys.executable).parent
STAGES = """
stages:
  first: {cmd: "echo a > a", outs: [a]}
  left: {cmd: "date +%s.%N > left; sleep 1.5; date +%s.%N >> left", deps: [a], outs: [left]}
  right: {cmd: "date +%s.%N > right; sleep 1.5; date +%s.%N >> right", deps: [a], outs: [right]}
  gate:
    cmd: "printf 'step 1\\\\rstep 2\\\\n'; echo 'plumbline: rows fail. See r.json.' >&2; exit 3"
    deps: [left, right]
    outs: [never]
"""


@pytest.fixture
def toy(tmp_path: Path) -> Path:
    """Two independent stages between a first one and a gate that says no."""
    (tmp_path / "dvc.yaml").write_text(STAGES)
    for command in (["git", "init", "-q"], [BIN / "dvc", "init", "-q"]):
        subprocess.run(command, cwd=tmp_path, check=True)
    return tmp_path
