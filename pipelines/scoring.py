"""The Prefect flow `scoring`: `plumbline predict` on a file or folder."""

from __future__ import annotations

import contextlib
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from prefect import flow, get_run_logger, task
from prefect.artifacts import create_markdown_artifact
from prefect.client.schemas.objects import State
from prefect.runtime import flow_run
from prefect.states import Completed, Failed

from pipelines import dvc_cli
from pipelines.own_command import RETRIES, Ended, RefusedError, run_command
from plumbline.markup import markdown_backslashed as markdown

DAY = "{date}"  # in the parameter `output`: the day of the run


def run_name() -> str:
    """What is scored, and when."""
    given = flow_run.parameters or {}
    return f"{Path(str(given.get('input', ''))).name} {datetime.now(UTC):%Y-%m-%d %H:%M}"


@flow(name="scoring", flow_run_name=run_name)
def scoring(input: str, output: str, model: str | None = None) -> State[Any]:
    """A prediction for every row of a file or folder, by the champion or another model.

    Args:
        input: CSV, JSON lines, Excel, Parquet, images; relative to the checkout.
        output: a .parquet or .csv file; `{date}` in it is the day of the run.
        model: models:/NAME@ALIAS, models:/NAME/VERSION or a folder.
    """
    root = Path.cwd()
    place = output.replace(DAY, f"{datetime.now(UTC):%Y-%m-%d}")
    try:
        state: State[Any] = predict_task(root, input, place, model, return_state=True)
    finally:
        dvc_cli.stop_all()  # what still runs when the flow is cancelled
    ended = state.result(raise_on_failure=False)
    if isinstance(ended, RefusedError):
        return Failed(name="To fix", message=str(ended))
    if not isinstance(ended, Ended) or ended.code:
        return Failed(message=ended.message if isinstance(ended, Ended) else state.message)
    create_markdown_artifact(
        f"Predictions of {markdown(input)}: `{root / place}` on the machine that ran it.\n",
        key="predictions",
    )
    return Completed(message=f"wrote {place}")


@task(name="predict", task_run_name="predict", **RETRIES)
def predict_task(root: Path, input: str, output: str, model: str | None) -> Ended:
    """`plumbline predict`; the folder of the output is made."""
    with contextlib.suppress(OSError):  # for the command to say
        (root / output).parent.mkdir(parents=True, exist_ok=True)
    arguments = ["predict", input, "--output", output, *(["--model", model] if model else [])]
    ended = run_command(arguments, root, get_run_logger().info)
    if ended.code == 2:
        raise RefusedError(ended)
    return ended
