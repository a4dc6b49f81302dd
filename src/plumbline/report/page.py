"""The page: sections into one HTML file that needs nothing beside it."""

from __future__ import annotations

from functools import cache
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from plumbline import artifacts
from plumbline.config import Config
from plumbline.numbers import number
from plumbline.report.about import About, about
from plumbline.report.read import Reports, pick, whole
from plumbline.report.sections import SECTIONS
from plumbline.report.text import breakable, coded, printable
from plumbline.words import TASK_WORDS

TEMPLATES = Path(__file__).parent / "templates"


def render(config: Config, reports: Reports) -> str:
    """The whole page, ready to be written as UTF-8.

    The same reports and parameters give the same bytes. All text from outside is escaped, and
    the page forbids scripts and requests to itself (Content-Security-Policy).
    """
    run = about(config, reports)
    sections = [build(reports, run) for build in SECTIONS]
    page = _environment().get_template("page.html")
    text = page.render(
        title=run.title,
        about=_metadata(reports, run),
        sections=sections,
        problem=reports.problem,
        style=Markup((TEMPLATES / "page.css").read_text(encoding="utf-8")),
    )
    return printable(text)


def _metadata(reports: Reports, run: About) -> list[tuple[str, str]]:
    """What a reader must know before anything else."""
    data = run.config.data
    rows = whole(pick(reports.json(artifacts.SPLIT), "rows"))
    metadata = [("predicts", data.target), ("task", TASK_WORDS[data.task].label)]
    if data.positive is not None:
        metadata.append(("positive class", data.positive))
    return [*metadata, ("rows", number(rows)), ("data", data.path)]


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"breakable": breakable, "coded": coded}
    return environment
