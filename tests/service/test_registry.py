"""Versions and aliases, in each database and store; a bundle is listed whole or not at all."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from ctrfast.folders import MANIFEST, file_hash, write_manifest
from service.leases import LeaseLostError
from service.places import folder_of
from service.pointers import PointerStore
from service.problems import BadValueError, NotFoundError
from service.states import Kind, Reason
from service.tables import VersionRow
from service.wiring import Services
from tests.service.conftest import IN_EACH_STORE

pytestmark = IN_EACH_STORE


def make_bundle(services: Services, text: str) -> Path:
    folder = services.settings.home_dir / "jobs" / f"made-{text}"
    folder.mkdir(parents=True)
    (folder / "weights").write_text(text)
    write_manifest(folder, {"kind": "bundle"})
    return folder


def publish(services: Services, name: str, text: str) -> int:
    job = services.jobs.enqueue(Kind.TRAIN, {})
    bundle = make_bundle(services, text)
    with services.database.write() as session:
        return services.registry.publish(session, name, bundle, job.id, {"test_auc": 0.7})


def weights(services: Services, version: int) -> str:
    """What the bundle of a version of `m` holds."""
    with services.registry.opened("m", version) as (folder, _):
        return (folder / "weights").read_text()


def test_versions_count_up_and_latest_follows(services: Services) -> None:
    assert [publish(services, "m", text) for text in "abc"] == [1, 2, 3]
    model = services.registry.get("m")
    assert [row.version for row in model.versions] == [1, 2, 3]
    assert model.aliases == {"latest": 3}
    assert weights(services, 2) == "b"
    services.registry.set_alias("m", "latest", 1)
    services.registry.set_alias("m", "stable", 2)
    pointers = PointerStore(services.database).read()
    assert pointers.aliases == {("default", "m", "latest"): 1, ("default", "m", "stable"): 2}
    assert publish(services, "m", "d") == 4
    assert services.registry.get("m").aliases == {"latest": 4, "stable": 2}


def test_publications_at_the_same_moment_get_numbers_of_their_own(services: Services) -> None:
    numbers: list[int] = []
    barrier = threading.Barrier(6)

    def work(text: str) -> None:
        barrier.wait()
        numbers.append(publish(services, "m", text))

    threads = [threading.Thread(target=work, args=(text,)) for text in "abcdef"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(numbers) == [1, 2, 3, 4, 5, 6]
    assert {weights(services, number) for number in numbers} == set("abcdef")


def test_a_publication_that_dies_is_not_listed_and_its_left_over_is_replaced(services: Services) -> None:
    job = services.jobs.enqueue(Kind.TRAIN, {})
    bundle = make_bundle(services, "lost")
    sha256 = file_hash(bundle / MANIFEST)
    with pytest.raises(RuntimeError), services.database.write() as session:
        services.registry.publish(session, "m", bundle, job.id, {})
        raise RuntimeError  # as a process that dies after it put the bundle in place and before the commit
    with pytest.raises(NotFoundError):
        services.registry.get("m")
    with folder_of(services.registry.place("m", VersionRow(version=1, sha256=sha256))) as left:
        assert (left / "weights").read_text() == "lost"
    assert publish(services, "m", "whole") == 1
    assert weights(services, 1) == "whole"


def test_a_worker_that_lost_its_lease_publishes_nothing(services: Services) -> None:
    services.jobs.enqueue(Kind.TRAIN, {})
    stale = services.leases.claim("slow")
    assert stale is not None
    services.leases.fail(stale, Reason.WORKER_LOST, "gone")
    bundle = make_bundle(services, "zombie")
    with pytest.raises(LeaseLostError):
        services.leases.succeed(
            stale, {}, lambda session: {"v": services.registry.publish(session, "m", bundle, stale.job_id, {})}
        )
    assert services.registry.names() == []
    assert bundle.is_dir()


def test_unknown_names(services: Services) -> None:
    publish(services, "model", "a")
    with pytest.raises(NotFoundError, match="Did you mean model"):
        services.registry.get("modl")
    with pytest.raises(NotFoundError, match=r"^The model 'model' has no version 9\.$"):
        services.registry.get_version("model", 9)
    with pytest.raises(NotFoundError):
        services.registry.set_alias("other", "latest", 1)
    with pytest.raises(BadValueError):
        services.registry.set_alias("model", "latest", 9)
