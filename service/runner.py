"""The process that does one attempt at a job: `python -m service.runner FD`, started by a worker (`service.child`).

It reads an assignment from standard input, works, and writes messages to the pipe FD. It ends when its worker does, and
when its lease is not renewed. It knows no database.
"""

from __future__ import annotations

import fcntl
import json
import logging
import os
import signal
import sys
import threading
import time
import traceback
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from ctrfast.errors import Cancelled, CtrFastError
from service.assignments import Assignment
from service.lifeline import LeaseWatch, die_with_parent
from service.outcomes import failure_of
from service.pruned_runs import PrunedError
from service.stopping import Stop
from service.told_warnings import tell_warnings
from service.traces import traces_from_environment

_STDIN = 0


class FolderBusyError(Exception):
    """An earlier attempt's process still works in the job's folder."""


def main(arguments: list[str]) -> int:
    """Do one attempt; the exit code is 0 whenever the outcome was told."""
    stop = Stop()
    channel = int(arguments[-1])
    os.set_inheritable(channel, False)
    assignment = Assignment.model_validate_json(_read_line(_STDIN))
    die_with_parent(assignment.parent, signal.SIGKILL)
    LeaseWatch(_STDIN, assignment.lease_s).start()

    one_at_a_time = threading.RLock()  # a warning may come from any thread

    def tell(message: Mapping[str, Any]) -> None:
        data = json.dumps(message, default=str).encode() + b"\n"
        with one_at_a_time:
            while data:
                data = data[os.write(channel, data) :]

    logging.getLogger("opentelemetry").setLevel(logging.CRITICAL)  # a collector that fails is no warning of the job's
    traces = traces_from_environment("ctrfast-job")
    parent = {} if assignment.traceparent is None else {"traceparent": assignment.traceparent}
    facts = {"ctrfast.job.id": assignment.job_id, "ctrfast.job.kind": assignment.kind}
    try:
        stop.listen()
        tell_warnings(tell)
        with _alone_in(assignment.folder, assignment.lease_s), traces.span("run", facts, parent=parent):
            from service.work import do_work

            product = do_work(assignment, tell, stop)
        last_word: dict[str, Any] = {"type": "done", "metrics": product.metrics, "result": product.result}
    except Cancelled:
        last_word = {"type": "stopped"}
    except PrunedError as error:
        last_word = {"type": "pruned", "message": str(error)}
    except Exception as error:
        if not isinstance(error, CtrFastError):
            traceback.print_exc()
        reason, message = failure_of(error, assignment.given)
        sys.stderr.write(f"{reason}: {message}\n")
        last_word = {"type": "failed", "reason": reason, "message": message}
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    sys.stderr.flush()
    tell(last_word)
    traces.close()
    return 0


@contextmanager
def _alone_in(folder: Path, patience_s: float) -> Iterator[None]:
    """Hold the job's folder. An earlier attempt's process gives it up at the latest when its lease has run out."""
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "lock").open("w") as lock:
        deadline = time.monotonic() + patience_s
        while True:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() > deadline:
                    raise FolderBusyError() from None
                time.sleep(0.2)
        yield


def _read_line(pipe: int) -> bytes:
    line = b""
    while not line.endswith(b"\n"):  # lines of renewal may follow in the same chunk
        chunk = os.read(pipe, 65536)
        if not chunk:
            raise SystemExit("the worker ended before it gave an assignment")
        line += chunk
    return line.split(b"\n", 1)[0]


if __name__ == "__main__":
    sys.exit(main(sys.argv))
