"""A job's log lines and warnings as events: from its process to the store, within their bound."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from service.events import LOG, WARNING
from service.leases import LeaseStore, Report
from service.log_tail import MAX_LINE_BYTES, LogTail
from service.wiring import Services
from tests.service.conftest import quick_settings
from tests.service.test_leases import claim, queue


def texts(services: Services, job_id: str, kind: str) -> list[str]:
    key = {LOG: "line", WARNING: "message"}[kind]
    return [event.data[key] for event in services.jobs.events(job_id, 0).events if event.type == kind]


class TestTail:
    def test_lines_arrive_whole_and_once(self, tmp_path: Path) -> None:
        path = tmp_path / "log"
        path.write_text("old\n")
        tail = LogTail(path, 100)
        assert tail.read() == []
        with path.open("ab") as file:
            for written, lines in ((b"a", []), (b"b\r\nc", ["ab"]), (b"\n\nd\xff\n", ["c", "", "d\ufffd"])):
                file.write(written)
                file.flush()
                assert tail.read() == lines
            file.write(b"e\nend")
        assert tail.read_to_the_end() == ["e", "end"]
        assert tail.read_to_the_end() == []

    def test_a_file_that_is_not_there_yet(self, tmp_path: Path) -> None:
        tail = LogTail(tmp_path / "log", 100)
        assert tail.read_to_the_end() == []
        (tmp_path / "log").write_text("x\n")
        assert tail.read_to_the_end() == ["x"]

    def test_long_lines_are_cut(self, tmp_path: Path) -> None:
        path = tmp_path / "log"
        tail = LogTail(path, 1000)
        whole = "y" * MAX_LINE_BYTES
        path.write_text("x" * 200_000 + "\n" + whole + "\n" + whole)
        assert tail.read_to_the_end() == ["x" * MAX_LINE_BYTES + "...", whole, whole]

    def test_a_bound_on_what_is_read(self, tmp_path: Path) -> None:
        path = tmp_path / "log"
        tail = LogTail(path, 2)
        path.write_text("z\n" * 10_000)
        assert len(tail.read_to_the_end()) == 2 * MAX_LINE_BYTES // 2
        assert LogTail(path, 0).read_to_the_end() == []


@pytest.mark.parametrize("most", [0, 1, 3])
def test_the_bound_counts_all_attempts(services: Services, home: Path, most: int) -> None:
    leases = LeaseStore(services.database, quick_settings(home, max_log_events=most))
    (job_id,) = queue(services)
    for _ in range(2):
        lease = claim(services)
        leases.renew(lease, Report(lines=["a", "b"]))
        leases.renew(lease, Report(warnings=["c"]))
        leases.stopped(lease)
    end = f"The job has {most} log lines and warnings; further ones are in its log file alone."
    assert texts(services, job_id, LOG) == [*["a", "b"][:most], end]
    assert texts(services, job_id, WARNING) == ["c"][: max(most - 2, 0)]


def test_texts_that_no_database_keeps(services: Services) -> None:
    (job_id,) = queue(services)
    services.leases.renew(claim(services), Report(lines=["a\x00b"], warnings=["c\ud800d"]))
    assert (texts(services, job_id, LOG), texts(services, job_id, WARNING)) == (["a\ufffdb"], ["c?d"])


def test_warnings_of_the_process_are_told(tmp_path: Path) -> None:
    program = (
        "import logging, warnings\n"
        "from service.told_warnings import tell_warnings\n"
        "tell_warnings(lambda message: print(message))\n"
        "warnings.warn('soft')\n"
        "logging.getLogger('x').error('hard %d', 7)\n"
        "logging.getLogger('x').info('quiet')\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    told = done.stdout.splitlines()
    assert len(told) == 2
    assert "UserWarning: soft" in told[0]
    assert told[1] == "{'type': 'warning', 'message': 'hard 7'}"
    assert "hard 7" in done.stderr  # and so the log has it
