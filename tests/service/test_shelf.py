"""The shelf goes on whatever a load or the database does, and serves only what was published."""

from __future__ import annotations

import asyncio
import errno
import logging
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

import service.served
import service.shelf
from ctrfast.folders import read_manifest, write_manifest
from ctrfast.score import Scorer
from service.pointers import Key, Pointers, PointerStore
from service.problems import VersionRemovedError
from service.registry import Registry
from service.served import Served
from service.shelf import Shelf
from service.telemetry import Telemetry
from tests.service.conftest import Api, publish, wait_for
from tests.service.test_api_jobs import problem
from tests.service.test_api_registry import new_shelf

BODY = {"instances": [{"I1": 3}]}


def predict(api: Api) -> str:
    response = api.client.post("/v1/models/ctr:predict", json=BODY)
    assert response.status_code == 200, response.text
    return str(response.headers["x-model-version"])


@pytest.fixture
def loads(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """Loads by version folder, and the errors that they shall raise."""
    state: dict[str, Any] = {"errors": {}, "count": 0}

    def load(folder: Path) -> Scorer:
        state["count"] += 1
        if folder.name in state["errors"]:
            raise state["errors"][folder.name]
        return Scorer.load(folder)

    class Watched:
        pass

    Watched.load = staticmethod(load)  # type: ignore[attr-defined]
    monkeypatch.setattr(service.served, "Scorer", Watched)
    return state


@pytest.mark.parametrize("error", [OSError(errno.EMFILE, "Too many open files", "/srv/secret"), RecursionError()])
def test_aliases_are_followed_after_a_load_that_failed(
    api: Api, bundle: Path, loads: dict[str, Any], error: Exception, caplog: pytest.LogCaptureFixture
) -> None:
    publish(api, bundle)
    assert predict(api) == "1"
    loads["errors"]["2"] = error
    publish(api, bundle)
    wait_for(lambda: loads["count"] == 2, "the failing load")
    time.sleep(0.5)  # several looks at the aliases
    assert loads["count"] == 2  # not read again at each of them
    assert [record.levelno for record in caplog.records if record.name == "service.shelf"] == [logging.ERROR]
    detail = problem(api.client.post("/v1/models/ctr/versions/2:predict", json=BODY), 503, "bad_artifact")["detail"]
    assert "secret" not in detail
    assert loads["count"] == 2
    assert predict(api) == "1"
    publish(api, bundle)
    wait_for(lambda: predict(api) == "3", "the third version")
    loads["errors"].clear()  # somebody mended it, and puts the alias there: tried at once
    assert api.client.put("/v1/models/ctr/aliases/latest", json={"version": 2}).status_code == 200
    assert predict(api) == "2"


def test_the_watch_survives_any_error(api: Api, bundle: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    publish(api, bundle)
    assert predict(api) == "1"
    read = PointerStore.read
    calls: list[int] = []

    def broken(store: PointerStore) -> Pointers:
        calls.append(1)
        if len(calls) < 3:
            raise ZeroDivisionError
        return read(store)

    monkeypatch.setattr(PointerStore, "read", broken)
    publish(api, bundle)
    wait_for(lambda: predict(api) == "2", "the second version")


def exchange(folder: Path) -> None:
    """Make a bundle another one that is whole in itself."""
    manifest = read_manifest(folder, "bundle")
    content = {key: value for key, value in manifest.items() if key not in ("files", "seal")}
    write_manifest(folder, {**content, "note": "another"})
    Scorer.load(folder)


def test_a_bundle_that_was_exchanged_is_not_served(make_api: Callable[..., Api], bundle: Path) -> None:
    api = make_api()
    publish(api, bundle)
    exchange(api.services.registry.folder("ctr", 1))
    detail = problem(api.client.post("/v1/models/ctr:predict", json=BODY), 503, "bad_artifact")["detail"]
    assert "not the one that was published" in detail
    assert str(api.services.settings.home_dir) not in detail


def loaded(api: Api) -> set[tuple[str, int]]:
    return {(name, version) for _, name, version in api.services.shelf._loaded}


def test_what_aliases_point_at_is_loaded_before_an_api_is_ready(
    make_api: Callable[..., Api], bundle: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    first = make_api()
    for name in ("a", "b", "broken"):
        publish(first, bundle, name)
        publish(first, bundle, name)
    assert first.client.put("/v1/models/a/aliases/stable", json={"version": 1}).status_code == 200
    (first.services.registry.folder("broken", 2) / "model.onnx").write_bytes(b"x")
    real, let_go = service.shelf.open_version, threading.Event()

    def slow(registry: Registry, telemetry: Telemetry, key: Key) -> Served:
        assert let_go.wait(300)
        return real(registry, telemetry, key)

    monkeypatch.setattr(service.shelf, "open_version", slow)
    second = make_api()
    assert second.client.get("/healthz").status_code == 200
    for path in ("/readyz", "/v2/health/ready"):
        detail = problem(second.client.get(path), 503, "not_ready")["detail"]
        assert "models: 4 of the versions that aliases point at are still to be loaded." in detail
    let_go.set()
    wait_for(lambda: second.client.get("/readyz").is_success, "the loads")
    assert loaded(second) == {("a", 1), ("a", 2), ("b", 2)}
    assert second.client.get("/readyz").json()["checks"]["models"] == "ok"
    assert second.client.get("/v2/health/ready").is_success
    assert "Version 2 of the model 'broken' cannot be served" in caplog.text
    monkeypatch.setattr(service.shelf, "open_version", None)  # nothing is loaded within a request
    for name in ("a:predict", "a/labels/stable:predict", "b:predict"):
        assert second.client.post(f"/v1/models/{name}", json=BODY).status_code == 200


def test_no_more_is_loaded_at_a_start_than_may_be_held(make_api: Callable[..., Api], bundle: Path) -> None:
    first = make_api()
    for name in ("a", "b", "c"):
        publish(first, bundle, name)
    publish(first, bundle, "a")
    assert first.client.put("/v1/models/a/aliases/old", json={"version": 1}).status_code == 200
    second = make_api(max_loaded_models=2)
    wait_for(lambda: second.client.get("/readyz").is_success, "the loads")
    assert loaded(second) == {("a", 2), ("b", 1)}  # `latest` before others


class Gate:
    """Holds up a load when it has read all files, until it is let go."""

    def __init__(self) -> None:
        self.reached, self.let_go = threading.Event(), threading.Event()


@pytest.fixture
def gates(monkeypatch: pytest.MonkeyPatch) -> Iterator[dict[int, Gate]]:
    """Gates of versions, by number."""
    gates: dict[int, Gate] = {}
    real = service.shelf.open_version

    def slow(registry: Registry, telemetry: Telemetry, key: Key) -> Served:
        served = real(registry, telemetry, key)
        if (gate := gates.get(key[2])) is not None:
            gate.reached.set()
            assert gate.let_go.wait(120)
        return served

    monkeypatch.setattr(service.shelf, "open_version", slow)
    yield gates
    for gate in gates.values():
        gate.let_go.set()


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(120):
        while not condition():
            await asyncio.sleep(0.005)


@asynccontextmanager
async def watching(api: Api) -> AsyncIterator[Shelf]:
    """A shelf that serves `latest` and follows the registry."""
    shelf = new_shelf(api)
    watch = asyncio.create_task(shelf.watch())
    await shelf.by_alias("default", "ctr", "latest")
    try:
        yield shelf
    finally:
        watch.cancel()
        await asyncio.gather(watch, return_exceptions=True)


def test_an_alias_that_was_promoted_stays_though_an_earlier_load_ends_later(two: Api, gates: dict[int, Gate]) -> None:
    async def body() -> None:
        shelf = new_shelf(two)
        await shelf.by_version("default", "ctr", 1)
        gates[2] = Gate()
        earlier = asyncio.create_task(shelf.by_alias("default", "ctr", "latest"))
        await until(gates[2].reached.is_set)
        await shelf.promote("default", "ctr", "latest", 1)
        assert (await shelf.by_alias("default", "ctr", "latest")).version == 1
        gates[2].let_go.set()
        assert (await earlier).version == 2  # as it was asked for before
        assert (await shelf.by_alias("default", "ctr", "latest")).version == 1

    asyncio.run(body())


def test_a_version_that_is_removed_while_it_is_loaded_is_not_kept(two: Api, gates: dict[int, Gate]) -> None:
    async def body() -> None:
        async with watching(two) as shelf:
            gates[1] = Gate()
            asked = asyncio.create_task(shelf.by_version("default", "ctr", 1))
            await until(gates[1].reached.is_set)
            await asyncio.to_thread(two.services.removal.remove, "default", "ctr", 1)
            await until(lambda: not shelf._loading)
            gates[1].let_go.set()
            assert (await asked).version == 1  # as it was asked for before
            with pytest.raises(VersionRemovedError):
                await shelf.by_version("default", "ctr", 1)

    asyncio.run(body())


def test_an_alias_that_leaves_a_version_which_is_removed_before_it_is_read_is_followed(
    two: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = service.shelf.open_version

    def slow(registry: Registry, telemetry: Telemetry, key: Key) -> Served:
        if key[2] == 2:
            registry.of("default").set_alias("ctr", "latest", 1)
            two.services.removal.remove("default", "ctr", 2)
        return real(registry, telemetry, key)

    monkeypatch.setattr(service.shelf, "open_version", slow)
    assert asyncio.run(new_shelf(two).by_alias("default", "ctr", "latest")).version == 1


def test_a_load_that_a_removal_broke_says_that_the_version_is_gone(two: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    gate, real = Gate(), service.shelf.open_version

    def slow(registry: Registry, telemetry: Telemetry, key: Key) -> Served:
        if key[2] == 1:
            gate.reached.set()
            assert gate.let_go.wait(120)
            raise FileNotFoundError("model.onnx")
        return real(registry, telemetry, key)

    monkeypatch.setattr(service.shelf, "open_version", slow)

    async def body() -> None:
        async with watching(two) as shelf:
            asked = asyncio.create_task(shelf.by_version("default", "ctr", 1))
            await until(gate.reached.is_set)
            await asyncio.to_thread(two.services.removal.remove, "default", "ctr", 1)
            await until(lambda: not shelf._loading)
            gate.let_go.set()
            with pytest.raises(VersionRemovedError):
                await asked

    asyncio.run(body())
