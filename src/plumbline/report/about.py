"""What the page is about: the run's title, task and main metric."""

from __future__ import annotations

from dataclasses import dataclass

from plumbline import artifacts
from plumbline.config import Config
from plumbline.kinds import Task
from plumbline.report.read import Reports, pick, whole, words
from plumbline.words import METRIC_WORDS


@dataclass(frozen=True, kw_only=True)
class About:
    """The run. `metric` is the one that counts."""

    title: str
    config: Config
    metric: str

    @property
    def task(self) -> Task:
        return self.config.data.task

    @property
    def positive(self) -> str:
        """The positive class, where the task has one."""
        return self.config.data.positive or "the positive class"

    def task_words(self, text: str) -> str:
        """A text of `TASK_WORDS` with the names of this run."""
        return text.format(target=self.config.data.target, positive=self.positive)


def networks_of(reports: Reports) -> int:
    """How many networks the model is: more than one where it is a bag."""
    return whole(pick(reports.json(artifacts.SPLIT), "bag", "networks")) or 1


def about(config: Config, reports: Reports) -> About:
    """The main metric is the one that evaluation judged by; without it the task's own."""
    compared = words(pick(reports.json(artifacts.COMPARISON), "metric"))
    wanted = config.evaluate.metric
    default = config.data.task.spec.metric
    metric = compared if compared in METRIC_WORDS else default if wanted == "auto" else wanted
    return About(title=config.report.title or config.data.name, config=config, metric=metric)
