"""The copies of versions that a service keeps on disk, so that it starts while the registry is
away."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from plumbline.commands.serve_fetch import KEPT
from plumbline.files import read_json, write_json
from plumbline.serving.holder import Fetched


class KeptCopies:
    """The versions that answered, as a file beside their copies notes them.

    Args:
        folder: the copies of what one address has named.
    """

    def __init__(self, folder: Path) -> None:
        self._file = folder / "kept.json"

    def noted(self) -> list[Fetched]:
        """The version that answered last, then those in whose place it came; a version that was
        given back for one before it is not among them."""
        content = self._read()
        try:
            return [_fetched(one) for one in (content, *content.get("earlier", ()))]
        except (KeyError, TypeError):
            return []

    @property
    def state(self) -> object:
        """Of the registry when the version that answered last was fetched."""
        return self._read().get("database")

    def keep(self, fetched: Fetched, state: object) -> None:
        """Note a version that answers."""
        before = self.noted()
        if fetched in before:
            before = before[before.index(fetched) + 1 :]
        content = {**_content(fetched), "database": state}
        earlier = [_content(one) for one in before[: KEPT - 1]]
        write_json(self._file, {**content, "earlier": earlier})

    def _read(self) -> dict[str, Any]:
        try:
            content = read_json(self._file)
        except (OSError, ValueError):
            return {}
        return content if isinstance(content, dict) else {}


def _content(fetched: Fetched) -> dict[str, str | None]:
    return {"version": fetched.version, "folder": str(fetched.folder)}


def _fetched(content: Mapping[str, Any]) -> Fetched:
    return Fetched(folder=Path(content["folder"]), version=content["version"])
