"""What the workers of a run and the process that started them tell each other: files in a folder that all of them see.

    with Mailbox.beside(out) as mail:          # in the process that starts the workers
        mail.ask_to_stop()
        for progress in mail.new_progress(): ...
    mail.tell(progress), mail.is_to_stop()     # in the chief
    mail.tell_error(1, error)                  # in any worker

It is made of its path alone, so it can be sent to a worker.
"""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path

from ctrfast.errors import CtrFastError
from ctrfast.folders import PARTIAL, write_file
from ctrfast.loop.progress import Progress
from ctrfast.told_errors import told, told_error

_LOOK_S = 0.2  # between two looks for a wish


class Mailbox:
    """A folder for messages.

    Args:
        path: of the folder.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._progress, self._stop = path / "progress.jsonl", path / "stop"
        self._place = 0  # bytes of progress that were read
        self._looked, self._is_to_stop = 0.0, False

    @classmethod
    @contextmanager
    def beside(cls, out: Path) -> Iterator[Mailbox]:
        """An empty one beside a run's folder, for as long as the block lasts."""
        path = out.parent / f"{PARTIAL}cluster-{out.name}"
        shutil.rmtree(path, ignore_errors=True)
        path.mkdir()
        try:
            yield cls(path)
        finally:
            shutil.rmtree(path, ignore_errors=True)

    def tell(self, progress: Progress) -> None:
        """Add a line, at once."""
        with self._progress.open("a", encoding="utf-8") as file:
            file.write(json.dumps(asdict(progress)) + "\n")

    def new_progress(self) -> Iterator[Progress]:
        """Whole lines since the last call."""
        if not self._progress.is_file():
            return
        with self._progress.open("rb") as file:
            file.seek(self._place)
            for line in file:
                if not line.endswith(b"\n"):
                    return
                self._place += len(line)
                yield Progress(**json.loads(line))

    @property
    def has_progress(self) -> bool:
        """Whether any was told, by workers of now or before."""
        return self._progress.exists()

    def ask_to_stop(self) -> None:
        """Leave the wish."""
        self._stop.touch()

    def is_to_stop(self) -> bool:
        """Whether the wish is there; asked at each step, it looks five times a second."""
        now = time.monotonic()
        if not self._is_to_stop and now - self._looked >= _LOOK_S:
            self._looked, self._is_to_stop = now, self._stop.exists()
        return self._is_to_stop

    def tell_error(self, worker: int, error: CtrFastError) -> None:
        """Leave a worker's error."""
        write_file(self._error_of(worker), json.dumps(told(error)))

    def first_error(self) -> CtrFastError | None:
        """The error of the first worker that left one."""
        for path in sorted(self.path.glob("error-*.json")):
            return told_error(json.loads(path.read_text(encoding="utf-8")))
        return None

    def have_all_told_errors(self, workers: int, patience_s: float) -> bool:
        """Whether each worker has left an error, at the latest when the patience ends."""
        deadline = time.monotonic() + patience_s
        while not all(self._error_of(worker).exists() for worker in range(workers)):
            if time.monotonic() > deadline:
                return False
            time.sleep(0.05)
        return True

    def _error_of(self, worker: int) -> Path:
        return self.path / f"error-{worker:04d}.json"
