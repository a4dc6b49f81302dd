"""The checks of `plumbline doctor`, in the order in which a fix of one may fix those below."""

from __future__ import annotations

import configparser
import json
import os
import re
import shutil
import socket
import sys
import urllib.request
from collections.abc import Sequence
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from plumbline.address import shown
from plumbline.commands.doctor import Check, Examination, State, good, idle, wrong
from plumbline.commands.doctor_services import check_services, living
from plumbline.config import Config, Paths, load_config
from plumbline.config.ports import MLFLOW_PORT, PORTS, PREFECT_PORT, SERVE_PORT
from plumbline.errors import StorageError, UserError
from plumbline.missing import GIVEN
from plumbline.numbers import plural

PYTHON = (3, 11)
GB = 10**9
LEAST_GB = 2.0  # an environment, a data set and its copies fit
SECONDS = 5.0
LISTED = 5
PINNED = re.compile(r"^([A-Za-z0-9._-]+)==([^\s+;]+)", re.MULTILINE)


def check_environment(paths: Paths) -> Sequence[Examination]:
    """Python and packages are those of the lock."""
    python = ".".join(map(str, sys.version_info[:3]))
    if sys.version_info[:2] != PYTHON:
        return wrong(f"Python {python}, wanted {'.'.join(map(str, PYTHON))}: make env PYTHON=…")
    lock = paths.root / "requirements.lock"
    if not lock.exists():
        return idle(f"Python {python}; no requirements.lock here: not the root of a checkout?")
    pinned = dict(PINNED.findall(lock.read_text(encoding="utf-8")))
    other = [
        f"{name} {there or 'missing'}, wanted {wanted}"
        for name, wanted in pinned.items()
        if (there := _installed(name)) != wanted
    ]
    if other:
        more = f" and {len(other) - LISTED} more" if len(other) > LISTED else ""
        return wrong(f"{'; '.join(other[:LISTED])}{more}. Install the lock: make env")
    return good(f"Python {python}, {len(pinned)} packages as pinned")


def _installed(name: str) -> str | None:
    try:
        return version(name).partition("+")[0]
    except PackageNotFoundError:
        return None


def check_disk(paths: Paths) -> Sequence[Examination]:
    """There is room, and it can be written."""
    free = shutil.disk_usage(paths.root).free / GB
    closed = [
        name
        for name in (".", "artifacts", "reports", ".plumbline", "mlflow", ".dvc")
        if (paths.root / name).exists() and not os.access(paths.root / name, os.W_OK)
    ]
    if closed:
        return wrong(
            f"cannot be written: {', '.join(closed)}. Fix owner or permissions (chmod u+w)"
        )
    if free < LEAST_GB:
        return wrong(
            f"{free:.1f} GB free, wanted {LEAST_GB:g}: `dvc gc --workspace` frees DVC's cache"
        )
    return good(f"{free:,.0f} GB free")


def check_parameters(paths: Paths) -> Sequence[Examination]:
    """params.yaml holds what it may."""
    config = load_config(paths.params)
    if not paths.expectations.exists():
        return wrong(f"expectations.yaml is not there: {GIVEN['expectations.yaml']}")
    return good(f"params.yaml of '{config.data.name}', expectations.yaml")


def _readable(paths: Paths) -> Config | None:
    """The parameters; None where they are what is wrong."""
    try:
        return load_config(paths.params)
    except UserError:
        return None


def check_data(paths: Paths) -> Sequence[Examination]:
    """The data are there."""
    config = _readable(paths)
    if config is None:
        return idle("params.yaml first")
    place = paths.root / config.data.path
    if not place.exists():
        return wrong(f"{place.relative_to(paths.root)} is not there: {GIVEN['data']}")
    return good(str(place.relative_to(paths.root)))


def check_remote(paths: Paths) -> Sequence[Examination]:
    """The remote that data come from and go to answers."""
    settings = configparser.ConfigParser()
    files = [paths.root / ".dvc" / name for name in ("config", "config.local")]
    settings.read(files, encoding="utf-8")
    name = settings.get("core", "remote", fallback=None)
    if name is None:
        return idle("none: data stay on this machine. dvc remote add --default NAME URL")
    section = f"'remote \"{name}\"'"
    url = settings.get(section, "url", fallback=None)
    if url is None:
        return wrong(f"'{name}' is the default, and has no url in .dvc/config")
    if "://" in url:
        return _remote_bucket(name, url)
    folder = (paths.root / ".dvc" / url).resolve()
    if not folder.is_dir():
        return wrong(
            f"'{name}': {folder} is not there. Mount it, or: dvc remote modify {name} url …"
        )
    if not os.access(folder, os.R_OK):
        return wrong(f"'{name}': {folder} cannot be read. Fix its permissions")
    return good(f"'{name}': {os.path.relpath(folder, paths.root)}")


