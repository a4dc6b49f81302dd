"""Which device and how many threads; a machine without a GPU says so."""

from __future__ import annotations

import os

import pytest
import torch

from plumbline.config.runtime import RuntimeConfig, count_threads
from plumbline.errors import ParameterError
from plumbline.training.device import choose_device, set_up


def gpus(monkeypatch: pytest.MonkeyPatch, count: int) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: count > 0)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: count)


@pytest.mark.parametrize(
    ("query", "count", "rank", "wanted"),
    [
        ("auto", 0, 3, "cpu"),
        ("cpu", 2, 1, "cpu"),
        ("auto", 2, 1, "cuda:1"),
        ("cuda", 1, 0, "cuda:0"),
    ],
)
def test_each_process_has_its_own_gpu_or_the_cpu(
    monkeypatch: pytest.MonkeyPatch, query: str, count: int, rank: int, wanted: str
) -> None:
    gpus(monkeypatch, count)
    assert choose_device(RuntimeConfig(device=query), rank) == torch.device(wanted)


def test_no_gpu_at_hand(monkeypatch: pytest.MonkeyPatch) -> None:
    gpus(monkeypatch, 0)
    with pytest.raises(ParameterError, match=r"runtime\.device: no CUDA device") as caught:
        choose_device(RuntimeConfig(device="cuda"))
    assert "auto or cpu" in str(caught.value)


def test_fewer_gpus_than_processes(monkeypatch: pytest.MonkeyPatch) -> None:
    gpus(monkeypatch, 2)
    with pytest.raises(ParameterError, match=r"runtime\.processes") as caught:
        choose_device(RuntimeConfig(device="auto"), 2)
    assert "at most 2, got 3" in str(caught.value)


def test_threads_are_as_asked_or_the_cores_shared_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: set(range(8)))
    assert count_threads(RuntimeConfig(threads=3), 2) == 3
    assert [count_threads(RuntimeConfig(threads=0), n) for n in (1, 2, 3, 100)] == [8, 4, 2, 1]


def test_results_repeat_by_torchs_own_switches() -> None:
    before = torch.get_num_threads()
    try:
        set_up(torch.device("cpu"), 3)
        assert torch.get_num_threads() == 3 and torch.are_deterministic_algorithms_enabled()
    finally:
        torch.set_num_threads(before)
        torch.use_deterministic_algorithms(False)
