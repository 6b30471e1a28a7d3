"""A running job with a long metric series, put in through the tables; its summaries are written as a worker's are.

The series is that of a CowClip training on Criteo's fields: shares of clipped rows in each record, norms of embeddings
with each validation.
"""

from __future__ import annotations

import math
import time
from pathlib import Path

from sqlalchemy import func, insert, select

from service.database import Database
from service.events import METRIC
from service.leases import Lease, LeaseStore
from service.metric_summaries import write_due_summaries
from service.options import JobOptions
from service.settings import Settings
from service.states import Kind
from service.tables import Event, Job, MetricSummary
from service.wiring import Services

_HIGHEST = 100  # priority: it is claimed before any other
_BATCH = 10_000
_RECORDS_PER_EPOCH = 100_000
_FIELDS = tuple(f"C{number}" for number in range(1, 27))  # Criteo's


def running_job(services: Services) -> Lease:
    """A training that a worker has claimed."""
    spec = {"dataset": "clicks", "model": {"name": "deepfm"}, "batch_size": 1024}
    job_id = services.jobs.enqueue(Kind.TRAIN, spec, options=JobOptions(priority=_HIGHEST)).id
    lease = LeaseStore(services.database, services.settings).claim("bench")
    if lease is None or lease.job_id != job_id:
        raise SystemExit("The job of the highest priority was not the next.")
    return lease


def bench_settings(home: Path, url: str) -> Settings:
    """Leases that last as long as a measurement."""
    return Settings(home=home, database_url=url, lease_s=3600.0)


def fill_series(database: Database, job_id: str, count: int) -> float:
    """Insert so many records; seconds that their summaries took."""
    for start in range(0, count, _BATCH):
        with database.write() as session:
            job = session.get_one(Job, job_id)
            rows = [_event(job, job.last_seq + 1 + n, start + 1 + n) for n in range(min(_BATCH, count - start))]
            session.execute(insert(Event), rows)
            job.last_seq += len(rows)
    started = time.perf_counter()
    written, before = -1, 0
    while written < before:
        written = before
        with database.write() as session:
            write_due_summaries(session, session.get_one(Job, job_id), 0)
        with database.read() as session:
            before = session.scalar(select(func.count()).select_from(MetricSummary)) or 0
    return time.perf_counter() - started


def _event(job: Job, seq: int, step: int) -> dict[str, object]:
    data = {
        "epoch": step // _RECORDS_PER_EPOCH,
        "step": step,
        "loss": 0.45 + 0.1 * math.exp(-step / 1e5) + 0.01 * math.sin(step * 12.9898),
        "rows_per_s": 31_800.0 + step * 7919 % 997,
        "input_wait_share": step * 31 % 101 / 10_000,
        "memory_bytes": 4_000_000_000 + step * 4099,
        "clipped_share": step * 37 % 1009 / 10_090,
    }
    for place, name in enumerate(_FIELDS, 1):
        data[f"clipped_share.{name}"] = step * place % 997 / 9970
    if step % 1000 == 0:  # a validation
        data["valid_auc"] = 0.8 - 0.1 * math.exp(-step / 2e5)
        data["valid_log_loss"] = 0.44 + 0.1 * math.exp(-step / 2e5)
        for place, name in enumerate(_FIELDS, 1):
            data[f"embedding_norm.{name}"] = 0.03 * place * (1 - math.exp(-step / 1e5))
    return {"job_id": job.id, "seq": seq, "type": METRIC, "data": data, "at": job.created_at}
