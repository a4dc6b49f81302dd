"""A repro that is asked to end takes DVC and the stage below it along."""

from __future__ import annotations

import signal
import subprocess
import sys

import psutil

SCRIPT = """
import subprocess
from plumbline.commands.repro import _ended_with_us

with _ended_with_us():
    subprocess.call(["sh", "-c", "sleep 600 & echo $!; wait"])
"""


def test_what_runs_below_ends_too() -> None:
    command = [sys.executable, "-c", SCRIPT]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        stage = psutil.Process(int(process.stdout.readline()))
        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=60) == 128 + signal.SIGTERM
        stage.wait(timeout=60)
        assert not stage.is_running()
