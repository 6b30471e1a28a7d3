"""A worker process of the tests' own: `worker_program.py HOME DATABASE_URL MODE ARGUMENT...`.

The mode and its arguments go to `child_program.py`. A real process can be stopped and killed, as a thread cannot.
"""

from __future__ import annotations

import signal
import sys
from pathlib import Path

from service.worker import Worker
from tests.service.conftest import fake_command, quick_settings


def main() -> None:
    home, url, mode, *arguments = sys.argv[1:]
    settings = quick_settings(Path(home), database_url=url)
    worker = Worker(settings, fake_command(mode, *arguments))
    signal.signal(signal.SIGTERM, lambda *_: worker.stop())
    worker.run()


if __name__ == "__main__":
    main()
