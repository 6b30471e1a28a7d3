"""Names and values of the gauges, by hand-made jobs and workers, on both databases."""

from __future__ import annotations

from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families
from sqlalchemy import update

from service.job_figures import FigureStore
from service.jobs import JobStore
from service.leases import LeaseStore, Report
from service.states import Kind, Reason
from service.tables import Event
from service.telemetry import Telemetry
from service.wiring import Services
from service.worker_roll import WorkerRoll

NAMES = {
    "ctrfast_database_up",
    "ctrfast_jobs",
    "ctrfast_queue_age_seconds",
    "ctrfast_job_step_seconds",
    "ctrfast_job_rows_per_second",
    "ctrfast_job_input_wait_share",
    "ctrfast_workers",
    "ctrfast_worker_rss_bytes",
}
SPEC = {"dataset": "d", "batch_size": 1000}


class Scene:
    """Jobs and workers under a clock of the test's own."""

    def __init__(self, services: Services) -> None:
        self.now = 5000.0
        self.services = services
        self.jobs = JobStore(services.database, services.settings, lambda: self.now)
        self.leases = LeaseStore(services.database, services.settings, lambda: self.now)
        self.roll = WorkerRoll(services.database, lambda: self.now)
        figures = FigureStore(services.database, self.jobs, self.roll, 30.0, lambda: self.now)
        self.telemetry = Telemetry(figures.read)

    def queued_at(self, at: float) -> str:
        job = self.jobs.enqueue(Kind.TRAIN, SPEC)
        self.date_newest_event(job.id, at)
        return job.id

    def date_newest_event(self, job_id: str, at: float) -> None:
        with self.services.database.write() as session:
            newest = self.jobs.get(job_id).last_seq
            session.execute(update(Event).where(Event.job_id == job_id, Event.seq == newest).values(at=at))

    def values(self, name: str) -> dict[str, float]:
        """Values of a metric by the value of its one label."""
        families = text_string_to_metric_families(self.telemetry.exposition().decode())
        (family,) = [family for family in families if family.name == name]
        return {"".join(sample.labels.values()): sample.value for sample in family.samples}


@pytest.fixture
def scene(services: Services) -> Scene:
    return Scene(services)


def test_names(scene: Scene) -> None:
    families = text_string_to_metric_families(scene.telemetry.exposition().decode())
    assert {family.name for family in families if family.name.startswith("ctrfast_")} >= NAMES
    assert scene.values("ctrfast_database_up") == {"": 1}
    assert scene.values("ctrfast_job_step_seconds") == {}


def test_the_age_of_the_queue(scene: Scene) -> None:
    assert scene.values("ctrfast_queue_age_seconds") == {"": 0}
    old = scene.queued_at(4000.0)
    scene.queued_at(4900.0)
    assert scene.values("ctrfast_queue_age_seconds") == {"": 1000}
    scene.jobs.pause(old)
    assert scene.values("ctrfast_queue_age_seconds") == {"": 100}  # a paused job does not wait
    scene.jobs.resume(old)
    scene.date_newest_event(old, 4950.0)
    assert scene.values("ctrfast_queue_age_seconds") == {"": 100}  # it waits anew
    assert scene.values("ctrfast_jobs") == {"queued": 2} | dict.fromkeys(
        ("running", "paused", "cancelling", "succeeded", "failed", "cancelled"), 0
    )


def test_a_back_off_is_no_wait_for_a_worker(scene: Scene) -> None:
    scene.queued_at(4990.0)
    lease = scene.leases.claim("w")
    assert lease is not None
    scene.leases.fail(lease, Reason.INTERNAL, "x")
    scene.date_newest_event(lease.job_id, 5000.0)
    wait_s = scene.services.settings.retry_first_s
    assert scene.values("ctrfast_queue_age_seconds") == {"": 0}
    scene.now += wait_s + 7
    assert scene.values("ctrfast_queue_age_seconds")[""] == pytest.approx(7)  # since it could have run


def test_figures_of_running_jobs(scene: Scene) -> None:
    leases = []
    for rows_per_s, share in ((500.0, 0.1), (2000.0, 0.3), (None, None)):
        scene.queued_at(4990.0)
        lease = scene.leases.claim("w")
        assert lease is not None
        leases.append(lease)
        metrics = {"rows_per_s": rows_per_s, "input_wait_share": share, "loss": 0.4}
        scene.leases.renew(lease, Report(progress=0.5, metrics={"rows_per_s": 1.0}, records=[{"rows_per_s": 1.0}]))
        scene.leases.renew(lease, Report(progress=0.5, metrics=metrics, records=[metrics]))
    assert scene.values("ctrfast_job_rows_per_second") == {"train": 2500}
    assert scene.values("ctrfast_job_step_seconds") == {"train": pytest.approx((1000 / 500 + 1000 / 2000) / 2)}
    assert scene.values("ctrfast_job_input_wait_share") == {"train": pytest.approx(0.2)}
    scene.leases.succeed(leases[0], {}, lambda _session: {})
    assert scene.values("ctrfast_job_rows_per_second") == {"train": 2000}
    text = scene.telemetry.exposition().decode()
    assert [lease.job_id for lease in leases if lease.job_id in text] == []


def test_workers(scene: Scene) -> None:
    scene.roll.sign("gone", None, 7)
    scene.now += 31
    scene.roll.sign("a", None, 100)
    scene.roll.sign("b", Kind.TRAIN, 1000)
    scene.roll.sign("c", Kind.TRAIN, 2000)
    assert scene.values("ctrfast_workers") == {"idle": 1, "train": 2}
    assert scene.values("ctrfast_worker_rss_bytes") == {"idle": 100, "train": 3000}


def test_without_a_database_the_rest_is_told(scene: Scene) -> None:
    scene.telemetry.count_request("GET", "/healthz", 200, 0.1)
    scene.services.database.migrate("base")
    assert scene.values("ctrfast_database_up") == {"": 0}
    text = scene.telemetry.exposition().decode()
    assert "ctrfast_http_requests_total" in text
    assert "ctrfast_jobs" not in text


def test_each_metric_is_documented(scene: Scene) -> None:
    page = (Path(__file__).parents[2] / "docs" / "operations.md").read_text()
    families = text_string_to_metric_families(scene.telemetry.exposition().decode())
    ours = {family.name for family in families if family.name.startswith("ctrfast_")}
    assert {name for name in ours if f"`{name}" not in page} == set()
