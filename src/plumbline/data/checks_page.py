"""Great Expectations' renderings of the results, on a page that needs nothing beside it."""

from __future__ import annotations

import re
from html import escape
from typing import Any

from plumbline.data.checks import CheckResult
from plumbline.markup import policy

STYLE = """
:root { color-scheme: light dark; }
body { font: 15px/1.5 system-ui, sans-serif; margin: 2rem auto; max-width: 60rem; padding: 0 1rem;
       color: #1a1a1a; background: #fff; overflow-wrap: anywhere; }
table { border-collapse: collapse; width: 100%; margin: .5rem 0 1.5rem; }
th, td { border: 1px solid #d5d5d5; padding: .35rem .6rem; text-align: left; vertical-align: top; }
th { background: #f4f4f4; } td:first-child { white-space: nowrap; }
h1, h2 { line-height: 1.25; } h2 { font-size: 1.15rem; margin: 2rem 0 0; }
a { color: #00588f; } a:focus-visible { outline: 2px solid; }
nav ul { columns: 14rem; padding-left: 1.2rem; }
.badge { background: #eef; border-radius: .25rem; padding: 0 .35rem; }
.good, .text-success { color: #00734d; } .bad, .text-danger { color: #b3261e; }
.fa-check-circle::before { content: "✔ met"; font-style: normal; }
.fa-times::before { content: "✘ failed"; font-style: normal; }
.fa-exclamation-triangle::before { content: "! not evaluated"; font-style: normal; }
@media (prefers-color-scheme: dark) { body { background: #16181c; color: #e6e6e6; }
  th { background: #24272d; } th, td { border-color: #3a3e45; } .badge { background: #2b3040; }
  a { color: #86c0ee; } .good, .text-success { color: #62d0a5; }
  .bad, .text-danger { color: #ff9483; } }
"""
OWN_WORDS = ("ignore_row_if",)  # arguments whose texts are the library's, not the data's
NOT_SHOWN = ("Overview", "Run Info")  # of a run within the library, which this is not
# for the library's own scripts and styles, which are not here
ATTRIBUTES = re.compile(r"""\s(?:id|style|data-[\w-]+|on\w+|href|aria-[\w]+)=(?:"[^"]*"|'[^']*')""")
TOKEN = re.compile("\ue000(\\d+)\ue001")


def results_page(outcomes: list[CheckResult], rows: int) -> str:
    """The HTML of the library's renderers, a section per column; nothing is fetched and nothing
    runs (Content-Security-Policy). The same outcomes give the same bytes."""
    texts = _Texts()
    sections = _sections([_result(outcome, texts) for outcome in outcomes])
    good = sum(o.success for o in outcomes)
    state = "good" if good == len(outcomes) else "bad"
    entries, bodies = [], []
    for i, (title, body) in enumerate(sections, start=1):
        mark = ' <span class="bad">✘ failed</span>' if "text-danger" in body else ""
        entries.append(f'<li><a href="#s{i}">{title}</a>{mark}</li>')
        bodies.append(f'<section id="s{i}"><h2>{title}</h2>{body}</section>')
    page = f"""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
{policy()}
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Validation results</title>
<style>{STYLE}</style>
</head>
<body>
<h1>Validation results</h1>
<p>The expectations of <code>expectations.yaml</code> over {rows:,} rows, by Great Expectations:
<b class="{state}">{good:,} of {len(outcomes):,} met</b>.</p>
<nav aria-label="Columns"><ul>
{"".join(entries)}
</ul></nav>
{"".join(bodies)}
</body>
</html>
"""
    return texts.put_back(page)


class _Texts:
    """Texts of the data, kept out of the library's templates, which read some of them as markup
    or as variables: a token goes in for each, and the escaped text comes back at the end."""

    def __init__(self) -> None:
        self.known: dict[str, int] = {}

    def token(self, value: Any) -> Any:
        """The value with a token for each text in it; tokens sort as the texts came."""
        if isinstance(value, str):
            return f"\ue000{self.known.setdefault(value, len(self.known)):07d}\ue001"
        if isinstance(value, list | tuple | set | frozenset):
            return [self.token(one) for one in value]
        return value

    def put_back(self, html: str) -> str:
        texts = [f"<bdi>{escape(text)}</bdi>" for text in self.known]
        return TOKEN.sub(lambda parts: texts[int(parts[1])], html)


def _sections(results: list[Any]) -> list[tuple[str, str]]:
    """The library's sections: (title, body), both markup, columns in the order of the file."""
    from great_expectations.core import ExpectationSuiteValidationResult
    from great_expectations.render.renderer import ValidationResultsPageRenderer
    from great_expectations.render.view.view import DefaultJinjaComponentView

    suite = ExpectationSuiteValidationResult(
        success=all(result.success for result in results),
        results=results,
        suite_name="expectations",
        suite_parameters={},
        statistics={
            "evaluated_expectations": 0,
            "successful_expectations": 0,
            "unsuccessful_expectations": 0,
            "success_percent": None,
        },
        meta={"active_batch_definition": {}, "batch_spec": {}, "run_id": {}},
    )
    document = ValidationResultsPageRenderer(run_info_at_end=True).render(suite).to_json_dict()
    view = DefaultJinjaComponentView()
    parts = []
    for section in document["sections"]:
        title = section["section_name"]
        if title in NOT_SHOWN:
            continue
        blocks = section["content_blocks"][1:]  # the first is the title
        body = "".join(view.render({"content_block": block}) for block in blocks)
        parts.append((title, ATTRIBUTES.sub("", body)))
    return parts


def _result(outcome: CheckResult, texts: _Texts) -> Any:
    from great_expectations.core import ExpectationValidationResult
    from great_expectations.expectations.expectation_configuration import (
        ExpectationConfiguration,
    )

    kwargs = {k: v if k in OWN_WORDS else texts.token(v) for k, v in outcome.kwargs.items()}
    return ExpectationValidationResult(
        success=outcome.success,
        expectation_config=ExpectationConfiguration(type=outcome.expectation, kwargs=kwargs),
        result=_observed(outcome, texts),
        exception_info={
            "raised_exception": False,
            "exception_message": None,
            "exception_traceback": None,
        },
    )


def _observed(outcome: CheckResult, texts: _Texts) -> dict[str, Any]:
    if outcome.check is None:
        return {"observed_value": texts.token(outcome.observed)}
    there = max(outcome.rows - outcome.missing, 1)
    return {
        "element_count": outcome.rows,
        "missing_count": outcome.missing,
        "missing_percent": 100.0 * outcome.missing / max(outcome.rows, 1),
        "unexpected_count": outcome.unexpected,
        "unexpected_percent": 100.0 * outcome.unexpected / max(outcome.rows, 1),
        "unexpected_percent_nonmissing": 100.0 * outcome.unexpected / there,
        "partial_unexpected_list": texts.token(outcome.examples),
    }
