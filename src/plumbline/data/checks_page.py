"""Great Expectations' own page of the results, made self-contained."""

from __future__ import annotations

import re
from typing import Any

from plumbline.data.checks import Outcome

STYLE = """<style>
body { font: 15px/1.5 system-ui, sans-serif; margin: 2rem auto; max-width: 70rem; padding: 0 1rem;
       color: #1a1a1a; background: #fff; }
table { border-collapse: collapse; width: 100%; margin: .5rem 0 1.5rem; }
th, td { border: 1px solid #d5d5d5; padding: .35rem .6rem; text-align: left; vertical-align: top; }
th { background: #f4f4f4; } h1, h2, h3, h4, h5 { line-height: 1.25; }
.badge { display: inline-block; background: #eef; border-radius: .25rem; padding: 0 .35rem; }
.text-success, .fa-check-circle { color: #00734d; } .text-danger, .fa-times { color: #b3261e; }
.fa-check-circle::before { content: "✔ "; } .fa-times::before { content: "✘ "; }
.list-unstyled, .nav { list-style: none; padding-left: 0; }
.sticky, .modal, .popover, #footer, .footer, footer { display: none; }
@media (prefers-color-scheme: dark) { body { background: #16181c; color: #e6e6e6; }
  th { background: #24272d; } th, td { border-color: #3a3e45; } .badge { background: #2b3040; } }
</style>"""


def results_page(outcomes: list[Outcome], rows: int) -> str:
    """The HTML of the library's renderers; nothing in it is fetched from elsewhere."""
    from great_expectations.core import (
        ExpectationSuiteValidationResult,
        ExpectationValidationResult,
    )
    from great_expectations.expectations.expectation_configuration import (
        ExpectationConfiguration,
    )
    from great_expectations.render.renderer import ValidationResultsPageRenderer
    from great_expectations.render.view import DefaultJinjaPageView

    results = [
        ExpectationValidationResult(
            success=outcome.success,
            expectation_config=ExpectationConfiguration(
                type=outcome.expectation,
                kwargs=dict(outcome.kwargs),
                meta={"notes": f"severity: {outcome.severity}"},
            ),
            result=_result(outcome),
            exception_info={
                "raised_exception": False,
                "exception_message": None,
                "exception_traceback": None,
            },
        )
        for outcome in outcomes
    ]
    good = sum(o.success for o in outcomes)
    whole = ExpectationSuiteValidationResult(
        success=good == len(outcomes),
        results=results,
        suite_name="expectations.yaml",
        suite_parameters={},
        statistics={
            "evaluated_expectations": len(outcomes),
            "successful_expectations": good,
            "unsuccessful_expectations": len(outcomes) - good,
            "success_percent": 100.0 * good / max(1, len(outcomes)),
        },
        meta={"active_batch_definition": {}, "batch_spec": {}, "run_id": {}, "rows": rows},
    )
    document = ValidationResultsPageRenderer(run_info_at_end=True).render(whole)
    return contained(DefaultJinjaPageView().render(document))


def _result(outcome: Outcome) -> dict[str, Any]:
    if outcome.check is None:
        return {"observed_value": outcome.observed}
    there = max(outcome.rows - outcome.missing, 1)
    return {
        "element_count": outcome.rows,
        "missing_count": outcome.missing,
        "missing_percent": 100.0 * outcome.missing / max(outcome.rows, 1),
        "unexpected_count": outcome.unexpected,
        "unexpected_percent": 100.0 * outcome.unexpected / max(outcome.rows, 1),
        "unexpected_percent_nonmissing": 100.0 * outcome.unexpected / there,
        "partial_unexpected_list": outcome.examples,
    }


def contained(html: str) -> str:
    """The page without scripts, remote styles and pictures, and so the same bytes every time."""
    html = re.sub(r"<script\b.*?</script>", "", html, flags=re.S)
    html = re.sub(r"<link\b[^>]*>", "", html)
    html = re.sub(r"<img\b[^>]*>", "", html)
    html = re.sub(r"""href=["']https?:[^"']*["']""", "", html)
    html = re.sub(
        r"""\b(id|href|data-target|aria-[a-z]+)=["']#?[^"']*[0-9a-f-]{32,}[^"']*["']""", "", html
    )
    return html.replace("</head>", f"{STYLE}</head>", 1)
