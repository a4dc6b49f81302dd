"""Two hosts, made of network namespaces: torch's launcher on each, a cable between them."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from tests.made import curves, made_checkout, made_spec, plumbline

from plumbline.config import Paths
from plumbline.kinds import Task

pytestmark = pytest.mark.soak
SPEC = made_spec(Task.MULTICLASS)
FIT = {"epochs": 12, "patience": 0}
HOW = {"checkpoint_steps": 7}
HOSTS = tuple(f"plumb{os.getpid()}-{number}" for number in (0, 1))  # ours alone


def ip(*arguments: str) -> None:
    subprocess.run(["ip", *arguments], capture_output=True, text=True, check=True)


def may_make_hosts() -> bool:
    """Whether the system lets this user make a network namespace."""
    name = f"{HOSTS[0]}-try"
    try:
        ip("netns", "add", name)
        ip("netns", "del", name)
    except (FileNotFoundError, subprocess.CalledProcessError):
        return False
    return True


@pytest.fixture
def hosts() -> Iterator[None]:
    """The first is 10.77.0.1, the second 10.77.0.2; neither sees anything else."""
    if not may_make_hosts():
        pytest.skip("network namespaces need rights (and the command ip) that are lacking")
    one, two = HOSTS
    try:
        for name in HOSTS:
            ip("netns", "add", name)
        ip("link", "add", "pl0", "netns", one, "type", "veth", "peer", "name", "pl1", "netns", two)
        for number, name in enumerate(HOSTS):
            ip("-n", name, "addr", "add", f"10.77.0.{number + 1}/24", "dev", f"pl{number}")
            ip("-n", name, "link", "set", f"pl{number}", "up")
            ip("-n", name, "link", "set", "lo", "up")
        yield
    finally:
        for name in HOSTS:
            with suppress(subprocess.CalledProcessError):
                ip("netns", "del", name)


def start(number: int, paths: Paths) -> subprocess.Popen[str]:
    """The documented command, on one of the hosts."""
    command = ["ip", "netns", "exec", HOSTS[number], sys.executable, "-m", "torch.distributed.run"]
    command += ["--nnodes=2", f"--node-rank={number}", "--nproc-per-node=1", "--max-restarts=3"]
    command += ["--master-addr=10.77.0.1", "--master-port=29400", "--module", "plumbline", "train"]
    with (paths.root / "log.txt").open("w") as log:
        return subprocess.Popen(
            command,
            cwd=paths.root,
            env={**os.environ, "OMP_NUM_THREADS": "1", "GLOO_SOCKET_IFNAME": f"pl{number}"},
            stdout=log,
            stderr=log,
            text=True,
        )


def worker_of(agent: int) -> int:
    """The training process under a launcher, once it is there."""
    end = time.monotonic() + 60
    while time.monotonic() < end:
        for task in Path(f"/proc/{agent}/task").glob("*/children"):
            for child in task.read_text().split():
                if b"RANK=" in Path(f"/proc/{child}/environ").read_bytes():
                    return int(child)
        time.sleep(0.05)
    raise AssertionError("no training process")


@pytest.mark.parametrize("killed", [None, 0, 1])
def test_two_hosts_have_the_loss_curve_of_one(
    tmp_path: Path, hosts: None, killed: int | None
) -> None:
    """Each host has a checkout of its own; what is written is on the first. A process that is
    killed on either comes back with its group."""
    one, *two = (
        made_checkout(tmp_path / name, SPEC, train=FIT, runtime=HOW, rows=(400, 100))
        for name in ("one", *HOSTS)
    )
    assert plumbline(one.root, "train").returncode == 0
    agents = [start(number, paths) for number, paths in enumerate(two)]
    try:
        if killed is not None:
            worker = worker_of(agents[killed].pid)
            end = time.monotonic() + 120
            while not list(two[0].state.glob("checkpoints/*/*")) and time.monotonic() < end:
                time.sleep(0.01)
            os.kill(worker, signal.SIGKILL)
        codes = [agent.wait(timeout=300) for agent in agents]
    finally:
        for agent in agents:
            agent.kill()
    logs = [(paths.root / "log.txt").read_text() for paths in two]
    assert codes == [0, 0], logs
    assert not (two[1].root / "artifacts" / "model").exists()
    for ours, wanted in zip(curves(two[0]), curves(one), strict=True):
        assert ours == pytest.approx(wanted, rel=1e-4)
