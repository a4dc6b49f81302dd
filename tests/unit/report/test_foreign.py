"""Another program's SVG inside the page: shapes and texts, nothing that acts or fetches."""

from __future__ import annotations

import pytest
from tests.unit.report.sample import write_sample

from plumbline.report.foreign import inline_svg
from plumbline.report.page import TEMPLATES
from plumbline.report.split_figure import COLOURS

HEAD = '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 9 9" width="9" height="9">'


def test_shapes_and_texts_are_kept() -> None:
    kept = inline_svg(f'{HEAD}<g><rect x="1" fill="#fff"/><text x="2">a &lt; b</text></g></svg>')
    assert kept is not None
    assert '<rect x="1" fill="#fff"></rect>' in kept and "a &lt; b" in kept
    assert 'viewBox="0 0 9 9"' in kept and "width" not in kept


@pytest.mark.parametrize(
    "inner",
    [
        "<script>alert(1)</script>",
        '<rect onload="alert(1)"/>',
        '<a href="javascript:alert(1)"><rect/></a>',
        '<image href="http://example.org/x.png"/>',
        '<use href="http://example.org/x.svg#a"/>',
        '<rect style="fill:url(http://example.org)"/>',
        '<rect fill="url(http://example.org/#a)"/>',
        "<style>@import 'http://example.org'</style>",
        "<foreignObject><iframe src='http://example.org'/></foreignObject>",
        '<animate attributeName="href" to="javascript:alert(1)"/>',
    ],
)
def test_what_acts_or_fetches_is_left_out(inner: str) -> None:
    kept = inline_svg(f"{HEAD}{inner}<rect x='3'/></svg>")
    assert kept is not None and '<rect x="3">' in kept
    for word in ("alert", "example.org", "script", "onload", "iframe", "import"):
        assert word not in kept


@pytest.mark.parametrize(
    "source",
    [
        None,
        "",
        "no xml",
        "<html></html>",
        HEAD,
        f'<!DOCTYPE svg [<!ENTITY a "b">]>{HEAD}&a;</svg>',
        f"{HEAD}{'<rect/>' * 100_000}</svg>",
    ],
)
def test_what_is_no_plain_svg_is_refused(source: str | None) -> None:
    assert inline_svg(source) is None


def test_the_split_figure_is_kept_whole_and_recoloured(tmp_path) -> None:
    source = (write_sample(tmp_path) / "split" / "split.svg").read_text()
    kept = inline_svg(source)
    assert kept is not None
    for tag in ("<rect", "<text"):
        assert kept.count(tag) == source.count(tag)
    style = (TEMPLATES / "page.css").read_text()
    for colour in COLOURS:
        assert f'.foreign [fill="{colour}"]' in style  # so that dark pages can show it
