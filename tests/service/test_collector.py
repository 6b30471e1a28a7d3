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
    def seen(what: list[object]) -> bool:
        return any(one is what for one in gc.get_objects())

    async def told() -> list[bool]:
        there: list[object] = [[]]
        first_load = asyncio.Event()
        sparing = asyncio.create_task(spare_after(first_load, pause_s=0.0))
        at_first = seen(there)
        await asyncio.sleep(0)
        brought: list[object] = [[]]
        between = [seen(there), seen(brought)]
        first_load.set()
        await sparing
        return [at_first, *between, seen(there), seen(brought)]

    assert asyncio.run(told()) == [True, False, True, False, False]


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
