"""Who fitted a model, when, how long and on what; noted beside the outputs, which hold nothing
that differs from run to run."""

from __future__ import annotations

import getpass
import os
import platform
import subprocess
from datetime import datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from plumbline.files import read_json, sha256, write_json

FILE = "fitted.json"  # in .plumbline/
# what weights and metrics are computed by
LIBRARIES = (
    "torch",
    "numpy",
    "scipy",
    "scikit-learn",
    "imbalanced-learn",
    "polars",
    "pyarrow",
    "pandas",
    "optuna",
    "cmaes",
    "tokenizers",
    "pillow",
    "rtdl_num_embeddings",
    "tabm",
)
FIT = ("user", "fitted_at", "fit_seconds", "device", "processor", "threads", "libraries")


def note_fit(
    state: Path, weights: Path, *, began: datetime, seconds: float, device: str, threads: str
) -> None:
    """Note how the weights in a file came about.

    Args:
        state: the folder `.plumbline`.
        device, threads: of the fit, in words.
    """
    fit = {
        "user": person(state.parent),
        "fitted_at": began.strftime("%Y-%m-%d %H:%M UTC"),
        "fit_seconds": f"{seconds:.0f}",
        "device": device,
        "processor": processor(),
        "threads": threads,
        "libraries": libraries(),
    }
    write_json(state / FILE, {"weights": sha256(weights), **fit})


def fit_of(state: Path, weights: Path) -> dict[str, str]:
    """What `note_fit` noted of these weights; nothing where it noted others: they were fitted on
    another machine."""
    try:
        noted = read_json(state / FILE)
        if noted["weights"] != sha256(weights):
            return {}
        return {name: str(noted[name]) for name in FIT}
    except (OSError, ValueError, KeyError, TypeError):
        return {}


def person(root: Path) -> str:
    """Who is at work: MLFLOW_TRACKING_USERNAME, else git's user.name, else the login name."""
    named = os.environ.get("MLFLOW_TRACKING_USERNAME", "").strip()
    return named or _git_name(root) or _login_name()


def _git_name(root: Path) -> str:
    try:
        done = subprocess.run(
            ["git", "config", "user.name"], cwd=root, capture_output=True, text=True, check=True
        )
    except (OSError, subprocess.CalledProcessError):
        return ""
    return done.stdout.strip()


def _login_name() -> str:
    try:
        return getpass.getuser()
    except (OSError, KeyError):  # a container's user may have no name
        return f"user {os.getuid()}"


def processor() -> str:
    """The processor's name."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
        names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    except OSError:
        names = []
    return names[0] if names else platform.processor() or platform.machine()


def libraries() -> str:
    """`python==3.11.9 torch==2.13.0 …`: Python and what weights and metrics are computed by."""
    return " ".join([f"python=={platform.python_version()}", *map(_pinned, LIBRARIES)])


def _pinned(name: str) -> str:
    try:
        return f"{name}=={version(name)}"
    except PackageNotFoundError:
        return f"{name}==none"


def other_versions(then: str, now: str) -> list[str]:
    """The libraries whose versions differ between two answers of `libraries`, in words."""
    before, after = (dict(one.split("==", 1) for one in text.split()) for text in (then, now))
    return [
        f"{name} {before.get(name, 'none')} → {after.get(name, 'none')}"
        for name in sorted(before.keys() | after.keys())
        if before.get(name) != after.get(name)
    ]
