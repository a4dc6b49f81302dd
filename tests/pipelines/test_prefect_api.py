"""What Prefect is asked bears the login that Prefect's own programs would use."""

from __future__ import annotations

import base64
import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest
from pipelines.prefect_api import ask

from plumbline.errors import StorageError

PAIR = "me:it's a:secret"
BASIC = f"Basic {base64.b64encode(PAIR.encode()).decode()}"


class Guarded(BaseHTTPRequestHandler):
    """Answers whoever bears one of the logins."""

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["content-length"]))
        login = self.headers.get("authorization")
        self.send_response(200 if login in (BASIC, "Bearer key") else 401)
        self.end_headers()
        self.wfile.write(json.dumps(login).encode())

    def log_message(self, *_given: object) -> None:
        pass


@pytest.fixture
def server() -> Iterator[str]:
    with HTTPServer(("127.0.0.1", 0), Guarded) as own:
        thread = threading.Thread(target=own.serve_forever)
        thread.start()
        yield f"127.0.0.1:{own.server_port}"
        own.shutdown()
        thread.join()


def test_the_login_is_that_of_the_environment(server: str) -> None:
    api = {"PREFECT_API_URL": f"http://{server}/api"}
    assert ask({**api, "PREFECT_API_AUTH_STRING": PAIR}, "/a", {}) == BASIC
    assert ask({**api, "PREFECT_API_KEY": "key"}, "/a", {}) == "Bearer key"
    within = {"PREFECT_API_URL": f"http://me:it%27s%20a%3Asecret@{server}/api"}
    assert ask(within, "/a", {}) == BASIC


@pytest.mark.parametrize(
    ("login", "words"),
    [
        ({}, "asks for a login"),
        ({"PREFECT_API_AUTH_STRING": "me:other"}, "refuses the login"),
    ],
)
def test_a_login_that_is_wrong_or_lacks_is_named(
    server: str, login: dict[str, str], words: str
) -> None:
    with pytest.raises(StorageError, match=words) as caught:
        ask({"PREFECT_API_URL": f"http://u:pass@{server}/api", **login}, "/a", {})
    assert "PREFECT_API_AUTH_STRING" in str(caught.value)
    assert "pass@" not in str(caught.value) and "other" not in str(caught.value)


def test_a_server_that_is_away_is_no_answer() -> None:
    assert ask({"PREFECT_API_URL": "http://127.0.0.1:9/api"}, "/health") is None
