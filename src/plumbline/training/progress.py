"""How far a fit or a search is: a bar on a terminal, a line now and then elsewhere."""

from __future__ import annotations

import sys
import time
from types import TracebackType
from typing import Self, TextIO

from tqdm import tqdm

SECONDS = 10.0  # between two lines where there is no terminal


class _Progress:
    """Steps done of a number of steps; those of an earlier life do not count as speed."""

    unit: str
    most: str  # words before the number of steps, and before the seconds left
    about: str

    def __init__(self, total: int, *, enabled: bool = True, stream: TextIO | None = None) -> None:
        self.total, self.enabled, self.stream = total, enabled, stream or sys.stderr
        self._bar: tqdm[int] | None = None
        if enabled and self.stream.isatty():
            self._bar = tqdm(total=total, unit=self.unit, file=self.stream, leave=False)
        self._begun = self._told = time.monotonic()
        self._first: int | None = None

    def _elapsed(self) -> float:
        return max(time.monotonic() - self._begun, 1e-9)

    def _show(self, done: int, own: int, words: str) -> None:
        """`own` steps of the `done` ones were made in this life, besides `_first`."""
        if self._bar is not None:
            self._bar.n, self._bar.initial = done, self._first
            self._bar.set_postfix_str(words)
        elif time.monotonic() - self._told >= SECONDS:
            left = (self.total - done) * self._elapsed() / own
            print(
                f"{self.unit} {done} of {self.most}{self.total}: {words}, "
                f"{self.about} {left:,.0f} s left",
                file=self.stream,
                flush=True,
            )
            self._told = time.monotonic()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._bar is not None:
            self._bar.close()


class ProgressBar(_Progress):
    """Told after every epoch; shows loss, metric, rows per second and the time left at most."""

    unit, most, about = "epoch", "at most ", "at most"

    def __init__(
        self,
        *,
        epochs: int,
        rows: int,
        metric: str | None,
        enabled: bool = True,
        stream: TextIO | None = None,
    ) -> None:
        super().__init__(epochs, enabled=enabled, stream=stream)
        self.rows, self.metric = rows, metric

    def __call__(self, epoch: int, row: dict[str, float]) -> None:
        """Epochs done, and the row of the history."""
        if not self.enabled:
            return
        if self._first is None:
            self._first = epoch - 1
        own = epoch - self._first
        words = f"loss {row['train_loss']:.4f}, validation {row['val_loss']:.4f}"
        if self.metric and "val_score" in row:
            words += f", {self.metric} {row['val_score']:.4f}"
        self._show(epoch, own, f"{words}, {own * self.rows / self._elapsed():,.0f} rows/s")


class SearchBar(_Progress):
    """Told after every trial; shows the best value so far and the time left."""

    unit, most, about = "trial", "", "about"

    def __init__(
        self, *, trials: int, metric: str, enabled: bool = True, stream: TextIO | None = None
    ) -> None:
        super().__init__(trials, enabled=enabled, stream=stream)
        self.metric = metric

    def __call__(self, done: int, best: float | None) -> None:
        """Trials done, and the best value of them."""
        if not self.enabled:
            return
        if self._first is None:
            self._first = done
        words = f"best {self.metric} {best:.4f}" if best is not None else "no value yet"
        self._show(done, done - self._first + 1, words)
