"""What we ask of a Prefect server, with the login that Prefect's own programs use."""

from __future__ import annotations

import base64
import json
import urllib.error
import urllib.request
from collections.abc import Mapping
from typing import Any
from urllib.parse import unquote, urlsplit

from pipelines.mlflow_pages import without_password
from plumbline.errors import StorageError

URL, LOGIN, KEY = "PREFECT_API_URL", "PREFECT_API_AUTH_STRING", "PREFECT_API_KEY"
SERVER_LOGIN = "PREFECT_SERVER_API_AUTH_STRING"  # which a server asks for
SECONDS = 10


def ask(variables: Mapping[str, str], path: str, content: Any = None) -> Any:
    """GET, or POST of JSON, below the API's address; None where nothing healthy answers.

    Raises:
        StorageError: the server wants a login, or another one.
    """
    api = without_password(variables[URL])
    data = None if content is None else json.dumps(content).encode()
    headers = {"Content-Type": "application/json", **_login(variables)}
    try:
        request = urllib.request.Request(f"{api}{path}", data, headers)
        with urllib.request.urlopen(request, timeout=SECONDS) as answer:
            return json.load(answer)
    except urllib.error.HTTPError as error:
        error.close()
        if error.code not in (401, 403):
            return None
        raise StorageError(
            f"the Prefect server {'refuses the' if LOGIN in variables else 'asks for a'} login",
            where=api,
            hint=f"set {LOGIN} to the server's {SERVER_LOGIN} (user:password), "
            f"or {KEY} to your key",
        ) from None
    except (OSError, ValueError):
        return None


def _login(variables: Mapping[str, str]) -> dict[str, str]:
    """As Prefect reads it."""
    parts = urlsplit(variables[URL])
    pair = variables.get(LOGIN)
    if not pair and parts.username:
        pair = f"{unquote(parts.username)}:{unquote(parts.password or '')}"
    if pair:
        return {"Authorization": f"Basic {base64.b64encode(pair.encode()).decode()}"}
    return {"Authorization": f"Bearer {key}"} if (key := variables.get(KEY)) else {}
