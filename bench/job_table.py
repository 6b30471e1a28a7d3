"""A table of jobs that have ended, put in through the tables: what a service has after a few years.

Ids lie in the past, one second apart. Nine in ten jobs are of the default project, the others of `OTHER_PROJECT` but
for `FEW` of `SMALL_PROJECT`, spread over the years. Each has three events and the labels `env` (one value)
and `team` (20 values), every thousandth a label `sweep` as well.
"""

from __future__ import annotations

import random
import time
from collections.abc import Iterator
from typing import Any

from sqlalchemy import insert

from bench.workload import SEED
from service.database import Database
from service.projects import DEFAULT_PROJECT
from service.states import Kind, State
from service.tables import Event, Job, JobLabel

OTHER_PROJECT, SMALL_PROJECT = "other", "small"
FEW = 50
RARE_LABEL = ("sweep", "s1")
_BATCH = 5_000
_TEAMS = 20


def fill(database: Database, count: int) -> None:
    """Insert so many jobs that have ended, with their events and labels."""
    rng = random.Random(SEED)
    begun = time.time() - count - 60
    batch: list[dict[str, Any]] = []
    for job in _jobs(rng, begun, count):
        batch.append(job)
        if len(batch) == _BATCH:
            _insert(database, batch)
            batch = []
    if batch:
        _insert(database, batch)


def _jobs(rng: random.Random, begun: float, count: int) -> Iterator[dict[str, Any]]:
    states = rng.choices([State.SUCCEEDED, State.FAILED, State.CANCELLED], [80, 15, 5], k=count)
    kinds = rng.choices([Kind.TRAIN, Kind.EVALUATE, Kind.SCORE, Kind.PREPARE], [60, 20, 15, 5], k=count)
    small = set(range(0, count, max(1, count // FEW)))
    for number, (state, kind) in enumerate(zip(states, kinds, strict=True)):
        at = begun + number
        project = SMALL_PROJECT if number in small else OTHER_PROJECT if number % 10 == 0 else DEFAULT_PROJECT
        labels = {"env": "prod", "team": f"t{rng.randrange(_TEAMS)}"}
        if number % 1000 == 1:
            labels |= dict([RARE_LABEL])
        yield {
            "id": f"{int(at * 1000):012x}{rng.getrandbits(40):010x}",
            "kind": kind,
            "state": state,
            "spec": {"dataset": "clicks", "model": {"name": "deepfm"}, "batch_size": 8192, "seed": number},
            "project": project,
            "fingerprint": f"{rng.getrandbits(256):064x}",
            "progress": 1.0,
            "metrics": {"test_auc": round(rng.random(), 4), "loss": round(rng.random(), 4)},
            "reason": "bad_data" if state is State.FAILED else None,
            "message": None,
            "attempt": 1,
            "attempts_left": 3,
            "last_seq": 3,
            "labels": labels,
            "created_at": at,
            "started_at": at + 0.1,
            "finished_at": at + 0.9,
        }


def _insert(database: Database, jobs: list[dict[str, Any]]) -> None:
    labels = [{"job_id": job["id"], "key": key, "value": value} for job in jobs for key, value in job["labels"].items()]
    events = [
        {
            "job_id": job["id"],
            "seq": seq,
            "type": "state",
            "data": {"state": state, "attempt": 1},
            "at": job["created_at"],
        }
        for job in jobs
        for seq, state in enumerate((State.QUEUED, State.RUNNING, job["state"]), 1)
    ]
    with database.write() as session:
        session.execute(insert(Job), jobs)
        session.execute(insert(JobLabel), labels)
        session.execute(insert(Event), events)
