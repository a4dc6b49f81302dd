"""Whether this process is one of a group: asked before torch is imported."""

from __future__ import annotations

import os


def is_launched() -> bool:
    """Whether torch's launcher started this process as one of a group.

    RANK alone is no sign of it: schedulers and users set it too. TORCHELASTIC_RUN_ID is the
    launcher's own.
    """
    return "RANK" in os.environ and "TORCHELASTIC_RUN_ID" in os.environ
