"""One word for one thing, spelled as torch and scikit-learn spell: in code, messages and docs."""

from __future__ import annotations

import ast
import re
import subprocess
import tokenize
from pathlib import Path

import pytest

PLACES = ("src", "pipelines", "docs", "benchmarks", "README.md", "params.yaml", "dvc.yaml")
BEFORE = "src/plumbline/config/renamed.py"  # has to know the words of before
SUFFIXES = (".py", ".md", ".yaml", ".html", ".css")
INSTEAD = {  # no longer said -> what is
    r"\bmend(s|ed|ing|able)?\b": "hint, fix",
    r"\bsource_shift\b": "adversarial_validation",
    r"\b(guilty|accus\w+|accomplices?)\b": "flagged, report, copies",
    r"\bslack\b": "tolerance",
    r"\bPlayers\b": "Masker",
    r"\b(ALONE|hand_out)\b": "SINGLE_PROCESS, broadcast_bytes",
    r"\b(BatchNoise|tell_noise)\b": "DropoutContext, set_dropout_position",
    r"\bearned? its keep\b": "outperforms the baselines",
    r"\bfacts\b": "metadata",
    r"\b(optimis|normalis|initialis|standardis|summaris|penalis|regularis|serialis)\w+": "-iz-",
    r"\b(colour|centre|behaviour|neighbour|favour)\w*": "American spelling",
    r"\blearnt\b": "learned",
}

NAMES = {  # identifiers that are no longer used -> what is, among others
    "found": "result",
    "told": "answer",
    "asked": "query",
    "said": "message",
    "seen": "profile",
    "chosen": "selected",
    "look": "profile",
    "judge": "diagnose",
    "judged": "predictions",
    "players": "masker",
    "orders": "permutations",
    "Found": "SearchResult",
    "Told": "Clue",
    "Judged": "PartPredictions",
    "Judgement": "GateResult",
}


@pytest.mark.parametrize("word", INSTEAD)
def test_words_that_are_no_longer_used(root: Path, word: str) -> None:
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", *PLACES],
        cwd=root,
        capture_output=True,
        text=True,
        check=True,
    ).stdout.splitlines()
    result = []
    for name in listed:
        path = root / name
        if path.suffix not in SUFFIXES or not path.is_file() or name == BEFORE:
            continue
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
            text = line.replace("tests/behaviour", "")
            result += [f"{name}:{number}: {m.group(0)}" for m in re.finditer(word, text)]
    assert not result, f"say {INSTEAD[word]}: {result[:10]}"


def test_names_that_are_no_longer_used(root: Path) -> None:
    used = []
    for path in [p for place in ("src", "pipelines") for p in (root / place).rglob("*.py")]:
        with path.open(encoding="utf-8") as lines:
            used += [
                f"{path.name}:{token.start[0]}: {token.string}"
                for token in tokenize.generate_tokens(lines.readline)
                if token.type == tokenize.NAME and token.string.strip("_") in NAMES
            ]
    assert not used, f"say {NAMES}: {used[:10]}"


def test_one_name_one_meaning(root: Path) -> None:
    """No two modules of src have a public class of the same name."""
    defined: dict[str, list[str]] = {}
    for path in (root / "src").rglob("*.py"):
        for node in ast.parse(path.read_text(encoding="utf-8")).body:
            if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
                defined.setdefault(node.name, []).append(path.name)
    assert {name: files for name, files in defined.items() if len(files) > 1} == {}
