"""What stands before every request: its number, token, rate, size and time; and what becomes of an
error: an answer without a traceback."""

from __future__ import annotations

import asyncio
import logging
import time
import uuid
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any, Protocol

import orjson

from plumbline.config.serve import ServeConfig
from plumbline.serving.limits import MB, Message, RateLimit, Receive, TokenGuard, read_body
from plumbline.serving.refused import Refused

Scope = MutableMapping[str, Any]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]
DEFECT = "a defect of the service; its log says more under the request's id"
logger = logging.getLogger("plumbline.serving")


class Observer(Protocol):
    """Counts what was answered."""

    def answered(self, path: str, status: int, seconds: float) -> None: ...


class Guard:
    """ASGI: lets an application see only requests that keep to the limits, their body whole.

    `scope["state"]` then has `request_id`, `body` and `begun`, the time of its first byte.
    """

    def __init__(
        self, app: App, *, config: ServeConfig, token: str | None, observer: Observer
    ) -> None:
        self._app, self._observer = app, observer
        self._token, self._rate = TokenGuard(token), RateLimit(config.rate_per_second)
        self._most, self._seconds = config.max_body_mb * MB, config.timeout_seconds

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        begun, request_id, status = time.perf_counter(), uuid.uuid4().hex, 0
        named = [(b"x-request-id", request_id.encode())]

        async def sending(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                message["headers"] = [*message.get("headers", []), *named]
            await send(message)

        try:
            await self._answer(scope, receive, sending, request_id, begun)
        except Refused as error:
            if not status:
                await refuse(sending, error, request_id)
        except Exception:
            logger.exception("request %s failed", request_id)
            if not status:
                await refuse(sending, Refused(500, DEFECT), request_id)
        finally:
            self._observer.answered(scope["path"], status, time.perf_counter() - begun)

    async def _answer(
        self, scope: Scope, receive: Receive, send: Send, request_id: str, begun: float
    ) -> None:
        headers = dict(scope["headers"])
        client = scope.get("client")
        self._rate.check(client[0] if client else "")
        self._token.check(scope["path"], headers)
        body = b""
        if scope["method"] not in ("GET", "HEAD"):
            body = await read_body(receive, headers, self._most, self._seconds)
        scope.setdefault("state", {}).update(request_id=request_id, body=body, begun=begun)
        try:
            async with asyncio.timeout(self._seconds):
                await self._app(scope, receive, send)
        except TimeoutError:
            raise Refused(
                503,
                f"no answer within {self._seconds:g} s (serve.timeout_seconds)",
                retry_after=1,
            ) from None


def headers_of(error: Refused) -> dict[str, str]:
    """The headers of a refusal."""
    headers = {"content-type": "application/json"}
    if error.status in (401, 408, 413, 429):  # a body that comes is not read
        headers["connection"] = "close"
    if error.status == 401:
        headers["www-authenticate"] = "Bearer"
    if error.retry_after is not None:
        headers["retry-after"] = str(error.retry_after)
    return headers


async def refuse(send: Send, error: Refused, request_id: str) -> None:
    """Send the answer to a request that is refused."""
    headers = [(name.encode(), text.encode()) for name, text in headers_of(error).items()]
    await send({"type": "http.response.start", "status": error.status, "headers": headers})
    body = orjson.dumps(error.content(request_id))
    await send({"type": "http.response.body", "body": body})
