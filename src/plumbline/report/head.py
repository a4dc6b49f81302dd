"""The head of the page: what the model is about; who made it, when, on what, how to rebuild it."""

from __future__ import annotations

from plumbline import artifacts
from plumbline.numbers import number
from plumbline.report.about import About
from plumbline.report.blocks import Note, Status
from plumbline.report.read import Reports, pick, whole, words
from plumbline.words import TASK_WORDS

SHORT = 12  # characters of a hash
MAIN = ("python", "torch")  # of the libraries; all are in the section on lineage


def metadata(reports: Reports, run: About) -> list[tuple[str, str]]:
    """What a reader must know before anything else."""
    data = run.config.data
    rows = whole(pick(reports.json(artifacts.VALIDATION), "rows"))
    entries = [("predicts", data.target), ("task", TASK_WORDS[data.task].label)]
    if data.positive is not None:
        entries.append(("positive class", data.positive))
    return [*entries, ("rows", number(rows)), ("data", data.path)]


def origin(reports: Reports, *, is_last: bool = True) -> list[tuple[str, str]]:
    """The version, who fitted it, when, how long, with what, and the command that rebuilds it.

    Args:
        is_last: the last run registered it; else it is of an earlier one.
    """
    register = reports.json(artifacts.REGISTERED)
    made = {key: words(pick(register, "lineage", key)) for key in FIELDS}
    model, version = (pick(register, key) for key in ("model", "version"))
    if not words(model) or version is None:
        return []
    commit = made["git_commit"]
    entries = [
        ("version" if is_last else "registered before", f"{model} {version}"),
        ("fitted by", made["user"]),
        ("when", made["fitted_at"]),
        ("how long", _duration(made["fit_seconds"])),
        ("on", _machine(made["device"], made["processor"], made["threads"])),
        ("with", _libraries(made["libraries"])),
        ("commit", commit and commit[:SHORT]),
        ("rebuild", f"plumbline reproduce {model}/{version}"),
    ]
    return [(label, text) for label, text in entries if text]


FIELDS = (
    *("user", "fitted_at", "fit_seconds", "device", "processor", "threads", "libraries"),
    "git_commit",
)


def rebuild_note(reports: Reports) -> Note | None:
    """What is in the way of a rebuild, where something is."""
    state = words(pick(reports.json(artifacts.REGISTERED), "lineage", "rebuildable"))
    if state in (None, "yes"):
        return None
    kind, _, why = str(state).partition(": ")
    word = "Cannot be rebuilt" if kind == "no" else "Rebuild not certain"
    return Note(Status(state="warn", word=word), f"{why[:1].upper()}{why[1:]}.")


def _duration(seconds: str | None) -> str | None:
    """`95` as `1 min 35 s`."""
    if seconds is None or not seconds.isdecimal():
        return None
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours:,} h {minutes} min"
    return f"{minutes} min {rest} s" if minutes else f"{rest} s"


def _machine(device: str | None, processor: str | None, threads: str | None) -> str | None:
    if device is not None and device != "cpu":
        return device
    if processor is None:
        return device
    return f"{processor}, {threads} {'thread' if threads == '1' else 'threads'}"


def _libraries(pinned: str | None) -> str | None:
    versions = dict(one.split("==", 1) for one in (pinned or "").split() if "==" in one)
    shown = [f"{name} {versions[name]}" for name in MAIN if name in versions]
    return ", ".join(shown) or None
