"""The REST service: what each address answers."""

from __future__ import annotations

import datetime as dt
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import asdict
from importlib.resources import files
from pathlib import Path
from typing import Any

import orjson
from fastapi import FastAPI, Request
from starlette.responses import Response

from plumbline.config.serve import ServeConfig
from plumbline.inference.feature_reader import Extra
from plumbline.serving.answers import answer_rows
from plumbline.serving.batcher import Answer, Batcher
from plumbline.serving.explain import explain_rows
from plumbline.serving.feedback import read_labels
from plumbline.serving.guard import DEFECT, App, Guard, Scope, Send, headers_of
from plumbline.serving.holder import Holder
from plumbline.serving.limits import Receive
from plumbline.serving.openapi import openapi
from plumbline.serving.refused import Refused
from plumbline.serving.request_body import read_rows
from plumbline.serving.request_log import LoggedRequest, RequestLog, check_hidden
from plumbline.serving.served import Served

OPENAPI = "/openapi.json"
ANSWERED = 0.9  # of the time of a request, after which there is an answer or none in time
PAGE = (
    b"default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; connect-src 'self'"
)


class Service:
    """What the addresses share.

    Args:
        token: that every request has to bear; None: none.
        log_folder: of the log of requests; None: there is none.
        log_key: of hashes in the log.

    Raises:
        ParameterError: a column that the log is to hide is not there, or hashes have no key.
    """

    def __init__(
        self,
        holder: Holder,
        config: ServeConfig,
        *,
        token: str | None = None,
        log_folder: Path | None = None,
        log_key: bytes | None = None,
    ) -> None:
        self.holder, self.config, self.token = holder, config, token
        self.measures = holder.measures
        self.batcher = Batcher(
            lambda: holder.current,
            batch_rows=config.batch_rows,
            queue_rows=config.queue_rows,
            on_batch=self.measures.batch,
        )
        self.measures.gauge(
            "plumbline_queue_rows", "Rows that wait", lambda: float(self.batcher.waiting)
        )

        self.log: RequestLog | None = None
        if log_folder is not None and config.log.enabled:
            check_hidden(config.log, holder.current.predictor.known_columns, log_key)
            self.log = RequestLog(
                log_folder,
                config.log,
                key=log_key,
                dropped=self.measures.log_dropped,
                refused=self.measures.log_failures,
            )

    async def predict(self, request: Request) -> Response:
        """POST /predict."""
        state = request.scope["state"]
        rows = read_rows(
            state["body"], request.headers.get("content-type", ""), self.config.max_rows
        )
        answer: Answer = await self.batcher.predict(rows, _extra(request), len(state["body"]))
        seconds = time.perf_counter() - state["begun"]

        async def note() -> None:
            self._note(answer, state, seconds)

        answers = answer.predictions.answers
        content = {
            "request_id": state["request_id"],
            "version": answer.served.version,
            "predictions": answer_rows(answers, answer.served.predictor.schema.classes),
        }
        return _json(content, after=note)

    def _note(self, answer: Answer, state: Mapping[str, Any], seconds: float) -> None:
        """Count and log what was answered."""
        self.measures.predicted(answer.predictions.answers)
        if self.log is None:
            return
        record = LoggedRequest(
            request_id=state["request_id"],
            time=dt.datetime.now(dt.UTC).replace(tzinfo=None),
            seconds=seconds,
            served=answer.served,
            rows=answer.rows,
            predictions=answer.predictions,
            size=len(state["body"]),
        )
        self.log.add(record)

    async def explain(self, request: Request) -> Response:
        """POST /explain."""
        state, config, extra = request.scope["state"], self.config, _extra(request)
        kind = request.headers.get("content-type", "")
        given = read_rows(state["body"], kind, config.explain_rows, "serve.explain_rows")
        until = time.perf_counter() + ANSWERED * config.timeout_seconds

        def work(served: Served) -> dict[str, Any]:
            rows = served.parse(given, extra)
            explained = explain_rows(
                served,
                rows,
                evaluations=config.explain_evaluations,
                seconds=config.explain_seconds,
                until=until,
            )
            return {
                "request_id": state["request_id"],
                "version": served.version,
                "explanations": [asdict(one) for one in explained],
            }

        return _json(await self.batcher.run(work))

    async def feedback(self, request: Request) -> Response:
        """POST /feedback."""
        state = request.scope["state"]
        if self.log is None:
            raise Refused(409, "nothing is logged (serve.log.enabled), so labels belong to nothing")
        schema = self.holder.current.predictor.schema
        labels = read_labels(state["body"], schema, self.config.max_rows)
        if not self.log.label(labels):
            raise Refused(503, "the log's queue is full; send the labels again", retry_after=10)
        return _json({"request_id": state["request_id"], "accepted": len(labels)}, 202)

    async def health(self) -> Response:
        """GET /health."""
        return _json({"status": "ok"})

    async def ready(self) -> Response:
        """GET /ready."""
        return _json({"ready": True, **self.holder.state(), "log": self.log and self.log.problem})

    async def metrics(self) -> Response:
        """GET /metrics."""
        return Response(self.measures.page(), media_type="text/plain; version=0.0.4; charset=utf-8")

    async def description(self) -> Response:
        """GET /openapi.json."""
        name, _, number = self.holder.current.version.partition("/")
        name = name if number else "plumbline serve"  # a folder's version is a hash
        served, token = self.holder.current, self.token is not None
        return _json(openapi(served, self.config, title=name, token=token))

    async def page(self) -> Response:
        """GET /docs: a page that reads /openapi.json and sends the example when pressed."""
        content = files("plumbline.serving").joinpath("docs.html").read_bytes()
        headers = {"content-security-policy": PAGE.decode()}
        return Response(content, media_type="text/html; charset=utf-8", headers=headers)


