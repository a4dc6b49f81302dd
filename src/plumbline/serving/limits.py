"""What a request has to keep to before it is looked into: who sends it, how often, how large."""

from __future__ import annotations

import asyncio
import hmac
import math
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from plumbline.serving.refused import Refused

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
OPEN = ("/health", "/ready", "/docs")  # say nothing of the model; asked without a token
CLIENTS = 10_000  # that are remembered
MB = 2**20
DRAINED = 256 * MB  # of a body that is too large, so that its sender reads the answer


class TokenGuard:
    """Lets in whom the token of the service names. Args: token: None: everybody."""

    def __init__(self, token: str | None) -> None:
        self._wanted = None if token is None else f"Bearer {token}".encode()

    def check(self, path: str, headers: dict[bytes, bytes]) -> None:
        """Raises:
        Refused: 401, the token is missing or another.
        """
        if self._wanted is None or path in OPEN:
            return
        given = headers.get(b"authorization", b"")
        if not hmac.compare_digest(given, self._wanted):
            raise Refused(401, "wanted the header 'Authorization: Bearer TOKEN'")


class RateLimit:
    """A bucket per client that `rate` requests a second fill, up to two seconds' worth.

    Args:
        rate: requests per second; 0: no limit.
    """

    def __init__(self, rate: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._rate, self._most, self._clock = rate, max(1.0, 2 * rate), clock
        self._buckets: OrderedDict[str, tuple[float, float]] = OrderedDict()  # left, when

    def check(self, client: str) -> None:
        """Raises:
        Refused: 429, the client's bucket is empty.
        """
        if not self._rate:
            return
        now = self._clock()
        left, when = self._buckets.pop(client, (self._most, now))
        left = min(self._most, left + (now - when) * self._rate)
        if len(self._buckets) >= CLIENTS:
            self._buckets.popitem(last=False)
        if left < 1:
            self._buckets[client] = (left, now)
            raise Refused(
                429,
                f"more than {self._rate:g} requests a second (serve.rate_per_second)",
                retry_after=math.ceil((1 - left) / self._rate),
            )
        self._buckets[client] = (left - 1, now)


async def read_body(
    receive: Receive, headers: dict[bytes, bytes], most: int, seconds: float
) -> bytes:
    """The body of a request.

    Args:
        most: bytes.
        seconds: in which it has to come.

    Raises:
        Refused: 413, it is larger; 408, it did not come in time; 415, it is compressed.
    """
    if headers.get(b"content-encoding", b"identity").lower() != b"identity":
        raise Refused(415, "wanted a body that is not compressed (no Content-Encoding)")
    length = headers.get(b"content-length", b"")
    announced = int(length) if length.isdigit() else 0
    parts: list[bytes] = []
    size, large = 0, announced > most
    try:
        async with asyncio.timeout(seconds):
            while True:
                message = await receive()
                if message["type"] == "http.disconnect":
                    raise Refused(400, "the client left before its request was complete")
                part = message.get("body", b"")
                size += len(part)
                large = large or size > most
                if large:
                    parts.clear()
                    if size > DRAINED:
                        break
                else:
                    parts.append(part)
                if not message.get("more_body"):
                    break
    except TimeoutError:
        if not large:
            raise Refused(
                408, f"the body did not come within {seconds:g} s (serve.timeout_seconds)"
            ) from None
    if large:
        raise Refused(
            413,
            f"the body is larger than {most // MB} MB (serve.max_body_mb); send fewer rows at once",
        )
    return b"".join(parts)
