"""A worker sees and delivers inside its job's project, on SQLite and PostgreSQL."""

from __future__ import annotations

from pathlib import Path

import pytest

from service.access import rights_of, rights_text
from service.problems import NotFoundError
from service.projects import DEFAULT_PROJECT, qualified, require_project_name
from service.states import Kind
from service.tables import DatasetRow, Job
from service.wiring import Services
from tests.service.conftest import wait_for
from tests.service.test_registry import make_bundle
from tests.service.test_worker import working

PROJECTS = (DEFAULT_PROJECT, "ads")


@pytest.fixture
def two(services: Services) -> Services:
    """Two projects, each with a dataset `d` of its own, at `/PROJECT`."""
    with services.database.write() as session:
        for project in PROJECTS:
            facts = {"train": 100, "valid": 0, "test": 0}
            session.add(
                DatasetRow(
                    project=project,
                    name="d",
                    path=f"/{project}",
                    hash="h",
                    preset="criteo",
                    rows=facts,
                    label_rate={},
                    table_rows=1,
                    created_at=0,
                )
            )
    return services


def ended(services: Services, project: str, job_id: str) -> Job:
    def final() -> Job | None:
        job = services.jobs.of(project).get(job_id)
        return job if job.finished_at is not None else None

    return wait_for(final, "the job's end")


def test_a_worker_reads_inside_the_project(two: Services) -> None:
    ids = {project: two.jobs.of(project).enqueue(Kind.TRAIN, {"dataset": "d"}).id for project in PROJECTS}
    with working(two.settings, "tell", "dataset"):
        for project, job_id in ids.items():
            assert ended(two, project, job_id).metrics == {"dataset": f"/{project}"}


def test_a_thing_of_another_project_is_not_found(two: Services) -> None:
    job_id = two.jobs.of("third").enqueue(Kind.TRAIN, {"dataset": "d"}).id
    with working(two.settings, "tell", "dataset"):
        job = ended(two, "third", job_id)
    assert (job.state, job.reason) == ("failed", "bad_data")
    assert "no dataset 'd'" in (job.message or "")


def test_a_model_is_published_inside_the_project(two: Services, tmp_path: Path) -> None:
    bundle = make_bundle(two, "a")
    ids = {
        project: two.jobs.of(project).enqueue(Kind.TRAIN, {"dataset": "d", "publish_as": "m"}).id
        for project in PROJECTS
    }
    with working(two.settings, "bundle", bundle):
        for project, job_id in ids.items():
            result = ended(two, project, job_id).result
            assert (result["model"], result["version"], result["published"]["alias"]) == ("m", 1, "latest")
    for project in PROJECTS:
        registry = two.registry.of(project)
        assert registry.get("m").on_disk == {1}
        assert registry.folder("m", 1) == two.settings.model_folder(project, "m", 1)
    assert two.registry.folder("m", 1) != two.registry.of("ads").folder("m", 1)
    with pytest.raises(NotFoundError):
        two.registry.of("third").get("m")


def test_idempotency_keys_stay_inside_the_project(two: Services) -> None:
    first = two.jobs.enqueue(Kind.TRAIN, {}, owner="a", key="k")
    assert two.jobs.find_twin(Kind.TRAIN, {}, "a", "k") is not None
    assert two.jobs.of("ads").find_twin(Kind.TRAIN, {}, "a", "k") is None
    for call in (two.jobs.of("ads").get, two.jobs.of("ads").cancel, two.jobs.of("ads").retry):
        with pytest.raises(NotFoundError):
            call(first.id)


@pytest.mark.parametrize("name", ["a", "default", "team-1_x", "9" * 32])
def test_project_names(name: str) -> None:
    assert require_project_name(name) == name


@pytest.mark.parametrize("name", ["", "A", "..", "a/b", "-a", "a" * 33, "a\n", "é"])
def test_no_project_names(name: str) -> None:
    with pytest.raises(ValueError, match="lower-case"):
        require_project_name(name)


def test_names_outside_their_project() -> None:
    assert qualified(DEFAULT_PROJECT, "m") == "m"
    assert qualified("ads", "m") == "ads/m"


def test_rights_as_text() -> None:
    assert rights_text(rights_of(["score", "jobs:read", "score"])) == "jobs:read score"
    with pytest.raises(ValueError, match="jobs:read jobs:write"):
        rights_of(["jobs"])
