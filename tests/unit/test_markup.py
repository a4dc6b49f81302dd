"""Text for other programs' pages: it reads the same, and means nothing to them."""

from __future__ import annotations

import re

from hypothesis import example, given
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from plumbline.markup import markdown, markdown_backslashed, markdown_code

TEXT = st.text(
    alphabet=st.sampled_from("ab1 .,:;!?<>&\"'`*_{}[]()#+-|~@\\/=$%^\n\té中"), max_size=30
)


def shown(text: str) -> str:
    """What a viewer that knows tables, strikethrough and HTML shows, tags and all."""
    return MarkdownIt("gfm-like", {"html": True, "linkify": False}).render(f"x {text} y").strip()


def escaped(text: str) -> str:
    line = " ".join(text.split())
    for mark, entity in (("&", "&amp;"), ("<", "&lt;"), (">", "&gt;"), ('"', "&quot;")):
        line = line.replace(mark, entity)
    return line


@given(text=TEXT)
@example("[x](javascript:y) ![x](y) <b>**b**</b> ~~s~~ `c` a_b_ \\* | --- |")
def test_markdown_shows_a_text_as_it_is(text: str) -> None:
    assert re.sub(r" +", " ", shown(markdown(text))) == re.sub(
        r" +", " ", f"<p>x {escaped(text)} y</p>"
    )


@given(text=TEXT)
@example("[x](javascript:y) ![x](y) <b>**b**</b> ~~s~~ `c` a_b_ \\* | --- | &lt; https://a.b")
def test_so_does_text_with_backslashes(text: str) -> None:
    assert re.sub(r" +", " ", shown(markdown_backslashed(text))) == re.sub(
        r" +", " ", f"<p>x {escaped(text)} y</p>"
    )


@given(text=TEXT)
def test_a_name_is_code_or_plain(text: str) -> None:
    plain = re.sub(r"</?code>", "", shown(markdown_code(text)))
    assert re.sub(r" +", " ", plain) == re.sub(r" +", " ", f"<p>x {escaped(text)} y</p>")
