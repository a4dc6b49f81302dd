"""Stages through DVC: what ran, side by side, and what a failure means."""

from __future__ import annotations

import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psutil
import pytest
from pipelines.dvc_cli import CommandError, Outcome, repro

from pipelines import dvc_cli


def silent(_: str) -> None:
    pass


def test_what_dvc_did(toy: Path) -> None:
    assert set(dvc_cli.status(toy)) == {"first", "left", "right", "gate"}
    assert repro("first", toy, silent) is Outcome.RAN
    assert repro("first", toy, silent) is Outcome.UNCHANGED
    assert repro("first", toy, silent, force=True) is Outcome.RAN
    assert "first" not in dvc_cli.status(toy)


def test_independent_stages_overlap_and_both_are_locked(toy: Path) -> None:
    repro("first", toy, silent)
    with ThreadPoolExecutor() as pool:
        done = list(pool.map(lambda name: repro(name, toy, silent), ["left", "right"]))
    assert done == [Outcome.RAN, Outcome.RAN]
    (left, left_end), (right, right_end) = (
        [float(line) for line in (toy / name).read_text().split()] for name in ("left", "right")
    )
    assert max(left, right) < min(left_end, right_end)
    assert set(dvc_cli.status(toy)) == {"gate"}


def test_a_gate_is_not_tried_again_and_says_why(toy: Path) -> None:
    for name in ("first", "left", "right"):
        repro(name, toy, silent)
    text: list[str] = []
    with pytest.raises(CommandError) as caught:
        repro("gate", toy, text.append)
    assert str(caught.value) == "rows fail. See r.json."
    assert (caught.value.code, caught.value.retryable) == (3, False)
    assert "step 2" in text and "step 1" not in text


def test_a_stage_that_was_killed_is_no_gate_and_not_tried_again(toy: Path) -> None:
    text = (toy / "dvc.yaml").read_text()
    (toy / "dvc.yaml").write_text(text.replace("first 0; echo", "first 1 killed; kill -9 $$; echo"))
    with pytest.raises(CommandError, match="killed") as caught:
        repro("first", toy, silent)
    assert (caught.value.code, caught.value.retryable) == (1, False)


def test_the_end_does_not_depend_on_what_dvc_prints(
    toy: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A stage may print DVC's own phrases; they mean nothing."""
    text = (toy / "dvc.yaml").read_text()
    phrases = "Unable to acquire lock; failed to run: x, exited with 3; is busy"
    (toy / "dvc.yaml").write_text(text.replace("first 0;", f"first 0; echo '{phrases}';"))
    assert repro("first", toy, silent) is Outcome.RAN
    (toy / "dvc.yaml").write_text(
        text.replace("first 0;", f"first 2 wrong; echo '{phrases}'; exit 2;")
    )
    with pytest.raises(CommandError, match=r"^wrong$") as caught:
        repro("first", toy, silent)
    assert (caught.value.code, caught.value.retryable) == (2, False)


def test_a_lock_is_tried_again(toy: Path) -> None:
    repro("first", toy, silent)
    busy = f'{{"write": {{"{toy}/a": {{"pid": 1, "cmd": "someone else"}}}}, "read": {{}}}}'
    (toy / ".dvc" / "tmp" / "rwlock").write_text(busy)
    with pytest.raises(CommandError, match="is busy") as caught:
        repro("left", toy, silent)
    assert (caught.value.code, caught.value.retryable) == (None, True)


def test_an_unknown_stage_is_not_tried_again(toy: Path) -> None:
    with pytest.raises(CommandError, match="frist") as caught:
        repro("frist", toy, silent)
    assert (caught.value.code, caught.value.retryable) == (None, False)


def test_a_remote_that_has_it_not_is_tried_again(toy: Path) -> None:
    with pytest.raises(CommandError) as caught:
        dvc_cli.pull("data.dvc", toy, silent)
    assert caught.value.retryable


def test_stopping_ends_what_the_stage_started(toy: Path) -> None:
    text = (toy / "dvc.yaml").read_text().replace("echo a > a", "sleep 4711; echo a > a")
    (toy / "dvc.yaml").write_text(text)
    failed: list[CommandError] = []

    def work() -> None:
        try:
            repro("first", toy, silent)
        except CommandError as error:
            failed.append(error)

    def sleepers() -> list[psutil.Process]:
        everything = psutil.process_iter(["cmdline"])
        return [p for p in everything if p.info["cmdline"] == ["sleep", "4711"]]

    thread = threading.Thread(target=work)
    thread.start()
    until = time.monotonic() + 60
    while not sleepers() and time.monotonic() < until:
        time.sleep(0.1)
    assert sleepers()
    dvc_cli.stop_all()
    thread.join(60)
    assert failed and not thread.is_alive()
    assert not sleepers()
