"""A file that a cell names, read in the folder of the data and nowhere else."""

from __future__ import annotations

import os
import stat
from pathlib import Path

from plumbline.errors import DataError

MOST_BYTES = 2**28  # of a file
SMALLER = "make the image smaller"


def read_inside(folder: Path, cell: str, where: str) -> bytes:
    """The content of the file of a path that is relative to the folder.

    Args:
        folder: without links in its own path.
        where: row and column, for messages.

    Raises:
        FileNotFoundError: there is no such file.
        DataError: the path leads out of the folder or to what is no file, or the file cannot be
            read or has over `MOST_BYTES`.
    """
    try:
        known = _without_links(folder, cell)
        if known is None:
            path = (folder / cell).resolve()
            if not path.is_relative_to(folder):
                raise DataError(
                    "the path leads out of the data folder, through '..', a symbolic link or "
                    "from the root",
                    file=cell,
                    where=where,
                    wanted="a path relative to the data file, to a file in its folder or below",
                    hint="copy the images beside the data file",
                )
            known = str(path), path.stat()
        name, status = known
        if not stat.S_ISREG(status.st_mode):
            raise DataError("not a file", file=cell, where=where, wanted="an image file")
        if status.st_size > MOST_BYTES:
            raise DataError(
                "the file is too large",
                file=cell,
                where=where,
                wanted=f"at most {MOST_BYTES >> 20} MB",
                hint=SMALLER,
            )
        # by few calls, as each hands Python's lock to another thread
        with open(name, "rb", buffering=0) as file:  # noqa: PTH123 - a Path takes longer to make
            content: bytes = file.read(status.st_size)
            return content if len(content) == status.st_size else content + file.readall()
    except (FileNotFoundError, DataError):
        raise
    except (OSError, RuntimeError, ValueError) as error:  # a loop of links, a zero byte
        reason = error.strerror if isinstance(error, OSError) else str(error)
        raise DataError(f"cannot be read: {reason}", file=cell, where=where) from None


def _without_links(folder: Path, cell: str) -> tuple[str, os.stat_result] | None:
    """A path of plain names of which none is a link, and what lies there; None for any other.

    Such a path stays in the folder without being resolved, which takes several times as long.
    """
    path = str(folder)
    for name in cell.split("/"):
        if name in ("", ".", ".."):
            return None
        path = f"{path}/{name}"
        status = os.lstat(path)
        if stat.S_ISLNK(status.st_mode):
            return None
    return path, status
