"""Several processes on this machine: the stage starts itself again under torch's launcher.

The launcher restarts the whole group when a process dies, and the group goes on from the last
checkpoint. A user's mistake must not be retried, so a process that finds one leaves the message
in a file and ends well; the stage that launched it raises it again.
"""

from __future__ import annotations

import ctypes
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from plumbline.config.paths import Paths
from plumbline.config.runtime import RuntimeConfig
from plumbline.errors import PlumblineError, UserError
from plumbline.files import write_text
from plumbline.training.device import choose_device
from plumbline.training.memory import refuse_too_many

T = TypeVar("T")
MESSAGE = "PLUMBLINE_MESSAGE"  # names the file that a user's mistake is left in
PR_SET_PDEATHSIG = 1


def launch(
    stage: str, root: Path, config: RuntimeConfig, work: Callable[[], None]
) -> PlumblineError | None:
    """Run `plumbline STAGE` in `root` in `config.processes` processes, to the end; `work` is what
    each of them does.

    Returns:
        UserError: what a process found wrong with the user's input; PlumblineError: a process died
        more often than `runtime.max_restarts` allows; None: all ended well.
    """
    message = Paths(root).state / f"{stage}-message.txt"
    refuse_too_many(config.processes, "runtime.processes")
    choose_device(config, config.processes - 1)  # refuses here what a process would refuse there
    message.unlink(missing_ok=True)
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone"]
    command += [f"--nproc-per-node={config.processes}", f"--max-restarts={config.max_restarts}"]
    command += ["--monitor-interval=0.2", "--module", "plumbline", stage]
    environment = {**os.environ, MESSAGE: str(message)}
    environment.setdefault("OMP_NUM_THREADS", "1")  # else the launcher warns; see runtime.threads
    environment.setdefault("PYTHONUNBUFFERED", "1")
    ended = subprocess.run(
        command, cwd=root, env=environment, check=False, preexec_fn=die_with_parent
    )
    if message.exists():
        text = message.read_text(encoding="utf-8")
        message.unlink()
        return UserError(text)
    if ended.returncode:
        return PlumblineError(
            f"the {config.processes} training processes died, {config.max_restarts} restarts "
            "included; their output above says why"
        )
    return None


def guarded(work: Callable[[], T]) -> T | None:
    """Run the work of a launched process; None where a user's mistake ended it."""
    try:
        return work()
    except UserError as error:
        if MESSAGE not in os.environ:  # another launcher's group: it sees the exit code
            raise
        write_text(Path(os.environ[MESSAGE]), str(error))
        return None


def die_with_parent() -> None:
    """Ask Linux to kill this process when its parent dies: a launcher killed by force must not
    leave processes that go on writing."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
