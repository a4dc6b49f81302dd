"""The page: whole, self-contained, escaped, bounded, and never in the way of a broken report."""

from __future__ import annotations

import html.parser
import json
import re
import shutil
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from tests.unit.report.sample import config, write_sample

from plumbline.report.page import render
from plumbline.report.read import Reports

CURVES = ("roc", "pr", "baseline_roc", "baseline_pr", "calibration", "confusion")
TASKS = ("binary", "multiclass", "regression")
PAGES = {"validation/index.html", "drift/index.html", "validation/failing_rows.parquet"}
NOT_READ = {
    "binary": {*PAGES, "evaluation/predictions.parquet"},
    "multiclass": {*PAGES, "evaluation/predictions.parquet"},
    "regression": {*PAGES, *(f"evaluation/{n}.csv" for n in CURVES)},
}
ARIA = {"aria-hidden", "aria-label", "aria-labelledby"}  # as WAI-ARIA spells them
VOID = {"meta", "link", "br", "wbr", "hr", "img"}
HOSTILE = (
    "<script>alert(1)</script>",
    '"><img src=x onerror=alert(1)>',
    "' onmouseover='alert(1)",
    "</style><script>x</script>",
    "=cmd|' /C calc'!A0",
    "{{ 7 * 7 }}",
    "中文列名很长很长",
    "עמודה בעברית",
    "العمود",
    "a\x00b\x1bc",
    "&lt;already&gt;",
    "]]>",
    "\u202eright to left",
)


class Parsed(html.parser.HTMLParser):
    """Tags, attributes, headings, texts of a page; complains where tags do not nest."""

    def __init__(self, text: str) -> None:
        super().__init__(convert_charrefs=True)
        self.tags: Counter[str] = Counter()
        self.attributes: list[tuple[str, str, str]] = []
        self.headings: list[int] = []
        self.texts: list[str] = []
        self.open: list[str] = []
        self.feed(text)
        assert not self.open, self.open

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags[tag] += 1
        self.attributes += [(tag, name, value or "") for name, value in attrs]
        if re.fullmatch(r"h[1-6]", tag):
            self.headings.append(int(tag[1]))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags[tag] += 1
        self.attributes += [(tag, name, value or "") for name, value in attrs]

    def handle_endtag(self, tag: str) -> None:
        assert self.open and self.open[-1] == tag, (tag, self.open[-3:])
        self.open.pop()
        if tag not in ("bdi", "span", "b", "code"):
            self.texts.append(" ")

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] != "style":
            self.texts.append(data)

    @property
    def text(self) -> str:
        return re.sub(r"\s+", " ", "".join(self.texts))


def page(folder: Path, task: str = "binary", **data: object) -> str:
    return render(config(task, **data), Reports(folder))


