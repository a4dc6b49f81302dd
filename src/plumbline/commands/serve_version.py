"""Which version a service answers with: fetched from the registry by a process of its own, and kept
so that it can start while the registry is away."""

from __future__ import annotations

import hashlib
import json
import logging
import os
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from plumbline.commands.predict_model import named_address
from plumbline.commands.serve_alias import named_by_server
from plumbline.commands.serve_copies import KeptCopies
from plumbline.commands.serve_fetch import is_whole
from plumbline.config import Paths
from plumbline.errors import DataError, StorageError, UserError
from plumbline.serving.holder import Fetched, Holder

# a note for /ready, and the version in whose place it answers
Load = Callable[[Fetched, str | None, str | None], Holder]
logger = logging.getLogger("plumbline.serving")
SECONDS = 180.0  # that a fetch may take
START_SECONDS = 30.0  # that a start waits for one, where there is a copy to start from
SQLITE = "sqlite:///"
COPIES = "serving"  # in .plumbline/


class RegisteredSource:
    """A version in the registry, by its address.

    Args:
        address: models:/NAME@ALIAS or models:/NAME/VERSION.
    """

    def __init__(self, address: str, paths: Paths) -> None:
        self.address, self._root = address, paths.home
        self._uri = os.environ.get("MLFLOW_TRACKING_URI") or (
            f"{SQLITE}{paths.home / 'mlflow' / 'mlflow.db'}"
        )
        digest = hashlib.sha256(f"{self._uri} {address}".encode()).hexdigest()[:12]
        self._folder = paths.state / COPIES / digest
        self._copies = KeptCopies(self._folder)
        self._state: object = None
        self._begun: object = None
        self._process: subprocess.Popen[str] | None = None

    @property
    def may_change(self) -> bool:
        """Whether the address may name another version later."""
        return "@" in self.address

    def begin(self) -> None:
        """Begin to fetch; `first_answering` waits for it. Imports go on meanwhile."""
        self._begun = self._now()
        if not self._copies.noted() or self._begun is None or self._begun != self._copies.state:
            self._process = self._start()

    def first_answering(self, load: Load) -> Holder:
        """The service's first version, loaded. A damaged copy is fetched anew. Where the version
        that the address names cannot be had, or does not answer, the newest of those that
        answered before it takes its place.

        Raises:
            UserError: there is none that answers.
        """
        try:
            fetched = self._first()
        except StorageError as error:
            return self._in_place(load, error)
        try:
            return self._taken(load, fetched)
        except DataError as error:
            return self._again(fetched, error, load)

    def _first(self) -> Fetched:
        if self._process is None:
            self._state = self._begun
            return self._copies.noted()[0]  # the registry says what it did when this was fetched
        return self._finish(self._patience)

    def _again(self, broken: Fetched, error: DataError, load: Load) -> Holder:
        """A version whose copy is damaged, fetched anew."""
        wanted, damaged = broken.version, [_damage(broken, error)]
        self._process = self._start()
        try:
            fetched = self._finish(self._patience)
        except UserError as refusal:
            return self._in_place(load, refusal, wanted, damaged)
        try:
            return self._taken(load, fetched)
        except DataError as second:
            return self._in_place(load, second, wanted)

    def _taken(self, load: Load, fetched: Fetched) -> Holder:
        holder = _loaded(load, fetched)
        self.keep(fetched)
        return holder

    def _in_place(
        self, load: Load, error: UserError, wanted: str | None = None, damaged: Sequence[str] = ()
    ) -> Holder:
        """The newest copy that answers, since the version that is wanted is not to be had for an
        error. It is not noted: the next start is to want the same again.

        Args:
            wanted: which version that is; None: the registry did not say.
            damaged: words about copies that were tried.
        """
        if isinstance(error, StorageError):
            self._state = None  # asked until it answers
        for copy in self._copies.noted():
            if copy.version == wanted:
                continue
            why = "; ".join([*damaged, str(error)])
            start = "started from the last version that was fetched"
            note = f"{copy.version} answers in place of {wanted}" if wanted else start
            try:
                holder = _loaded(load, copy, f"{note}: {why}", wanted)
            except DataError as damage:
                wanted, damaged = wanted or copy.version, [*damaged, _damage(copy, damage)]
                continue
            logger.warning("%s: %s", note, why)
            return holder
        if not damaged or not isinstance(error, StorageError):
            raise error
        raise StorageError(
            f"{'; '.join(damaged)}, and it could not be fetched again: {error}",
            where=self.address,
            hint="start the registry, or serve a folder of another version (--model)",
        )

    def keep(self, fetched: Fetched) -> None:
        """Note a version that answers: the service starts from it while the registry is away."""
        try:
            self._copies.keep(fetched, self._state)
        except OSError as error:  # a full disk stops no service
            logger.warning("%s is not noted for the next start: %s", fetched.version, error)

    @property
    def _patience(self) -> float:
        """Seconds for a fetch at the start: few where a copy could answer meanwhile."""
        return START_SECONDS if self._copies.noted() else SECONDS

    def __call__(self) -> Fetched | None:
        """The version that the address names now; None where nothing has changed."""
        state = self._now()
        if state is None and self._uri.startswith(SQLITE):
            raise StorageError("the registry's file was removed", file=self._file)
        if state is not None and state == self._state:
            return None
        self._process = self._start()
        return self._finish()

    def _start(self) -> subprocess.Popen[str]:
        self._begun = self._now()
        self._folder.mkdir(parents=True, exist_ok=True)
        module = "plumbline.commands.serve_fetch"
        return subprocess.Popen(
            [sys.executable, "-m", module, self.address, self._root, self._folder],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def _finish(self, seconds: float = SECONDS) -> Fetched:
        assert self._process is not None
        process, self._process = self._process, None
        try:
            output, errors = process.communicate(timeout=seconds)
        except subprocess.TimeoutExpired:
            process.kill()
            process.communicate()
            raise StorageError(
                f"the registry gave no version within {seconds:g} s", where=self.address
            ) from None
        lines = output.strip().splitlines()
        try:
            result = json.loads(lines[-1])
        except (IndexError, ValueError):
            raise StorageError(
                f"the version could not be fetched: {errors.strip()[-500:]}", where=self.address
            ) from None
        if "error" in result:
            kind = StorageError if result["storage"] else UserError
            raise kind(result["error"])
        self._state = self._begun
        return Fetched(folder=Path(result["folder"]), version=result["version"])

    def _now(self) -> list[Any] | None:
        """Changes whenever the address names something else; None: only a fetch can tell. Cheap,
        unlike a fetch, which imports MLflow."""
        if self._uri.startswith(("http://", "https://")):
            return named_by_server(self._uri, self.address)
        if not self._uri.startswith(SQLITE):
            return None
        state: list[Any] = []
        for name in (self._file, f"{self._file}-wal"):
            try:
                status = Path(name).stat()
            except OSError:
                continue
            if status.st_size:
                state += [status.st_mtime_ns, status.st_size]
        return state or None

    @property
    def _file(self) -> str:
        return self._uri.removeprefix(SQLITE)


def serve_address(model: str | None, paths: Paths) -> str:
    """What is to be served; where copies are kept, they may stand in for a registry that is gone.

    Raises:
        ParameterError: nothing is named, or there is neither registry nor copy.
    """
    return named_address(model, paths, may_be_away=(paths.state / COPIES).is_dir())


def _loaded(
    load: Load, copy: Fetched, note: str | None = None, wanted: str | None = None
) -> Holder:
    """A version, of a copy whose every file is as it was fetched: another digit in one of them is
    another answer."""
    if not is_whole(copy.folder):
        raise DataError("its files are not those that were fetched")
    return load(copy, note, wanted)


def _damage(copy: Fetched, error: DataError) -> str:
    return f"the copy of {copy.version} is damaged ({error.what})"
