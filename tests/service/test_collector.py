"""What stays is out of the garbage collector's sight, and a version that goes is freed without the collector."""

from __future__ import annotations

import asyncio
import gc
import weakref
from collections.abc import Iterator
from pathlib import Path

import pytest

from ctrfast.score import Scorer
from service.collector import spare_after
from service.served import Served
from tests.service.conftest import Api


@pytest.fixture
def thawed() -> Iterator[None]:
    yield
    gc.unfreeze()


@pytest.mark.usefixtures("thawed")
def test_what_was_there_is_spared_and_again_after_the_first_load() -> None:
    async def frozen() -> tuple[list[int], bool, bool]:
        first_load = asyncio.Event()
        sparing = asyncio.create_task(spare_after(first_load, pause_s=0.0))
        await asyncio.sleep(0)
        counts = [gc.get_freeze_count()]
        brought = [[] for _ in range(1000)]
        before = any(seen is brought for seen in gc.get_objects())
        first_load.set()
        await sparing
        counts.append(gc.get_freeze_count())
        return counts, before, any(seen is brought for seen in gc.get_objects())

    (at_start, after_load), seen_before, seen_after = asyncio.run(frozen())
    assert at_start > 10_000
    assert after_load >= at_start + 1000
    assert seen_before
    assert not seen_after


def test_a_version_that_is_let_go_of_is_freed_at_once(api: Api, bundle: Path) -> None:
    served = Served("default", "ctr", 1, Scorer.load(bundle), api.services.telemetry)

    async def score(served: Served) -> None:
        impressions = served.bodies.predict(b'{"instances": [{"I1": 3}]}', 1)[0]
        await served.batches.score(impressions)

    asyncio.run(score(served))
    assert served.live.report() is not None
    gone = [weakref.ref(part) for part in (served, served.scorer, served.bodies, served.live)]
    gc.collect()
    gc.disable()
    try:
        del served
        assert [part() for part in gone] == [None] * len(gone)
    finally:
        gc.enable()
