"""A request that is refused: the status, and which cells are wrong."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

CELLS_LISTED = 100


@dataclass(frozen=True, kw_only=True)
class CellError:
    """A cell that cannot be read. `row` counts the request's rows from 0."""

    row: int
    column: str
    reason: str
    value: str | None = None


class Refused(Exception):
    """A request that is not answered with a prediction.

    Args:
        status: of HTTP, 400 or above.
        message: what was wanted, what came, and the fix.
        cells: the cells that are wrong, where it is about cells.
        retry_after: seconds after which it may be sent again.
    """

    def __init__(
        self,
        status: int,
        message: str,
        *,
        cells: Sequence[CellError] = (),
        retry_after: int | None = None,
    ) -> None:
        super().__init__(message)
        self.status, self.message, self.retry_after = status, message, retry_after
        self.cells = tuple(cells)

    def content(self, request_id: str) -> dict[str, Any]:
        """The body of the response."""
        body: dict[str, Any] = {"request_id": request_id, "error": self.message}
        if self.cells:
            body["cells"] = [asdict(cell) for cell in self.cells[:CELLS_LISTED]]
        return body


def refuse_cells(cells: Sequence[CellError]) -> Refused:
    """422: some cells cannot be read; the message names the first."""
    first, more = cells[0], len(cells) - 1
    also = f"; {more} more in `cells`" if more else ""
    return Refused(
        422, f"row {first.row}, column '{first.column}': {first.reason}{also}", cells=cells
    )
