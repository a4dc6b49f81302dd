"""Prefect and MLflow on this machine: `python -m pipelines.dev_servers COMMAND`.

Everything listens on loopback and keeps its state under `.plumbline/` of this checkout; the
user's own Prefect settings are neither read nor changed. Where PREFECT_API_URL or an http
MLFLOW_TRACKING_URI is set, that server is used and none is started.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from types import MappingProxyType

import yaml

from pipelines.mlflow_pages import last_run_pages, tracking_server, without_password
from pipelines.prefect_api import LOGIN, SERVER_LOGIN, ask
from pipelines.services import HOST, Service, fetch, running, start, stop
from plumbline import telemetry
from plumbline.config.ports import MLFLOW_PORT, PORTS, PREFECT_PORT
from plumbline.errors import ParameterError, PlumblineError, StorageError

POOL, TRAINING_QUEUE = "plumbline", "training"
AUTOMATIONS = "infra/automations.yaml"
WORK = ("worker", "start", "--pool", POOL, "--type", "process")
SERVER, WORKER, MLFLOW = "prefect-server", "prefect-worker", "mlflow-ui"
STORES = ("postgres", "objects")  # of the stack
BIN = Path(sys.executable).parent


def main() -> int:
    """Run a command in the current folder; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m pipelines.dev_servers", description=__doc__)
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    for name, function in COMMANDS.items():
        command = commands.add_parser(name, help=function.__doc__)
        command.set_defaults(function=function)
    arguments, rest = parser.parse_known_args()
    if rest and arguments.function is not flow:
        parser.error(f"unrecognized arguments: {' '.join(rest)}")
    try:
        return arguments.function(Path.cwd(), *([rest] if arguments.function is flow else [])) or 0
    except PlumblineError as error:
        print(f"plumbline: {error}", file=sys.stderr)
        return error.exit_code


def flow(root: Path, rest: list[str]) -> int:
    """Run the flow `training` once, on the server that runs or on a temporary one."""
    command = [sys.executable, "-m", "pipelines.training", *rest]
    variables = environment(root)
    if "PREFECT_API_URL" not in variables:
        # a temporary server logs what its end interrupts as errors, with tracebacks; what the
        # flow itself is refused still reaches it as an exception
        variables = {"PREFECT_SERVER_LOGGING_LEVEL": "CRITICAL", **variables}
    return subprocess.run(command, cwd=root, env=variables, check=False).returncode


def deploy(root: Path) -> None:
    """Start server, work pool and worker, and register the deployments of prefect.yaml."""
    shown = start_worker(root)
    print(f"Prefect   {shown.removesuffix('/api')}/deployments")
    print(f"logs      {run_folder(root).relative_to(root)}/")
    print(f"run now   PREFECT_API_URL={shown} prefect deployment run training/weekly-training")
    print("end       make deploy-down")


def start_worker(root: Path, server_only: Mapping[str, str] | None = None) -> str:
    """Start server, work pool and worker; gives the address of the API.

    Args:
        server_only: variables of the server that the worker has no need of.
    """
    variables = _server(root, server_only or {})
    again, begun = running(run_folder(root), WORKER) is not None, datetime.now(UTC)
    service = Service(
        name=WORKER,
        command=[str(BIN / "prefect"), *WORK],
        healthy=lambda: again or _online(variables, begun),
    )
    start(run_folder(root), service, variables, root)
    _register(variables, root)
    return without_password(variables["PREFECT_API_URL"])


def _register(variables: Mapping[str, str], root: Path) -> None:
    """Register deployments and automations; trainings run one at a time, of any deployment."""
    _prefect(variables, root, "--no-prompt", "deploy", "--all")
    limit = ("work-queue", "set-concurrency-limit", TRAINING_QUEUE, "1", "--pool", POOL)
    _prefect(variables, root, *limit)
    name = yaml.safe_load((root / AUTOMATIONS).read_text(encoding="utf-8"))["name"]
    wanted = {"automations": {"name": {"any_": [name]}}}
    if ask(variables, "/automations/filter", wanted) == []:
        _prefect(variables, root, "automation", "create", "--from-file", AUTOMATIONS)


def worker(root: Path) -> None:
    """Register the deployments and become their worker, in the foreground: for containers."""
    variables = _server(root)
    _prefect(variables, root, "work-pool", "create", POOL, "--type", "process", "--overwrite")
    _register(variables, root)
    os.execve(BIN / "prefect", [str(BIN / "prefect"), *WORK], variables)


def deploy_down(root: Path) -> None:
    """End what deploy, ui and stack started, with all that runs in it."""
    ended = stop(run_folder(root), last=[[SERVER, MLFLOW], STORES])
    print(f"ended {', '.join(ended)}" if ended else "nothing was running")


def ui(root: Path) -> None:
    """Start the Prefect and MLflow UIs and print the addresses of the last run in them."""
    _print("starting Prefect's server (a minute, the first time) …")
    prefect = without_password(_server(root)["PREFECT_API_URL"]).removesuffix("/api")
    mlflow = tracking_server()
    if mlflow is None:
        _print("starting MLflow's server (half a minute) …")
        store = root / "mlflow"
        store.mkdir(exist_ok=True)
        settings = {
            # in the environment, not on the command line: it may hold a password
            "MLFLOW_BACKEND_STORE_URI": os.environ.get("MLFLOW_TRACKING_URI")
            or f"sqlite:///{store / 'mlflow.db'}",
            "MLFLOW_DEFAULT_ARTIFACT_ROOT": (store / "artifacts").as_uri(),
            "MLFLOW_SERVE_ARTIFACTS": "false",
        }
        mlflow = start_mlflow(root, settings)
    print(f"MLflow      {mlflow}")
    for what, address in last_run_pages(root, mlflow).items():
        print(f"  {what:<9} {address}")
    print(f"Prefect     {prefect}")
    print(f"  {'runs':<9} {prefect}/runs")
    page = root / "reports" / "index.html"
    if page.exists():
        print(f"page        {page}")
    print("end         make deploy-down")


