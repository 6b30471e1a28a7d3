"""A service on this machine for as long as a program or notebook runs: `ctrfast-service up` as a process of its own.

    with LocalService(Path("service"), data_roots=[Path("data")]) as local, Client(local.url) as client:
        client.register("clicks", "clicks")

It serves on a free port of loopback; SQLite, jobs, models and its log are in its folder. `close` stops it; so does the
end of the program, also after an error, and on Linux the program's being killed.
"""

from __future__ import annotations

import atexit
import os
import subprocess
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Self

from service.processes import StartError

LOG = "service.log"
_READY = "ctrfast is ready at "
_START_TIMEOUT_S = 180.0  # models are loaded first
_STOP_TIMEOUT_S = 60.0
_LOOK_S = 0.05


class LocalService:
    """A running service; a context manager, or `close()` stops it.

    Args:
        home: its folder; made where it does not exist, gone on with where it does.
        data_roots: folders that it may read data in; without any, `home/data` alone.
        settings: of its environment (`service.settings`), by name. It gets none of the program's own.

    Attributes:
        url: where it answers.

    Raises:
        StartError: it did not start.
    """

    def __init__(
        self, home: Path, data_roots: Sequence[Path] = (), *, settings: Mapping[str, str] | None = None
    ) -> None:
        home.mkdir(parents=True, exist_ok=True)
        environment = {name: value for name, value in os.environ.items() if not name.startswith("CTRFAST_")}
        environment["CTRFAST_HOME"] = str(home.resolve())
        environment["CTRFAST_DATA_ROOTS"] = os.pathsep.join(str(root.resolve()) for root in data_roots)
        command = [sys.executable, "-m", "service.cli", "up", "--port", "0"]
        if threading.current_thread() is threading.main_thread():  # Linux follows the thread that starts a process
            command += ["--parent", str(os.getpid())]
        self._log = home / LOG
        with self._log.open("ab") as log:
            begin = log.tell()
            self._process = subprocess.Popen(
                command,
                env=environment | dict(settings or {}),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,  # Ctrl-C, or a notebook's interrupt, is not for it
            )
        atexit.register(self.close)
        try:
            self.url = self._wait_until_ready(begin)
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Stop it. A job that runs saves a checkpoint, and goes on when a service is started in the same folder."""
        atexit.unregister(self.close)
        self._process.terminate()
        try:
            self._process.wait(_STOP_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _wait_until_ready(self, begin: int) -> str:
        """The address that its log names. begin: byte of the log where this start begins."""
        deadline = time.monotonic() + _START_TIMEOUT_S
        while True:
            has_ended = self._process.poll() is not None
            lines = self._log.read_bytes()[begin:].decode(errors="replace").splitlines(keepends=True)
            for line in lines:
                if line.startswith(_READY) and line.endswith("\n"):
                    return line.removeprefix(_READY).split()[0]
            if has_ended:
                last = lines[-1].removeprefix("error: ").strip() if lines else "it said nothing."
                raise StartError(f"The service did not start: {last}")
            if time.monotonic() > deadline:
                raise StartError(f"The service did not start within {_START_TIMEOUT_S:g} s. See {self._log}.")
            time.sleep(_LOOK_S)
