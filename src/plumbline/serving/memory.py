"""What glibc does with memory that is free: nothing here on other systems.

A version is megabytes that another replaces. glibc takes large blocks from the system one by one
and gives each back when it is freed, but only until the first was freed: from then on it takes
blocks of that size out of a heap, where each new version leaves other holes.
"""

from __future__ import annotations

import ctypes
import os
from typing import Any

LARGE = 2**17  # bytes: what glibc begins with
MMAP_THRESHOLD = -3  # in malloc.h


def keep_large_blocks_apart() -> None:
    """Blocks of `LARGE` and more go back to the system as soon as they are free, always."""
    set_option = _glibc("mallopt")
    if set_option is not None:
        set_option(MMAP_THRESHOLD, LARGE)


def give_memory_back() -> None:
    """What is free, in pieces, is the system's again; glibc would keep it."""
    trim = _glibc("malloc_trim")
    if trim is not None:
        trim(0)


def _glibc(name: str) -> Any:
    return getattr(ctypes.CDLL(None), name, None) if os.name == "posix" else None
