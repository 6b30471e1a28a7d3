"""Greedy batching: each caller gets the scores of its own rows, whatever else is in the batch."""

from __future__ import annotations

import asyncio
import threading

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ctrfast.data.encode import Encoded
from service.scoring.batches import ROWS_IN_LOOP, Batches
from service.scoring.bodies import Impressions
from service.scoring.passes import Part, Pass


def scores(number, rows):
    return (number + np.arange(rows) / 1000).astype(np.float32)


def request(number, rows):
    """Impressions that know their number by their only column."""
    return Impressions(lambda: {"number": number}, rows, str)


def rows_of(requests):
    return sum(each.rows for each in requests)


def score(requests):
    """A pass without encoder and network."""
    rows = rows_of(requests)
    parts = [Part(scores(each.values()["number"], each.rows), np.zeros((each.rows, 1), np.int32)) for each in requests]
    return Pass(parts, Encoded(np.zeros((rows, 1), np.int32), np.zeros((rows, 0), np.float32), {}, rows), 0.0, 0.0)


def batches_with(score):
    return Batches(score, lambda done: None)


@given(st.lists(st.tuples(st.integers(0, 300), st.booleans(), st.booleans()), max_size=40))
def test_answers_never_cross_callers(requests):
    """rows of each request; whether it waits a turn before it comes; whether its caller hangs up."""
    told = []

    async def ask(batches, number, rows, waits):
        if waits:
            await asyncio.sleep(0)
        return (await batches.score(request(number, rows))).probabilities

    async def ask_all():
        batches = Batches(score, lambda done: told.append(done.encoded.rows))
        tasks = [asyncio.create_task(ask(batches, n, rows, waits)) for n, (rows, waits, _) in enumerate(requests)]
        for task, (_, _, hangs_up) in zip(tasks, requests, strict=True):
            if hangs_up:
                await asyncio.sleep(0)
                task.cancel()
        return await asyncio.gather(*tasks, return_exceptions=True)

    answered = 0
    for number, (answer, (rows, _, hangs_up)) in enumerate(zip(asyncio.run(ask_all()), requests, strict=True)):
        if isinstance(answer, asyncio.CancelledError):
            assert hangs_up
        else:
            np.testing.assert_array_equal(answer, scores(number, rows))
            answered += rows
    assert answered <= sum(told) <= sum(rows for rows, _, _ in requests)


def test_what_has_arrived_is_scored_at_once():
    sizes = []

    def counted(requests):
        sizes.append(rows_of(requests))
        return score(requests)

    async def ask():
        batches = batches_with(counted)
        await asyncio.gather(*(batches.score(request(n, 1)) for n in range(ROWS_IN_LOOP)))

    asyncio.run(ask())
    assert sizes == [ROWS_IN_LOOP]


def test_many_rows_leave_the_loop_free():
    loops_thread, begun, go_on = threading.get_ident(), threading.Event(), threading.Event()
    threads = []

    def slow(requests):
        threads.append(threading.get_ident())
        if rows_of(requests) > ROWS_IN_LOOP:
            begun.set()
            assert go_on.wait(120)
        return score(requests)

    async def ask():
        batches, others = batches_with(slow), batches_with(slow)
        large = asyncio.create_task(batches.score(request(1, 100)))
        assert await asyncio.to_thread(begun.wait, 120)
        await others.score(request(2, 1))  # another version's, while the thread is busy
        go_on.set()
        return await large

    assert len(asyncio.run(ask()).probabilities) == 100
    assert (threads[0] == loops_thread, threads[1] == loops_thread) == (False, True)


@pytest.mark.parametrize("rows", [1, 100])
def test_an_error_reaches_all_callers_and_the_next_batch_is_scored(rows):
    broken = True

    def fails(requests):
        if broken:
            raise RuntimeError("no memory")
        return score(requests)

    async def ask():
        nonlocal broken
        batches = batches_with(fails)
        asked = [batches.score(request(n, rows)) for n in range(2)]
        assert [str(error) for error in await asyncio.gather(*asked, return_exceptions=True)] == ["no memory"] * 2
        broken = False
        return await batches.score(request(3, rows))

    assert len(asyncio.run(ask()).probabilities) == rows