def _print(words: str) -> None:
    print(words, file=sys.stderr, flush=True)


def environment(root: Path) -> dict[str, str]:
    """Variables of every Prefect process: state in this checkout, time enough to start.

    Prefect gives a temporary server 20 s; on an empty database and two slow cores it needs more.
    """
    home = root / ".plumbline" / "prefect"
    home.mkdir(parents=True, exist_ok=True)
    variables = {
        **{key: value for key, value in os.environ.items() if key != "PREFECT_PROFILE"},
        "PATH": f"{BIN}{os.pathsep}{os.environ.get('PATH', os.defpath)}",
        "PREFECT_HOME": str(home),
        "PREFECT_FLOWS_HEARTBEAT_FREQUENCY": "30",  # seconds; infra/automations.yaml waits for them
        "PREFECT_SERVER_DATABASE_TIMEOUT": "60",  # a training takes all cores of this machine
        "PREFECT_SERVER_DATABASE_CONNECTION_TIMEOUT": "60",
        "PREFECT_SERVER_EPHEMERAL_ENABLED": "true",
        "PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS": "180",
        **telemetry.OFF,
        "PLUMBLINE_ROOT": str(root),
        "PYTHONPATH": os.pathsep.join(
            [str(root), *filter(None, [os.environ.get("PYTHONPATH", "")])]
        ),
    }
    if os.environ.get(SERVER_LOGIN):  # the server of this machine asks for it
        variables.setdefault(LOGIN, os.environ[SERVER_LOGIN])
    record = running(run_folder(root), SERVER)
    if "PREFECT_API_URL" not in os.environ and record is not None:
        variables["PREFECT_API_URL"] = f"http://{HOST}:{record.port}/api"
    return variables


def _server(root: Path, more: Mapping[str, str] = MappingProxyType({})) -> dict[str, str]:
    """Variables under which a Prefect server answers; starts one unless one is named."""
    variables = environment(root)
    if "PREFECT_API_URL" in os.environ:
        api = os.environ["PREFECT_API_URL"].rstrip("/")
        variables = {**variables, "PREFECT_API_URL": api}
        if ask(variables, "/health") is None:
            raise StorageError(
                f"no Prefect server answers at {without_password(api)}",
                hint="start it, or unset PREFECT_API_URL to use one on this machine",
            )
        ask(variables, "/work_pools/filter", {"limit": 1})  # refuses where the login is not right
        return variables
    port = port_of(PREFECT_PORT, os.environ)
    api = f"http://{HOST}:{port}/api"
    server = Service(
        name=SERVER,
        command=[str(BIN / "prefect"), "server", "start", "--host", HOST, "--port", str(port)],
        healthy=lambda: fetch(f"{api}/health") is True,
        port=port,
        port_variable=PREFECT_PORT,
    )
    variables = {**variables, "PREFECT_API_URL": api}
    start(run_folder(root), server, {**variables, **more}, root)
    return variables


def _prefect(variables: Mapping[str, str], root: Path, *arguments: str) -> None:
    """Run Prefect's command line; what it says is shown only if it refuses."""
    done = subprocess.run(
        [BIN / "prefect", *arguments],
        cwd=root,
        env=variables,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        output = (done.stdout + done.stderr).strip()
        raise StorageError(
            f"prefect {' '.join(arguments)} was refused:\n{output}\n", file="prefect.yaml"
        )


def _online(variables: Mapping[str, str], since: datetime) -> bool:
    """Whether a worker reported to the pool; one that ended lately still counts as online."""
    workers = ask(variables, f"/work_pools/{POOL}/workers/filter", {}) or []
    return any(datetime.fromisoformat(one["last_heartbeat_time"]) > since for one in workers)


def start_mlflow(root: Path, settings: Mapping[str, str]) -> str:
    """Start MLflow's server with its own settings; gives its address."""
    port = port_of(MLFLOW_PORT, os.environ)
    variables = {**environment(root), **settings}
    service = Service(
        name=MLFLOW,
        command=[
            *(str(BIN / "mlflow"), "server", "--host", HOST, "--port", str(port)),
            *("--workers", "1"),
        ],
        healthy=lambda: fetch(f"http://{HOST}:{port}/health") == "OK",
        port=port,
        port_variable=MLFLOW_PORT,
    )
    start(run_folder(root), service, variables, root)
    return f"http://{HOST}:{port}"


def port_of(variable: str, variables: Mapping[str, str]) -> int:
    """The port that a variable names, or its default."""
    text = variables.get(variable, str(PORTS[variable]))
    if not text.isdecimal() or not 0 < int(text) < 65536:
        raise ParameterError("is no port", where=variable, wanted="1 to 65535", got=text)
    return int(text)


def run_folder(root: Path) -> Path:
    """Of records and logs of all services of this checkout."""
    return root / ".plumbline" / "run"


COMMANDS: dict[str, Callable[..., int | None]] = {
    "flow": flow,
    "deploy": deploy,
    "deploy-down": deploy_down,
    "ui": ui,
    "worker": worker,
}

if __name__ == "__main__":
    sys.exit(main())
