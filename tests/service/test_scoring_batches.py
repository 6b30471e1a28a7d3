"""Greedy batching: each caller gets the scores of its own rows, whatever else is in the batch."""

from __future__ import annotations

import asyncio
import threading

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.scoring.batches import ROWS_IN_LOOP, Batches


def score(ids, numbers):
    return (ids[:, 0] + numbers[:, 0]).astype(np.float32)


def request(number, rows):
    ids = np.full((rows, 2), number, np.int32)
    return ids, (np.arange(rows, dtype=np.float32) / 1000)[:, None]


@given(st.lists(st.tuples(st.integers(0, 300), st.booleans(), st.booleans()), max_size=40))
def test_answers_never_cross_callers(requests):
    """rows of each request; whether it waits a turn before it comes; whether its caller hangs up."""

    async def ask(batches, number, rows, waits):
        if waits:
            await asyncio.sleep(0)
        return await batches.score(*request(number, rows))

    async def ask_all():
        batches = Batches(score)
        tasks = [asyncio.create_task(ask(batches, n, rows, waits)) for n, (rows, waits, _) in enumerate(requests)]
        for task, (_, _, hangs_up) in zip(tasks, requests, strict=True):
            if hangs_up:
                await asyncio.sleep(0)
                task.cancel()
        return await asyncio.gather(*tasks, return_exceptions=True)

    for number, (answer, (rows, _, hangs_up)) in enumerate(zip(asyncio.run(ask_all()), requests, strict=True)):
        if isinstance(answer, asyncio.CancelledError):
            assert hangs_up
        else:
            np.testing.assert_array_equal(answer, score(*request(number, rows)))


def test_what_has_arrived_is_scored_at_once():
    sizes = []

    def counted(ids, numbers):
        sizes.append(len(ids))
        return score(ids, numbers)

    async def ask():
        batches = Batches(counted)
        await asyncio.gather(*(batches.score(*request(n, 1)) for n in range(ROWS_IN_LOOP)))

    asyncio.run(ask())
    assert sizes == [ROWS_IN_LOOP]


def test_many_rows_leave_the_loop_free():
    loops_thread, go_on = threading.get_ident(), threading.Event()
    threads = []

    def slow(ids, numbers):
        threads.append(threading.get_ident())
        if len(ids) > ROWS_IN_LOOP:
            assert go_on.wait(30)
        return score(ids, numbers)

    async def ask():
        batches, others = Batches(slow), Batches(slow)
        large = asyncio.create_task(batches.score(*request(1, 100)))
        await asyncio.sleep(0.01)
        await others.score(*request(2, 1))  # another version's, while the thread is busy
        go_on.set()
        return await large

    assert len(asyncio.run(ask())) == 100
    assert (threads[0] == loops_thread, threads[1] == loops_thread) == (False, True)


@pytest.mark.parametrize("rows", [1, 100])
def test_an_error_reaches_all_callers_and_the_next_batch_is_scored(rows):
    broken = True

    def fails(ids, numbers):
        if broken:
            raise RuntimeError("no memory")
        return score(ids, numbers)

    async def ask():
        nonlocal broken
        batches = Batches(fails)
        asked = [batches.score(*request(n, rows)) for n in range(2)]
        assert [str(error) for error in await asyncio.gather(*asked, return_exceptions=True)] == ["no memory"] * 2
        broken = False
        return await batches.score(*request(3, rows))

    assert len(asyncio.run(ask())) == rows
