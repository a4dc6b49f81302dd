"""The Prefect flow `training`: the graph of dvc.yaml, each stage a task that DVC runs.

`python -m pipelines.training [STAGE …] [--force] [--no-pull]` runs it once in the current folder.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import yaml
from prefect import allow_failure, flow, get_run_logger, task
from prefect.artifacts import create_markdown_artifact, create_table_artifact
from prefect.client.schemas.objects import State
from prefect.futures import PrefectFuture, wait
from prefect.runtime import flow_run
from prefect.states import Completed, Failed

from pipelines import dvc_cli
from pipelines.dag import Graph, load_graph, select
from pipelines.dvc_cli import CommandError, Outcome
from pipelines.mlflow_pages import last_run_pages, tracking_server
from plumbline.errors import DataError, UserError
from plumbline.markup import markdown_backslashed as markdown
from plumbline.results import fact_rows, metric_rows

RETRY_SECONDS = [2.0, 10.0, 60.0]
REFUSED = {2: "To fix", 3: "Gate"}  # names of the failed states, by the stage's exit code
NOT_RUN = "Skipped"
Changed = Mapping[str, Any]


def run_name() -> str:
    """The data set, the date, and what is not as usual: what tells runs apart in a list."""
    given = flow_run.parameters or {}
    stages = f" {', '.join(given['targets'])}" if given.get("targets") else ""
    force = " (forced)" if given.get("force") else ""
    return f"{data_name(Path.cwd())} {datetime.now(UTC):%Y-%m-%d %H:%M}{stages}{force}"


def data_name(root: Path) -> str:
    """`data.name` of params.yaml; a file that cannot be read is for the stages to refuse."""
    try:
        return str(
            yaml.safe_load((root / "params.yaml").read_text(encoding="utf-8"))["data"]["name"]
        )
    except (OSError, ValueError, KeyError, TypeError, yaml.YAMLError):
        return "training"


@flow(name="training", flow_run_name=run_name)  # tasks run in threads, Prefect's default
def training(
    targets: list[str] | None = None, force: bool = False, pull: bool = True
) -> State[Any]:
    """Run the stages of dvc.yaml, side by side where they do not need each other.

    Args:
        targets: only these stages and what they need; all without.
        force: run them though nothing changed.
        pull: fetch data that are missing here from the DVC remote.

    Parameters of the model are in params.yaml alone, so that the run, dvc.lock and the
    checkout never disagree; to try others, change the file or use `dvc exp run -S`.
    """
    root = Path.cwd()
    try:
        graph = select(load_graph(root / "dvc.yaml"), targets or [])
    except UserError as error:
        return Failed(name=REFUSED[2], message=str(error), data=error)
    try:
        data = data_task.submit(root, pull=pull)
        stages = _submit(graph, root, data, force=force)
        futures = {"data": data, **stages}
        wait(list(futures.values()))
        states = {name: future.state for name, future in futures.items()}
    finally:
        dvc_cli.stop_all()  # what still runs when the flow is cancelled
    return _conclude(root, states)


def is_retryable(_task: Any, _run: Any, state: State[Any]) -> bool:
    """Try again after a lock or storage that did not answer; never after a stage said no."""
    error = state.result(raise_on_failure=False)
    return isinstance(error, CommandError) and error.retryable


@task(
    name="data",
    task_run_name="data",
    retries=len(RETRY_SECONDS),
    retry_delay_seconds=RETRY_SECONDS,
    retry_condition_fn=is_retryable,
)
def data_task(root: Path, *, pull: bool) -> State[Any]:
    """Fetch missing data, record changed data; gives what is left to do, by stage."""
    log = get_run_logger()
    changed = dvc_cli.status(root)
    touched = False
    for name in [key for key in changed if key.endswith(".dvc")]:
        missing = not dvc_cli.present(name, root)
        if missing and not pull:
            error = DataError("the data are not there", file=name, hint=f"run `dvc pull {name}`")
            return Failed(name=REFUSED[2], message=str(error), data=error)
        if missing:
            dvc_cli.pull(name, root, log.info)
        else:
            dvc_cli.repro(name, root, log.info)
        touched = True
    if touched:
        changed = dvc_cli.status(root)
    message = f"{len(changed)} of the graph's stages changed" if changed else "nothing changed"
    return Completed(message=message, data=changed)


@task(
    retries=len(RETRY_SECONDS),
    retry_delay_seconds=RETRY_SECONDS,
    retry_condition_fn=is_retryable,
)
def stage_task(
    name: str, root: Path, changed: Changed, before: Sequence[Any], *, force: bool
) -> State[Any]:
    """One stage, run by DVC. Done at once where neither it nor what it needs changed, or where
    something that it needs was not made: `before` then holds something else than outcomes."""
    log = get_run_logger()
    if not isinstance(changed, Mapping) or not all(isinstance(one, Outcome) for one in before):
        # not a failure of its own: Prefect would log an error for each stage behind a gate
        return Completed(name=NOT_RUN, message="a stage that it needs did not end well", data=None)
    untouched = name not in changed and all(outcome is Outcome.UNCHANGED for outcome in before)
    if untouched and not force:
        return Completed(name="Cached", message="nothing changed", data=Outcome.UNCHANGED)
    try:
        outcome = dvc_cli.repro(name, root, log.info, force=force)
    except CommandError as error:
        if error.retryable:
            raise
        if error.code == 3:
            create_markdown_artifact(
                f"# {name} said no\n\n{markdown(str(error))}\n", key=f"gate-{name}"
            )
        state = REFUSED.get(error.code or 1, "Failed")
        return Failed(name=state, message=str(error), data=error)
    state = "Completed" if outcome is Outcome.RAN else "Cached"
    return Completed(name=state, message=str(outcome), data=outcome)


def _submit(
    graph: Graph, root: Path, data: PrefectFuture[Any], *, force: bool
) -> dict[str, PrefectFuture[Any]]:
    """Hand every stage to the task runner, each after those it needs; order of the file."""
    futures: dict[str, PrefectFuture[Any]] = {}
    for name, needed in graph.items():
        # a future in place of a value: Prefect waits for it and hands its result, or error, over
        submit: Any = stage_task.with_options(name=name, task_run_name=name).submit
        before = [allow_failure(futures[other]) for other in needed]
        futures[name] = submit(name, root, allow_failure(data), before, force=force)
    return futures


def _conclude(root: Path, states: Mapping[str, State[Any]]) -> State[Any]:
    """The flow's state: that of the first stage that failed, else done, with the results shown."""
    for name, state in states.items():
        if state.is_failed() or state.is_crashed():
            error = state.result(raise_on_failure=False)
            message = f"stage '{name}': {state.message}"
            return Failed(name=state.name, message=message, data=error)
    if "evaluate" in states:
        header, rows = metric_rows(root)
        create_table_artifact(
            [dict(zip(header, row, strict=True)) for row in rows],
            key="metrics",
            description="Test rows; the metric with * counts.",
        )
    if "report" in states:
        create_markdown_artifact(_result(root), key="result", description="What the run found.")
    ran = [name for name, state in states.items() if state.name == "Completed" and name != "data"]
    return Completed(message=f"ran {', '.join(ran)}" if ran else "nothing changed")


