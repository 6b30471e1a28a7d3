"""A PostgreSQL server that is killed as by the system, and started again as by a supervisor."""

from __future__ import annotations

import os
import subprocess
import tempfile
import time
import uuid

import psutil
import psycopg

from tests.service.postgres_server import start_postgres


class Postgres:
    """A server of its own, on a socket in a folder of its own."""

    def __init__(self) -> None:
        os.environ.setdefault("XDG_RUNTIME_DIR", tempfile.mkdtemp())  # the import warns without it
        self._server = start_postgres()
        self._uri: str = self._server.get_uri()

    def new_database(self) -> str:
        """URL of an empty database."""
        name = f"t{uuid.uuid4().hex}"
        with psycopg.connect(self._uri, autocommit=True) as connection:
            connection.execute(f"CREATE DATABASE {name}")
        return self._uri.replace("/postgres?", f"/{name}?")

    def kill(self) -> None:
        """End the server and all its backends at once."""
        server = psutil.Process(self._server.get_pid())
        family = [server, *server.children(recursive=True)]
        for process in family:
            process.kill()
        psutil.wait_procs(family, timeout=60)

    def start(self) -> None:
        """Start it again; what the killed one left in the system may be in the way for a moment."""
        for _ in range(200):
            try:
                self._server.ensure_postgres_running()
                return
            except subprocess.SubprocessError:
                time.sleep(0.25)
        raise RuntimeError("PostgreSQL does not start again")

    def close(self) -> None:
        """End it and remove its data."""
        self._server.cleanup()
