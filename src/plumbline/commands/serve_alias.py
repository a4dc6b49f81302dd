"""Which version an alias names, asked of an MLflow server by its REST interface.

The service asks every few seconds. MLflow's own client would take a second of a processor each
time only to be imported, and memory that the service does not have to spend.
"""

from __future__ import annotations

import base64
import http.client
import json
import os
import urllib.error
import urllib.request
from typing import Any
from urllib.parse import urlencode

from plumbline.store.address import REGISTERED

SECONDS = 5.0  # for an answer
MOST_BYTES = 2**20  # of one
PATH = "/api/2.0/mlflow/registered-models/alias"


def named_by_server(uri: str, address: str) -> list[Any] | None:
    """Name, version and run that models:/NAME@ALIAS names; None where the server does not say,
    whatever the reason: whoever fetches finds it out."""
    try:
        match = REGISTERED.fullmatch(address)
        if match is None or match[2] is None:
            return None
        query = urlencode({"name": match[1], "alias": match[2]})
        request = urllib.request.Request(f"{uri.rstrip('/')}{PATH}?{query}", headers=_credentials())
        with _OPENER.open(request, timeout=SECONDS) as answer:
            version = json.loads(answer.read(MOST_BYTES))["model_version"]
        return [version["name"], str(version["version"]), version["run_id"]]
    except (OSError, http.client.HTTPException, ValueError, LookupError, TypeError):
        return None


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    """The credentials are for this server alone."""

    def redirect_request(self, *given: Any) -> None:
        return None


_OPENER = urllib.request.build_opener(_NoRedirect)


def _credentials() -> dict[str, str]:
    """As MLflow reads them from the environment."""
    token = os.environ.get("MLFLOW_TRACKING_TOKEN")
    user, password = (os.environ.get(f"MLFLOW_TRACKING_{k}") for k in ("USERNAME", "PASSWORD"))
    if user and password:
        pair = base64.b64encode(f"{user}:{password}".encode()).decode()
        return {"Authorization": f"Basic {pair}"}
    return {"Authorization": f"Bearer {token}"} if token else {}
