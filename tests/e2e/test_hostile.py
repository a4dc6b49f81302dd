"""What the data hold never runs in a page that we write, though someone sent it to run there."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from markdown_it import MarkdownIt
from pipelines.training import _result
from tests import records
from tests.e2e.browser import Browser
from tests.unit.report.sample import config, write_sample

from plumbline.artifacts import (
    LeakageResult,
    ParityResult,
    Registered,
    ValidationResult,
    to_json,
)
from plumbline.config.evaluation import CardConfig
from plumbline.data.checks import CheckResult
from plumbline.data.checks_page import results_page
from plumbline.evaluation.drift import ColumnPair, compare
from plumbline.files import write_json
from plumbline.kinds import ColumnType
from plumbline.report.page import render
from plumbline.report.read import Reports
from plumbline.store.card import CardSource, model_card

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),  # of Great Expectations' imports
]
HOSTILE = [
    "<script>top.ran=1</script>",
    "</script><script>top.ran=1</script>",
    "<!--<script>top.ran=1</script>",
    "<img src=x onerror=top.ran=1>",
    '"><svg onload=top.ran=1>',
    "' onfocus='top.ran=1' autofocus='",
    "<a href='javascript:top.ran=1' id=lure>x</a>",
    "[x](javascript:top.ran=1) ![x](x) <https://lure.example> https://lure.example",
    "{{ 7*7 }} ${top.ran=1} $PARAMETER $$styling %{x} <%= 1 %>",
    "</style><style>*{display:none!important}</style>",
    "</title></head><body onload=top.ran=1>",
    "<iframe srcdoc='<script>parent.ran=1</script>'></iframe>",
    "<base href=//lure.example><form action=//lure.example><input autofocus onfocus=top.ran=1>",
    "`<img src=x onerror=top.ran=1>` ``| --- |",
    "x\u2028top.ran=1;//",
    "';top.ran=1;//",
    '";top.ran=1;//',
]
# handlers, scripts and links that come from the texts above, and whether one of them ran
LIVE = """[...document.querySelectorAll('*')].filter(e =>
    [...e.attributes].some(a => (/^on/i.test(a.name) || /^(href|src|srcdoc|action)$/.test(a.name))
        && /ran=1|lure|^x$/.test(a.value))
    || (e.tagName == 'SCRIPT' && e.type != 'application/json' && /^top.ran/.test(e.text))
    || e.id == 'lure' || e.tagName == 'IFRAME' || e.tagName == 'BASE'
    || (e.tagName == 'STYLE' && /^\\*\\{display/.test(e.textContent))
).map(e => e.outerHTML.slice(0, 200))"""


def own_page(folder: Path) -> str:
    write_sample(folder, "multiclass", classes=HOSTILE, columns=HOSTILE)
    made = config("multiclass", target=HOSTILE[0], path=f"data/{HOSTILE[3]}")
    made = made.replace({"report.title": HOSTILE[1], "data.name": "hostile"})
    return render(made, Reports(folder))


def drift_page(folder: Path) -> str:
    words = pl.Series(HOSTILE * 20)
    numbers = pl.Series([float(i) for i in range(len(words))])
    names = [" ".join(HOSTILE[i::5]) for i in range(5)]
    pairs = {
        name: ColumnPair(type=ColumnType.CATEGORY, reference=words, current=words.reverse())
        if i % 2
        else ColumnPair(type=ColumnType.NUMBER, reference=numbers, current=numbers + 5)
        for i, name in enumerate(names)
    }
    return compare(pairs, method="auto", threshold=None)[1]


def checks_page(folder: Path) -> str:
    wanted: dict[str, dict[str, Any]] = {
        "expect_column_values_to_not_be_null": {},
        "expect_column_values_to_be_in_set": {"value_set": HOSTILE},
        "expect_column_values_to_match_regex": {"regex": HOSTILE[3]},
        "expect_column_values_to_be_between": {"min_value": 0, "max_value": 1},
    }
    return results_page(
        [
            CheckResult(
                column=column,
                expectation=name,
                severity="critical",
                kwargs={"column": column, **kwargs},
                success=False,
                observed=HOSTILE[0],
                rows=100,
                unexpected=len(HOSTILE),
                examples=HOSTILE,
            )
            for column in HOSTILE
            for name, kwargs in wanted.items()
        ],
        rows=100,
    )


def card(folder: Path) -> str:
    source = CardSource(
        name=HOSTILE[0],
        target=HOSTILE[3],
        owner=CardConfig(intended_use=HOSTILE[0], ethics=" ".join(HOSTILE), contact=HOSTILE[7]),
        split={
            "method": HOSTILE[1],
            "parts": {"train": {"rows": 9, "target": dict.fromkeys(HOSTILE, 1)}},
        },
        contract={
            "task": "multiclass",
            "classes": HOSTILE,
            "inputs": {"num": {"sources": HOSTILE[:8]}, "cat": {"sources": HOSTILE[8:]}},
        },
        architecture=records.architecture(),
        training=records.training(HOSTILE[3], values={HOSTILE[0]: HOSTILE[4]}),
        metrics=records.metrics(test={"accuracy": 0.9}),
        comparison=records.comparison("accuracy", " ".join(HOSTILE)),
        slices=records.slices(
            "accuracy",
            *(
                {
                    "column": one,
                    "value": one,
                    "worse": True,
                    "score": 0.1,
                    "rows": 9,
                    "loss": {"name": "log_loss", "model": 0.9, "reference": 0.1},
                }
                for one in HOSTILE
            ),
        ),
        leakage=records.leakage(*({"check": one, "columns": [one]} for one in HOSTILE)),
        drift=records.drift(dict.fromkeys(HOSTILE, True)),
        lineage={
            **dict.fromkeys(("git_commit", "data", "fit_seconds", "libraries"), HOSTILE[13]),
            **dict.fromkeys(("user", "fitted_at", "device"), HOSTILE[0]),
        },
    )
    return rendered(model_card(source))


def artifact(folder: Path) -> str:
    made = [
        records.metrics(
            test={"accuracy": 0.9}, baselines={name: {"accuracy": 0.8} for name in HOSTILE}
        ),
        records.comparison("accuracy"),
        ValidationResult(success=True, evaluated=1, rows=9, failed=[]),
        LeakageResult(clean=False, findings=[{"check": one} for one in HOSTILE]),
        records.drift(dict.fromkeys(HOSTILE, True)),
        ParityResult(rows=9, max_difference=0.0, tolerance=1e-4, passed=True, unit="", batches={}),
        Registered(
            model=HOSTILE[0],
            version="1",
            run_id="c0ffee",
            decision="first",
            reasons=HOSTILE,
            alias="champion",
            lineage={},
            history=[],
        ),
    ]
    for record in made:
        write_json(folder / record.FILE, to_json(record))
    return rendered(_result(folder))


def rendered(text: str) -> str:
    """As by a viewer that lets HTML through and makes links of addresses."""
    return MarkdownIt("gfm-like", {"html": True, "linkify": False}).render(text)


PAGES: dict[str, Callable[[Path], str]] = {
    "own": own_page,
    "drift": drift_page,
    "checks": checks_page,
    "card": card,
    "artifact": artifact,
}


@pytest.fixture(scope="module")
def page(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("pages") / f"{request.param}.html"
    file.write_text(PAGES[request.param](file.parent), encoding="utf-8")
    return file


@pytest.mark.parametrize("page", PAGES, indirect=True)
def test_nothing_that_the_data_hold_runs(browser: Browser, page: Path) -> None:
    browser.open(page, 1280)
    if page.stem == "drift":  # drawn by its own scripts
        browser.wait("document.querySelector('.js-plotly-plot .main-svg')")
    browser.ask("document.querySelectorAll('*').forEach(e => { try { e.focus() } catch (_) {} })")
    browser.ask("new Promise(done => setTimeout(done, 100))")
    assert browser.ask("window.ran") is None
    assert browser.ask(LIVE) == []
    assert "ran=1" in browser.ask("document.body.innerText")  # shown as text
    refused = [e["params"]["entry"]["text"] for e in browser.events if "entry" in e["params"]]
    assert refused == []


@pytest.mark.parametrize("page", ["own", "drift", "checks"], indirect=True)
def test_a_page_lets_no_script_of_others_run(browser: Browser, page: Path) -> None:
    """Even where one came to stand in it."""
    text = page.read_text(encoding="utf-8")
    planted = "<img src=x onerror=top.ran=1><script>top.ran=1</script>"
    file = page.with_name("planted.html")
    file.write_text(re.sub("<body[^>]*>", rf"\g<0>{planted}", text, count=1), encoding="utf-8")
    browser.open(file, 1280)
    assert browser.ask("document.querySelector('img[onerror]') !== null")
    assert browser.ask("window.ran") is None
