"""What must be true once a case is over. Each function says what is wrong; nothing said is good."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from sqlalchemy import func, select

from service.states import LEASED, State
from service.tables import Event, Job, VersionRow
from tests.service.kill_matrix.fleet import Fleet

TIMES = frozenset({"rows_per_s", "input_wait_share", "train_s"})


def figures(metrics: Mapping[str, Any]) -> dict[str, Any]:
    """A job's metrics without those that are times."""
    return {name: value for name, value in metrics.items() if name not in TIMES}


def of_job(fleet: Fleet, job_id: str, key: str, model: str, expected: Mapping[str, Any]) -> Iterator[str]:
    """A published train job: there once, ended once, published once, with an undisturbed run's figures."""
    with fleet.database.read() as session:
        ids = session.scalars(select(Job.id).where(Job.idempotency_key == key)).all()
        job = session.get_one(Job, job_id)
        events = session.scalars(select(Event).where(Event.job_id == job_id).order_by(Event.seq)).all()
        versions = session.scalars(select(VersionRow).where(VersionRow.name == model)).all()
    if list(ids) != [job_id]:
        yield f"the key made the jobs {list(ids)}, the answer named {job_id}"
    if job.state != State.SUCCEEDED:
        yield f"it ended as {job.state} ({job.reason}: {job.message})"
        return
    if [event.seq for event in events] != list(range(1, len(events) + 1)):
        yield "its events have gaps"
    states = [event.data["state"] for event in events if event.type == "state"]
    if states != ["queued", *["running", "queued"] * (job.attempt - 1), "running", "succeeded"]:
        yield f"it went {' '.join(states)} in {job.attempt} attempts"
    if figures(job.metrics) != expected:
        yield f"its figures are {figures(job.metrics)}, those of an undisturbed run {expected}"
    if [(row.version, row.job_id) for row in versions] != [(1, job_id)]:
        yield f"its versions are {[(row.version, row.job_id) for row in versions]}"
        return
    if [found for (name, _), found in fleet.published().items() if name == model] != [versions[0].sha256]:
        yield "the bundle of its version is not the one that was published"


def of_fillers(fleet: Fleet, keys: Mapping[str, str]) -> Iterator[str]:
    """Jobs that were submitted while something was killed, then cancelled: one for each key that was answered."""
    with fleet.database.read() as session:
        rows = session.execute(
            select(Job.idempotency_key, Job.id, Job.state).where(Job.idempotency_key.in_(list(keys)))
        ).all()
    if sorted((key, job_id) for key, job_id, _ in rows) != sorted(keys.items()):
        yield f"{len(rows)} jobs for {len(keys)} keys that were answered"
    if wrong := {state for _, _, state in rows} - {State.CANCELLED, State.SUCCEEDED}:
        yield f"jobs that were cancelled, or came to their turn before, are {wrong}"


def of_service(fleet: Fleet) -> Iterator[str]:
    """Nothing is left half-done: no job at work, no process without a worker, no folder without a row."""
    with fleet.database.read() as session:
        working = session.scalar(select(func.count()).where(Job.state.in_(sorted(LEASED))))
        versions = session.scalars(select(VersionRow)).all()
    if working:
        yield f"{working} jobs are still at work"
    if left := fleet.left_processes():
        yield f"processes are left: {left}"
    in_home = fleet.settings.artifacts is None
    rows = {(row.name, str(row.version) if in_home else row.sha256) for row in versions}
    if (bundles := set(fleet.published())) != rows:
        yield f"the published bundles are {sorted(bundles)}, the rows {sorted(rows)}"
    if len(folders := list((fleet.home / "models").glob("*/*"))) != (len(rows) if in_home else 0):
        yield f"the folders of models are {folders}, the rows {sorted(rows)}"
    if partial := [path.name for path in fleet.home.rglob(".partial-*")]:
        yield f"half-written folders are left: {partial}"
