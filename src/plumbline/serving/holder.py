"""Which version answers, and how another takes its place."""

from __future__ import annotations

import logging
import threading
import weakref
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from plumbline.errors import DataError, UserError
from plumbline.serving.measures import Measures
from plumbline.serving.memory import give_memory_back
from plumbline.serving.served import Served

logger = logging.getLogger("plumbline.serving")


@dataclass(frozen=True, kw_only=True)
class Fetched:
    """A version's files on this machine. `version`: NAME/VERSION; None: a folder of files."""

    folder: Path
    version: str | None


Fetch = Callable[[], Fetched | None]  # None: what it gave last is still the one


class Holder:
    """The version that answers.

    Args:
        fetched: the first one.
        fetch: gives the version that should answer now; None: the first one for good.
        poll_seconds: between two calls of `fetch`.
        note: what users of /ready should know about the start.
        in_place_of: the version that should answer, if it is known and is another.
        taken: is told another version that has taken over.

    Raises:
        DataError: the first version is broken, or does not answer its own example.
    """

    def __init__(
        self,
        fetched: Fetched,
        *,
        measures: Measures,
        fetch: Fetch | None = None,
        poll_seconds: float = 10.0,
        max_pixels: int = 2**24,
        note: str | None = None,
        in_place_of: str | None = None,
        taken: Callable[[Fetched], None] | None = None,
    ) -> None:
        self.measures = measures
        self._taken = taken
        self._fetch, self._poll, self._max_pixels = fetch, poll_seconds, max_pixels
        self._problem = note
        self._fetched, self._failed = fetched, fetched
        self._closing = threading.Event()
        self._replaced: weakref.ref[Served] | None = None
        self._thread = threading.Thread(target=self._watch, name="versions", daemon=True)
        self.current = self._load(fetched)
        measures.serves(self.current.version)
        self._stand_in(in_place_of)

    def state(self) -> dict[str, Any]:
        """For /ready."""
        return {
            "version": self.current.version,
            "loaded": self.current.loaded.isoformat(timespec="seconds"),
            "in_place_of": self._in_place_of,
            "problem": self._problem,
        }

    def start(self) -> None:
        """Begin to watch for another version."""
        if self._fetch is not None:
            self._thread.start()

    def close(self) -> None:
        """Watch no more."""
        self._closing.set()

    def check(self) -> None:
        """Take over the version that should answer now, if it is another and passes its test."""
        assert self._fetch is not None
        try:
            fetched = self._fetch()
        except UserError as error:
            self._say(f"the registry cannot be asked: {error}")
            return
        if fetched is None:
            return
        if fetched == self._fetched:  # also where it was given back
            self._problem, self._failed = None, fetched
            if self._in_place_of is not None and self._taken is not None:
                self._taken(fetched)
            self._stand_in(None)
            return
        if fetched == self._failed:
            return
        try:
            served = self._load(fetched)
        except UserError as error:
            self._failed = fetched
            self._stand_in(fetched.version)
            self.measures.swaps.labels("refused").inc()
            self._say(
                f"version {fetched.version} is refused and {self.current.version} goes on: {error}"
            )
            return
        if self._taken is not None:
            self._taken(fetched)  # first, so that a kill leaves none that answered and is not noted
        before, self._replaced = self.current.version, weakref.ref(self.current)
        self.current = served
        self._fetched, self._failed, self._problem = fetched, fetched, None
        self.measures.serves(served.version)
        self._stand_in(None)
        self.measures.swaps.labels("taken").inc()
        logger.warning("version %s answers in place of %s", served.version, before)

    def _load(self, fetched: Fetched) -> Served:
        try:
            served = Served.load(fetched.folder, fetched.version, max_pixels=self._max_pixels)
            served.check()
        except UserError:
            raise
        except Exception as error:  # a file that is there and is not what was written
            raise DataError(
                f"cannot be loaded: {type(error).__name__}: {error}", file=fetched.folder
            ) from None
        return served

    def _stand_in(self, version: str | None) -> None:
        """Note the version that should answer; None: the one that does."""
        self._in_place_of = version
        self.measures.in_place.set(version is not None)

    def _say(self, problem: str) -> None:
        if problem != self._problem:
            logger.warning("%s", problem)
        self._problem = problem

    def _watch(self) -> None:
        while not self._closing.wait(self._poll):
            if self._replaced is not None and self._replaced() is None:
                self._replaced = None  # no request and no line of the log holds it any more
                give_memory_back()
            try:
                self.check()
            except Exception:
                logger.exception("the registry could not be asked")
