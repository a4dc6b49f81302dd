"""A small DVC repository whose stages are shell commands."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

BIN = Path(sys.executable).parent
STAGES = """
stages:
  first: {cmd: "./note first 0; echo a > a", outs: [a]}
  left:
    cmd: "./note left 0; date +%s.%N > left; sleep 1.5; date +%s.%N >> left"
    deps: [a]
    outs: [left]
  right:
    cmd: "./note right 0; date +%s.%N > right; sleep 1.5; date +%s.%N >> right"
    deps: [a]
    outs: [right]
  gate:
    cmd: "printf 'step 1\\\\rstep 2\\\\n'; ./note gate 3 'rows fail. See r.json.'; exit 3"
    deps: [left, right]
    outs: [never]
"""
# leaves what a stage of ours leaves: its name, exit code and message
NOTE = """#!/bin/sh
[ -z "$PLUMBLINE_OUTCOME" ] ||
printf '{"stage": "%s", "code": %s, "message": "%s"}' "$1" "$2" "$3" > "$PLUMBLINE_OUTCOME"
"""


@pytest.fixture
def toy(tmp_path: Path) -> Path:
    """Two independent stages between a first one and a gate that says no."""
    (tmp_path / "dvc.yaml").write_text(STAGES)
    (tmp_path / "note").write_text(NOTE)
    (tmp_path / "note").chmod(0o755)
    for command in (["git", "init", "-q"], [BIN / "dvc", "init", "-q"]):
        subprocess.run(command, cwd=tmp_path, check=True)
    return tmp_path