@pytest.fixture(scope="module")
def samples(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    return {task: write_sample(tmp_path_factory.mktemp(task), task) for task in TASKS}


@pytest.fixture(params=TASKS)
def task(request: pytest.FixtureRequest) -> str:
    name: str = request.param
    return name


def test_every_section_in_order_with_how_to_read(samples: dict[str, Path], task: str) -> None:
    text = page(samples[task], task)
    ids = re.findall(r'<section id="([a-z]+)"', text)
    assert ids == [
        "verdict",
        "data",
        "split",
        "tuning",
        "architecture",
        "training",
        "evaluation",
        "explanations",
        "drift",
        "export",
        "lineage",
        "parameters",
    ]
    for section in text.split("<section ")[1:]:
        assert "How to read" in section
    assert "is not there" not in text  # the sample has every file


def test_nothing_is_fetched_and_nothing_runs(samples: dict[str, Path], task: str) -> None:
    parsed = Parsed(page(samples[task], task))
    assert not {"script", "img", "iframe", "object", "embed", "form", "foreignobject"} & set(
        parsed.tags
    )
    for tag, name, value in parsed.attributes:
        assert not name.startswith("on"), (tag, name)
        if name in ("href", "src", "xlink:href"):
            picture = tag == "image" and re.fullmatch(r"data:image/png;base64,[\w+/]+=*", value)
            own = (
                picture
                or value.startswith("#")
                or value
                in (
                    "data:,",
                    "validation/index.html",
                    "drift/index.html",
                )
            )
            assert own, (tag, name, value)
    style = page(samples[task], task).split("<style>")[1].split("</style>")[0]
    assert "url(" not in style and "@import" not in style
    policy = [v for _, n, v in parsed.attributes if n == "content" and "default-src" in v]
    assert policy and "default-src 'none'" in policy[0]


def test_headings_descend_one_by_one_and_drawings_are_named(
    samples: dict[str, Path], task: str
) -> None:
    text = page(samples[task], task)
    parsed = Parsed(text)
    assert parsed.headings[0] == 1 and parsed.headings.count(1) == 1
    for above, below in zip(parsed.headings, parsed.headings[1:], strict=False):
        assert below <= above + 1
    for drawing in re.findall(r"<figure.*?</figure>", text, re.S):
        assert "<figcaption>" in drawing
        if '<p class="words"' in drawing:
            continue
        openings = re.findall(r"<svg[^>]*>", drawing)
        assert len(openings) == 1 or '<ul class="pictures">' in drawing
        for opening in openings:
            assert 'role="img"' in opening and re.search(r'aria-label="[^"]{8,}"', opening)
    ids = re.findall(r' id="([^"]+)"', text)
    assert len(ids) == len(set(ids))
    for target in re.findall(r'(?:href="#|aria-labelledby=")([^"]+)"', text):
        assert target in ids
    assert {n for _, n, _ in parsed.attributes if n.startswith("aria-")} <= ARIA
    for section in re.findall(r"<section [^>]*>", text):
        assert "aria-labelledby=" in section


def test_the_same_reports_give_the_same_bytes(samples: dict[str, Path], task: str) -> None:
    assert page(samples[task], task) == page(samples[task], task)


@pytest.mark.parametrize(
    ("outperforms", "against", "says"),
    [
        (True, "better", "The deep model outperforms every baseline"),
        (False, "within noise", "is not significantly better than a simpler baseline"),
        (False, "worse", "is significantly worse than a simpler baseline"),
        (None, "unknown", "outperforms the baselines is not known"),
    ],
)
def test_the_verdict_comes_first_and_says_what_evaluation_found(
    samples: dict[str, Path], tmp_path: Path, outperforms: bool | None, against: str, says: str
) -> None:
    folder = shutil.copytree(samples["binary"], tmp_path / "reports")
    file = folder / "evaluation" / "verdict.json"
    verdict = json.loads(file.read_text())
    verdict["outperforms_baselines"] = outperforms
    verdict["baselines"]["linear"]["verdict"] = against
    file.write_text(json.dumps(verdict))
    text = page(folder)
    (heading,) = re.findall(r'<h2 id="h-verdict">.*?</h2>', text)
    assert says in heading
    lead = Parsed(text).text
    assert "the deep model's ROC AUC is 0.962 (95% interval 0.948 to 0.974)" in lead
    assert lead.index(says) < lead.index("Data and validation")


def test_gates_are_said_in_words(samples: dict[str, Path], tmp_path: Path) -> None:
    folder = shutil.copytree(samples["binary"], tmp_path / "reports")
    text = Parsed(page(folder)).text
    assert "validation passed with 1 warning leakage 1 finding" in text
    assert "ONNX parity passed" in text and "registry promoted" in text
    finding = {"check": "giveaway", "severity": "critical", "policy": "warn", "columns": ["x"]}
    (folder / "leakage.json").write_text(json.dumps({"clean": False, "findings": [finding]}))
    (folder / "parity.json").write_text(json.dumps({"passed": False, "rows": 3}))
    text = Parsed(page(folder)).text
    assert "leakage 1 finding, critical ONNX parity failed" in text


def test_training_says_where_parameters_overrule_the_search(
    samples: dict[str, Path], tmp_path: Path
) -> None:
    folder = shutil.copytree(samples["binary"], tmp_path / "reports")
    assert "overrules" not in page(folder)
    file = folder / "training" / "summary.json"
    summary = json.loads(file.read_text())
    summary["values"]["train.learning_rate"] = 0.5
    file.write_text(json.dumps(summary))
    text = page(folder)
    assert "params.yaml overrules the search" in text


def test_the_page_says_what_was_searched(samples: dict[str, Path], tmp_path: Path) -> None:
    folder = shutil.copytree(samples["binary"], tmp_path / "reports")
    text = Parsed(page(folder)).text
    assert "changed by +0.0120 ± 0.0050 over the same folds" in text
    assert "3 other trials are within one standard error of the best" in text
    (folder / "tuning" / "trials.csv").write_text("number,state,value\n")
    (folder / "tuning" / "summary.json").write_text('{"trials": 0, "values": {"model.width": 64}}')
    text = Parsed(page(folder)).text
    assert "No trial was run" in text
    assert "Default values parameter value model.width 64" in text


def test_what_outsiders_wrote_is_text_and_no_more(tmp_path: Path, task: str) -> None:
    classes = [] if task == "regression" else list(HOSTILE[:2] if task == "binary" else HOSTILE)
    folder = write_sample(tmp_path, task, classes=classes, columns=list(HOSTILE))
    for name in ("leakage.json", "register.json", "validation/result.json"):
        content = (folder / name).read_text()
        (folder / name).write_text(content.replace("warning", "<b onclick=x>warning</b>"))
    text = page(folder, task, target=HOSTILE[0], path=f"data/{HOSTILE[1]}")
    parsed = Parsed(text)
    assert "script" not in parsed.tags and "img" not in parsed.tags and "b" in parsed.tags
    assert not [a for a in parsed.attributes if a[1].startswith("on")]
    assert "<script>alert(1)</script>" in parsed.text  # as text, in full
    assert "中文列名很长很长" in parsed.text and "עמודה בעברית" in parsed.text
    assert "{{ 7 * 7 }}" in parsed.text and "&lt;already&gt;" in parsed.text
    assert not re.search(r"[\x00-\x08\x0b-\x1f]", text)
    text.encode("utf-8")


def test_halves_of_surrogate_pairs_do_not_stop_the_page(
    samples: dict[str, Path], tmp_path: Path
) -> None:
    folder = shutil.copytree(samples["binary"], tmp_path / "reports")
    (folder / "leakage.json").write_text(
        '{"clean": false, "findings": [{"check": "giveaway", "detail": "broken \\ud800 text"}]}'
    )
    text = page(folder)
    assert "broken \ufffd text" in text
    text.encode("utf-8")


def all_files(folder: Path) -> list[str]:
    return sorted(p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file())


def test_nothing_at_all_is_said_in_words(tmp_path: Path, task: str) -> None:
    parsed = Parsed(page(tmp_path / "nowhere", task))
    for name in ("validation/result.json", "leakage.json", "metrics.json", "register.json"):
        assert f"reports/{name} is not there" in parsed.text
    assert "is not known" in parsed.text


def test_an_empty_file_is_said_in_words(
    samples: dict[str, Path], tmp_path: Path, task: str
) -> None:
    folder = shutil.copytree(samples[task], tmp_path / "reports")
    for name in all_files(folder):
        (folder / name).write_bytes(b"")
    text = Parsed(page(folder, task)).text
    for name in set(all_files(folder)) - NOT_READ[task]:
        assert f"reports/{name} is empty." in text, name


@pytest.mark.parametrize("content", [b"{}", b"[]", b"null", b"0", b"\xff\xfe", b'{"a":', b"a,b\n"])
def test_broken_files_do_not_stop_the_page(
    samples: dict[str, Path], tmp_path: Path, task: str, content: bytes
) -> None:
    folder = shutil.copytree(samples[task], tmp_path / "reports")
    for name in all_files(folder):
        (folder / name).write_bytes(content)
    text = Parsed(page(folder, task)).text
    assert "Whether the deep model outperforms the baselines is not known." in text
    if content == b'{"a":':
        assert "reports/metrics.json cannot be read: its content is broken." in text


ODD = (None, True, -1, 10**30, 1e308, "text", "", [], {}, [None], {"a": 1}, [1, 2, 3], "NaN")


def mutate(value: object, rng: np.random.Generator) -> object:
    """The value with odd ones in some places."""
    if rng.random() < 0.08:
        return ODD[rng.integers(len(ODD))]
    if isinstance(value, dict):
        return {k: mutate(v, rng) for k, v in value.items() if rng.random() > 0.05}
    if isinstance(value, list):
        return [mutate(v, rng) for v in value]
    return value


@pytest.mark.parametrize("seed", range(6))
def test_reports_of_an_odd_shape_do_not_stop_the_page(
    samples: dict[str, Path], tmp_path: Path, task: str, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    folder = shutil.copytree(samples[task], tmp_path / "reports")
    for file in sorted(folder.rglob("*.json")):
        file.write_text(json.dumps(mutate(json.loads(file.read_text()), rng)))
    for file in sorted(folder.rglob("*.csv")):
        lines = [line.split(",") for line in file.read_text().splitlines()]
        odd = ["", "nan", "∞", "-", "1e400", "9" * 40, "text"]
        cells = [[odd[rng.integers(7)] if rng.random() < 0.1 else c for c in r] for r in lines[1:]]
        file.write_text("\n".join(",".join(line) for line in [lines[0], *cells]) + "\n")
    Parsed(page(folder, task))


def test_large_reports_stay_small(tmp_path: Path, task: str) -> None:
    classes = None if task != "multiclass" else [f"class {i} of many" for i in range(100)]
    columns = [f"column number {i} with a rather long name" for i in range(500)]
    folder = write_sample(tmp_path, task, classes=classes, columns=columns, rows=20_000)
    text = page(folder, task)
    assert len(text.encode()) < 2_000_000
    Parsed(text)


def test_up_to_thirty_classes_have_a_matrix_more_have_a_list(tmp_path: Path) -> None:
    for count, matrix in ((30, True), (31, False)):
        folder = tmp_path / str(count)
        write_sample(folder, "multiclass", classes=[f"c{i}" for i in range(count)], rows=2000)
        text = page(folder, "multiclass")
        assert ("Confusion matrix" in text) is matrix
        assert "Most frequent mistakes" in text


def test_the_history_says_why_others_approved(tmp_path: Path) -> None:
    folder = write_sample(tmp_path)
    file = folder / "register.json"
    content = json.loads(file.read_text())
    others = [{"who": "Bob Example", "why": "checked on May", "when": "2026-05-04T09:00:00+00:00"}]
    content["history"][1]["approvals"] = others
    file.write_text(json.dumps(content))
    text = page(folder)
    assert "Ann Example, approved by Bob Example" in text
    assert "fewer false alarms in May; Bob Example: checked on May" in text


def test_what_a_version_was_made_from_is_said_in_words(tmp_path: Path) -> None:
    text = render(config(), Reports(write_sample(tmp_path)))
    lineage = text[text.index('id="lineage"') : text.index('id="parameters"')]
    assert '>uncommitted changes</th><td><bdi class="code">none<' in lineage
    assert "git commit" in lineage and "git_" not in lineage and "not committed" not in lineage


@pytest.mark.parametrize("task", TASKS)
def test_shares_and_numbers_have_one_form(tmp_path: Path, task: str) -> None:
    texts = Parsed(render(config(task), Reports(write_sample(tmp_path, task)))).texts
    shown = [
        text for text in texts if re.search(r"\d[ \u00a0]%|\de[+-]\d|\d{5}\.\d|\d\.\d{8}", text)
    ]
    assert shown == []


def test_the_curves_stand_beside_those_of_the_baselines(tmp_path: Path) -> None:
    text = render(config(), Reports(write_sample(tmp_path)))
    ranking = text[text.index("<h3>Ranking") : text.index("<h3>Calibration")]
    for cls in ("s0", "s1", "s2"):
        assert ranking.count(f'class="line {cls}" d="M') >= 4  # line and legend, twice
    assert "gradient boosting 0.957" in ranking and ">linear model<" in ranking
    assert "constant" not in ranking


def test_mistakes_come_with_the_threshold_and_a_table_of_classes(tmp_path: Path) -> None:
    write_sample(tmp_path)
    (tmp_path / "evaluation/confusion.csv").write_text(
        "actual,predicted,count\nbenign,benign,70\nbenign,malignant,10\n"
        "malignant,benign,5\nmalignant,malignant,15\n"
    )
    parsed = Parsed(render(config(), Reports(tmp_path)))
    texts = [text.strip() for text in parsed.texts if text.strip()]
    shown = next(text for text in texts if "is predicted where its probability" in text)
    assert shown.startswith(
        "The class malignant is predicted where its probability is at least 0.420"
    )
    at = texts.index("Test rows by class")
    row = texts[texts.index("malignant", at) :][:6]
    assert row == ["malignant", "0.600", "0.750", "0.667", "20", "25"]


def test_a_class_that_is_never_predicted_is_named_and_no_green_state_hides_it(
    tmp_path: Path,
) -> None:
    write_sample(tmp_path)
    slices = tmp_path / "evaluation/slices.json"
    slices.write_text(slices.read_text().replace('"worse": true', '"worse": false'))
    (tmp_path / "evaluation/confusion.csv").write_text(
        "actual,predicted,count\nbenign,benign,70\nbenign,malignant,10\nmalignant,benign,5\n"
        "odd,benign,3\nrare,malignant,1\n"
    )
    parsed = Parsed(render(config(), Reports(tmp_path)))
    texts = [text.strip() for text in parsed.texts if text.strip()]
    assert "2 classes never predicted" in texts and "no weak slice" not in texts
    assert any(text.endswith("odd (3 test rows), rare (1 test row).") for text in texts)


def test_evaluation_and_explanations_have_a_state(tmp_path: Path) -> None:
    write_sample(tmp_path)

    def states() -> list[str]:
        contents = render(config(), Reports(tmp_path)).partition('class="contents"')[2]
        return re.findall(r'href="#(\w+)"[^\n]*?class="state (\w+)"', contents)

    assert ("evaluation", "warn") in states() and ("explanations", "warn") in states()
    slices = json.loads((tmp_path / "evaluation/slices.json").read_text())
    for one in slices["slices"]:
        one["worse"] = False
    (tmp_path / "evaluation/slices.json").write_text(json.dumps(slices))
    tests = json.loads((tmp_path / "explain/faithfulness.json").read_text())
    for test in tests.values():
        test["verdict"] = "faithful"
    (tmp_path / "explain/faithfulness.json").write_text(json.dumps(tests))
    assert ("evaluation", "good") in states() and ("explanations", "good") in states()


@pytest.mark.parametrize("task", TASKS)
def test_the_data_are_shown_at_a_glance(tmp_path: Path, task: str) -> None:
    text = render(config(task), Reports(write_sample(tmp_path, task)))
    data = text[text.index('id="data"') : text.index('id="split"')]
    assert "<dt>of type number</dt>" in data and "<dt>columns</dt>" in data
    assert "6.98 to 28.11, median\u00a013.37" in data and "12.5%" in data
    if task == "regression":
        assert "Distribution of diagnosis." in data and "12,000 to 750,000" in data
    else:
        share = {"binary": "50.0", "multiclass": "20.0"}[task]
        assert "Share of each class of diagnosis." in data and f">{share}</text>" in data
