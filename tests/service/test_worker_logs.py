"""What a job's process writes, as events: by a worker on both databases."""

from __future__ import annotations

from pathlib import Path

import pytest

from service.events import LOG, WARNING
from service.wiring import Services
from tests.service.conftest import quick_settings
from tests.service.test_log_events import texts
from tests.service.test_worker import ended, register_dataset, submit, working


@pytest.fixture(autouse=True)
def dataset_d(services: Services) -> None:
    register_dataset(services)


def test_what_a_process_writes_becomes_events(services: Services) -> None:
    job_id = submit(services)
    with working(services.settings, "talk", 3):
        assert ended(services, job_id).state == "succeeded"
    lines = texts(services, job_id, LOG)
    assert lines[0].startswith("--- attempt 1")
    assert lines[1:] == ["hello from the log", "line 0", "line 1", "line 2"]
    assert texts(services, job_id, WARNING) == ["careful"]
    events = services.jobs.events(job_id, 0).events
    assert [event.seq for event in events] == list(range(1, len(events) + 1))
    assert events[-1].data["state"] == "succeeded"
    assert services.jobs.log(job_id, 0).lines == lines


def test_a_retry_adds_its_own_lines_alone(services: Services, tmp_path: Path) -> None:
    job_id = submit(services)
    with working(services.settings, "die-once", tmp_path / "marker"):
        assert ended(services, job_id).attempt == 2
    lines = [line.partition(",")[0] for line in texts(services, job_id, LOG)]
    assert lines == ["--- attempt 1", "hello from the log", "--- attempt 2", "hello from the log"]


def test_lines_beyond_the_bound_are_in_the_file_alone(services: Services, home: Path) -> None:
    settings = quick_settings(home, max_log_events=10, database_url=services.settings.database_url)
    job_id = submit(services)
    with working(settings, "talk", 5000):
        assert ended(services, job_id).state == "succeeded"
    lines, warnings = texts(services, job_id, LOG), texts(services, job_id, WARNING)
    assert len(lines) + len(warnings) == 11
    assert lines[-1] == "The job has 10 log lines and warnings; further ones are in its log file alone."
    assert "line 4999\n" in (settings.job_folder(job_id) / "log.txt").read_text()
