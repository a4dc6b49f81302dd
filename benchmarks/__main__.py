"""Run the benchmarks and publish them."""

from __future__ import annotations

import argparse
import dataclasses
import datetime
import importlib
import json
import os
import platform
import time
from pathlib import Path
from typing import Any

import torch

from plumbline.files import write_json, write_text

MODULES = (
    "graph",
    "throughput",
    "tables_before",
    "gpu",
    "defaults",
    "quality",
    "wins",
    "unseen",
    "tuning",
    "folds",
    "texts",
    "fashion",
    "few_images",
    "mixed",
    "channels",
    "normalize",
    "images",
    "size",
    "leakage",
    "resampling",
    "shap_values",
    "predict",
    "out_of_distribution",
    "page",
    "serving",
    "steady",
    "monitoring",
)
ROOT = Path(__file__).resolve().parents[1]
RESULTS = ROOT / "benchmarks" / "results.json"


def main() -> None:
    """Run the named modules; without names all that this machine can. Results of the others are
    kept."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("modules", nargs="*", choices=[*MODULES, []], help="default: all")
    possible = [n for n in MODULES if n != "gpu" or torch.cuda.is_available()]
    names = parser.parse_args().modules or possible
    results: dict[str, Any] = json.loads(RESULTS.read_text()) if RESULTS.exists() else {}
    for name in names:
        print(f"── {name}", flush=True)
        begun = time.perf_counter()
        result = importlib.import_module(f"benchmarks.{name}").run()
        results[name] = {
            **dataclasses.asdict(result),
            "date": datetime.date.today().isoformat(),
            "machine": machine(),
            "seconds": round(time.perf_counter() - begun, 1),
        }
        write_json(RESULTS, {n: results[n] for n in MODULES if n in results})
        print(markdown(results[name]), flush=True)
    write_text(ROOT / "docs" / "benchmarks.md", page(results))
    print("→ docs/benchmarks.md, benchmarks/results.json")


def machine() -> str:
    """The machine in words."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    model = next(
        (
            line.split(":")[1].strip()
            for line in Path("/proc/cpuinfo").read_text().splitlines()
            if line.startswith("model name")
        ),
        platform.machine(),
    )
    cores = len(os.sched_getaffinity(0))
    gpu = torch.cuda.get_device_name() if torch.cuda.is_available() else "no GPU"
    return f"{cores} cores of {model}, {memory:.0f} GiB, {gpu}, Python {platform.python_version()}"


def page(results: dict[str, Any]) -> str:
    """docs/benchmarks.md."""
    parts = [
        "# Benchmarks\n\n"
        "How fast and how good is it, beside others?\n\n"
        "Made by `make bench`; the numbers are in `benchmarks/results.json`. Every figure was "
        "measured beside its peer in the same run; times on shared machines vary by some tens "
        "of percent, ratios by less."
    ]
    parts += [markdown(results[name]) for name in MODULES if name in results]
    return "\n\n".join(parts) + "\n"


def markdown(result: dict[str, Any]) -> str:
    """One benchmark as Markdown."""
    parts = [f"## {result['title']}", f"{result['date']} · {result['machine']}"]
    if result["figures"]:
        rows = [
            [
                figure["name"],
                f"{figure['reached']:.4g} {figure['unit']}".strip(),
                figure["target"],
                {True: "held", False: "**missed**", None: ""}[figure["holds"]],
            ]
            for figure in result["figures"]
        ]
        parts.append(grid(["figure", "reached", "to reach", ""], rows))
    parts += [
        f"**{table['title']}**\n\n{grid(table['columns'], table['rows'])}"
        for table in result["tables"]
    ]
    parts += [f"- {note}" for note in result["notes"]]
    return "\n\n".join(parts)


def grid(columns: list[str], rows: list[list[str]]) -> str:
    """A Markdown table."""
    lines = [columns, ["---"] * len(columns), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


if __name__ == "__main__":
    main()
