"""The Prefect flow `monitoring`: `plumbline monitor`, its history as artifacts, drift as an event.

`python -m pipelines.monitoring [--model URI]` runs it once in the current folder.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from prefect import flow, get_run_logger, task
from prefect.artifacts import create_markdown_artifact, create_table_artifact
from prefect.client.schemas.objects import State
from prefect.events import emit_event
from prefect.runtime import flow_run
from prefect.states import Completed, Failed

from pipelines import dvc_cli
from pipelines.own_command import RETRIES, Ended, RefusedError, run_command
from plumbline.config import Paths, load_config
from plumbline.errors import UserError
from plumbline.files import read_json, write_json
from plumbline.markup import markdown_backslashed as markdown
from plumbline.numbers import percent
from plumbline.words import metric_label, metric_value

EVENT = "plumbline.drift"  # prefect.yaml: what retraining waits for
RESOURCE = "plumbline.model."  # before the name of the model
EMITTED, SUMMARY, PAGE = "events.json", "latest.json", "index.html"
WINDOWS_SHOWN = 50
DRIFT = 3  # exit code: the rule fires


def run_name() -> str:
    """What was watched, and when."""
    model = (flow_run.parameters or {}).get("model")
    try:
        name = model or load_config(Path.cwd() / "params.yaml").data.name
    except UserError:  # for the command to refuse
        name = "monitoring"
    return f"{name} {datetime.now(UTC):%Y-%m-%d %H:%M}"


@flow(name="monitoring", flow_run_name=run_name)
def monitoring(model: str | None = None) -> State[Any]:
    """Compare what was served with what the model was fitted to.

    Args:
        model: models:/NAME@ALIAS, models:/NAME/VERSION or a folder; else the champion of the
            checkout's data.
    """
    root = Path.cwd()
    try:
        state: State[Any] = monitor_task(root, model, return_state=True)
    finally:
        dvc_cli.stop_all()  # what still runs when the flow is cancelled
    ended = state.result(raise_on_failure=False)
    if isinstance(ended, RefusedError):
        return Failed(name="To fix", message=str(ended))
    if not isinstance(ended, Ended):
        return Failed(message=state.message)
    if ended.code not in (0, DRIFT):
        return Failed(message=ended.message)
    folder = root / load_config(Paths(root).params).monitor.folder
    content = read_json(folder / SUMMARY)
    _show(content, folder)
    _emit(content, folder)
    if ended.code == DRIFT:
        return Completed(name="Drift", message=ended.message)
    return Completed(message="no drift")


@task(name="monitor", task_run_name="monitor", **RETRIES)
def monitor_task(root: Path, model: str | None) -> Ended:
    """`plumbline monitor`; the rule's firing is no failure."""
    arguments = ["monitor", *(["--model", model] if model else [])]
    ended = run_command(arguments, root, get_run_logger().info)
    if ended.code == 2:
        raise RefusedError(ended)
    return ended


def _show(content: Mapping[str, Any], folder: Path) -> None:
    """The windows as a table, and what the rule says."""
    windows = list(reversed(content["windows"]))[:WINDOWS_SHOWN]
    if windows:
        rows = [_row(one, content["metric"]) for one in windows]
        create_table_artifact(rows, key="windows", description="Times are UTC.")
    firing = "\n".join(f"- fires: {markdown(one['words'])}" for one in content["firing"])
    create_markdown_artifact(
        f"# {markdown(content['version'])}\n\n{firing or '- the rule does not fire'}\n\n"
        f"The history with its plots: `{folder / PAGE}` on the machine that ran it.\n",
        key="monitoring",
        description="What was served against what the model was fitted to.",
    )


def _row(window: Mapping[str, Any], metric: str) -> dict[str, Any]:
    alarms = [name for names in window["alarms"].values() for name in names or []]
    few = window["alarms"]["rows"] is None and not alarms
    return {
        "from": window["start"].replace("T", " ").partition(".")[0],
        "rows": window["rows"],
        "labels": window["labels"],
        "in alarm": "too few rows" if few else ", ".join(alarms) or "nothing",
        metric_label(metric): metric_value(metric, window["metric"]),
        "held-out rows": metric_value(metric, window["reference"]),
        "out of distribution": percent(window["out_of_distribution"]),
    }


def _emit(content: Mapping[str, Any], folder: Path) -> None:
    """One event where the rule has begun to fire since the last, by rows, labels or both."""
    emitted = _emitted(folder / EMITTED)
    begun = {f"{content['version']} {one['kind']}": one["begun"] for one in content["firing"]}
    if all(emitted.get(key) == value for key, value in begun.items()):
        return
    model, _, version = content["version"].rpartition("/")
    emit_event(
        event=EVENT,
        resource={
            "prefect.resource.id": f"{RESOURCE}{model or version}",
            "prefect.resource.name": content["version"],
        },
        payload={"version": content["version"], "firing": content["firing"]},
    )
    write_json(folder / EMITTED, {**emitted, **begun})


def _emitted(file: Path) -> dict[str, str]:
    try:
        return {str(key): str(value) for key, value in read_json(file).items()}
    except (OSError, json.JSONDecodeError, AttributeError):
        return {}


def main() -> int:
    """Run the flow once; 0, 3 where the rule fires, 2 for something to fix."""
    parser = argparse.ArgumentParser(prog="python -m pipelines.monitoring", description=__doc__)
    parser.add_argument("--model")
    state = monitoring(**vars(parser.parse_args()), return_state=True)
    if state.is_completed():
        return DRIFT if state.name == "Drift" else 0
    print(f"plumbline: {state.message}", file=sys.stderr)
    return 2 if state.name == "To fix" else 1


if __name__ == "__main__":
    sys.exit(main())
