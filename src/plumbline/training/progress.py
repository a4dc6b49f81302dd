"""How far a fit or a search is: a bar on a terminal, a line now and then elsewhere."""

from __future__ import annotations

import shutil
import sys
import time
from collections.abc import Sequence
from types import TracebackType
from typing import Self, TextIO

from tqdm import tqdm

SECONDS = 10.0  # between two lines where there is no terminal
BLINK = 0.5  # seconds between two changes of a bar within an epoch
NARROWEST = 10  # columns of a bar; where the terminal is too narrow, the last words go
FORM = "{unit} {n_fmt}/{total_fmt} |{bar}| {remaining} left{postfix}"


class _Progress:
    """Steps done of a number of steps; those of an earlier life do not count as speed."""

    unit: str
    most: str  # words before the number of steps, and before the seconds left
    about: str

    def __init__(self, total: int, *, enabled: bool = True, stream: TextIO | None = None) -> None:
        self.total, self.enabled, self.stream = total, enabled, stream or sys.stderr
        self._bar: tqdm[int] | None = None
        if enabled and self.stream.isatty():
            self._bar = tqdm(
                total=total,
                unit=self.unit,
                file=self.stream,
                leave=False,
                bar_format=FORM,
                dynamic_ncols=True,
            )
        self._begun = self._last = time.monotonic()
        self._first: float | None = None

    def _elapsed(self) -> float:
        return max(time.monotonic() - self._begun, 1e-9)

    def _due(self) -> bool:
        """Whether a line, or a change of the bar between its steps, is worth the reader's time."""
        return time.monotonic() - self._last >= (SECONDS if self._bar is None else BLINK)

    def _show(self, whole: int, done: float, words: Sequence[str]) -> None:
        """`whole` steps are done, and with parts of one `done`; those before `_first` were made
        in an earlier life. `words` in the order of their weight."""
        if self._bar is not None:
            self._bar.n, self._bar.initial = whole, int(self._first or 0)
            self._bar.set_postfix_str(self._fitting(words))
        elif self._due():
            left = (self.total - done) * self._elapsed() / (done - (self._first or 0))
            print(
                f"{self.unit} {whole} of {self.most}{self.total}: {', '.join(words)}, "
                f"{self.about} {left:,.0f} s left",
                file=self.stream,
                flush=True,
            )
        else:
            return
        self._last = time.monotonic()

    def _fitting(self, words: Sequence[str]) -> str:
        """As many of the words as leave a bar that can be read as one."""
        about = f"{self.unit} {self.total}/{self.total} || 00:00:00 left, "
        room = shutil.get_terminal_size().columns - len(about) - NARROWEST
        kept = list(words)
        while len(kept) > 1 and len(", ".join(kept)) > room:
            kept.pop()
        return ", ".join(kept)

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
    """Told after every epoch and every step; shows loss, metric, rows per second and the time
    left at most."""

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
        self._words: list[str] = []

    def __call__(self, epoch: int, row: dict[str, float]) -> None:
        """Epochs done, and the row of the history."""
        if not self.enabled:
            return
        self._begin(epoch - 1)
        self._words = [f"loss {row['train_loss']:.4f}", f"validation {row['val_loss']:.4f}"]
        if self.metric and "val_score" in row:
            self._words.insert(1, f"{self.metric} {row['val_score']:.4f}")
        self._print_line(epoch, epoch)

    def within(self, epoch: int, step: int, steps: int) -> None:
        """Epochs done, and steps of the running one; shown now and then."""
        if not self.enabled:
            return
        self._begin(epoch + (step - 1) / steps)
        if step < steps and self._due():
            self._print_line(
                epoch + step / steps, epoch, [f"{step / steps:.0%} of epoch {epoch + 1}"]
            )

    def _begin(self, done: float) -> None:
        if self._first is None:
            self._first = done
            if done > 0:
                words = f"resuming in epoch {int(done) + 1}, where an earlier run was interrupted"
                print(words, file=self.stream, flush=True)

    def _print_line(self, done: float, epoch: int, share: Sequence[str] = ()) -> None:
        own = done - (self._first or 0)
        speed = f"{own * self.rows / self._elapsed():,.0f} rows/s"
        self._show(epoch, done, [*share, *self._words, speed])


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
            self._first = done - 1  # told after a trial: this one is of this life
        words = f"best {self.metric} {best:.4f}" if best is not None else "no value yet"
        self._show(done, done, [words])


class BagBar(_Progress):
    """Sent (network, epochs done, or None at its end) by networks that are fitted side by side;
    shows how many are done, and where the others are."""

    unit, most, about = "network", "", "at most"

    def __init__(
        self, *, networks: int, epochs: int, enabled: bool = True, stream: TextIO | None = None
    ) -> None:
        super().__init__(networks, enabled=enabled, stream=stream)
        self.epochs = epochs
        self._running: dict[int, int] = {}
        self._done = 0

    def __call__(self, message: tuple[int, int | None]) -> None:
        if not self.enabled:
            return
        network, epoch = message
        if epoch is None:
            self._running.pop(network, None)
            self._done += 1
        else:
            self._running[network] = epoch
        part = sum(self._running.values()) / self.epochs
        if self._first is None:  # what came before is the start of processes: no speed of a fit
            self._first, self._begun = self._done + part, time.monotonic()
            return
        words = [f"network {k + 1} in epoch {e}" for k, e in sorted(self._running.items())]
        if words:
            self._show(self._done, self._done + part, words)
