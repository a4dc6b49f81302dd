"""The page: sections into one HTML file that needs nothing beside it."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from plumbline import artifacts
from plumbline.config import Config
from plumbline.report.about import about
from plumbline.report.head import metadata, origin, rebuild_note
from plumbline.report.read import Reports
from plumbline.report.sections import SECTIONS
from plumbline.report.sections.monitoring import monitoring_section
from plumbline.report.text import breakable, coded, printable
from plumbline.stopped import Stopped

JUDGES = "evaluate"  # the stage that the verdict is of
DEALS = "split"  # the stage that tells which part a row is in
TEMPLATES = Path(__file__).parent / "templates"


def render(
    config: Config,
    reports: Reports,
    stopped: Stopped | None = None,
    passed: Sequence[str] = (),
) -> str:
    """The whole page, ready to be written as UTF-8.

    Args:
        stopped: the gate that stopped the latest run; the page then begins with it, and says
            what of the rest is of the last run that ended well.
        passed: the stages that ended well before it, whose reports are of the stopped run.

    The same reports and parameters give the same bytes. All text from outside is escaped, and
    the page forbids scripts and requests to itself (Content-Security-Policy).
    """
    if stopped is not None and stopped.stage == DEALS:
        reports.leave_out(artifacts.SPLIT, "The run was stopped before rows were dealt to parts.")
    run = about(config, reports)
    built = (build(reports, run) for build in SECTIONS)
    page = _environment().get_template("page.html")
    text = page.render(
        title=run.title,
        about=metadata(reports, run),
        origin=origin(reports, is_last=stopped is None),
        rebuild=rebuild_note(reports),
        sections=[section for section in built if section is not None],
        stopped=stopped,
        passed=passed,
        run="" if stopped is None else "Stopped run: " if JUDGES in passed else "Earlier run: ",
        problem=reports.problem,
        style=_style(),
        kind="Model report",
        writer="report",
    )
    return printable(text)


def render_monitoring(title: str, history: Reports) -> str:
    """The page of a folder with histories, which `plumbline monitor` writes."""
    section = monitoring_section(history)
    text = (
        _environment()
        .get_template("page.html")
        .render(
            title=title,
            about=[],
            origin=[],
            rebuild=None,
            sections=[] if section is None else [section],
            stopped=None,
            passed=(),
            run="",
            problem=history.problem,
            style=_style(),
            kind="Monitoring",
            writer="monitor",
        )
    )
    return printable(text)


def _style() -> Markup:
    return Markup((TEMPLATES / "page.css").read_text(encoding="utf-8"))


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
