"""The shelf goes on whatever a load or the database does, and serves only what was published."""

from __future__ import annotations

import errno
import logging
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import service.shelf
from ctrfast.folders import read_manifest, write_manifest
from ctrfast.score import Scorer
from service.pointers import Pointers, PointerStore
from tests.service.conftest import Api, publish, wait_for
from tests.service.test_api_jobs import problem

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
    monkeypatch.setattr(service.shelf, "Scorer", Watched)
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
    detail = problem(api.client.post("/v1/models/ctr/versions/2:predict", json=BODY), 409, "bad_artifact")["detail"]
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
    detail = problem(api.client.post("/v1/models/ctr:predict", json=BODY), 409, "bad_artifact")["detail"]
    assert "not the one that was published" in detail
    assert str(api.services.settings.home_dir) not in detail
