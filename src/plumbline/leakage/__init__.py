"""Leakage: ways in which training rows know what they must not. A function per check.

Checks learn only to detect: what they fit is thrown away, and nothing downstream sees it.
The kinds follow Kapoor and Narayanan, "Leakage and the reproducibility crisis in
machine-learning-based science", Patterns 4(9), 2023; docs/leakage.md maps them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from plumbline.config.data import Policy
from plumbline.kinds import IntArray
from plumbline.leakage.across import duplicates, groups, time_order
from plumbline.leakage.adversarial import adversarial_validation
from plumbline.leakage.finding import LISTED, Check, Evidence, Finding
from plumbline.leakage.giveaway import giveaway
from plumbline.leakage.identifier import identifier
from plumbline.leakage.near import near_rows
from plumbline.leakage.near_texts import near_texts
from plumbline.leakage.target_text import target_text

__all__ = ["LEAKAGE_CHECKS", "Evidence", "Finding", "Leaks", "check_title", "find_leaks"]

# What a check is called where its key in params.yaml is not the field's term.
TITLES = {"giveaway": "target leakage", "adversarial_validation": "adversarial validation"}


def near_duplicates(evidence: Evidence) -> Sequence[Finding]:
    """Held-out rows that nearly equal training rows: in their numbers, or in a text."""
    return [*near_rows(evidence), *near_texts(evidence)]


LEAKAGE_CHECKS: dict[str, Check] = {
    "duplicates": duplicates,
    "near_duplicates": near_duplicates,
    "groups": groups,
    "time_order": time_order,
    "giveaway": giveaway,
    "identifier": identifier,
    "target_text": target_text,
    "adversarial_validation": adversarial_validation,
}


def check_title(check: str) -> str:
    """The name of a check in messages and on the page."""
    return TITLES.get(check, check.replace("_", " "))


@dataclass(frozen=True, kw_only=True)
class Leaks:
    """All findings, each with the policy of its check."""

    findings: tuple[tuple[Finding, Policy], ...]

    @property
    def stopping(self) -> list[Finding]:
        """Critical findings of checks whose policy is `fail`."""
        return [f for f, policy in self.findings if policy == "fail" and f.severity == "critical"]

    @property
    def dropped_rows(self) -> IntArray:
        """Rows that leave their part under the policy `drop`, ascending."""
        dropped = [f.drop_rows for f, policy in self.findings if policy == "drop"]
        return np.unique(np.concatenate([np.zeros(0, dtype=np.int64), *dropped]))

    @property
    def dropped_columns(self) -> dict[str, str]:
        """Columns that are no features any more under the policy `drop`, and why."""
        return {
            name: f"{check_title(f.check)}: {f.detail}"
            for f, policy in self.findings
            if policy == "drop"
            for name in f.drop_columns
        }

    def to_json(self) -> dict[str, Any]:
        """`clean`: nothing was found but what the policy `drop` has removed."""
        return {
            "clean": all(policy == "drop" and f.fixable for f, policy in self.findings),
            "findings": [
                {
                    "check": f.check,
                    "title": check_title(f.check),
                    "columns": list(f.columns),
                    "rows": f.rows[:LISTED].tolist(),
                    "detail": f.detail,
                    "severity": f.severity,
                    "row_count": len(f.rows),
                    "rows_examined": f.examined,
                    "hint": f.hint,
                    "policy": policy,
                }
                for f, policy in self.findings
            ],
        }


def find_leaks(evidence: Evidence) -> Leaks:
    """Run every check whose policy is not `off`, in the order of `LEAKAGE_CHECKS`."""
    findings: list[tuple[Finding, Policy]] = []
    for name, check in LEAKAGE_CHECKS.items():
        policy: Policy = getattr(evidence.config, name)
        if policy != "off":
            findings += [(finding, policy) for finding in check(evidence)]
    return Leaks(findings=tuple(findings))