def create_app(service: Service) -> App:
    """The ASGI application of a service, limits and all."""

    @asynccontextmanager
    async def lifespan(_app: FastAPI) -> AsyncIterator[None]:
        if service.log is not None:
            service.log.start()
        service.batcher.start()
        service.holder.start()
        try:
            yield
        finally:
            service.holder.close()
            service.batcher.close()
            if service.log is not None:
                service.log.close()

    app = FastAPI(openapi_url=None, docs_url=None, redoc_url=None, lifespan=lifespan)
    # plain routes: our own code reads and checks the body, and a tenth of a millisecond counts
    app.add_route("/predict", service.predict, methods=["POST"])
    app.add_route("/explain", service.explain, methods=["POST"])
    app.add_route("/feedback", service.feedback, methods=["POST"])
    for path, answer in {
        "/health": service.health,
        "/ready": service.ready,
        "/metrics": service.metrics,
        "/docs": service.page,
        OPENAPI: service.description,
    }.items():
        app.add_api_route(path, answer, methods=["GET", "HEAD"])
    app.add_exception_handler(Refused, _refused)
    app.add_exception_handler(Exception, _failed)  # the guard logs it
    app.add_exception_handler(404, _elsewhere)
    app.add_exception_handler(405, _elsewhere)
    short = _Short(app, {"/predict": service.predict})
    return Guard(short, config=service.config, token=service.token, observer=service.measures)


class _Short:
    """ASGI: what is asked most goes straight to its function, by POST. A router and its middlewares
    take as long as the reading of a row; the guard answers what is refused."""

    def __init__(
        self, app: App, answers: Mapping[str, Callable[[Request], Awaitable[Response]]]
    ) -> None:
        self._app, self._answers = app, answers

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request."""
        answer = self._answers.get(scope.get("path", ""))
        if answer is None or scope["method"] != "POST":
            await self._app(scope, receive, send)
            return
        response = await answer(Request(scope, receive, send))
        await response(scope, receive, send)


async def _refused(request: Request, error: Exception) -> Response:
    assert isinstance(error, Refused)
    body = orjson.dumps(error.content(request.scope["state"]["request_id"]))
    return Response(body, error.status, headers_of(error))


async def _failed(request: Request, _error: Exception) -> Response:
    return await _refused(request, Refused(500, DEFECT))


async def _elsewhere(request: Request, error: Exception) -> Response:
    """What is not there, in the form that every refusal has."""
    status = getattr(error, "status_code", 404)
    message = (
        f"{request.method} is not taken here"
        if status == 405
        else "no such address; /docs lists those that there are"
    )
    headers = getattr(error, "headers", None)
    body = Refused(status, message).content(request.scope["state"]["request_id"])
    return Response(orjson.dumps(body), status, headers, media_type="application/json")


def _extra(request: Request) -> Extra:
    if not request.scope["query_string"]:
        return "refuse"
    given = request.query_params.getlist("extra")
    if given in ([], ["refuse"]):
        return "refuse"
    if given == ["ignore"]:
        return "ignore"
    raise Refused(422, f"?extra= wanted refuse or ignore, got {', '.join(given)[:80]!r}")


def _json(
    content: Any, status: int = 200, after: Callable[[], Awaitable[None]] | None = None
) -> Response:
    """Args: after: what is done once it is sent."""
    body = orjson.dumps(content)
    return Response(body, status, media_type="application/json", background=after)  # type: ignore[arg-type]
