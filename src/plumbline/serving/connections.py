"""Connections on which nothing comes, or whose client takes nothing, end in time."""

from __future__ import annotations

import asyncio

from uvicorn.protocols.http.auto import AutoHTTPProtocol


class TimedProtocol(AutoHTTPProtocol):  # type: ignore[misc, valid-type]
    """uvicorn ends a connection on which nothing follows an answer. This one ends, after the same
    time (`timeout_keep_alive`), also a connection on which nothing comes, or half of a request's
    head, and one whose client does not read its answer: they would fill `max_connections`.
    """

    _deadline: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:
        super().connection_made(transport)
        self._begin()

    def on_response_complete(self) -> None:
        super().on_response_complete()
        self._begin()

    def connection_lost(self, exc: Exception | None) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
        super().connection_lost(exc)

    def _begin(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
        self._deadline = self.loop.call_later(self.timeout_keep_alive, self._end)

    def _end(self) -> None:
        if self.transport.is_closing() or self.transport.get_write_buffer_size():
            self.transport.abort()
        elif self.cycle is not None and not self.cycle.response_complete:
            self._begin()  # being answered; the guard bounds it
        else:
            self.transport.close()
