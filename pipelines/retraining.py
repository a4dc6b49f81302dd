"""The Prefect flow `retraining`: labeled rows of the log become part of the data, then `training`.

The event `plumbline.drift` starts its deployment (prefect.yaml). A training that fails leaves the
champion as it is.
"""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from prefect import flow, get_run_logger, task
from prefect.client.schemas.objects import State
from prefect.states import Completed, Failed

from pipelines import dvc_cli
from pipelines.own_command import RefusedError, run_command
from pipelines.training import data_name, training
from plumbline.config import Paths, load_config
from plumbline.files import read_json, write_json

STATE = "retraining.json"
RETRY_SECONDS = [10.0, 60.0, 300.0]
STAYS = "the champion is as it was, and goes on serving"


def run_name() -> str:
    """The data set and the date."""
    return f"{data_name(Path.cwd())} {datetime.now(UTC):%Y-%m-%d %H:%M} retraining"


@flow(name="retraining", flow_run_name=run_name)
def retraining(now: bool = False) -> State[Any]:
    """Append labeled rows of the service's log to the data, and train on them.

    Args:
        now: whatever the cool-down says (retrain.cooldown_hours).
    """
    root = Path.cwd()
    file = root / load_config(Paths(root).params).monitor.folder / STATE
    before = _state(file).get("begun")
    try:
        rows: State[Any] = rows_task(root, now, return_state=True)
        if not rows.is_completed():
            return Failed(name=rows.name, message=f"{rows.message}; {STAYS}")
        if _state(file).get("begun") == before:
            return Completed(name="Not now", message=str(rows.result()))
        trained: State[Any] = training(return_state=True)
    finally:
        dvc_cli.stop_all()  # what still runs when the flow is cancelled
    done = trained.is_completed()
    outcome = {"outcome": "done" if done else "failed", "message": trained.message or ""}
    write_json(file, {**_state(file), **outcome})
    if done:
        return Completed(message=trained.message)
    return Failed(name=trained.name, message=f"{trained.message}; {STAYS}")


def is_retryable(_task: Any, _run: Any, state: State[Any]) -> bool:
    """Try again where something reads the data now, or a disk was away; not after a gate."""
    return isinstance(state.result(raise_on_failure=False), RefusedError)


@task(
    name="labeled rows",
    task_run_name="labeled rows",
    retries=len(RETRY_SECONDS),
    retry_delay_seconds=RETRY_SECONDS,
    retry_condition_fn=is_retryable,
)
def rows_task(root: Path, now: bool) -> Any:
    """`plumbline retrain --rows-only`; gives what it says."""
    arguments = ["retrain", "--rows-only", *(["--now"] if now else [])]
    lines: list[str] = []
    log = get_run_logger()

    def say(line: str) -> None:
        log.info(line)
        lines.append(line)

    ended = run_command(arguments, root, say)
    if ended.code == 2:
        raise RefusedError(ended)
    if ended.code:
        return Failed(name="Gate" if ended.code == 3 else "Failed", message=ended.message)
    why = [line for line in lines if line.strip().startswith("labeled rows")]
    return why[0].strip() if why else ended.message


def _state(file: Path) -> dict[str, Any]:
    try:
        state = read_json(file)
    except (OSError, ValueError):
        return {}
    return state if isinstance(state, dict) else {}
