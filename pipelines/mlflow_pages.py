"""Addresses of MLflow's pages of what the stage `register` wrote last."""

from __future__ import annotations

import json
import os
from pathlib import Path
from urllib.parse import quote, urlsplit

from pipelines.services import fetch

# else MLflow's pages are those for language models, without the list of registered models
TRAINING = "?workflowType=machine_learning"


def last_run_pages(root: Path, mlflow: str) -> dict[str, str]:
    """By what they show, as far as the server knows it: runs, run, model, version."""
    try:
        made = json.loads((root / "reports" / "register.json").read_text(encoding="utf-8"))
        model, version, run = (str(made[key]) for key in ("model", "version", "run_id"))
    except (OSError, ValueError, KeyError, TypeError):
        return {}
    # its first answer opens the database
    run_found = fetch(f"{mlflow}/api/2.0/mlflow/runs/get?run_id={quote(run)}", seconds=60)
    if not isinstance(run_found, dict):
        return {}
    experiment = run_found["run"]["info"]["experiment_id"]
    pages = {
        "runs": f"experiments/{experiment}/runs",
        "run": f"experiments/{experiment}/runs/{run}",
        "model": f"models/{quote(model, safe='')}",
        "version": f"models/{quote(model, safe='')}/versions/{version}",
    }
    return {what: f"{mlflow}/#/{page}{TRAINING}" for what, page in pages.items()}


def tracking_server() -> str | None:
    """The MLflow server that the environment names, without a password; None: it names none."""
    named = os.environ.get("MLFLOW_TRACKING_URI", "")
    if not named.startswith(("http://", "https://")):
        return None
    return without_password(named).rstrip("/")


def without_password(url: str) -> str:
    """An address as it may be shown."""
    parts = urlsplit(url)
    return parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl()
