"""Evidently's page, made safe to open and small: its own scripts run, and nothing that the data
hold does. The scripts, 4 MB for a small table, stand in it compressed."""

from __future__ import annotations

import base64
import json
import re
import zlib
from typing import Any

from plumbline.markup import policy

UUID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}|(?<=metric_)[0-9a-f]{32}")
DATA = re.compile(r"var (?:metric|additional_graphs_metric)_[0-9a-f]{32} = ")
SCRIPT = re.compile(r"<script>(.*?)</script>", re.DOTALL)
PACKED = "application/gzip"
GZIP = 16 + zlib.MAX_WBITS
# runs each packed script, in their order, by the browser's own DecompressionStream
UNPACK = """
(async () => {
  if (!window.DecompressionStream) throw new Error("no DecompressionStream");
  for (const packed of document.querySelectorAll('script[type="application/gzip"]')) {
    const bytes = Uint8Array.from(atob(packed.textContent), (one) => one.charCodeAt(0));
    const unpacked = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
    const script = document.createElement("script");
    script.textContent = await new Response(unpacked).text();
    packed.replaceWith(script);
  }
})().catch((error) => {
  document.body.prepend(`This page needs a browser of May 2023 or later: ${error.message}`);
});
"""
# Plotly reads tags in texts; of those that are not Evidently's own the bracket is replaced
TAG = re.compile(r"<(?=[A-Za-z/!?])(?!/?(?:b|br|i|em|sub|sup|extra) ?/?>)")
IN_SCRIPT = {"<": "\\u003c", ">": "\\u003e", "&": "\\u0026"}
NOTHING = (
    f'<!DOCTYPE html><html lang="en"><head>{policy()}<title>Drift, by Evidently</title></head>'
    "<body><p>No column has values on both sides.</p></body></html>\n"
)


def sealed(page: str) -> str:
    """The page with its data escaped for the script that they stand in, and a policy by which
    only the page's own scripts run.

    Its random identifiers are numbered: the same rows give the same bytes.
    """
    before, data, after = _parts(_settled(page))
    own = [data, *SCRIPT.findall(after), UNPACK]
    head = before.replace("<head>", f"<head>{policy(own)}<title>Drift, by Evidently</title>", 1)
    assert head != before, "Evidently's page has no head"
    packed = SCRIPT.sub(lambda script: _packed(script.group(1)), after)
    page, end, rest = packed.rpartition("</body>")
    assert end, "Evidently's page has no body"
    return f"{head.lstrip()}{_packed(data)}{page}<script>{UNPACK}</script>{end}{rest}"


def _packed(script: str) -> str:
    """A script element that does nothing until it is unpacked."""
    gzip = zlib.compressobj(9, zlib.DEFLATED, GZIP)
    content = gzip.compress(script.encode()) + gzip.flush()
    return f'<script type="{PACKED}">{base64.b64encode(content).decode()}</script>'


def _parts(page: str) -> tuple[str, str, str]:
    """What stands before the script with the data, its content escaped, and what follows.

    The data are parsed to find their end: they may hold the words that end a script.
    """
    before, opening, rest = page.partition("<script>")
    assert opening, "Evidently's page has no script"
    data, position = "", 0
    for _ in ("dashboard", "additional graphs"):
        start = DATA.search(rest, position)
        assert start, "Evidently's page holds its data in another way"
        content, position = json.JSONDecoder().raw_decode(rest, start.end())
        text = json.dumps(_shown(content))
        data += start.group() + re.sub("[<>&]", lambda mark: IN_SCRIPT[mark.group()], text) + ";\n"
    _, closing, after = rest[position:].partition("</script>")
    assert closing, "Evidently's page does not end its data"
    return before, data, after


def _shown(value: Any) -> Any:
    if isinstance(value, str):
        return TAG.sub("‹", value)
    if isinstance(value, dict):
        return {key: _shown(one) for key, one in value.items()}
    if isinstance(value, list):
        return [_shown(one) for one in value]
    return value


def _settled(page: str) -> str:
    numbers: dict[str, str] = {}
    return UUID.sub(
        lambda result: numbers.setdefault(result.group(), f"{len(numbers):032d}"),
        page,
    )
