"""The page of validation results: whole by itself, and the data's texts stay texts."""

from __future__ import annotations

from html.parser import HTMLParser

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from plumbline.data.checks import CheckResult
from plumbline.data.checks_page import results_page
from plumbline.data.column_checks import Check

# of Great Expectations' own imports
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::UserWarning")
HOSTILE = [
    "<img src=x onerror=alert(1)>",
    "</td><script>alert(1)</script>",
    "$x ${y} $$ $PARAMETER",
    "{{ 7 * 7 }} {% raw %}",
    "\" onload='a' &amp; &lt;",
    "\ue0000000000\ue001",
    "a\nb\tc",
    "Overview",
]


class Read(HTMLParser):
    """Elements, their attributes and the texts of a page."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.texts: list[str] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag == "bdi":
            self.texts.append("")

    def handle_data(self, data: str) -> None:
        if self.texts:
            self.texts[-1] += data

    def handle_endtag(self, tag: str) -> None:
        if tag == "bdi":
            self.texts.append("")


def outcomes(names: list[str]) -> list[CheckResult]:
    """Failed and met expectations of columns with these names and values."""
    result = [
        CheckResult(
            column="",
            expectation="expect_table_columns_to_match_set",
            severity="warning",
            kwargs={"column_set": names},
            success=True,
            observed="as described",
            rows=9,
        )
    ]
    for name in names:
        kwargs = {"column": name, "value_set": [name, 1, True]}
        check = Check(
            column=name,
            expectation="expect_column_values_to_be_in_set",
            severity="critical",
            kwargs=kwargs,
            broken=None,  # type: ignore[arg-type]
        )
        result.append(
            CheckResult(
                column=name,
                expectation=check.expectation,
                severity="critical",
                kwargs=kwargs,
                success=False,
                observed="1 of 9",
                rows=9,
                unexpected=1,
                examples=[name],
                check=check,
            )
        )
    return result


@pytest.mark.parametrize("names", [["age", "city"], HOSTILE])
def test_nothing_on_the_page_leads_out_of_it(names: list[str]) -> None:
    page = results_page(outcomes(names), 9)
    elements = Read(page).elements
    ids = {a["id"] for _, a in elements if a.get("id")}
    links = [a["href"] for tag, a in elements if tag == "a"]
    assert links and all(link and link[1:] in ids for link in links)
    assert not [a for _, a in elements if {"src", "style", "onclick"} & set(a)]
    assert not {"script", "img", "link", "iframe", "input"} & {tag for tag, _ in elements}
    assert "url(" not in page and "https:" not in page
    assert any("default-src 'none'" in (a.get("content") or "") for _, a in elements)


def test_it_says_what_was_asked_and_what_came() -> None:
    page = results_page(outcomes(["age", "city"]), 1234)
    assert "1,234 rows" in page and "1 of 3 met" in page
    assert page.count("✘ failed</span></li>") == 2 and "1 unexpected value" in page
    assert "None" not in page and "__none__" not in page and "Home" not in page


@settings(max_examples=20, deadline=None)
@given(st.lists(st.text(min_size=1, max_size=20), min_size=1, max_size=4, unique=True))
def test_names_and_values_are_shown_as_they_are(names: list[str]) -> None:
    names = [name for name in names if "\r" not in name and "\0" not in name]
    shown = Read(results_page(outcomes(names), 9)).texts
    for name in names:  # heading, contents, value, example
        assert shown.count(name) >= 4


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_names_are_shown_as_they_are(name: str) -> None:
    assert Read(results_page(outcomes([name]), 9)).texts.count(name) >= 4


def test_columns_keep_the_order_of_the_data_and_the_bytes_are_the_same() -> None:
    page = results_page(outcomes(["zebra", "apple"]), 9)
    assert page.index("<h2><bdi>zebra") < page.index("<h2><bdi>apple")
    assert page == results_page(outcomes(["zebra", "apple"]), 9)
