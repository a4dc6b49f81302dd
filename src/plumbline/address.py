"""Addresses of servers and databases: checked before use, shown without what opens them.

Whoever prints an address, or a message that may hold one, does so through `shown` or `hidden`.
What cannot be read as an address is shown without anything that might be a password.
"""

from __future__ import annotations

import re
from urllib.parse import unquote

SCHEME = re.compile(r"(?i)\b(?!sqlite:///|file:///)([a-z][a-z0-9+.-]*)://")
SECRET = re.compile(
    r"(?i)((?:pass(?:word|wd)?|pwd|token|secret|(?:api|access|secret)_?key|signature)=)[^&\s]+"
)
# user and password percent-encoded, a port of digits, and nothing that only looks like an address
WHOLE = re.compile(
    r"""(?ix) [a-z][a-z0-9+.-]*://
    (?: [^@/?\#\s'"\[\]\\]* @ )?
    (?: [^@/?\#\s'"\[\]\\:]* | \[[0-9a-f:.]+\] ) (?: :\d{1,5} )?
    (?: /[^@?\#\s'"\\]* )? (?: \?[^@\#\s'"\\]* )?"""
)
NO_DETAILS = "no details, which would show the credentials"


def shown(text: str) -> str:
    """A text without the user, password and secret parameters of the addresses in it.

    From `://` to the last `@` of the line all is left out, since a password may hold anything.
    """
    return "\n".join(_shown(line) for line in text.split("\n"))


def _shown(line: str) -> str:
    match = SCHEME.search(line)
    if match:
        before, rest = line[: match.end()], line[match.end() :]
        line = before + rest.rpartition("@")[2]
    return SECRET.sub(r"\1…", line)


def hidden(message: str, address: str) -> str:
    """What a library says of an address, unless it repeats a part of its credentials."""
    if any(piece in message for piece in _pieces(address)):
        return NO_DETAILS
    return shown(message)


def _pieces(address: str) -> set[str]:
    """Parts of user, password and query that a message could hold, as written and decoded."""
    _, opened, rest = address.rpartition("://")
    if not opened:
        rest = address
    user, at, host = rest.rpartition("@")
    query = host.partition("?")[2]
    secrets = [*([user] if at else []), *re.findall(r"=([^&]*)", query)]
    written = [form for secret in secrets for form in (secret, unquote(secret))]
    parts = [part for form in written for part in [form, *re.split(r"[^A-Za-z0-9]+", form)]]
    return {part for part in parts if len(part) > 2}


def is_whole(address: str) -> bool:
    """Whether an address reads in one way only; a path without `://` does."""
    if address.startswith(("sqlite:///", "file:///")):
        return True
    if SCHEME.match(address) is None:
        return "@" not in address
    return WHOLE.fullmatch(address) is not None


def has_password(address: str) -> bool:
    """Whether an address holds a password, or may: what does not read in one way may."""
    if not is_whole(address) or SECRET.search(address):
        return True
    if address.startswith(("sqlite:///", "file:///")):
        return False
    return ":" in address.partition("://")[2].rpartition("@")[0]
