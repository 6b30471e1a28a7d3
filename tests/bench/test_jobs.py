"""The table that `bench.jobs` fills, and the slope that it tells."""

from __future__ import annotations

from pathlib import Path

import pytest
from sqlalchemy import func, select

from bench.job_table import FEW, RARE_LABEL, SMALL_PROJECT, fill
from bench.jobs import Figures
from service.database import Database
from service.states import FINAL
from service.tables import Event, Job, JobLabel


def test_the_table(tmp_path: Path) -> None:
    database = Database(f"sqlite:///{tmp_path / 'jobs.db'}")
    database.migrate()
    fill(database, 2010)
    with database.read() as session:
        jobs = session.scalars(select(Job).order_by(Job.id)).all()
        assert len(jobs) == 2010
        assert {job.state for job in jobs} == FINAL
        assert FEW <= sum(job.project == SMALL_PROJECT for job in jobs) <= FEW + 1
        assert [job.created_at for job in jobs] == sorted(job.created_at for job in jobs)
        assert session.scalar(select(func.count()).select_from(Event)) == 3 * 2010
        rare = select(JobLabel.job_id).where(JobLabel.key == RARE_LABEL[0], JobLabel.value == RARE_LABEL[1])
        assert len(session.scalars(rare).all()) == 3
    database.dispose()


def test_the_slope_is_that_of_the_second_half() -> None:
    filling = [(count, 10_000 * count) for count in range(0, 500, 10)]
    then = [(count, 5_000_000 + 7 * count) for count in range(500, 1000, 10)]
    assert Figures(memory=filling + then).bytes_per_request() == pytest.approx(7)
