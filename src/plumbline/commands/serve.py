"""`plumbline serve`: the REST service, until it is ended."""

from __future__ import annotations

import dataclasses
import gc
import ipaddress
import logging
import os
import signal
import socket
import sys
from pathlib import Path
from types import FrameType

from plumbline.commands.predict_model import WANTED
from plumbline.config import Paths, load_config
from plumbline.config.serve import ServeConfig
from plumbline.errors import ParameterError, StorageError
from plumbline.store.address import SCHEME

TOKEN = "PLUMBLINE_SERVE_TOKEN"
PORTS = range(65_536)
SWITCH_SECONDS = 0.001  # between the event loop and the thread that predicts


def serve(
    paths: Paths,
    *,
    model: str | None = None,
    host: str | None = None,
    port: int | None = None,
    without_token: bool = False,
) -> None:
    """Serve a model until SIGTERM or SIGINT; what was taken is answered first.

    Args:
        model: models:/NAME@ALIAS, models:/NAME/VERSION or a folder with a version's files; None:
            the champion of the checkout's data.
        without_token: other machines may ask though no token is set.

    Raises:
        ParameterError: no such model, or other machines could ask without a token.
        DataError: the model is broken, or does not answer its own example.
        StorageError: the port is taken, or the registry does not answer and no version is kept.
    """
    config = load_config(paths.params).serve if paths.params.exists() else ServeConfig()
    if port is not None and port not in PORTS:
        raise ParameterError(
            "there is no such port", where="--port", wanted="0 to 65535", got=str(port)
        )
    if host is not None or port is not None:
        config = dataclasses.replace(
            config,
            host=config.host if host is None else host,
            port=config.port if port is None else port,
        )
    # the log's thread works beside answers; on all cores at once it would hold them up
    os.environ.setdefault("POLARS_MAX_THREADS", "1")
    token = os.environ.get(TOKEN) or None
    _check_token(config.host, token, without_token)
    from plumbline.commands.serve_version import RegisteredSource, serve_address

    address = serve_address(model, paths)
    registered = None
    if address.startswith(SCHEME):
        registered = RegisteredSource(address, paths)
        registered.begin()  # a process: it fetches while this one imports
    elif not Path(address).is_dir():
        raise ParameterError("no such folder", where="--model", wanted=WANTED, got=address)
    listening = _listen(config.host, config.port)
    # light enough for a command line, and needed by no other
    import uvicorn

    from plumbline.serving.app import Service, create_app
    from plumbline.serving.connections import TimedProtocol
    from plumbline.serving.holder import Fetched, Holder
    from plumbline.serving.measures import Measures
    from plumbline.serving.memory import keep_large_blocks_apart
    from plumbline.serving.request_log import KEY as LOG_KEY

    _log_to_stderr()
    keep_large_blocks_apart()
    changes = registered if registered is not None and registered.may_change else None

    def load(fetched: Fetched, note: str | None, in_place_of: str | None) -> Holder:
        return Holder(
            fetched,
            measures=Measures(),
            fetch=changes,
            poll_seconds=config.poll_seconds,
            max_pixels=config.max_image_pixels,
            note=note,
            in_place_of=in_place_of,
            taken=None if changes is None else changes.keep,
        )

    if registered is None:
        holder = load(Fetched(folder=Path(address), version=None), None, None)
    else:
        holder = registered.first_answering(load)
    service = Service(
        holder,
        config,
        token=token,
        log_folder=paths.root / config.log.folder,
        log_key=os.environ.get(LOG_KEY, "").encode() or None,
    )
    app = create_app(service)
    sys.setswitchinterval(SWITCH_SECONDS)
    server = uvicorn.Server(
        uvicorn.Config(
            app,
            http=TimedProtocol,
            log_config=None,
            access_log=False,
            server_header=False,
            ws="none",
            limit_concurrency=config.max_connections,
            timeout_keep_alive=round(config.timeout_seconds) or 1,
            timeout_graceful_shutdown=round(config.shutdown_seconds) or 1,
        )
    )
    for number in (signal.SIGTERM, signal.SIGINT):  # uvicorn ends well, then raises them again
        signal.signal(number, _ended)
    url = f"http://{_shown(listening)}"
    print(f"serving {holder.current.version} on {url} (try {url}/docs)", flush=True)
    gc.collect()
    gc.freeze()  # else a full collection looks at all that is there while requests wait
    server.run(sockets=[listening])


def _ended(_signal: int, _frame: FrameType | None) -> None:
    """The server is down by now: the command is done."""


def _check_token(host: str, token: str | None, without_token: bool) -> None:
    if token is not None and not token.isascii():
        raise ParameterError(
            "is not ASCII",
            where=TOKEN,
            wanted="letters, digits and signs that a header can carry",
            hint="make one: python -c 'import secrets; print(secrets.token_urlsafe())'",
        )
    if token is not None or without_token:
        return
    try:
        loopback = host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        loopback = False
    if not loopback:
        raise ParameterError(
            "other machines could ask the service, and no token is set",
            where="--host",
            wanted="127.0.0.1, or a token",
            got=host,
            hint=f"set {TOKEN}, or pass --without-token if something in front checks who asks",
        )


def _listen(host: str, port: int) -> socket.socket:
    try:
        family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
        return socket.create_server((host, port), family=family, backlog=2048)
    except OSError as error:
        raise StorageError(
            f"cannot listen there: {error.strerror or error}",
            where=f"--host {host} --port {port}",
            hint="end what listens there, or pass another --port",
        ) from None


def _shown(listening: socket.socket) -> str:
    host, port = listening.getsockname()[:2]
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def _log_to_stderr() -> None:
    logging.basicConfig(
        stream=sys.stderr, level=logging.WARNING, format="%(asctime)s plumbline serve: %(message)s"
    )
