"""Where the processes of a fit run. One entry per engine: what it starts, and what came of it.

The fit itself is the same in all of them: it joins its group (`distributed.join`) and does not
know who started it.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from plumbline.config.runtime import RuntimeConfig
from plumbline.errors import ParameterError, PlumblineError, choose
from plumbline.training.launch import guarded, launch
from plumbline.training.launched import is_launched

Work = Callable[[], None]
# (stage, root of the checkout, how, what each process does) -> what went wrong, if anything
Engine = Callable[[str, Path, RuntimeConfig, Work], PlumblineError | None]


def _here(stage: str, root: Path, config: RuntimeConfig, work: Work) -> None:
    """In this process."""
    if config.processes > 1:
        raise ParameterError(
            "this engine runs a single process",
            file="params.yaml",
            where="runtime.engine",
            wanted="auto or launcher for more processes",
            got=f"process with runtime.processes {config.processes}",
        )
    work()


ENGINES: dict[str, Engine] = {
    "process": _here,
    "launcher": launch,  # torch's, on this machine
}


def run_stage(stage: str, root: Path, config: RuntimeConfig, work: Work) -> PlumblineError | None:
    """Do the work by the engine of the parameters; `auto`: in this process, or by torch's
    launcher where there are several. A process that an engine started does the work itself.

    Returns:
        What ended the work in another process; what goes wrong in this one is raised.
    """
    if is_launched():
        guarded(work)
        return None
    name = config.engine
    if name == "auto":
        name = "launcher" if config.processes > 1 else "process"
    return choose(ENGINES, name, "runtime.engine")(stage, root, config, work)