def _result(root: Path) -> str:
    """What was found, as a list: Prefect's interface cuts long cells of a table, and shows `&lt;`
    in them as it is. The page is named as text: a browser opens no file: link from there."""
    page = f"`{root / 'reports' / 'index.html'}`"
    lines = [
        f"- **{markdown(label)}**: {markdown(value)}" if label else f"    - {markdown(value)}"
        for label, value in fact_rows(root)
    ]
    return "\n".join(
        [f"The whole run on one page: {page} on the machine that ran it.", "", *links(root), *lines]
    )


def links(root: Path) -> list[str]:
    """The version and its run in MLflow, where a server has them, as a paragraph."""
    server = tracking_server()
    pages = last_run_pages(root, server) if server is not None else {}
    shown = [f"[{what}]({pages[what]})" for what in ("version", "run") if what in pages]
    return [f"In MLflow: {', '.join(shown)}", ""] if shown else []


def main() -> int:
    """Run the flow once; returns the exit code of the stage that failed, or 0."""
    parser = argparse.ArgumentParser(prog="python -m pipelines.training", description=__doc__)
    parser.add_argument("targets", nargs="*", metavar="STAGE")
    parser.add_argument("--force", action="store_true", help="run though nothing changed")
    parser.add_argument("--no-pull", dest="pull", action="store_false", help="data must be here")
    arguments = parser.parse_args()
    try:
        select(load_graph(Path.cwd() / "dvc.yaml"), arguments.targets)  # before a server is started
    except UserError as mistake:
        print(f"plumbline: {mistake}", file=sys.stderr)
        return mistake.exit_code
    state = training(**vars(arguments), return_state=True)
    if state.is_completed():
        return 0
    print(f"plumbline: {state.message}", file=sys.stderr)
    error = state.result(raise_on_failure=False)
    if isinstance(error, CommandError):
        return error.code or 1
    return error.exit_code if isinstance(error, UserError) else 1


if __name__ == "__main__":
    sys.exit(main())
