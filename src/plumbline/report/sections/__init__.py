"""The sections of the page, in order. Each is a function of what was reported and of the run; one
that gives None has nothing to show."""

from __future__ import annotations

from collections.abc import Callable

from plumbline.report.about import About
from plumbline.report.blocks import Section
from plumbline.report.read import Reports
from plumbline.report.sections.architecture import architecture
from plumbline.report.sections.data import data, split
from plumbline.report.sections.drift import drift
from plumbline.report.sections.evaluation import evaluation
from plumbline.report.sections.explanations import explanations
from plumbline.report.sections.monitoring import monitoring
from plumbline.report.sections.shipping import export, lineage, parameters
from plumbline.report.sections.training import training
from plumbline.report.sections.tuning import tuning
from plumbline.report.sections.verdict import verdict

SECTIONS: tuple[Callable[[Reports, About], Section | None], ...] = (
    verdict,
    data,
    split,
    tuning,
    architecture,
    training,
    evaluation,
    explanations,
    drift,
    export,
    monitoring,
    lineage,
    parameters,
)