def _remote_bucket(name: str, url: str) -> Sequence[Examination]:
    if not url.startswith("s3://"):
        return idle(f"'{name}': {shown(url)} (not asked; `dvc status --cloud` does)")
    import boto3  # brings much with it

    limits = boto3.session.Config(
        connect_timeout=SECONDS, read_timeout=SECONDS, retries={"max_attempts": 0}
    )
    try:
        boto3.client("s3", config=limits).head_bucket(Bucket=url.split("/")[2])
    except Exception as error:  # its classes are of another package
        return wrong(f"'{name}': {url} does not answer: {error}. Set AWS_ENDPOINT_URL and the keys")
    return good(f"'{name}': {url}")


def check_registry(paths: Paths) -> Sequence[Examination]:
    """MLflow answers, and the champion's files are whole."""
    named = os.environ.get("MLFLOW_TRACKING_URI", "")
    if not named and not (paths.home / "mlflow" / "mlflow.db").exists():
        return idle("no version is registered yet: plumbline repro")
    from plumbline.stages.champion import Unfit, contract_of
    from plumbline.store import registry
    from plumbline.store.tracking import existing_store

    store = existing_store(paths.home)
    config = _readable(paths)
    if config is None:
        return idle("answers; params.yaml names the model")
    model = config.data.name
    where = shown(store.uri) if named else "mlflow/mlflow.db"
    versions = registry.versions_of(store, model)
    if not versions:
        return idle(f"{where} answers; '{model}' has no version yet: plumbline repro")
    champion = registry.champion(store, model)
    count = f"{where}: {plural(len(versions), 'version')} of '{model}'"
    if champion is None:
        return wrong(f"{count}, and none is champion: plumbline promote VERSION --reason TEXT")
    try:
        contract_of(registry.files_of(store, champion))
    except Unfit as why:
        return wrong(
            f"{count}; the champion, version {champion.number}, cannot be used: {why}. "
            "plumbline register makes it again, plumbline rollback takes the one before"
        )
    return good(f"{count}; champion is version {champion.number}")


def check_prefect(paths: Paths) -> Sequence[Examination]:
    """Prefect's server answers, where one is named or was started."""
    named = os.environ.get("PREFECT_API_URL")
    own = living(paths).get("prefect-server")
    if named is None and own is None:
        return idle("no server runs: make deploy")
    api = (named or f"http://127.0.0.1:{own}/api").rstrip("/")
    if _fetch(f"{api}/health") is None:
        fix = "start it, or unset PREFECT_API_URL" if named else "make deploy-down; make deploy"
        return wrong(f"no server answers at {shown(api)}: {fix}")
    if named is None and "prefect-worker" not in living(paths):
        return wrong(f"{api} answers, and no worker runs: make deploy")
    return good(shown(api))


def check_service(paths: Paths) -> Sequence[Examination]:
    """What `plumbline serve` says of itself, on its port."""
    config = _readable(paths)
    own = None if config is None or SERVE_PORT in os.environ else config.serve.port
    port = _port(SERVE_PORT) if own is None else own
    ready = _fetch(f"http://127.0.0.1:{port}/ready")
    if not isinstance(ready, dict) or "version" not in ready:
        return idle(f"none on port {port}: plumbline serve")
    problems = [str(ready[key]) for key in ("problem", "log") if ready.get(key)]
    named = ready.get("in_place_of")
    version = f"{ready['version']}" + (f" in place of {named}" if named else "")
    if problems:
        return wrong(f"answers on port {port} with {version}, but: {'; '.join(problems)}")
    return good(f"http://127.0.0.1:{port} answers with {ready['version']}")


def check_ports(paths: Paths) -> Sequence[Examination]:
    """What our servers want to listen on is free, or theirs."""
    own = set(living(paths).values())
    results = [
        Examination(
            state=State.WRONG,
            words=f"port {port} is taken by another program: end it, or set {name} to a free one",
        )
        for name in PORTS
        if (port := _port(name)) not in own and not _is_free(port) and not _is_ours(name, port)
    ]
    return results or good(", ".join(str(_port(name)) for name in PORTS))


def _is_ours(name: str, port: int) -> bool:
    """Whether what listens there is what is meant to, started by other means."""
    paths = {SERVE_PORT: "/ready", PREFECT_PORT: "/api/health", MLFLOW_PORT: "/health"}
    return name in paths and _fetch(f"http://127.0.0.1:{port}{paths[name]}") is not None


def _port(name: str) -> int:
    text = os.environ.get(name, str(PORTS[name]))
    if not text.isdecimal() or not 0 < int(text) < 65536:
        raise StorageError("is no port", where=name, wanted="1 to 65535", got=text)
    return int(text)


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


def _fetch(url: str) -> Any:
    """The answer, parsed where it is JSON; None where nothing healthy answers."""
    try:
        with urllib.request.urlopen(url, timeout=SECONDS) as answer:
            body = answer.read()
    except (OSError, ValueError):
        return None
    try:
        return json.loads(body)
    except ValueError:
        return body.decode("utf-8", errors="replace")


CHECKS: dict[str, Check] = {
    "environment": check_environment,
    "disk": check_disk,
    "parameters": check_parameters,
    "data": check_data,
    "remote": check_remote,
    "registry": check_registry,
    "services": check_services,
    "prefect": check_prefect,
    "service": check_service,
    "ports": check_ports,
}
