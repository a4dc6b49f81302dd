"""Requests that wait together are predicted together, and each gets its own answer."""

from __future__ import annotations

import asyncio
import threading
from pathlib import Path
from typing import Any

import pytest
from tests.version import Version

from plumbline.kinds import Task
from plumbline.serving.batcher import Answer, Batcher
from plumbline.serving.refused import Refused
from plumbline.serving.served import Served

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Served:
    folder: Path = tmp_path_factory.mktemp("version")
    return Served.load(Version(folder / "one", Task.REGRESSION, only="price").folder, "made/1")


def rows(*prices: Any) -> list[dict[str, Any]]:
    return [{"price": price} for price in prices]


async def crowd(served: Served, requests: list[list[dict[str, Any]]], **limits: int) -> Any:
    """Results of requests that all wait when the thread begins, and the sizes of its batches."""
    sizes: list[int] = []
    given = {"batch_rows": 4, "queue_rows": 100, **limits}
    batcher = Batcher(lambda: served, on_batch=sizes.append, **given)
    futures = [batcher.predict(one) for one in requests]
    batcher.start()
    results = await asyncio.gather(*futures, return_exceptions=True)
    batcher.close()
    return results, sizes


def test_a_batch_gives_each_request_its_own_rows(served: Served) -> None:
    requests = [rows(i) for i in range(3)] + [rows("1,5 €", 2.5), rows("cheap"), rows(None)]
    results, sizes = asyncio.run(crowd(served, requests))
    assert sizes == [3, 4]  # the first three; then what fits, the bad one among it
    for one, result in zip(requests, results, strict=True):
        if one == rows("cheap"):
            assert isinstance(result, Refused) and result.cells[0].row == 0
            continue
        assert isinstance(result, Answer)
        alone = served.predict(served.parse(one))
        assert result.predictions.answers == alone.answers and not alone.wrong


def test_a_full_queue_refuses_and_says_when_to_come_back(served: Served) -> None:
    with pytest.raises(Refused) as caught:
        asyncio.run(crowd(served, [rows(1), rows(2), rows(3)], queue_rows=2))
    assert caught.value.status == 503 and caught.value.retry_after == 1


def test_closing_answers_what_was_taken(served: Served) -> None:
    async def run() -> list[Any]:
        hold, entered = threading.Event(), threading.Event()

        def work(served: Served) -> None:
            entered.set()
            hold.wait()

        batcher = Batcher(lambda: served, batch_rows=1, queue_rows=100, on_batch=lambda rows: None)
        batcher.start()
        futures: list[Any] = [batcher.run(work)]
        entered.wait()
        futures += [batcher.predict(rows(*range(40))), batcher.predict(rows(1))]
        closing = asyncio.get_running_loop().run_in_executor(None, batcher.close)
        hold.set()
        results = list(await asyncio.gather(*futures))
        await closing
        with pytest.raises(Refused):
            batcher.predict(rows(1))
        return results

    assert len(asyncio.run(run())) == 3


def test_a_defect_of_one_request_fails_no_other(
    served: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    predict = Served.predict

    def broken(self: Served, given: Any) -> Any:
        if any(row["price"] == 13.0 for row in given):
            raise RuntimeError("a defect")
        return predict(self, given)

    monkeypatch.setattr(Served, "predict", broken)
    results, _ = asyncio.run(crowd(served, [rows(1), rows(13), rows(2)]))
    assert [type(one) for one in results] == [Answer, RuntimeError, Answer]


def test_few_rows_do_not_wait_for_what_takes_long(served: Served) -> None:
    async def run() -> None:
        hold, sizes = threading.Event(), list[int]()
        batcher = Batcher(lambda: served, batch_rows=256, queue_rows=100, on_batch=sizes.append)
        batcher.start()
        long = batcher.run(lambda served: hold.wait())
        crowd = [batcher.predict(rows(i)) for i in range(3)]
        large = batcher.predict(rows(1), size=10**6)  # for the thread
        await asyncio.gather(*crowd)
        assert sizes == [3] and not long.done() and not large.done()
        hold.set()
        await asyncio.gather(long, large)
        batcher.close()
        assert batcher.waiting == 0

    asyncio.run(run())
