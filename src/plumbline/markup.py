"""Text from the data on its way into other programs' pages: it is shown there, and never runs."""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Sequence

# what Markdown or HTML would give a meaning to; a dot before a letter may make a link
MARKS = re.compile(r"""[!"#$&'*+:<>?@\[\\\]^_`{|}~-]|\.(?=[A-Za-z])""")
CODE = re.compile(r"[\w .,;/()=+%-]+")  # may stand between backticks


def policy(scripts: Sequence[str] = ()) -> str:
    """A Content-Security-Policy as a `<meta>` element, the first of a page's head.

    Nothing is fetched, and no script runs but those given: no handler, no `javascript:` link.

    Args:
        scripts: contents of the page's own script elements.
    """
    hashes = [base64.b64encode(hashlib.sha256(s.encode()).digest()).decode() for s in scripts]
    allowed = " ".join(f"'sha256-{digest}'" for digest in hashes) or "'none'"
    rules = (
        f"default-src 'none'; script-src {allowed}; style-src 'unsafe-inline'; img-src data: blob:;"
        " font-src data:; base-uri 'none'; form-action 'none'"
    )
    return f'<meta http-equiv="Content-Security-Policy" content="{rules}">'


def markdown(text: str) -> str:
    """A text as Markdown that shows it as it is, on one line."""
    line = " ".join(text.split())
    return MARKS.sub(lambda result: f"&#{ord(result.group())};", line)


def markdown_backslashed(text: str) -> str:
    """As `markdown`, for Prefect's interface: it shows `&#95;` as it is."""
    return MARKS.sub(r"\\\g<0>", " ".join(text.split()))


def markdown_code(text: str) -> str:
    """A name as Markdown code; as plain text where it holds what could end the code."""
    return f"`{text}`" if CODE.fullmatch(text) and text == text.strip() else markdown(text)
