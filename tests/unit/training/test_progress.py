"""What a user sees while a fit runs: a bar on a terminal, lines elsewhere, nothing when off."""

from __future__ import annotations

import io
import re

import pytest

from plumbline.training import progress
from plumbline.training.progress import BagBar, ProgressBar, SearchBar

ROW = {"epoch": 1, "learning_rate": 0.1, "train_loss": 0.61234, "val_loss": 0.7, "val_score": 0.91}


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    made = Clock()
    monkeypatch.setattr(progress, "time", made)
    return made


def shown(stream: io.StringIO) -> str:
    return re.split(r"[\r\n]+", stream.getvalue().strip())[-1]


def test_the_bar_has_loss_metric_speed_and_time_left(
    clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "140")
    stream = Terminal()
    with ProgressBar(epochs=10, rows=5000, metric="roc_auc", stream=stream) as bar:
        clock.now += 2
        bar(1, ROW)
        text = shown(stream)
        assert "1/10" in text and "loss 0.6123, roc_auc 0.9100, validation 0.7000" in text
        assert "2,500 rows/s" in text
        assert re.search(r"\d\d:\d\d left", text)


@pytest.fixture
def width(monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> int:
    """The terminal's columns."""
    columns: int = request.param
    monkeypatch.setenv("COLUMNS", str(columns))
    return columns


@pytest.mark.parametrize("width", [60, 80, 100, 140], indirect=True)
@pytest.mark.parametrize("metric", ["roc_auc", "balanced_accuracy"])
@pytest.mark.parametrize("epochs", [30, 1000])
def test_the_bar_can_be_read_as_one_on_every_terminal(
    clock: Clock, width: int, metric: str, epochs: int
) -> None:
    stream = Terminal()
    with ProgressBar(epochs=epochs, rows=5000, metric=metric, stream=stream) as bar:
        clock.now += 2
        bar(1, ROW)
        assert bar._bar is not None
        drawn = bar._bar.format_meter(**{**bar._bar.format_dict, "ncols": width})
    assert len(drawn) <= width
    assert len(drawn.split("|")[1]) >= 10
    assert "loss 0.6123" in drawn
    if width >= 100:
        assert f"{metric} 0.9100" in drawn


def test_within_a_long_epoch_too(clock: Clock) -> None:
    stream = io.StringIO()
    with ProgressBar(epochs=4, rows=1000, metric=None, stream=stream) as bar:
        for step in range(1, 101):
            clock.now += 0.5
            bar.within(0, step, 100)
        bar(1, ROW)
    assert stream.getvalue().splitlines() == [
        "epoch 0 of at most 4: 20% of epoch 1, 20 rows/s, at most 190 s left",
        "epoch 0 of at most 4: 40% of epoch 1, 20 rows/s, at most 180 s left",
        "epoch 0 of at most 4: 60% of epoch 1, 20 rows/s, at most 170 s left",
        "epoch 0 of at most 4: 80% of epoch 1, 20 rows/s, at most 160 s left",
        "epoch 1 of at most 4: loss 0.6123, validation 0.7000, 20 rows/s, at most 150 s left",
    ]


def test_the_bar_moves_within_an_epoch(clock: Clock) -> None:
    stream = Terminal()
    with ProgressBar(epochs=4, rows=1000, metric=None, stream=stream) as bar:
        clock.now += 2
        bar.within(0, 25, 100)
        assert "0/4" in shown(stream) and "25% of epoch 1" in shown(stream)


def test_a_run_that_goes_on_says_so(clock: Clock) -> None:
    stream = io.StringIO()
    with ProgressBar(epochs=4, rows=1000, metric=None, stream=stream) as bar:
        bar.within(2, 51, 100)
        clock.now += 10
        bar(3, ROW)
    assert stream.getvalue().splitlines() == [
        "resuming in epoch 3, where an earlier run was interrupted",
        "epoch 3 of at most 4: loss 0.6123, validation 0.7000, 50 rows/s, at most 20 s left",
    ]


def test_elsewhere_a_line_now_and_then(clock: Clock) -> None:
    stream = io.StringIO()
    with ProgressBar(epochs=10, rows=5000, metric=None, stream=stream) as bar:
        for epoch in range(1, 7):
            clock.now += 4
            bar(epoch, {**ROW, "epoch": epoch})
    assert stream.getvalue().splitlines() == [
        "epoch 3 of at most 10: loss 0.6123, validation 0.7000, 1,250 rows/s, at most 28 s left",
        "epoch 6 of at most 10: loss 0.6123, validation 0.7000, 1,250 rows/s, at most 16 s left",
    ]


def test_epochs_of_an_earlier_life_do_not_count_as_speed(clock: Clock) -> None:
    stream = io.StringIO()
    bar = ProgressBar(epochs=10, rows=5000, metric=None, stream=stream)
    clock.now += 20
    bar(9, ROW)  # went on after epoch 8
    assert "250 rows/s, at most 20 s left" in stream.getvalue()


def test_a_fit_that_goes_on_shows_the_right_time_left_on_a_terminal(clock: Clock) -> None:
    stream = Terminal()
    with ProgressBar(epochs=1000, rows=5000, metric=None, stream=stream) as bar:
        clock.now += 1
        bar(999, ROW)
        assert bar._bar is not None and bar._bar.format_dict["initial"] == 998


def test_nothing_is_said_by_other_processes() -> None:
    stream = Terminal()
    with ProgressBar(epochs=2, rows=5, metric=None, enabled=False, stream=stream) as bar:
        bar(1, ROW)
    assert stream.getvalue() == ""


class TestSearch:
    def test_the_bar_has_the_best_value(self) -> None:
        stream = Terminal()
        with SearchBar(trials=5, metric="rmse", stream=stream) as bar:
            bar(1, 0.5)
            assert "1/5" in shown(stream) and "best rmse 0.5000" in shown(stream)

    @pytest.mark.parametrize("earlier", [0, 7])
    def test_the_time_left_counts_every_trial_of_this_life(
        self, clock: Clock, earlier: int
    ) -> None:
        stream = Terminal()
        with SearchBar(trials=20, metric="rmse", stream=stream) as bar:
            for done in range(earlier + 1, earlier + 4):
                clock.now += 10
                bar(done, 0.5)
            assert bar._bar is not None
            form = bar._bar.format_dict
        assert (form["n"] - form["initial"], form["n"]) == (3, earlier + 3)

    def test_elsewhere_a_line_now_and_then(self, clock: Clock) -> None:
        stream = io.StringIO()
        with SearchBar(trials=4, metric="rmse", stream=stream) as bar:
            clock.now += 11
            bar(1, None)
            clock.now += 1
            bar(2, 0.5)
        assert stream.getvalue() == "trial 1 of 4: no value yet, about 33 s left\n"


def test_a_bag_says_where_its_networks_are_and_what_is_left(clock: Clock) -> None:
    stream = io.StringIO()
    with BagBar(networks=4, epochs=10, stream=stream) as bar:
        clock.now += 1
        bar((0, 1))
        clock.now += 39
        for network, epoch in ((1, 1), (0, 5), (1, 5)):
            bar((network, epoch))
        assert re.search(
            r"^network 0 of 4: network 1 in epoch \d, .*at most [\d,]+ s left", stream.getvalue()
        )
        clock.now += 20
        bar((0, None))
        bar((1, 9))
        assert "network 1 of 4: network 2 in epoch" in shown(stream)
        assert "network 1 in" not in shown(stream)


def test_the_start_of_a_bags_processes_is_no_speed(clock: Clock) -> None:
    """Ten epochs of a second each are left when the first have come after a minute of imports."""
    stream = io.StringIO()
    with BagBar(networks=2, epochs=21, stream=stream) as bar:
        clock.now += 60
        for epoch in range(1, 12):
            bar((0, epoch)), bar((1, epoch))
            clock.now += 1
    assert "network 0 of 2: network 1 in epoch 11, network 2 in epoch 10, at most 10 s left" in (
        stream.getvalue()
    )
