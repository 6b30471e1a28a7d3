"""Two API processes and workers that share a database and an object store, and no disk: each host is a HOME and cache."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from ctrfast.data.shards import Dataset
from ctrfast.errors import ConfigError
from ctrfast.store.address import Address
from ctrfast.store.artefacts import find, publish
from ctrfast.store.objects import Objects, connect
from service.backup import Extent, back_up
from service.places import Store
from service.states import Kind
from service.worker import Worker
from service.wiring import Services
from tests.service.conftest import Api, quick_settings, wait_for
from tests.service.test_worker import working
from tests.store.conftest import server, store  # noqa: F401 - fixtures

ROW = {"I1": 3, "C1": "68fd1e64"}
TRAIN = {"dataset": "small", "batch_size": 500, "model": {"hidden": [8], "embedding_dim": 4}, "publish_as": "ctr"}


class Host:
    """One machine: a HOME and a cache of its own."""

    def __init__(self, folder: Path, patch: pytest.MonkeyPatch, **settings: Any) -> None:
        self.folder = folder
        self._patch = patch
        self.settings = quick_settings(folder / "home", lease_s=20.0, **settings)

    def use(self) -> None:
        """What happens next happens here."""
        self._patch.setenv("CTRFAST_CACHE", str(self.folder / "cache"))


@pytest.fixture
def hosts(tmp_path: Path, database_url: str, store: str, monkeypatch: pytest.MonkeyPatch) -> tuple[Host, Host]:  # noqa: F811
    shared = {"database_url": database_url, "artifacts": f"{store}/service", "data_roots": (f"{store}/data",)}
    return Host(tmp_path / "one", monkeypatch, **shared), Host(tmp_path / "two", monkeypatch, **shared)


@pytest.fixture
def apis(hosts: tuple[Host, Host]) -> Iterator[tuple[Api, Api]]:
    started = [Api(host.settings) for host in hosts]
    yield started[0], started[1]
    for api in started:
        api.close()
