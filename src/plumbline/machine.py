"""What the machine refuses (a full disk, no memory, a missing file), in words for its owner."""

from __future__ import annotations

import errno
import os
from pathlib import Path

from plumbline.errors import StorageError, UserError
from plumbline.missing import explain_missing

EXHAUSTED = ("allocate memory", "cuda out of memory", "std::bad_alloc")
FULL = ("no space left on device", "disk quota exceeded", "database or disk is full")
REFUSED = (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES, errno.EFBIG)


def refusal_behind(error: BaseException | None) -> UserError | None:
    """What the machine refused (a full disk, a missing file), however a library wrapped it."""
    while error is not None:
        if isinstance(error, FileNotFoundError) and error.filename:
            return explain_missing(Path(os.fsdecode(error.filename)), Path.cwd())
        if isinstance(error, (FileExistsError, NotADirectoryError, IsADirectoryError)):
            return _in_the_way(error)
        if isinstance(error, MemoryError) or any(w in str(error).lower() for w in EXHAUSTED):
            return StorageError(
                "memory ran out",
                hint="close other programs or use a larger machine; previous outputs are intact",
            )
        if isinstance(error, OSError) and error.errno in REFUSED:
            what, file = error.strerror, error.filename
        elif any(words in str(error).lower() for words in FULL):
            what, file = "No space left on device", None
        else:
            error = error.__cause__ or error.__context__
            continue
        return StorageError(
            f"cannot write: {what}",
            file=file,
            hint="free disk space or fix permissions and rerun; previous outputs are intact",
        )
    return None


def _in_the_way(error: OSError) -> UserError | None:
    """A file lies where a folder belongs, or a folder where a file does."""
    place = Path(os.fsdecode(error.filename2 or error.filename or ""))
    wanted = "a file" if isinstance(error, IsADirectoryError) else "a folder"
    while wanted == "a folder" and not place.is_file() and place != place.parent:
        place = place.parent  # the file in the way lies above
    if place.is_dir() != (wanted == "a file"):
        return None
    return StorageError(
        f"is not {wanted}, and {wanted} belongs there",
        file=place.relative_to(Path.cwd()) if place.is_relative_to(Path.cwd()) else place,
        hint="move it away and run again",
    )
