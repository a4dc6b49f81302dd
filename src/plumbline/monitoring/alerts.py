"""Who is told that the rule fires: the log, and an address on the web."""

from __future__ import annotations

import http.client
import json
import logging
import os
import threading
import urllib.error
import urllib.request
from urllib.parse import urlsplit

from plumbline.monitoring.rule import Firing

WEBHOOK = "PLUMBLINE_MONITOR_WEBHOOK"  # environment: an address, which is a secret
logger = logging.getLogger("plumbline.monitor")


def message(firing: Firing, version: str) -> dict[str, object]:
    """What is sent: `text` for people, the rest for programs."""
    return {
        "text": f"{version}: drift in {firing.words}",
        "version": version,
        "rule": firing.kind,
        "window": firing.window,
        "begun": firing.begun,
        "columns": list(firing.columns),
    }


def note(firing: Firing, version: str) -> None:
    """Write it to the log."""
    logger.warning("%s", message(firing, version)["text"])


def post(firing: Firing, version: str, *, seconds: float) -> str | None:
    """Post it to the address, if there is one; gives why that could not be, without the address.

    Args:
        seconds: for all of it: an address that answers byte by byte is given up as well.
    """
    address = os.environ.get(WEBHOOK)
    if not address:
        return None
    answer = [_late(seconds)]
    content = message(firing, version)

    def run() -> None:
        answer[0] = _post(address, content, seconds) or ""

    thread = threading.Thread(target=run, name="webhook", daemon=True)
    thread.start()
    thread.join(seconds)
    return answer[0] or None


def _late(seconds: float) -> str:
    return f"the webhook did not answer within {seconds:g} s"


def _post(address: str, content: dict[str, object], seconds: float) -> str | None:
    # what is wrong is told by its kind alone: messages of errors may hold the address
    try:
        if urlsplit(address).scheme not in ("http", "https"):
            return f"{WEBHOOK} is no http or https address"
        request = urllib.request.Request(
            address,
            json.dumps(content).encode(),
            {"Content-Type": "application/json", "User-Agent": "plumbline"},
        )
        with urllib.request.urlopen(request, timeout=seconds):
            return None
    except urllib.error.HTTPError as error:
        return f"the webhook answered with {error.code}"
    except TimeoutError:
        return _late(seconds)
    except (OSError, ValueError, http.client.HTTPException) as error:
        return f"the webhook cannot be reached ({type(error).__name__})"
