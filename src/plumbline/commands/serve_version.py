"""Which version a service answers with: fetched from the registry by a process of its own, and kept
so that it can start while the registry is away."""

from __future__ import annotations

import hashlib
import json
import logging
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from plumbline.commands.serve_alias import named_by_server
from plumbline.config import Paths
from plumbline.errors import DataError, StorageError, UserError
from plumbline.files import read_json, write_json
from plumbline.serving.holder import Fetched, Holder

Load = Callable[[Fetched, str | None], Holder]  # the second: a note for /ready
logger = logging.getLogger("plumbline.serving")
SECONDS = 180  # that a fetch may take
SQLITE = "sqlite:///"


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
        self._folder = paths.state / "serving" / digest
        self._state: object = None
        self._begun: object = None
        self._process: subprocess.Popen[str] | None = None

    @property
    def may_change(self) -> bool:
        """Whether the address may name another version later."""
        return "@" in self.address

    def begin(self) -> None:
        """Begin to fetch; `first` waits for it. Imports go on meanwhile."""
        self._begun = self._now()
        if self._kept() is None or self._begun is None or self._begun != self._noted():
            self._process = self._start()

    def first(self) -> tuple[Fetched, str | None]:
        """The version to start with, and why it may not be the one that is wanted.

        Raises:
            UserError: there is none, and none was kept.
        """
        kept = self._kept()
        if kept is not None and self._process is None:
            self._state = self._begun
            return kept, None  # the registry says what it did when this was fetched
        try:
            return self._finish(), None
        except UserError as error:
            if kept is None or not isinstance(error, StorageError):
                raise
            return kept, f"started from the last version that was fetched: {error}"

    def first_answering(self, load: Load) -> Holder:
        """The service's first version, loaded. A broken one is fetched anew; where it still is
        broken, the version that answered last takes its place.

        Raises:
            UserError: there is none that answers.
        """
        fetched, note = self.first()
        try:
            holder = load(fetched, note)
        except DataError as error:
            fetched, holder = self._other(fetched, error, load)
        self.keep(fetched)
        return holder

    def _other(self, broken: Fetched, error: DataError, load: Load) -> tuple[Fetched, Holder]:
        kept = self._kept()
        shutil.rmtree(broken.folder, ignore_errors=True)
        self._process = self._start()
        try:
            again = self._finish()
            return again, load(again, None)
        except UserError as second:
            if kept is None or kept == broken:
                if not isinstance(second, StorageError):
                    raise error from None
                raise StorageError(
                    f"the copy of {broken.version} that was kept is damaged ({error.what}), and it "
                    f"could not be fetched again: {second}",
                    where=self.address,
                    hint="start the registry, or serve a folder of another version (--model)",
                ) from None
        note = f"started from the version that answered last, since {broken.version} does not: "
        return kept, load(kept, f"{note}{error}")

    def keep(self, fetched: Fetched) -> None:
        """Note a version that answers: the service starts from it while the registry is away."""
        content = {"version": fetched.version, "folder": str(fetched.folder)}
        try:
            write_json(self._folder / "kept.json", {**content, "database": self._state})
        except OSError as error:  # a full disk stops no service
            logger.warning("%s is not noted for the next start: %s", fetched.version, error)

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

    def _finish(self) -> Fetched:
        assert self._process is not None
        process, self._process = self._process, None
        try:
            output, errors = process.communicate(timeout=SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.communicate()
            raise StorageError(
                f"the registry gave no version within {SECONDS} s", where=self.address
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

    def _kept(self) -> Fetched | None:
        try:
            kept = read_json(self._folder / "kept.json")
            folder = Path(kept["folder"])
            return Fetched(folder=folder, version=kept["version"]) if folder.is_dir() else None
        except (OSError, ValueError, KeyError, TypeError):
            return None

    def _noted(self) -> object:
        return read_json(self._folder / "kept.json").get("database")

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
