"""Beyond a number of requests or rows under way a further one is refused at once, and the others are answered."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from starlette.types import Message, Receive, Scope, Send

from service.access import LOCAL_CALLER
from service.problems import OverloadedError
from service.scoring.endpoints import ScoringRoutes
from tests.service.conftest import Api, quick_settings
from tests.service.test_api_jobs import problem


async def elsewhere(scope: Scope, receive: Receive, send: Send) -> None:
    await send({"type": "elsewhere"})


def routes(home: Path, services: Any = None, **limits: int) -> ScoringRoutes:
    settings = quick_settings(home, **limits)
    parts = vars(services) if services is not None else {}
    return ScoringRoutes(elsewhere, SimpleNamespace(**{**parts, "settings": settings}))  # type: ignore[arg-type]


async def ask(app: ScoringRoutes, path: str, body: asyncio.Future[bytes]) -> list[Message]:
    sent: list[Message] = []

    async def receive() -> Message:
        return {"type": "http.request", "body": await body}

    async def send(message: Message) -> None:
        sent.append(message)

    state = {"caller": LOCAL_CALLER, "headers": {}}
    await app({"type": "http", "path": path, "method": "POST", "headers": [], "state": state}, receive, send)
    return sent


def arrived(content: object) -> asyncio.Future[bytes]:
    body = asyncio.get_running_loop().create_future()
    body.set_result(json.dumps(content).encode())
    return body


def test_requests_beyond_the_limit_are_refused_while_others_are_under_way(shared_api: Api, tmp_path: Path) -> None:
    async def ask_all() -> None:
        app = routes(tmp_path, shared_api.services, max_scoring_requests=2)
        slow = asyncio.get_running_loop().create_future()
        tasks = [asyncio.create_task(ask(app, "/v1/models/ctr:predict", slow)) for _ in range(2)]
        await asyncio.sleep(0)
        with pytest.raises(OverloadedError) as caught:
            await ask(app, "/v1/models/ctr:predict", arrived({"instances": [{}]}))
        assert caught.value.headers == {"Retry-After": "1"}
        assert await ask(app, "/v1/jobs", slow) == [{"type": "elsewhere"}]  # no scoring: not counted
        slow.set_result(b'{"instances": [{}]}')
        assert [sent[0]["status"] for sent in await asyncio.gather(*tasks)] == [200, 200]
        assert (await ask(app, "/v1/models/ctr:predict", arrived({"instances": [{}]})))[0]["status"] == 200

    asyncio.run(ask_all())


def test_rows_beyond_the_limit(shared_api: Api, tmp_path: Path) -> None:
    async def ask_all() -> list[Any]:
        app = routes(tmp_path, shared_api.services, max_scoring_rows=100)
        asked = [ask(app, "/v1/models/ctr:predict", arrived({"instances": [{}] * rows})) for rows in (60, 60, 40)]
        answers = await asyncio.gather(*asked, return_exceptions=True)
        return [*answers, (await ask(app, "/v1/models/ctr:predict", arrived({"instances": [{}] * 500})))]

    first, second, third, alone = asyncio.run(ask_all())
    assert (first[0]["status"], third[0]["status"], alone[0]["status"]) == (200, 200, 200)
    assert isinstance(second, OverloadedError)


def test_another_method_is_refused(shared_api: Api) -> None:
    response = shared_api.client.get("/v1/score")
    problem(response, 405, "method_not_allowed")
    assert response.headers["allow"] == "POST"
