"""The command-line options that say how a file is laid out."""

from __future__ import annotations

import argparse
from typing import Any


def add_reading(command: Any) -> None:
    """How a file is laid out; what is left out is found out."""
    group = command.add_argument_group("how the file is laid out (found out if left out)")
    group.add_argument("--separator", help="a character; or tab, space, blanks (one or several)")
    group.add_argument("--quote", help="the character around cells, or none")
    group.add_argument("--escape", help="the character before a quote inside a cell, or none")
    group.add_argument("--skip", type=int, help="lines above the table")
    group.add_argument(
        "--header",
        action=argparse.BooleanOptionalAction,
        help="whether a line names the columns (column_0, … if not)",
    )
    group.add_argument("--header-lines", type=int, help="lines that name the columns")
    group.add_argument("--footer", type=int, help="lines below the table")
    group.add_argument("--comment", help="the character that comment lines begin with")
    group.add_argument("--pad", action="store_true", help="fill rows that are too short")
    group.add_argument("--encoding", help="encoding of the text")
    group.add_argument("--sheet", help="sheet of a workbook")
