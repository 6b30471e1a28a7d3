"""The service's processes as a supervisor sees them: started, killed, started again."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, TypeVar

import psutil
from sqlalchemy.exc import SQLAlchemyError

from ctrfast.client import Client, Patience, UnreachableError
from ctrfast.folders import MANIFEST, file_hash
from ctrfast.store.objects import connect
from service.database import Database
from service.places import store_of
from service.settings import Settings
from service.tables import Job
from tests.service.kill_matrix.postgres import Postgres

T = TypeVar("T")

ROOT = Path(__file__).parents[3]
LEASE_S = 3.0
_QUICK_LEASE_S = 10.0  # in the tests, a machine that stalls for some seconds shall cost no attempt
_WORKER = ("-m", "service.cli", "worker")
_QUICK_WORKER = ("-m", "tests.service.kill_matrix.quick_worker")
_PATIENCE = Patience(retries=40, first_s=0.1, longest_s=1.0)  # as long as `Retry-After` asks for


def wait_until(condition: Callable[[], T | None], what: str, timeout_s: float, pause_s: float = 0.02) -> T:
    """The first true value of `condition`."""
    deadline = time.monotonic() + timeout_s
    while time.monotonic() < deadline:
        if value := condition():
            return value
        time.sleep(pause_s)
    raise TimeoutError(f"{what} did not happen within {timeout_s:g} s")


class Fleet:
    """One API and one worker over one database; a client that tries again.

    Args:
        home: CTRFAST_HOME.
        postgres: the server; None: SQLite.
        worker: the worker's program and arguments.
        environment: more of it.
    """

    def __init__(
        self,
        home: Path,
        postgres: Postgres | None,
        worker: Sequence[str] = _WORKER,
        environment: Mapping[str, str] | None = None,
    ) -> None:
        self.home = home.resolve()
        self.postgres = postgres
        with socket.create_server(("127.0.0.1", 0)) as free:
            port = free.getsockname()[1]
        self._commands = {"api": ("-m", "service.cli", "api", "--port", str(port)), "worker": tuple(worker)}
        self._environment = {
            **{name: value for name, value in os.environ.items() if not name.startswith("CTRFAST_")},
            "CTRFAST_HOME": str(self.home),
            "CTRFAST_LEASE_S": str(LEASE_S),
            "CTRFAST_HEARTBEAT_S": "0.2",
            "CTRFAST_POLL_S": "0.1",
            "CTRFAST_ALIAS_REFRESH_S": "0.1",
            "CTRFAST_RETRY_FIRST_S": "0.1",
            "CTRFAST_MAX_ATTEMPTS": "5",
            **({} if postgres is None else {"CTRFAST_DATABASE_URL": postgres.new_database()}),
            **(environment or {}),
        }
        named = {name: self._environment.get(f"CTRFAST_{name.upper()}") for name in ("database_url", "artifacts")}
        self.settings = Settings(home=self.home, **named)
        self.settings.make_folders()
        self.database = Database(self.settings.url)
        self.database.migrate()
        self.processes: dict[str, subprocess.Popen[bytes]] = {}
        self._logs = (self.home / "processes.log").open("ab")
        self.url = f"http://127.0.0.1:{port}"
        self.client = Client(self.url, patience=_PATIENCE)
        self.impatient = Client(self.url, patience=Patience(retries=0), timeout_s=1.0)
        for name in self._commands:
            self.start(name)

    def start(self, name: str) -> None:
        """Start a process that has ended, or PostgreSQL."""
        if name == "postgres":
            self._server().start()
            return
        self.processes[name] = subprocess.Popen(
            [sys.executable, *self._commands[name]],
            cwd=ROOT,
            env=self._environment,
            stdin=subprocess.DEVNULL,
            stdout=self._logs,
            stderr=self._logs,
        )

    def kill(self, name: str) -> None:
        """SIGKILL a process: `api`, `worker`, `training` or `postgres`, and wait until it is gone."""
        if name == "postgres":
            self._server().kill()
        elif name == "training":
            runner = self.runner()
            if runner is None:
                raise RuntimeError("there is no training process to kill")
            runner.kill()
            wait_until(lambda: not runner.is_running() or runner.status() == psutil.STATUS_ZOMBIE, "its end", 60)
        else:
            self.processes[name].kill()
            self.processes[name].wait(60)

    def runner(self) -> psutil.Process | None:
        """The process that trains."""
        worker = self.processes["worker"]
        if worker.poll() is not None:
            return None
        with suppress(psutil.Error):
            for child in psutil.Process(worker.pid).children():
                if child.status() != psutil.STATUS_ZOMBIE:
                    return child
        return None

    def answers(self) -> bool:
        """Whether the API answers, database and all."""
        try:
            self.impatient.jobs(limit=1)
        except UnreachableError:
            return False
        except Exception as error:  # a refusal: only that of a missing database is expected
            if getattr(error, "status", None) != 503:
                raise
            return False
        return True

    def find(self, read: Callable[[Any], T]) -> T | None:
        """What a look into the database finds; None while there is none to look into."""
        try:
            with self.database.read() as session:
                return read(session)
        except SQLAlchemyError:
            return None

    def job(self, job_id: str) -> Job | None:
        """A job's row."""
        return self.find(lambda session: session.get(Job, job_id))

    def published(self) -> dict[tuple[str, str], str]:
        """Bundles that are whole, in HOME or in the store: by model and number or hash, the hash of the manifest."""
        store = store_of(self.settings)
        if store is None:
            manifests = (self.home / "models").glob(f"*/*/{MANIFEST}")
            return {(file.parts[-3], file.parts[-2]): file_hash(file) for file in manifests}
        names = (name.split("/") for name in connect().sizes(store.models))
        return {(model, sha256): sha256 for _, model, sha256, *rest in names if rest == [MANIFEST]}

    def left_processes(self) -> list[psutil.Process]:
        """Training processes of this service that no worker has as a child."""
        runner = self.runner()
        found = []
        for process in psutil.process_iter():
            with suppress(psutil.Error):
                if process.status() == psutil.STATUS_ZOMBIE or process.pid in {p.pid for p in self.processes.values()}:
                    continue
                if process.environ().get("CTRFAST_HOME") == str(self.home) and process != runner:
                    found.append(process)
        return found

    def close(self) -> None:
        """End everything in order; PostgreSQL is its owner's."""
        self.client.close()
        self.impatient.close()
        self.database.dispose()
        for process in self.processes.values():
            process.terminate()
        for process in self.processes.values():
            process.wait(180)
        self._logs.close()

    def _server(self) -> Postgres:
        if self.postgres is None:
            raise RuntimeError("SQLite has no process to kill")
        return self.postgres


def quick_fleet(
    home: Path, postgres: Postgres | None, bundle: Path, environment: Mapping[str, str] | None = None
) -> Fleet:
    """A fleet whose training is `quick_runner`; each job publishes a copy of the bundle."""
    quick = {"CTRFAST_TEST_BUNDLE": str(bundle), "CTRFAST_LEASE_S": str(_QUICK_LEASE_S)}
    return Fleet(home, postgres, _QUICK_WORKER, {**quick, **(environment or {})})
