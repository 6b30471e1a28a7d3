"""Old versions go, used and young ones stay, and nothing is half gone: in each database and store."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import update

from ctrfast.folders import MANIFEST
from ctrfast.store.objects import connect
from service.places import store_of
from service.pointers import PointerStore
from service.problems import BadValueError, NotFoundError, VersionInUseError, VersionRemovedError
from service.tables import VersionRow
from service.version_removal import VersionRemoval
from service.wiring import Services
from tests.service.conftest import IN_EACH_STORE
from tests.service.test_registry import publish

pytestmark = IN_EACH_STORE
DAY_S = 86_400


def removal(services: Services, **settings: Any) -> VersionRemoval:
    return VersionRemoval(services.database, services.settings.model_copy(update=settings))


def grow_older(services: Services, days: float) -> None:
    with services.database.write() as session:
        session.execute(update(VersionRow).values(created_at=time.time() - days * DAY_S))


def held(services: Services, name: str = "m") -> set[int]:
    return set(services.registry.get(name).on_disk)


def lying(services: Services) -> set[str]:
    """Versions of `m` of which a file is there; in HOME, whatever has been left beside them too."""
    store = store_of(services.settings)
    if store is None:
        return {path.name for path in services.registry.folder("m", 1).parent.iterdir()}
    there = {name.partition("/")[0] for name in connect().sizes(store.bundles("default", "m"))}
    return {str(row.version) for row in services.registry.get("m").versions if row.sha256 in there}


def test_a_removed_version_keeps_its_row_and_nothing_else(services: Services) -> None:
    for text in "ab":
        publish(services, "m", text)
    before = PointerStore(services.database).changes()
    services.removal.remove("default", "m", 1)
    assert held(services) == {2}
    assert lying(services) == {"2"}
    assert PointerStore(services.database).changes() == before + 1
    row = services.registry.get_version("m", 1)
    assert (row.metrics, row.removed_at is not None) == ({"test_auc": 0.7}, True)
    assert PointerStore(services.database).removed_among([("default", "m", 1), ("default", "m", 2)]) == {
        ("default", "m", 1)
    }
    for refused in (
        lambda: services.removal.remove("default", "m", 1),
        lambda: services.registry.live_version("m", 1),
        lambda: services.registry.set_alias("m", "latest", 1, force=True),
    ):
        with pytest.raises(VersionRemovedError):
            refused()
    with pytest.raises(BadValueError, match="was removed"):
        services.submissions.check("score", {"model": "m", "version": 1, "inputs": ["x"]})


def test_a_version_behind_an_alias_stays(services: Services) -> None:
    for text in "ab":
        publish(services, "m", text)
    services.registry.set_alias("m", "stable", 1)
    with pytest.raises(VersionInUseError, match=r"behind stable\. Move that first\."):
        services.removal.remove("default", "m", 1)
    for name, version in (("m", 9), ("x", 1)):
        with pytest.raises(NotFoundError):
            services.removal.remove("default", name, version)
    assert held(services) == {1, 2}


def test_old_versions_beyond_the_newest_are_removed(services: Services) -> None:
    for text in "abcde":
        publish(services, "m", text)
    publish(services, "other", "z")
    services.registry.set_alias("m", "stable", 2)
    grow_older(services, 10)
    publish(services, "m", "young")
    assert removal(services).remove_old() == 0  # all are kept without the setting
    assert removal(services, keep_versions=1, keep_versions_days=11).remove_old() == 0
    assert removal(services, keep_versions=2, keep_versions_days=9).remove_old() == 3
    assert held(services) == {2, 5, 6}
    assert lying(services) == {"2", "5", "6"}
    assert held(services, "other") == {1}
    assert removal(services, keep_versions=2, keep_versions_days=9).remove_old() == 0
    assert removal(services, keep_versions=1, keep_versions_days=9).remove_old() == 1
    assert held(services) == {2, 6}


def test_what_a_killed_removal_leaves_is_removed_by_the_next(services: Services) -> None:
    for text in "abc":
        publish(services, "m", text)
    for version in (1, 2):  # marked, and killed before the folder went
        with services.database.write() as session:
            session.get_one(VersionRow, ("default", "m", version)).removed_at = 1.0
    begun = services.registry.place("m", services.registry.get_version("m", 2))
    if isinstance(begun, Path):
        begun.rename(begun.with_name(".removed-2"))
    else:
        connect().remove(begun, [MANIFEST])
    assert len(lying(services)) == 3
    assert removal(services).remove_old() == 0
    assert lying(services) == {"3"}
