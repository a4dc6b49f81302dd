"""Keeps a service running: `python supervise.py FOLDER NAME SIGNAL COMMAND…`, in its own process.

What ends is started again, after a second at first and after a minute at most, as long as it takes.
Only what was healthy once (`FOLDER/NAME.up`): a first start that fails is for whoever waits for it.
Each end is a line of `FOLDER/NAME.ends`. SIGTERM ends the service, by SIGNAL, and this.

The standard library alone: one of these runs beside every service.
"""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from types import FrameType

FIRST_WAIT, LONGEST_WAIT = 1.0, 60.0  # seconds before it is started again
STEADY = 120.0  # seconds after which an end counts as the first
KEPT = 50  # ends


class Supervisor:
    """One service. Args: folder: of its record and log; end_by: what ends it."""

    def __init__(
        self, folder: Path, name: str, end_by: signal.Signals, command: Sequence[str]
    ) -> None:
        self._name, self._end_by, self._command = name, end_by, command
        self._up, self._ends = folder / f"{name}.up", folder / f"{name}.ends"
        self._closing = threading.Event()
        self._process: subprocess.Popen[bytes] | None = None

    def run(self) -> int:
        """Until the service is not to run any more; its exit code."""
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._close)
        wait = FIRST_WAIT
        while True:
            begun = time.monotonic()
            code = self._run_once()
            if self._closing.is_set() or not self._up.exists():
                return code if code >= 0 else 128 - code
            if time.monotonic() - begun > STEADY:
                wait = FIRST_WAIT
            self._note(code, wait)
            if self._closing.wait(wait):
                return 0
            wait = min(2 * wait, LONGEST_WAIT)

    def _run_once(self) -> int:
        self._process = subprocess.Popen(self._command)
        if self._closing.is_set():  # while it was started
            self._process.send_signal(self._end_by)
        return self._process.wait()

    def _close(self, _signal: int, _frame: FrameType | None) -> None:
        self._closing.set()
        if self._process is not None:
            self._process.send_signal(self._end_by)

    def _note(self, code: int, wait: float) -> None:
        """Say that it ended; a full disk stops no service."""
        try:
            how = f"by {signal.Signals(-code).name}" if code < 0 else f"with code {code}"
            print(f"{self._name} ended {how}; started again in {wait:g} s", flush=True)
            ends = self._ends.read_text().splitlines() if self._ends.exists() else []
            line = json.dumps({"time": time.time(), "how": how, "wait": wait})
            self._ends.write_text("\n".join([*ends, line][-KEPT:]) + "\n")
        except OSError:
            return


if __name__ == "__main__":
    folder, name, end_by, *command = sys.argv[1:]
    sys.exit(Supervisor(Path(folder), name, signal.Signals[end_by], command).run())
