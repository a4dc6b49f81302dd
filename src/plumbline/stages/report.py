"""report: the whole run on one page."""

from __future__ import annotations

import os

from plumbline.config import Config, Paths
from plumbline.files import write_text
from plumbline.report.about import about
from plumbline.report.page import render
from plumbline.report.read import Reports
from plumbline.report.sections.verdict import headline
from plumbline.stages import STAGES, Report
from plumbline.stopped import forget_stopped, read_stopped


def run(config: Config, paths: Paths) -> Report:
    """Read what the stages wrote to `reports/`; write the page.

    DVC runs it when every gate has passed; by hand, it keeps the notice of one that has not.
    """
    if os.environ.get("DVC_STAGE") == "report":
        forget_stopped(paths.state)
    reports, stopped = Reports(paths.reports), read_stopped(paths.state)
    passed = STAGES[: STAGES.index(stopped.stage)] if stopped and stopped.stage in STAGES else ()
    text = render(config, reports, stopped, passed)
    verdict = headline(reports, about(config, reports))
    page = paths.reports / "index.html"
    write_text(page, text)
    size = f"{len(text.encode()) / 1000:,.0f} kB"
    return Report(rows=[("verdict", verdict), ("page", size)], outputs=[page])
