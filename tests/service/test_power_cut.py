"""SQLite after a power cut: files copied at any moment hold every job that was acknowledged, and no half of a move."""

from __future__ import annotations

import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import select, text

from service.database import Database
from service.states import FINAL, LEASED, State
from service.tables import Event, Job
from service.wiring import Services
from tests.service.conftest import quick_settings, wait_for

ROOT = Path(__file__).parents[2]
CUTS = 8


@pytest.fixture
def at_work(home: Path) -> Iterator[subprocess.Popen[bytes]]:
    """A process that submits and moves jobs as fast as it can."""
    database = Database(quick_settings(home).url)
    database.migrate()
    database.dispose()
    command = [sys.executable, "-m", "tests.service.power_program", str(home)]
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE)
    assert process.stdout is not None
    os.set_blocking(process.stdout.fileno(), False)
    yield process
    process.kill()
    process.wait()
    process.stdout.close()


def acknowledged(process: subprocess.Popen[bytes]) -> list[str]:
    """The jobs that it has printed since the last call; the last line may be half there and is not counted."""
    assert process.stdout is not None
    told = b""
    try:
        while chunk := os.read(process.stdout.fileno(), 1 << 16):
            told += chunk
    except BlockingIOError:
        pass  # it is alive, and has said no more
    *lines, rest = told.split(b"\n")
    assert rest == b""  # one `write` of 24 bytes to a pipe is whole
    return [line.decode() for line in lines]


def is_stopped(pid: int) -> bool:
    """Whether all threads are: one that was in a system call stops at its end."""
    states = [file.read_text().rpartition(")")[2].split()[0] for file in Path(f"/proc/{pid}/task").glob("*/stat")]
    return set(states) == {"T"}


def look(home: Path) -> tuple[str, dict[str, Job], dict[str, list[Event]]]:
    """What a fresh service finds: the result of SQLite's own check, the jobs, and the events of each."""
    services = Services.build(quick_settings(home))
    assert services.database.unfit() is None
    with services.database.read() as session:
        check = str(session.scalar(text("PRAGMA integrity_check")))
        jobs = {job.id: job for job in session.scalars(select(Job))}
        events: dict[str, list[Event]] = {job_id: [] for job_id in jobs}
        for event in session.scalars(select(Event).order_by(Event.seq)):
            events[event.job_id].append(event)
    services.database.dispose()
    return check, jobs, events


def assert_possible(jobs: dict[str, Job], events: dict[str, list[Event]]) -> None:
    """A row and its events were written together, so they agree."""
    for job in jobs.values():
        told = events[job.id]
        assert [event.seq for event in told] == list(range(1, job.last_seq + 1))
        assert told[-1].data == {**told[-1].data, "state": job.state, "attempt": job.attempt}
        assert (job.lease_until is not None) == (State(job.state) in LEASED)
        assert (job.finished_at is not None) == (State(job.state) in FINAL)
        assert (job.metrics == {"loss": 0.5}) == (job.state == State.SUCCEEDED)


def test_every_acknowledged_job_survives_a_power_cut(
    at_work: subprocess.Popen[bytes], home: Path, tmp_path: Path
) -> None:
    chance = random.Random(7)
    told: list[str] = []
    live = Services.build(quick_settings(home))
    wait_for(lambda: {"succeeded", "failed"} <= {s for s, n in live.jobs.counts().items() if n}, "some moves")
    live.database.dispose()
    seen: set[str] = set()
    for number in range(CUTS):
        time.sleep(chance.uniform(0.01, 0.2))
        at_work.send_signal(signal.SIGSTOP)
        wait_for(lambda: is_stopped(at_work.pid), "the stop")
        told += acknowledged(at_work)
        copy = tmp_path / f"copy-{number}"
        copy.mkdir()
        for name in ("ctrfast.db", "ctrfast.db-wal"):  # the -shm is memory, and gone with the power
            shutil.copy(home / name, copy / name)
        at_work.send_signal(signal.SIGCONT)
        check, jobs, events = look(copy)
        assert check == "ok"
        assert set(told) <= set(jobs)
        assert len(jobs) <= len(told) + 1  # the one whose commit arrived, and whose answer did not
        assert_possible(jobs, events)
        seen |= {job.state for job in jobs.values()}
    assert {"queued", "succeeded", "failed"} <= seen  # the copies were made of jobs that moved


def test_without_its_log_the_file_alone_is_an_earlier_state(
    at_work: subprocess.Popen[bytes], home: Path, tmp_path: Path
) -> None:
    """A copy that forgets `-wal` is not the database: it lacks what was committed last, and is whole in itself."""
    told: list[str] = []
    wait_for(lambda: told.extend(acknowledged(at_work)) or len(told) > 5, "some submissions")
    at_work.kill()
    at_work.wait()
    told += acknowledged(at_work)
    copy = tmp_path / "copy"
    copy.mkdir()
    shutil.copy(home / "ctrfast.db", copy / "ctrfast.db")
    check, jobs, events = look(copy)
    assert check == "ok"
    assert_possible(jobs, events)
    check, jobs, events = look(home)
    assert check == "ok"
    assert set(told) <= set(jobs)
    assert_possible(jobs, events)
    check, whole, _ = look(copied_after_an_orderly_end(home, tmp_path))
    assert (check, set(whole)) == ("ok", set(jobs))


def copied_after_an_orderly_end(home: Path, tmp_path: Path) -> Path:
    """The file alone, after the last connection was closed: it holds all, and there is no log any more."""
    assert not (home / "ctrfast.db-wal").exists()
    out = tmp_path / "orderly"
    out.mkdir()
    shutil.copy(home / "ctrfast.db", out / "ctrfast.db")
    return out
