"""The Prefect flow `retraining`: labeled rows of the log become part of the data, then `training`.

The event `plumbline.drift` starts its deployment (prefect.yaml). A training that fails leaves the
champion as it is.
"""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from prefect import flow, get_run_logger, task
from prefect.artifacts import create_markdown_artifact
from prefect.client.schemas.objects import State
from prefect.states import Completed, Failed

from pipelines import dvc_cli
from pipelines.own_command import RETRIES, RefusedError, run_command
from pipelines.training import data_name, links, training
from plumbline import artifacts
from plumbline.config import Paths, load_config
from plumbline.files import exclusive
from plumbline.markup import markdown_backslashed as markdown
from plumbline.retraining_state import note_outcome, read_state

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
    paths = Paths(root)
    place = root / load_config(paths.params).monitor.folder
    before = read_state(place)
    try:
        rows: State[Any] = rows_task(root, now, return_state=True)
        if not rows.is_completed():
            refused = isinstance(rows.result(raise_on_failure=False), RefusedError)
            name = "To fix" if refused else rows.name
            return Failed(name=name, message=f"{rows.message}; {STAYS}")
        if read_state(place) == before:
            return Completed(name="Not now", message=str(rows.result()))
        with exclusive(paths.locks / "retrain", "'plumbline retrain'"):
            trained: State[Any] = training(return_state=True)
        second: State[Any] | None = None
        if trained.is_completed() and load_config(paths.params).retrain.warm:
            second = warm_task(root, return_state=True)
    finally:
        dvc_cli.stop_all()  # what still runs when the flow is cancelled
    if not trained.is_completed():
        note_outcome(place, "failed", trained.message or "")
        return Failed(name=trained.name, message=f"{trained.message}; {STAYS}")
    made = artifacts.read(artifacts.Registered, root)
    decided = f"{made.model} version {made.version}: {made.decision}"
    note_outcome(place, "done", decided)
    _show(made, str(rows.result()), root)
    if second is None:
        return Completed(message=decided)
    message = f"{decided}; from the champion: {second.message}"
    if second.is_completed():
        return Completed(message=message)
    return Failed(name=second.name, message=message)


@task(name="labeled rows", task_run_name="labeled rows", **RETRIES)
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


@task(name="from the champion", task_run_name="from the champion", **RETRIES)
def warm_task(root: Path) -> State[Any]:
    """`plumbline retrain --from-champion`: a second version, and the gate between both."""
    lines: list[str] = []
    log = get_run_logger()

    def say(line: str) -> None:
        log.info(line)
        lines.append(line)

    ended = run_command(["retrain", "--from-champion"], root, say)
    if ended.code == 2:
        raise RefusedError(ended)
    if ended.code:
        return Failed(name="Gate" if ended.code == 3 else "Failed", message=ended.message)
    decided = [line.strip() for line in lines if line.strip().startswith("from the champion")]
    return Completed(message=decided[-1].removeprefix("from the champion").strip())


def _show(made: artifacts.Registered, rows: str, root: Path) -> None:
    """What came of it, for the flow run's page."""
    reasons = [f"    - {markdown(reason)}" for reason in made.reasons]
    decided = f"- **{markdown(made.model)} version {made.version}**: {markdown(made.decision)}"
    content = [*links(root), f"- {markdown(rows)}", decided, *reasons]
    create_markdown_artifact(
        "\n".join(content),
        key="retraining",
        description="What was appended, and what the gate said.",
    )
