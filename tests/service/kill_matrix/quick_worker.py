"""`ctrfast-service worker` with `quick_runner` as the program that does a job."""

from __future__ import annotations

import signal
import sys

from service.logs import log_to_stderr
from service.settings import Settings
from service.worker import Worker

if __name__ == "__main__":
    log_to_stderr("INFO", "console")
    worker = Worker(Settings(), (sys.executable, "-m", "tests.service.kill_matrix.quick_runner"))
    signal.signal(signal.SIGTERM, lambda *_: worker.stop())
    worker.run()
