"""How far a fit is: a bar on a terminal, a line now and then elsewhere."""

from __future__ import annotations

import sys
import time
from types import TracebackType
from typing import Self, TextIO

from tqdm import tqdm

SECONDS = 10.0  # between two lines where there is no terminal


class ProgressBar:
    """Told after every epoch; shows loss, metric, rows per second and the time left at most."""

    def __init__(
        self,
        *,
        epochs: int,
        rows: int,
        metric: str | None,
        enabled: bool = True,
        stream: TextIO | None = None,
    ) -> None:
        self.epochs, self.rows, self.metric = epochs, rows, metric
        self.enabled, self.stream = enabled, stream or sys.stderr
        self._bar: tqdm[int] | None = None
        if enabled and self.stream.isatty():
            self._bar = tqdm(total=epochs, unit="epoch", file=self.stream, leave=False)
        self._begun = self._told = time.monotonic()
        self._first: int | None = None

    def __call__(self, epoch: int, row: dict[str, float]) -> None:
        """Epochs done, and the row of the history."""
        if not self.enabled:
            return
        if self._first is None:
            self._first = epoch - 1  # a run that goes on did not do these now
        elapsed = max(time.monotonic() - self._begun, 1e-9)
        speed = (epoch - self._first) * self.rows / elapsed
        words = f"loss {row['train_loss']:.4f}, validation {row['val_loss']:.4f}"
        if self.metric and "val_score" in row:
            words += f", {self.metric} {row['val_score']:.4f}"
        words += f", {speed:,.0f} rows/s"
        if self._bar is not None:
            self._bar.n, self._bar.initial = epoch, self._first
            self._bar.set_postfix_str(words)
        elif time.monotonic() - self._told >= SECONDS:
            left = (self.epochs - epoch) * elapsed / (epoch - self._first)
            print(
                f"epoch {epoch} of at most {self.epochs}: {words}, at most {left:,.0f} s left",
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


class SearchBar:
    """Told after every trial; shows the best value so far and the time left."""

    def __init__(
        self, *, trials: int, metric: str, enabled: bool = True, stream: TextIO | None = None
    ) -> None:
        self.trials, self.metric, self.enabled = trials, metric, enabled
        self.stream = stream or sys.stderr
        self._bar: tqdm[int] | None = None
        if enabled and self.stream.isatty():
            self._bar = tqdm(total=trials, unit="trial", file=self.stream, leave=False)
        self._begun = self._told = time.monotonic()
        self._first: int | None = None

    def __call__(self, done: int, best: float | None) -> None:
        """Trials done, and the best value of them."""
        if not self.enabled:
            return
        if self._first is None:
            self._first = done  # a search that goes on did not do these now
        words = f"best {self.metric} {best:.4f}" if best is not None else "no value yet"
        if self._bar is not None:
            self._bar.n, self._bar.initial = done, self._first
            self._bar.set_postfix_str(words)
        elif time.monotonic() - self._told >= SECONDS:
            elapsed = time.monotonic() - self._begun
            left = (self.trials - done) * elapsed / (done - self._first + 1)
            print(
                f"trial {done} of {self.trials}: {words}, about {left:,.0f} s left",
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
